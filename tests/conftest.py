"""What tests of several folders share: a real Valkey, one for each module that asks, empty for each of its tests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.world.valkey import Valkey


@pytest.fixture(scope="module")
def valkey_server() -> Iterator[Valkey]:
    """One server for the module."""
    from tests.world.valkey import running_valkey  # not every environment that reads this file has a client

    with running_valkey() as server:
        yield server


@pytest.fixture
def valkey(valkey_server: Valkey) -> Valkey:
    """Emptied."""
    with valkey_server.client() as client:
        client.flushall()
    return valkey_server
