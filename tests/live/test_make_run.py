"""``make run`` as somebody at a terminal knows it: a banner, Ctrl-C, a busy port, ``make forget``."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.world.ports import free_port

pytestmark = [pytest.mark.live, pytest.mark.timeout(120)]

ROOT = Path(__file__).parents[2]
PATIENCE = 60.0
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


class Terminal:
    """A ``make run`` in its own process group, as a shell starts it, in an empty folder."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port = folder, port
        self.log = folder / "terminal.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                (sys.executable, "-m", "deploy.local.run", "--port", str(port)),
                cwd=folder,
                env=ENVIRONMENT,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_for(self, text: str) -> str:
        """Everything printed until ``text`` was, or until the process ended."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            ended = self.process.poll() is not None
            if text in (printed := self.log.read_text()) or ended:
                return printed
            time.sleep(0.05)
        raise AssertionError(f"{text!r} was not printed:\n{self.log.read_text()}")

    def interrupt(self, number: signal.Signals) -> int:
        """Send a signal to the group, as a terminal does; return the exit status."""
        os.killpg(self.process.pid, number)
        return self.process.wait(PATIENCE)


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    """A terminal whose process is ended whatever the test did."""
    one = Terminal(tmp_path, free_port())
    yield one
    if one.process.poll() is None:
        one.interrupt(signal.SIGTERM)


def ports_in_use(port: int) -> list[int]:
    """Which of the three ports answer."""
    answering = []
    for one in range(port, port + 3):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", one)) == 0:
                answering.append(one)
    return answering


def forget(terminal: Terminal) -> subprocess.CompletedProcess[str]:
    """``make forget`` for the same port."""
    command = (sys.executable, str(ROOT / "deploy/local/forget.py"), "--port", str(terminal.port))
    return subprocess.run(command, cwd=terminal.folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_one_signal_stops_all_three(terminal: Terminal, number: signal.Signals) -> None:
    """Ctrl-C, a polite kill and a closed terminal end every service, with status 0 and no port left behind."""
    printed = terminal.wait_for("Ctrl-C stops everything")
    assert re.search(rf"The page +http://localhost:{terminal.port}\n", printed)
    assert "ada@example.com, password" in printed
    assert len(ports_in_use(terminal.port)) == 3
    assert terminal.interrupt(number) == 0
    assert ports_in_use(terminal.port) == []


def test_a_busy_port_is_named_with_its_cure(tmp_path: Path) -> None:
    """The start is refused before any service runs; the message names the port, the service and another choice."""
    port = free_port()
    with socket.create_server(("127.0.0.1", port + 1)):
        terminal = Terminal(tmp_path, port)
        assert terminal.process.wait(PATIENCE) == 1
    printed = terminal.log.read_text()
    assert f"Port {port + 1} (for the api) cannot be used" in printed
    assert f"make run PORT={port + 100}" in printed
    assert ports_in_use(port) == []


def test_forget_waits_for_the_end(terminal: Terminal) -> None:
    """What runs keeps its folder; once it has stopped, forget removes all of it, and says when there is nothing."""
    terminal.wait_for("Ctrl-C stops everything")
    kept = terminal.folder / ".run" / str(terminal.port)
    refused = forget(terminal)
    assert (refused.returncode, kept.exists()) == (1, True)
    assert "Cure" in refused.stderr
    terminal.interrupt(signal.SIGINT)
    assert (forget(terminal).returncode, kept.exists()) == (0, False)
    assert "Nothing is kept" in forget(terminal).stdout
