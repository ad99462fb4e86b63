"""Rows of ``build/bench.json``: flat, and replaced by each run of their own bench."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import asdict, dataclass
from pathlib import Path

FILE = Path("build/bench.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One measurement. ``cpu_us``: CPU of the subject alone, for one request; times in ms, memory in MB."""

    bench: str
    scenario: str
    subject: str
    cpu_us: float
    rps: float
    p50_ms: float
    p99_ms: float
    rss_mb: float
    machine: str


def machine() -> str:
    """Name the machine: its processor, how many of them, and the Python."""
    cpuinfo = Path("/proc/cpuinfo").read_text(encoding="utf-8") if Path("/proc/cpuinfo").exists() else ""
    model = next((line.split(":", 1)[1].strip() for line in cpuinfo.splitlines() if line.startswith("model name")), "")
    return f"{model or platform.processor()}, {os.cpu_count()} CPUs, Python {platform.python_version()}"


def keep(bench: str, rows: list[Row]) -> None:
    """Replace this bench's rows, and keep everybody else's."""
    kept = json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else []
    FILE.parent.mkdir(exist_ok=True)
    others = [row for row in kept if row["bench"] != bench]
    FILE.write_text(json.dumps(others + [asdict(row) for row in rows], indent=1), encoding="utf-8")
