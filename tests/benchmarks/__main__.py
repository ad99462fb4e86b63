"""``make bench ONLY=…``: one benchmark, or all of them one after the other."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

from tests.benchmarks import relay, sessions


def _api() -> None:
    """In an environment of its own, which holds the libraries that it is measured beside."""
    subprocess.run(["deploy/local/bench.sh"], check=True)


BENCHES: dict[str, Callable[[], None]] = {"relay": relay.main, "api": _api, "sessions": sessions.main}


def main() -> None:
    """Run what was asked for."""
    asked = sys.argv[1:] or list(BENCHES)
    unknown = [name for name in asked if name not in BENCHES]
    if unknown:
        sys.exit(f"{', '.join(unknown)}: no such benchmark. Cure: ONLY={'|'.join(BENCHES)}")
    for name in asked:
        BENCHES[name]()


main()
