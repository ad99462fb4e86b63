"""How many streams are read, from which seed, and what was found in them."""

from __future__ import annotations

import os
from collections import Counter

import pytest

A_FEW = 2000  # two seconds, in ``make test``
STREAMS = int(os.environ.get("FUZZ_STREAMS", str(A_FEW)))
SEED = int(os.environ.get("FUZZ_SEED", "9112"))


def told(capsys: pytest.CaptureFixture[str], what: str, seen: Counter[str]) -> None:
    """Print how often each difference was met, where somebody asked for more than a few streams."""
    if STREAMS > A_FEW:
        with capsys.disabled():
            print(f"\n{seen.total():,} {what}, seed {SEED}")
            for name, count in seen.most_common():
                print(f"{count:>9,}  {name}")
