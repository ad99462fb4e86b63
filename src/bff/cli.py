"""The command ``bff``: serve the application, look at its settings, make keys."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import click
import uvicorn
from fastapi import FastAPI
from uvicorn.supervisors import Multiprocess

from bff.app import BFF, create_app
from bff.check import Level, examine, settings_findings
from bff.check.finding import passed
from bff.clock import SystemClock
from bff.errors import ConfigurationError, SessionStoreUnavailable, UnknownSession
from bff.routes import health
from bff.server import run, uvicorn_config
from bff.session.cipher import Key, read_keys, write_keys
from bff.session.marks import mark_of_person, shown
from bff.session.operator import Operator
from bff.settings import BFFSettings, load_settings
from bff.telemetry.logs import configure_logging
from bff.wiring import operator_of

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
        run(_serve(settings, port))
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
@click.option("--running", is_flag=True, help="ask the deployment at public_url as well, through its reverse proxy")
@click.option("--offline", is_flag=True, help="read the settings only, and call nobody")
@click.option("--json", "as_json", is_flag=True, help="print a JSON array of findings")
def check(config: Path | None, *, running: bool, offline: bool, as_json: bool) -> None:
    """Find out what will not work, before somebody signs in; exit status 1 when something will not."""
    configure_logging("ERROR")
    try:
        settings = load_settings(config)
        asyncio.run(_close(create_app(settings)))
        findings = [] if offline else asyncio.run(examine(settings, running=running))
    except ConfigurationError as error:
        findings = settings_findings(error.causes)
    else:
        findings.insert(0, passed("settings", f"they can work; people reach this BFF at {settings.origin}."))
    if as_json:
        click.echo(json.dumps([finding.members() for finding in findings], indent=2))
    else:
        click.echo("\n".join(finding.line() for finding in findings))
    sys.exit(any(finding.level is Level.FAIL for finding in findings))


async def _close(app: BFF) -> None:
    for close in app.state.closing:
        await close()


@main.group()
def keys() -> None:
    """The keys that seal cookies."""


KEYS_FILE = click.option("--file", "path", type=click.Path(path_type=Path), required=True, help="the key ring")


@keys.command("new")
@KEYS_FILE
def new(path: Path) -> None:
    """Write a new key ring of one key, readable by its owner alone."""
    if path.exists():
        click.echo(
            f"{path} exists, and a key ring is never overwritten: whoever is signed in would be signed out. "
            "Cure: bff keys rotate",
            err=True,
        )
        sys.exit(1)
    write_keys(path, (Key.generate(use_from=SystemClock().now()),))


@keys.command("rotate")
@KEYS_FILE
@click.option(
    "--after", default=3600, show_default=True, help="seconds until the new key seals: time to reach replicas"
)
@click.option("--keep-days", default=30, show_default=True, help="how long a key that no longer seals may still open")
def rotate(path: Path, after: int, keep_days: int) -> None:
    """Add a key that seals from a moment on, and drop those that nobody needs any more; nobody is signed out."""
    ring = _or_exit(lambda: read_keys(path))
    now = SystemClock().now()
    if any(key.use_from > now for key in ring):
        click.echo(f"A new key of {path} is still waiting for its time. Cure: bff keys list", err=True)
        sys.exit(1)
    fresh = Key.generate(use_from=now + after)
    # A key stopped sealing when the one after it began.
    successors = [*(key.use_from for key in ring[1:]), fresh.use_from]
    needed = [key for key, stopped in zip(ring, successors, strict=True) if stopped > now - keep_days * 86_400]
    write_keys(path, (*needed, fresh))
    click.echo(f"{fresh.id} seals from {_moment(fresh.use_from)}; {len(ring) - len(needed)} dropped.")
    click.echo("Give the file to every replica before then; each reads it within two seconds.")


@keys.command("list")
@KEYS_FILE
def list_keys(path: Path) -> None:
    """Show each key's id, when it seals from, and what it does now; never a secret."""
    ring = _or_exit(lambda: read_keys(path))
    now = SystemClock().now()
    sealing = max((key for key in ring if key.use_from <= now), key=lambda key: key.use_from, default=None)
    for key in ring:
        does = "seals" if key == sealing else "waits" if key.use_from > now else "opens"
        click.echo(f"{key.id}  {does}  from {_moment(key.use_from)}")


@main.group()
def sessions() -> None:
    """Who is signed in, and the end of it; running processes hear of it at once."""


SUBJECT = click.option("--subject", help="the person: the sub claim of their ID tokens")
ISSUER = click.option("--issuer", help="who issued them; else authority.issuer")


@sessions.command("list")
@CONFIG
@SUBJECT
@ISSUER
def list_sessions(config: Path | None, subject: str | None, issuer: str | None) -> None:
    """Show where a person is signed in: tag, device, since, last seen."""
    settings, person = _settings(config), _named(subject)
    issuer = issuer or settings.authority.issuer
    found = _as_operator(settings, lambda operator: operator.sessions_of(issuer, person))
    click.echo(f"person {shown(mark_of_person(issuer, person))}: {len(found)} session{'s' * (len(found) != 1)}")
    for one in found:
        since, seen = _moment(one.began_at), _moment(one.seen_at)
        click.echo(f"{one.tag}  {one.device}  since {since}  last seen {seen}")


@sessions.command("end")
@CONFIG
@SUBJECT
@ISSUER
@click.option("--tag", help="only the session with this tag")
@click.option("--all", "everybody", is_flag=True, help="sign everybody out")
def end_sessions(
    config: Path | None, subject: str | None, issuer: str | None, tag: str | None, *, everybody: bool
) -> None:
    """Sign a person out everywhere, or in one place; or everybody."""
    configure_logging("INFO")
    settings = _settings(config)
    issuer = issuer or settings.authority.issuer
    if everybody:
        if subject is not None or tag is not None:
            raise click.UsageError("--all ends everybody's sessions. Cure: leave --subject and --tag out")
        _as_operator(settings, lambda operator: operator.end_everybody())
        click.echo("Every session that had begun by now is over.")
        return
    person = _named(subject)
    if tag is not None:
        _as_operator(settings, lambda operator: operator.end_one(issuer, person, tag))
        click.echo(f"The session {tag} is over.")
        return
    listed = _as_operator(settings, lambda operator: operator.end_person(issuer, person))
    click.echo(f"Every session of this person that had begun by now is over; {listed} on the list.")


def _named(subject: str | None) -> str:
    if not subject:
        raise click.UsageError("whose sessions? Cure: --subject SUB, the sub claim of their ID tokens")
    return subject


def _as_operator(settings: BFFSettings, act: Callable[[Operator], Awaitable[T]]) -> T:
    """Do it on the ledger that the settings name, or say why it cannot be done and end."""

    async def act_and_close() -> T:
        operator, closing = operator_of(settings, SystemClock())
        try:
            return await act(operator)
        finally:
            for close in closing:
                await close()

    try:
        return _or_exit(lambda: asyncio.run(act_and_close()))
    except (SessionStoreUnavailable, UnknownSession) as error:
        click.echo(f"Nothing was done: {error.detail or error.public}", err=True)
        sys.exit(1)


def _moment(instant: float) -> str:
    return datetime.fromtimestamp(instant, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


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
