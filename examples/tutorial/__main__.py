"""``make tutorial STEP=2``: one step, with the local authority beside it, or with your own settings in its place."""

from __future__ import annotations

import argparse
import asyncio
import sys
from dataclasses import replace
from pathlib import Path

from deploy.local.laptop import Laptop, Service
from deploy.local.run import banner, busy_port, run


def services(step: int, port: int, config: Path | None, api_config: Path | None) -> list[Service]:
    """What to start: the authority unless you bring your own, the step's API, the step's app."""
    laptop = Laptop(port=port, folder=Path(".run") / f"tutorial-{port}")
    authority, api, app = laptop.prepare()
    ready = f"http://127.0.0.1:{port + 1}/openapi.json"
    api_settings, settings = api_config or laptop.folder / "resource_api.toml", config or laptop.folder / "bff.toml"
    halves = [
        replace(api, command=_command(step, "api", api_settings, port + 1), ready=ready),
        replace(app, command=_command(step, "app", settings, port)),
    ]
    return halves if config else [authority, *halves]


def _command(step: int, half: str, config: Path, port: int) -> tuple[str, ...]:
    return (sys.executable, "-m", "examples.tutorial.serve", str(step), half, str(config), str(port))


def main() -> int:
    """Start the step, and stay until Ctrl-C."""
    parser = argparse.ArgumentParser(prog="make tutorial", description=__doc__)
    parser.add_argument("step", type=int, choices=[2, 3, 4])
    parser.add_argument("--port", type=int, default=3000)
    parser.add_argument("--config", type=Path)
    parser.add_argument("--api-config", type=Path)
    chosen = parser.parse_args()
    started = services(chosen.step, chosen.port, chosen.config, chosen.api_config)
    if (refusal := busy_port(started, chosen.port)) is not None:
        sys.stderr.write(refusal)
        return 1
    return asyncio.run(run(started, banner(started, chosen.port)))


if __name__ == "__main__":
    sys.exit(main())
