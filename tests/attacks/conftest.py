"""A running house for each attack."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.world.house import House, opened_house


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """Browser, BFF, API and authority, all of them real, in one simulated internet."""
    async with opened_house(tmp_path) as running:
        yield running


@pytest.fixture
async def secure_house(tmp_path: Path) -> AsyncIterator[House]:
    """The same behind https, with the cookie names of production."""
    async with opened_house(tmp_path, origin="https://app.example.com") as running:
        yield running
