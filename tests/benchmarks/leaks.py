"""What a process holds, looked at from outside and in, and what a series of such looks says about leaks."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from statistics import median

from tests.benchmarks.inside import ask
from tests.benchmarks.processes import Group

MOST_BYTES_A_CALL = 32.0
"""The smallest thing that Python keeps takes 16 bytes, and whoever keeps it 8 more: one kept thing a call shows."""
_ESTABLISHED = "01"


@dataclass(frozen=True, slots=True)
class Look:
    """What one process holds between two rounds."""

    calls: int
    memory_mb: float
    files: int
    tasks: int
    upstream: int


def look(group: Group, answers: Path, *, calls: int, upstream_port: int) -> Look:
    """Look now, ``calls`` after the start."""
    files = list(Path(f"/proc/{group.leader}/fd").iterdir())
    return Look(
        calls=calls,
        tasks=ask(group.leader, answers)["tasks"],
        memory_mb=group.memory_mb(),
        files=len(files),
        upstream=_connections_to(upstream_port),
    )


def leaks(looks: Sequence[Look], *, warm: int) -> Iterator[str]:
    """Every leak in this series, in words; the looks before ``warm`` may hold less, for caches and pools fill."""
    first, last = looks[0], looks[-1]
    slope = slope_of(looks[warm:])
    if slope > MOST_BYTES_A_CALL:
        yield f"memory rises by {slope:.0f} bytes a call"
    for what, before, after in (
        ("files", first.files, last.files),
        ("tasks", first.tasks, last.tasks),
        ("connections to the upstream", first.upstream, last.upstream),
    ):
        if after > before:
            yield f"{after - before} more {what} than at the start"


def slope_of(looks: Sequence[Look]) -> float:
    """Bytes a call, as the median of the slopes between any two looks: one odd look moves it little (Theil and Sen)."""
    slopes = [
        (after.memory_mb - before.memory_mb) * 1e6 / (after.calls - before.calls)
        for before, after in combinations(looks, 2)
    ]
    return median(slopes)


def told(looks: Sequence[Look]) -> str:
    """The series as JSON, for whoever wants to draw it."""
    return json.dumps([{name: getattr(one, name) for name in Look.__dataclass_fields__} for one in looks])


def _connections_to(port: int) -> int:
    """How many established connections this machine has to that port; only the subject makes any."""
    lines = Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]
    fields = [line.split() for line in lines]
    return sum(found[2].endswith(f":{port:04X}") and found[3] == _ESTABLISHED for found in fields)
