"""The same promise where replicas share a store: whoever was being refreshed on a killed one is served by the others.

Part of ``make chaos`` alone, which kills at every point in both modes.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.live.chaos.test_faults import killed
from tests.world.chaos import LONG, ROUNDS, Row
from tests.world.chaos_site import Site
from tests.world.replicas import Mode, replicated

SESSIONS = 10
MODES: tuple[Mode, ...] = ("sessions", "ledger")
FAULTS = ("kill-before-send", "kill-durable", "kill-sent")
CASES = [(mode, fault) for mode in MODES for fault in FAULTS]

pytestmark = [pytest.mark.live, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Site]]:
    """Three replicas for each mode."""
    with ExitStack() as stack:
        known: dict[str, Site] = {}
        for mode in MODES:
            folder, rotation = tmp_path_factory.mktemp(f"overlap-{mode}"), 'refresh_rotation = "overlap"'
            told = {"authority": rotation, "overlap_seconds": 30}
            deployed = replicated(folder, mode=mode, access_token_seconds=LONG, **told)
            known[mode] = Site(*stack.enter_context(deployed))
        yield known


@pytest.mark.req("F1", "F3", "F8", "ADV-2", "ADV-13")
@pytest.mark.parametrize(("mode", "fault"), CASES)
async def test_a_killed_replica_signs_nobody_out(sites: dict[str, Site], mode: Mode, fault: str) -> None:
    """SIGKILL to one of three replicas at each of the three points: the others serve whoever was refreshing there."""
    site = sites[mode]
    told, before = Row(f"{fault}-overlap", mode, ROUNDS), site.replicas.refreshes()
    for _ in range(told.rounds // SESSIONS):
        jars = await site.expired(SESSIONS)
        await killed(site, jars, fault)
        ended = time.monotonic()
        told.logouts += len(await site.logged_out(jars))
        told.recovery_s = max(told.recovery_s, round(time.monotonic() - ended, 2))
    told.token_calls = site.replicas.refreshes() - before
    assert (told.logouts, site.replicas.refusals()) == (0, 0)
    assert told.token_calls == told.rounds * (2 if fault == "kill-sent" else 1)
    told.keep()
