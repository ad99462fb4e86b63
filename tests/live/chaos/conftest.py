"""The sites of all modes, each started once for the whole suite."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.world.chaos import LONG, ROUNDS
from tests.world.chaos_site import Site
from tests.world.replicas import Mode, replicated

# Three more replicas for one kill: the short form has that of one machine, in tests/live/test_kills_with_overlap.py.
collect_ignore = [] if ROUNDS else ["test_replicas_killed_with_overlap.py"]


@pytest.fixture(scope="package")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Mode], Site]]:
    """A site for each mode that is asked for, until the last test of this folder."""
    with ExitStack() as stack:
        known: dict[Mode, Site] = {}

        def of(mode: Mode) -> Site:
            if mode not in known:
                deployed = replicated(tmp_path_factory.mktemp(mode), mode=mode, access_token_seconds=LONG)
                known[mode] = Site(*stack.enter_context(deployed))
            return known[mode]

        yield of


@pytest.fixture
def site(sites: Callable[[Mode], Site], mode: Mode) -> Site:
    """Three replicas with sessions in Valkey or with the ledger there, or one machine with its ledger in a file."""
    return sites(mode)
