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
import sys
import time
import urllib.request
from pathlib import Path

from deploy.local.laptop import Laptop, Service, api, bff
from local_authority import seeds

COLOURS = {"authority": "35", "api": "36", "bff": "32"}
LAST_PORT = 65_535
PATIENCE = 10.0  # seconds that a service has to end in


def main() -> int:
    """Start what was asked for, and stay until Ctrl-C or until one of them ends."""
    arguments = _arguments()
    port: int = arguments.port
    services = _own_authority(arguments) if arguments.config else _laptop(arguments)
    if (refusal := busy_port(services, port)) is not None:
        sys.stderr.write(refusal)
        return 1
    return asyncio.run(run(services, banner(services, port)))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make run", description=__doc__)
    parser.add_argument("--port", type=_port, default=3000, help="the BFF's; the next two are taken as well")
    parser.add_argument("--config", type=Path, help="bff.toml, for your own authorization server")
    parser.add_argument("--api-config", type=Path, help="resource_api.toml, for your own authorization server")
    parser.add_argument("--access-token-seconds", type=int, default=3_600, help="60 lets you watch a refresh")
    return parser.parse_args()


def _port(text: str) -> int:
    """Read a port that leaves room for the next two."""
    port = int(text)
    if not 1 <= port <= LAST_PORT - 2:
        raise argparse.ArgumentTypeError(f"{port}: choose one from 1024 to {LAST_PORT - 2}")
    return port


def _laptop(arguments: argparse.Namespace) -> list[Service]:
    folder = Path(".run") / str(arguments.port)
    return Laptop(port=arguments.port, folder=folder, access_token_seconds=arguments.access_token_seconds).prepare()


def _own_authority(arguments: argparse.Namespace) -> list[Service]:
    """Your own settings and your own authorization server; the API only where its settings are given."""
    apis = [api(arguments.api_config, arguments.port + 1)] if arguments.api_config else []
    return [*apis, bff(arguments.config, arguments.port)]


def busy_port(services: list[Service], port: int) -> str | None:
    """Name the port that something else holds, with the cure."""
    for service in services:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", service.port))
            except OSError as error:
                return (
                    f"Port {service.port} (for the {service.name}) cannot be used: {error.strerror}.\n"
                    f"Cure: stop the program that holds it, or choose three other ports: make run PORT={_other(port)}\n"
                )
    return None


def _other(port: int) -> int:
    return port + 100 if port + 102 <= LAST_PORT else port - 100


async def run(services: list[Service], greeting: str) -> int:
    """Start one after the other, print where to go, and wait for the end of any of them or for a signal."""
    began, stop = time.monotonic(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # SIGHUP: the terminal was closed
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    running: dict[str, asyncio.subprocess.Process] = {}
    copies: list[asyncio.Task[None]] = []
    try:
        ended = await _start(services, running, copies, stop)
        if ended is None and not stop.is_set():
            sys.stdout.write(f"\n  Ready after {time.monotonic() - began:.1f} s.\n{greeting}")
            sys.stdout.flush()
            ended = await first_end(running, stop)
    finally:
        await stop_all(running)
        await asyncio.gather(*copies)
    if ended is None or stop.is_set():
        return 0
    status = running[ended].returncode
    sys.stderr.write(f"The {ended} ended by itself (exit status {status}); its last lines say why.\n")
    return 1


async def _start(
    services: list[Service],
    running: dict[str, asyncio.subprocess.Process],
    copies: list[asyncio.Task[None]],
    stop: asyncio.Event,
) -> str | None:
    """Start each once the one before it answers; return the name of one that ended instead."""
    for service in services:
        process = running[service.name] = await asyncio.create_subprocess_exec(
            *service.command,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            start_new_session=True,  # Ctrl-C reaches us alone; we end them in order
        )
        copies.append(asyncio.create_task(copy(service.name, process)))
        if not await answers(service, process, stop):
            return service.name
    return None


async def answers(service: Service, process: asyncio.subprocess.Process, stop: asyncio.Event) -> bool:
    """Wait until the service answers; False when it ends first or a signal arrives."""
    while process.returncode is None and not stop.is_set():
        with contextlib.suppress(OSError):  # an HTTP error is one too: not ready yet
            await asyncio.to_thread(_ask, service.ready)
            return True
        await asyncio.sleep(0.1)
    return False


def _ask(address: str) -> None:
    without_proxy = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    without_proxy.open(address, timeout=2).close()


async def first_end(running: dict[str, asyncio.subprocess.Process], stop: asyncio.Event) -> str | None:
    """Return the name of the service that ended first, or None after a signal."""
    waits = {asyncio.create_task(process.wait()): name for name, process in running.items()}
    signalled = asyncio.create_task(stop.wait())
    done, pending = await asyncio.wait({*waits, signalled}, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    return next((waits[task] for task in done if task in waits), None)


async def stop_all(running: dict[str, asyncio.subprocess.Process]) -> None:
    """End every process by its id, the last started first; one that does not listen is killed."""
    for process in reversed(running.values()):
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), PATIENCE)
        except TimeoutError:
            process.kill()
            await process.wait()


async def copy(name: str, process: asyncio.subprocess.Process) -> None:
    """Copy a service's lines to the terminal, each behind its name; a closed terminal must not block the service."""
    prefix = f"{name:>9} | "
    if sys.stdout.isatty():
        prefix = f"\033[{COLOURS[name]}m{prefix}\033[0m"
    assert process.stdout is not None  # noqa: S101 — it was started with a pipe
    async for line in process.stdout:
        with contextlib.suppress(OSError):
            sys.stdout.write(prefix + line.decode(errors="replace"))
            sys.stdout.flush()


def banner(services: list[Service], port: int) -> str:
    """Say where to go, who can sign in, and how to end it."""
    lines = ["", f"  The page    http://localhost:{port}", f"  The API     http://localhost:{port}/docs"]
    if any(service.name == "authority" for service in services):
        people = [f"{person.email}, password {person.password}" for person in seeds.PEOPLE]
        lines += ["", f"  Sign in as  {people[0]}", *(f"          or  {one}" for one in people[1:])]
        lines += [
            "              or sign up as somebody new",
            "",
            "  Ctrl-C stops everything; people and to-dos are kept.",
        ]
        lines += ["  'make forget' removes them."]
    else:
        lines += ["", "  Ctrl-C stops everything."]
    return "\n".join([*lines, "", ""])


if __name__ == "__main__":
    sys.exit(main())
