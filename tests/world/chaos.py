"""What the chaos suite counts, how long it runs, and in which modes: its rows in ``build/chaos.json``.

``CHAOS_ROUNDS`` are the rounds of the race; the lost response has four points in each of them, a sign-out in flight
ten rounds, and a fault that takes seconds a tenth. Without it all of them are short.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest

from tests.world.replicas import Mode

ROUNDS = int(os.environ.get("CHAOS_ROUNDS", "0"))
DOWN_SECONDS = float(os.environ.get("CHAOS_DOWN_SECONDS", "2"))
SEED = os.environ.get("CHAOS_SEED", "5")
FILE = os.environ.get("CHAOS_FILE")
PATIENCE, RECOVERY = 20.0, 2.0  # seconds: until anybody has to be served, and after a fault's end
LONG, SHORT = 3600, 2  # seconds that access tokens live: for faults of the store, and for refreshes

SHARED: tuple[Mode, ...] = ("sessions", "ledger")
EVERY: tuple[Mode, ...] = (*SHARED, "file")
MODES: dict[str, tuple[Mode, ...]] = {
    "race": EVERY,
    "lost-response": EVERY,
    "lost-response-order": EVERY,
    "lost-response-upload": EVERY,
    "sign-out": EVERY,
    "sign-out-elsewhere": SHARED,
    "kill-before-send": EVERY,
    "kill-sent": EVERY,
    "kill-durable": EVERY,
    "kill-before-send-overlap": SHARED,
    "kill-sent-overlap": SHARED,
    "kill-durable-overlap": SHARED,
    "store-kill": SHARED,
    "store-restart": SHARED,
    "store-freeze": SHARED,
    "store-failover": SHARED,
    "authority-down": EVERY,
    "clock-plus": SHARED,
    "clock-minus": SHARED,
    "keys-rotation": EVERY,
}
SHORT_FORM: dict[str, tuple[Mode, ...]] = {
    **MODES,
    "lost-response-order": ("file",),
    "lost-response-upload": ("ledger",),
    "kill-before-send": ("ledger",),
    "kill-sent": ("sessions",),
    "kill-durable": ("file",),
    "store-kill": ("sessions",),
    "store-restart": ("ledger",),
    "store-freeze": ("ledger",),
    "store-failover": ("sessions",),
    "authority-down": ("sessions",),
    "clock-plus": (),
    "clock-minus": ("sessions",),
    "keys-rotation": ("ledger",),
}


@dataclass
class Row:
    """One fault in one mode: totals over the rounds."""

    fault: str
    mode: Mode
    rounds: int
    token_calls: int = 0
    logouts: int = 0
    promised_logouts: int = 0
    recovery_s: float = 0.0

    def __post_init__(self) -> None:
        """Forget an earlier run's: a fault that fails has no row."""
        self._write([])

    def keep(self) -> None:
        """Write it."""
        self._write([asdict(self)])

    def recovered_in(self, seconds: float) -> None:
        """Remember the longest time."""
        self.recovery_s = max(self.recovery_s, round(seconds, 2))

    def _write(self, mine: list[dict[str, object]]) -> None:
        if FILE is None:
            return
        path = Path(FILE)
        path.parent.mkdir(exist_ok=True)
        rows = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
        others = [row for row in rows if (row["fault"], row["mode"]) != (self.fault, self.mode)]
        path.write_text(json.dumps([*others, *mine], indent=1), encoding="utf-8")


def cases(*faults: str) -> pytest.MarkDecorator:
    """These faults, each in the modes of this run."""
    modes = MODES if ROUNDS else SHORT_FORM
    return pytest.mark.parametrize(("mode", "fault"), [(mode, fault) for fault in faults for mode in modes[fault]])
