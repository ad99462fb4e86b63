"""``bff``, as ever, in a process that can be asked what it holds: ``python -m tests.benchmarks.inside FILE serve …``.

At SIGUSR1 it writes how many tasks it has to ``FILE``. The product has no
such door, and needs none: a handler of signals is put up before the product's own command begins.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import FrameType

_ANSWER_SECONDS = 15.0


def inside(command: list[str], answers: Path) -> list[str]:
    """The command that runs ``bff …`` so that it can be asked."""
    return [sys.executable, "-m", "tests.benchmarks.inside", str(answers), *command[1:]]


def ask(process: int, answers: Path) -> Mapping[str, int]:
    """What that process holds at this moment."""
    answers.unlink(missing_ok=True)
    os.kill(process, signal.SIGUSR1)
    deadline = time.monotonic() + _ANSWER_SECONDS
    while not answers.exists():
        if time.monotonic() > deadline:
            raise RuntimeError(f"process {process} does not say what it holds")
        time.sleep(0.02)
    found: Mapping[str, int] = json.loads(answers.read_text(encoding="utf-8"))
    return found


def _serve(answers: Path, arguments: list[str]) -> None:
    from bff.cli import main

    def tell(_number: int, _frame: FrameType | None) -> None:
        gc.collect()  # what only the collector of cycles has not seen yet is no leak
        held = {"tasks": len(asyncio.all_tasks(asyncio.get_running_loop()))}
        written = answers.with_suffix(".part")
        written.write_text(json.dumps(held), encoding="utf-8")
        written.rename(answers)

    signal.signal(signal.SIGUSR1, tell)
    main(arguments)


if __name__ == "__main__":
    _serve(Path(sys.argv[1]), sys.argv[2:])
