"""The command ``resource-api``: serve, and migrate as a job of its own."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import click
import uvicorn

from resource_api.app import create_app
from resource_api.errors import ConfigurationError, TodoStoreUnavailable
from resource_api.server import uvicorn_config
from resource_api.settings import ResourceAPISettings, load_settings
from resource_api.telemetry.logs import configure_logging
from resource_api.todos.database import open_engine
from resource_api.todos.repository import TodoRepository

CANNOT_START = 2
_Done = TypeVar("_Done")

config_option = click.option("--config", type=click.Path(path_type=Path), help="resource_api.toml")


@click.group()
def main() -> None:
    """The resource API: to-do lists behind verified access tokens."""


@main.command()
@config_option
@click.option("--host", help="the address to listen on")
@click.option("--port", type=int, help="the port to listen on")
@click.option(
    "--log-level", type=click.Choice(["DEBUG", "INFO", "WARNING", "ERROR"]), default="INFO", show_default=True
)
@click.option("--log-style", type=click.Choice(["json", "console"]), default="json", show_default=True)
def serve(config: Path | None, host: str | None, port: int | None, log_level: str, log_style: str) -> None:
    """Serve the API until it is told to stop."""
    configure_logging(log_level, console=log_style == "console")

    def run() -> None:
        settings = load_settings(config, host=host, port=port)
        asyncio.run(_with_todos(settings, TodoRepository.prepare))  # a refusal is said here, in words, before the start
        app = create_app(settings)
        served = uvicorn_config(app, host=settings.host, port=settings.port, drain_seconds=settings.drain_seconds)
        uvicorn.Server(served).run()

    _or_say_why(run)


@main.command()
@config_option
def migrate(config: Path | None) -> None:
    """Bring the database to the schema that this version needs, and stop. Run again, it changes nothing."""
    before, after = _or_say_why(lambda: asyncio.run(_with_todos(load_settings(config), TodoRepository.migrate)))
    if before == after:
        click.echo(f"The database has schema version {after} already.")
    else:
        click.echo(f"The database went from {'nothing' if before is None else before} to schema version {after}.")


async def _with_todos(settings: ResourceAPISettings, do: Callable[[TodoRepository], Awaitable[_Done]]) -> _Done:
    todos = TodoRepository(open_engine(settings.database()))
    try:
        return await do(todos)
    finally:
        await todos.aclose()


def _or_say_why(run: Callable[[], _Done]) -> _Done:
    """Run it; what stops the start is printed line by line, each with its cure, and nothing else is."""
    try:
        return run()
    except ConfigurationError as error:
        click.echo("The resource API does not start:", err=True)
        for cause in error.causes:
            click.echo(f"  - {cause}", err=True)
    except TodoStoreUnavailable as error:
        cure = "Cure: check database_url, its server or its folder"
        click.echo(f"The database does not answer ({error.detail}). {cure}", err=True)
    sys.exit(CANNOT_START)
