"""An operator's command is a process of its own, whose counters nobody reads: those that serve count its ends."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bff.telemetry.metrics import registry
from tests.world.house import SECRET, House, opened_house

pytestmark = [pytest.mark.live, pytest.mark.timeout(60)]


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """Its ledger is a file."""
    async with opened_house(tmp_path) as running:
        yield running


async def ends(house: House, *words: str) -> None:
    """``bff sessions end``, with the settings of the house in its environment."""
    environment = {
        "BFF_PUBLIC_URL": house.origin,
        "BFF_AUTHORITY__ISSUER": house.options.issuer_identifier,
        "BFF_AUTHORITY__CLIENT_ID": house.bff_client_id,
        "BFF_AUTHORITY__CLIENT_SECRET": SECRET,
        "BFF_SESSION__KEYS_FILE": str(house.folder / "keys.json"),
        "BFF_SESSION__LEDGER": f"file:{house.folder}/ledger.sqlite",
    }
    command = [sys.executable, "-m", "bff.cli", "sessions", "end", *words]
    process = await asyncio.create_subprocess_exec(*command, env=environment, stderr=asyncio.subprocess.PIPE)
    _, said = await process.communicate()
    assert process.returncode == 0, said.decode()


def counted(reason: str) -> float:
    """What ``/metrics`` tells of."""
    return registry.get_sample_value("bff_session_ended_total", {"reason": reason}) or 0.0


@pytest.mark.req("F11")
@pytest.mark.parametrize("reason", ["admin", "epoch"])
async def test_an_end_by_another_process_is_counted_here(house: House, reason: str) -> None:
    """As soon as this process hears of it, which readiness asks for too."""
    tab = await house.signed_in()
    subject = (await house.session(tab.browser)).subject
    before = counted(reason)
    house.clock.advance(1)
    await ends(house, *(["--all"] if reason == "epoch" else ["--subject", subject]))
    assert counted(reason) == before
    house.clock.advance(1)
    await house.sends("/readyz")
    async with asyncio.timeout(5):
        while counted(reason) == before:  # noqa: ASYNC110 — a counter has no event of ours
            await asyncio.sleep(0.01)
    assert (await tab.api("/api/todolist")).json()["reason"] == reason
    assert counted(reason) == before + 1
