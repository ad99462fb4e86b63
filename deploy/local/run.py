"""``make run``: the local authority, the API and the BFF in one terminal; Ctrl-C stops all three.

What it keeps (people, to-dos, keys) lies in ``.run/PORT``; ``make forget`` removes it. With ``--config`` and
``--api-config`` the two services run against your own authorization server, and ours stays away.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from local_authority import seeds

BIN = Path(sys.executable).parent
COLOURS = {"authority": "35", "api": "36", "bff": "32"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One process: its name in the log, its command, its port, and the address that answers once it is ready."""

    name: str
    command: tuple[str, ...]
    port: int
    ready: str


def main() -> int:
    """Start what was asked for, and stay until Ctrl-C or until one of them ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=3000)
    parser.add_argument("--config", type=Path)
    parser.add_argument("--api-config", type=Path)
    arguments = parser.parse_args()
    services = own_authority(arguments) if arguments.config else laptop(arguments.port)
    if (busy := busy_port(services, arguments.port)) is not None:
        sys.stderr.write(busy)
        return 1
    try:
        return asyncio.run(run(services, arguments.port))
    except KeyboardInterrupt:
        return 0


def laptop(port: int) -> list[Service]:
    """The three services of a laptop, with their settings written to ``.run/PORT`` for everybody to read."""
    here = Path(".run") / str(port)
    here.mkdir(mode=0o700, parents=True, exist_ok=True)
    authority, secret, keys = here / "authority", here / "client-secret", here / "keys.json"
    public, issuer_base = f"http://localhost:{port}", f"http://127.0.0.1:{port + 2}"
    if not keys.exists():
        _call(str(BIN / "bff"), "keys", "new", "--file", str(keys))
    issuer = f"{issuer_base}/{seeds.TENANT_ID}/v2.0"
    (here / "bff.toml").write_text(bff_toml(public, port, here, issuer), encoding="utf-8")
    (here / "resource_api.toml").write_text(api_toml(port + 1, here, issuer), encoding="utf-8")
    command = ("--port", str(port + 2), "--bff-url", public, "--data", str(authority))
    return [
        Service(
            name="authority",
            command=(str(BIN / "local-authority"), *command, "--client-secret-file", str(secret)),
            port=port + 2,
            ready=f"{issuer}/.well-known/openid-configuration",
        ),
        Service(
            name="api",
            command=(str(BIN / "resource-api"), "serve", "--config", str(here / "resource_api.toml")),
            port=port + 1,
            ready=f"http://127.0.0.1:{port + 1}/livez",
        ),
        Service(
            name="bff",
            command=(str(BIN / "bff"), "serve", "--config", str(here / "bff.toml"), "--log-style", "console"),
            port=port,
            ready=f"http://127.0.0.1:{port}/livez",
        ),
    ]


def own_authority(arguments: argparse.Namespace) -> list[Service]:
    """Your own settings and your own authorization server; the API only where its settings are given."""
    port = arguments.port
    services = []
    if arguments.api_config:
        command = (str(BIN / "resource-api"), "serve", "--config", str(arguments.api_config), "--port", str(port + 1))
        services.append(Service(name="api", command=command, port=port + 1, ready=f"http://127.0.0.1:{port + 1}/livez"))
    command = (
        str(BIN / "bff"),
        "serve",
        "--config",
        str(arguments.config),
        "--port",
        str(port),
        "--log-style",
        "console",
    )
    return [*services, Service(name="bff", command=command, port=port, ready=f"http://127.0.0.1:{port}/livez")]


def busy_port(services: list[Service], port: int) -> str | None:
    """Name the port that something else holds, with the cure."""
    for service in services:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", service.port))
            except OSError:
                return (
                    f"Port {service.port} (for the {service.name}) is in use.\n"
                    f"Cure: stop the program that holds it, or choose three other ports: make run PORT={port + 100}\n"
                )
    return None


async def run(services: list[Service], port: int) -> int:
    """Start one after the other, print where to go, and wait for the end of any of them or for a signal."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    running: dict[str, asyncio.subprocess.Process] = {}
    tasks: list[asyncio.Task[None]] = []
    ended: str | None = None
    try:
        for service in services:
            process = await asyncio.create_subprocess_exec(
                *service.command,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
                start_new_session=True,  # Ctrl-C reaches us alone; we end them in order
            )
            running[service.name] = process
            tasks.append(asyncio.create_task(copy(service.name, process)))
            if not await answers(service, process, stop):
                ended = service.name
                break
        else:
            sys.stdout.write(banner(services, port))
            sys.stdout.flush()
            ended = await first_end(running, stop)
    finally:
        await stop_all(running)
        await asyncio.gather(*tasks)
    if ended is not None and not stop.is_set():
        sys.stderr.write(
            f"The {ended} ended by itself (exit status {running[ended].returncode}); its last lines say why.\n"
        )
        return 1
    return 0


async def answers(service: Service, process: asyncio.subprocess.Process, stop: asyncio.Event) -> bool:
    """Wait until the service answers; False when it ends first or a signal arrives."""
    while process.returncode is None and not stop.is_set():
        with contextlib.suppress(OSError):
            await asyncio.to_thread(_ask, service.ready)
            return True
        await asyncio.sleep(0.1)
    return False


def _ask(address: str) -> None:
    """One request; an HTTP error is an OSError too, and means that the service is not ready."""
    urllib.request.urlopen(address, timeout=2).close()  # noqa: S310 — our own loopback address


async def first_end(running: dict[str, asyncio.subprocess.Process], stop: asyncio.Event) -> str | None:
    """Return the name of the service that ended first, or None after a signal."""
    waits = {asyncio.create_task(process.wait()): name for name, process in running.items()}
    signalled = asyncio.create_task(stop.wait())
    done, pending = await asyncio.wait({*waits, signalled}, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    return next((waits[task] for task in done if task in waits), None)


async def stop_all(running: dict[str, asyncio.subprocess.Process]) -> None:
    """End every process by its id, the last started first; one that does not listen is killed after ten seconds."""
    for process in reversed(running.values()):
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), 10)
        except TimeoutError:
            process.kill()
            await process.wait()


async def copy(name: str, process: asyncio.subprocess.Process) -> None:
    """Copy a service's lines to the terminal, each behind its name."""
    prefix = f"{name:>9} | "
    if sys.stdout.isatty():
        prefix = f"\033[{COLOURS[name]}m{prefix}\033[0m"
    assert process.stdout is not None  # noqa: S101 — it was started with a pipe
    async for line in process.stdout:
        sys.stdout.write(prefix + line.decode(errors="replace"))
        sys.stdout.flush()


def banner(services: list[Service], port: int) -> str:
    """Say where to go and how to end it."""
    lines = [
        "",
        f"  The page:           http://localhost:{port}",
        f"  The API's document: http://localhost:{port}/docs",
    ]
    if any(service.name == "authority" for service in services):
        lines += ["  Who can sign in:    see the lines of the authority above, or sign up as somebody new"]
    return "\n".join([*lines, "  Ctrl-C stops everything. 'make forget' removes what was kept.", "", ""])


def _call(*command: str) -> None:
    """Run one of our own commands to its end."""
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def bff_toml(public: str, port: int, here: Path, issuer: str) -> str:
    """The BFF's settings on a laptop."""
    return f"""\
# Written by `make run` at every start: the BFF's settings, as docs/settings.md explains them.
public_url = "{public}"

[server]
port = {port}

[authority]
issuer = "{issuer}"
client_id = "{seeds.BFF_CLIENT_ID}"
client_secret_file = "{here}/client-secret"
scopes = ["openid", "profile", "email", "offline_access", "{seeds.READ_SCOPE}", "{seeds.READ_WRITE_SCOPE}"]

[session]
keys_file = "{here}/keys.json"
ledger = "file:{here}/ledger.sqlite"
claims = ["*"]  # the account page shows every claim of the ID token, as the tutorial's sample does

[[route]]
path = "/api/"
upstream = "http://127.0.0.1:{port + 1}"
methods = ["GET", "HEAD", "POST", "PUT", "DELETE"]
"""


def api_toml(port: int, here: Path, issuer: str) -> str:
    """The resource API's settings on a laptop."""
    return f"""\
# Written by `make run` at every start: the resource API's settings, as docs/settings.md explains them.
issuers = ["{issuer}"]
audience = "{seeds.API_CLIENT_ID}"
profile = "entra-v2"
database_url = "sqlite+aiosqlite:///{here}/todos.sqlite"
port = {port}
"""


if __name__ == "__main__":
    sys.exit(main())
