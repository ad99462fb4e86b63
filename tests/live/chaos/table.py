"""``python -m tests.live.chaos.table``: the rows of ``build/chaos.json`` into docs/chaos.md, between its marks."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from tests.benchmarks.results import machine
from tests.world.chaos import MODES

ROWS, PAGE = Path("build/chaos.json"), Path("docs/chaos.md")
_BEGIN, _END = "<!-- chaos: begin -->\n", "<!-- chaos: end -->"
_SPELLED = {
    "sessions": "sessions in Valkey, 3 replicas",
    "ledger": "cookies, ledger in Valkey, 3 replicas",
    "file": "cookies, ledger in a file, 2 workers",
}


def table(rows: list[dict[str, Any]]) -> str:
    """All cases as a Markdown table; what failed, or was not run, has dashes for numbers."""
    found = {(row["fault"], row["mode"]): row for row in rows}
    lines = [
        "| fault | mode | rounds | token calls | log-outs | of them promised | recovery, s |",
        "|---|---|--:|--:|--:|--:|--:|",
    ]
    for fault, modes in MODES.items():
        for mode in modes:
            cells = [f"`{fault}`", _SPELLED[mode], *_numbers(found.get((fault, mode)))]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _numbers(row: dict[str, Any] | None) -> list[str]:
    if row is None:
        return ["-"] * 5
    promised = min(row["logouts"], row["promised_logouts"])
    return [str(row["rounds"]), str(row["token_calls"]), str(row["logouts"]), str(promised), f"{row['recovery_s']:g}"]


def main() -> None:
    """Put the table, and the machine that it comes from, into the page."""
    before, begins, rest = PAGE.read_text(encoding="utf-8").partition(_BEGIN)
    _, ends, after = rest.partition(_END)
    if not begins or not ends:
        raise ValueError(f"{PAGE} has no marks")
    told = f"{table(json.loads(ROWS.read_text(encoding='utf-8')))}\n\nMachine: {machine()}.\n"
    PAGE.write_text(before + begins + told + ends + after, encoding="utf-8")
    sys.stdout.write(f"{PAGE}\n")


if __name__ == "__main__":
    main()
