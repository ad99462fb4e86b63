"""What a session's refresh can be promised: one table of store, ledger, rotation, machines (rules F1, F13, F14)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Store = Literal["cookie", "redis"]
LedgerKind = Literal["file", "redis", "memory"]
Rotation = Literal["strict", "overlap", "none"]
Machines = Literal["one", "several", "any"]

_STRICT: Final = frozenset[Rotation]({"strict"})
_LENIENT: Final = frozenset[Rotation]({"overlap", "none"})
_ANY: Final = _STRICT | _LENIENT


@dataclass(frozen=True, slots=True)
class Row:
    """One row: for whom it speaks, what is promised there, and the cure where nothing can be."""

    store: Store
    ledgers: frozenset[LedgerKind]
    rotations: frozenset[Rotation]
    machines: Machines
    promise: str
    cure: str = ""

    @property
    def refused(self) -> bool:
        """Whether the start is refused."""
        return bool(self.cure)

    def cells(self) -> tuple[str, str, str, str, str]:
        """The row as the documentation prints it."""
        ledgers = " or ".join(kind for kind in ("file", "redis", "memory") if kind in self.ledgers)
        rotations = " or ".join(kind for kind in ("strict", "overlap", "none") if kind in self.rotations)
        promise = f"**refused**: {self.promise}" if self.refused else self.promise
        return self.store, ledgers, "any" if self.rotations == _ANY else rotations, self.machines, promise


_LOST: Final = "an answer of the authorization server that gets lost ends its session, as `refresh_lost`"
_SAFE: Final = "no sign-out by accident: lost answers and lost responses included"
_NO_LEDGER: Final = (
    "two machines would spend one refresh token, and the authorization server would end the session as stolen"
)
_APART: Final = (
    "no sign-out by accident while old refresh tokens work on; a sign-out holds in its browser and on the machine that "
    "heard of it, and a copied cookie works on the others to the session's absolute end"
)
_TESTS: Final = "for tests: a restart forgets who was signed out"
_SPLIT: Final = "sessions in Redis would have their ends elsewhere"
_CURE: Final = 'ledger = "redis", or machines = 1, or an authorization server with refresh_rotation = overlap or none'

TABLE: Final = (
    Row("cookie", frozenset({"file"}), _STRICT, "one", f"safe across restarts and workers, but {_LOST}"),
    Row("cookie", frozenset({"file"}), _LENIENT, "one", _SAFE),
    Row("cookie", frozenset({"file"}), _STRICT, "several", _NO_LEDGER, _CURE),
    Row("cookie", frozenset({"file"}), _LENIENT, "several", _APART),
    Row("cookie", frozenset({"redis"}), _STRICT, "any", f"safe, but {_LOST}"),
    Row("cookie", frozenset({"redis"}), _LENIENT, "any", _SAFE),
    Row("cookie", frozenset({"memory"}), _STRICT, "one", _TESTS + ", and may end a session"),
    Row("cookie", frozenset({"memory"}), _LENIENT, "one", _TESTS),
    Row("cookie", frozenset({"memory"}), _STRICT, "several", _NO_LEDGER, _CURE),
    Row("cookie", frozenset({"memory"}), _LENIENT, "several", f"for tests: {_APART}"),
    Row("redis", frozenset({"redis"}), _STRICT, "any", f"safe, but {_LOST}"),
    Row("redis", frozenset({"redis"}), _LENIENT, "any", _SAFE),
    Row("redis", frozenset({"file", "memory"}), _ANY, "any", _SPLIT, 'ledger = "redis"'),
)  # fmt: skip


def row_of(store: Store, ledger: LedgerKind, rotation: Rotation, *, several: bool) -> Row:
    """The one row that speaks for a deployment; ``several``: more than one machine, or workers with a memory each."""
    machines = {"any", "several" if several else "one"}
    return next(
        row
        for row in TABLE
        if row.store == store and ledger in row.ledgers and rotation in row.rotations and row.machines in machines
    )


def fault_of(store: Store, ledger: LedgerKind, rotation: Rotation, *, several: bool) -> list[str]:
    """Why a deployment is refused, with the cure and with what works in its place; empty where it is not."""
    row = row_of(store, ledger, rotation, several=several)
    if not row.refused:
        return []
    works = "".join(f"\n  {_said(one)}" for one in TABLE if not one.refused and "memory" not in one.ledgers)
    machines = "several" if several else "one"
    fault = (
        f"session.store = {store}, session.ledger = {ledger}, refresh_rotation = {rotation}, session.machines: "
        f"{machines} is refused: {row.promise}. Cure: {row.cure}. "
        f"What works (store, ledger, rotation, machines):{works}"
    )
    return [fault]


def _said(row: Row) -> str:
    store, ledgers, rotations, machines, promise = row.cells()
    return f"{store}, {ledgers}, {rotations}, {machines}: {promise.replace('`', '')}"


def as_markdown() -> str:
    """The table as ``docs/sessions.md`` shows it."""
    head = "| store | ledger | rotation | machines | what is promised |\n|---|---|---|---|---|\n"
    return head + "".join(f"| {' | '.join(row.cells())} |\n" for row in TABLE)
