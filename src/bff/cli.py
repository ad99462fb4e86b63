"""The command ``bff``: serve the application, look at its settings, make keys."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click
import uvicorn
from fastapi import FastAPI
from uvicorn.supervisors import Multiprocess

from bff.app import BFF, create_app
from bff.clock import SystemClock
from bff.errors import ConfigurationError
from bff.routes import health
from bff.server import uvicorn_config
from bff.session.cipher import Key, write_keys
from bff.settings import BFFSettings, load_settings
from bff.telemetry.logs import configure_logging

T = TypeVar("T")
CONFIG = click.option("--config", type=click.Path(path_type=Path), help="bff.toml; else BFF_CONFIG, else ./bff.toml")


@click.group()
def main() -> None:
    """Serve the backend-for-frontend, check its settings, make its keys."""


@main.command()
@CONFIG
@click.option("--port", type=int, help="listen here instead of [server] port")
@click.option("--log-level", default="INFO", type=click.Choice(["DEBUG", "INFO", "WARNING", "ERROR"]))
@click.option("--log-style", default="json", type=click.Choice(["json", "console"]))
def serve(config: Path | None, port: int | None, log_level: str, log_style: str) -> None:
    """Serve until SIGTERM; then finish what is in flight."""
    configure_logging(log_level, console=log_style == "console")
    settings = _settings(config)
    port = settings.server.port if port is None else port
    if settings.server.workers == 1:
        asyncio.run(_serve(settings, port))
    else:
        _serve_with_workers(settings, port, config)


async def _serve(settings: BFFSettings, port: int) -> None:
    """Run the public server, and beside it the management one where a port is set."""
    app = _or_exit(lambda: create_app(settings))
    server = settings.server
    servers = [uvicorn.Server(uvicorn_config(app, host=server.host, port=port, drain_seconds=server.drain_seconds))]
    if server.management_port is not None:
        management = FastAPI(openapi_url=None)
        management.state.services = app.state.services
        management.include_router(health.management)
        config = uvicorn_config(management, host=server.host, port=server.management_port, drain_seconds=0)
        servers.append(uvicorn.Server(config))
    await asyncio.gather(*(one.serve() for one in servers))


def _serve_with_workers(settings: BFFSettings, port: int, config: Path | None) -> None:
    """Several processes on one port, one ledger file: each builds its own application from the same settings."""
    _or_exit(lambda: create_app(settings))
    if config is not None:
        os.environ["BFF_CONFIG"] = str(config)
    server = settings.server
    served = uvicorn_config(
        "bff.cli:application",
        host=server.host,
        port=port,
        drain_seconds=server.drain_seconds,
        workers=server.workers,
        factory=True,
    )
    Multiprocess(served, sockets=[served.bind_socket()]).run()


def application() -> BFF:
    """What a worker serves: the application of the settings that ``BFF_CONFIG`` names."""
    configure_logging()
    return create_app(load_settings())


@main.command()
@CONFIG
def check(config: Path | None) -> None:
    """Read the settings and say everything that is wrong with them; exit status 1 when something is."""
    settings = _settings(config)
    _or_exit(lambda: create_app(settings))
    click.echo(f"The settings can work. The BFF answers at {settings.origin}; issuer {settings.authority.issuer}.")


@main.group()
def keys() -> None:
    """The keys that seal cookies."""


@keys.command("new")
@click.option("--file", "path", type=click.Path(path_type=Path), required=True)
def new(path: Path) -> None:
    """Write a new key ring of one key, readable by its owner alone."""
    if path.exists():
        click.echo(
            f"{path} exists, and a key ring is never overwritten: whoever is signed in would be signed out.", err=True
        )
        sys.exit(1)
    write_keys(path, (Key.generate(use_from=SystemClock().now()),))


def _settings(config: Path | None) -> BFFSettings:
    return _or_exit(lambda: load_settings(config))


def _or_exit(make: Callable[[], T]) -> T:
    """Do it, or print each cause on a line of its own and end."""
    try:
        return make()
    except ConfigurationError as error:
        click.echo("The configuration cannot work:", err=True)
        for cause in error.causes:
            click.echo(f"  - {cause}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
