"""One half of a step, served: ``python -m examples.tutorial.serve STEP app|api CONFIG PORT``."""

from __future__ import annotations

import asyncio
import importlib
import sys
from pathlib import Path

import uvicorn

from bff.server import uvicorn_config
from bff.settings import load_settings
from bff.telemetry.logs import configure_logging
from resource_api.settings import load_settings as load_api_settings


def main() -> None:
    """Serve until SIGTERM."""
    step, half, config, port = sys.argv[1:5]
    program = importlib.import_module(f"examples.tutorial.step{int(step)}.program")
    configure_logging("INFO", console=True)
    app = (
        program.make_app(load_settings(Path(config)))
        if half == "app"
        else program.make_api(load_api_settings(Path(config)))
    )
    server = uvicorn.Server(uvicorn_config(app, host="127.0.0.1", port=int(port), drain_seconds=2))
    asyncio.run(server.serve())


if __name__ == "__main__":
    main()
