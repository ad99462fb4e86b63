from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from structlog.testing import CapturingLogger

from bff.session import (
    access_tokens,
    cipher,
    generations,
    login_cookies,
    own_writes,
    refresher,
    session_cookies,
    sign_out_cookies,
)
from bff.session.ledger import FileLedger, Ledger, MemoryLedger
from tests.bff.session.session_house import House
from tests.world.clock import MovableClock

pytest.register_assert_rewrite("tests.bff.session.ledger_suite")


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> CapturingLogger:
    """What the session's modules say, however logging is configured."""
    capturing = CapturingLogger()
    said_by = (access_tokens, cipher, generations, login_cookies, own_writes, refresher)
    for module in (*said_by, session_cookies, sign_out_cookies):
        monkeypatch.setattr(module, "_log", capturing)
    return capturing


@pytest.fixture(params=["memory", "file"])
async def house(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[House]:
    """A house on each of the two ledgers; waiting for another's flight takes no time of a test's."""
    monkeypatch.setattr(refresher, "POLL_SECONDS", 0.005)
    monkeypatch.setattr(refresher, "GRACE_SECONDS", 0.005)
    monkeypatch.setattr(refresher, "_FIRST_WAIT", 0.005)
    opened: list[Ledger] = []

    def a_ledger(clock: MovableClock) -> Ledger:
        if request.param == "memory":
            opened.append(opened[0] if opened else MemoryLedger(clock))  # one memory stands for one file
        else:
            opened.append(FileLedger(tmp_path / "ledger.sqlite", clock))
        return opened[-1]

    built = House(a_ledger)
    yield built
    await built.access.aclose()
    await built.process.vault.aclose()
    for ledger in opened:
        await ledger.aclose()
