"""The command: what it prints, what it refuses, and that it really serves."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

from local_authority.cli import main
from local_authority.seeds import ADA, BFF_CLIENT_ID, DAEMON_CLIENT_ID, DEFAULT_SCOPE, GRACE

SOURCE = Path(__file__).parents[2] / "src"
COMMAND = [sys.executable, "-c", "from local_authority.cli import main; main()"]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """What a real process printed at its start, on a free port, with its data in a folder."""
    data = tmp_path / "data"
    process = subprocess.Popen(
        [*COMMAND, "--port", "0", "--data", str(data), "--access-token-seconds", "60"],
        env={**os.environ, "PYTHONPATH": str(SOURCE), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(8)]
    yield "".join(lines), data
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=10)


def test_it_prints_what_it_is_and_serves(served: tuple[str, Path]) -> None:
    """It says that it is for development on the loopback, where it is, who can sign in, and a daemon's way in."""
    printed, data = served
    metadata_url = re.search(r"metadata\s+(\S+)", printed)
    secret = re.search(rf"{DAEMON_CLIENT_ID}.*secret (\S+)", printed)
    assert metadata_url
    assert secret
    with httpx.Client(trust_env=False) as http:
        metadata = http.get(metadata_url[1]).json()
        token = http.post(
            metadata["token_endpoint"],
            data={"grant_type": "client_credentials", "scope": DEFAULT_SCOPE},
            auth=(DAEMON_CLIENT_ID, secret[1]),
        ).json()

    assert "for development only; binds loopback only" in printed
    assert all(text in printed for person in (ADA, GRACE) for text in (person.email, person.password))
    assert metadata["issuer"].startswith("http://127.0.0.1:")
    assert token["expires_in"] == 60
    assert f"secret in {data / 'bff-client-secret'}" in printed
    assert (data / "bff-client-secret").read_text().strip() not in printed
    assert BFF_CLIENT_ID in printed


def test_a_taken_port_is_named_with_its_cure() -> None:
    """A port that somebody else listens on is a sentence, not a stack trace."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = CliRunner().invoke(main, ["--port", str(port)])

    assert result.exit_code == 1
    assert f"--port {port}: cannot be bound" in result.output
    assert "choose another" in result.output


def test_a_foreign_host_and_other_faults_are_said_at_once() -> None:
    """Options that cannot work stop the start, all of them, before anything is bound."""
    result = CliRunner().invoke(main, ["--host", "0.0.0.0", "--bff-url", "nowhere", "--access-token-seconds", "0"])

    assert result.exit_code == 1
    assert all(option in result.output for option in ("--host", "--bff-url", "--access-token-seconds"))


def test_help_describes_every_option() -> None:
    """--help tells each option's meaning and default."""
    result = CliRunner().invoke(main, ["--help"])

    assert result.exit_code == 0
    assert "loopback only" in " ".join(result.output.split())
    assert result.output.count("--") > 15
