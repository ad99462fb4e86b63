"""One replica as ``bff serve`` would serve it, with a clock that goes wrong: ``CONFIG PORT SECONDS``."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import uvicorn

from bff.app import create_app
from bff.server import run, uvicorn_config
from bff.settings import load_settings
from bff.telemetry.logs import configure_logging


class SkewedClock:
    """So many seconds away from everybody else's; what only measures is not affected."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def now(self) -> float:
        """Seconds since the epoch, wrong."""
        return time.time() + self._seconds

    def monotonic(self) -> float:
        """Seconds since some start."""
        return time.monotonic()


def main(config: str, port: str, seconds: str) -> None:
    """Serve until SIGTERM."""
    configure_logging("INFO")
    app = create_app(load_settings(Path(config)), clock=SkewedClock(float(seconds)))
    run(uvicorn.Server(uvicorn_config(app, host="127.0.0.1", port=int(port), drain_seconds=5)).serve())


if __name__ == "__main__":
    main(*sys.argv[1:])
