"""A port that somebody else has."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.live, pytest.mark.timeout(60)]

SETTINGS = {
    "bff": 'public_url = "http://localhost:3000"\n[authority]\nissuer = "http://127.0.0.1:9"\nclient_id = "x"\n'
    'client_secret = "k7Qw-2Zt9_bXr4Vn8Lm3"\n[session]\nledger = "memory"\n',
    "resource_api": 'issuers = ["http://127.0.0.1:9"]\naudience = "x"\nprofile = "rfc9068"\n',
}


@pytest.mark.req("C-60")
@pytest.mark.parametrize("service", sorted(SETTINGS))
def test_a_busy_port_is_named_and_ends_the_start(tmp_path: Path, service: str) -> None:
    """The address and the reason in one line, no traceback, and an exit status that a supervisor sees."""
    path = tmp_path / "settings.toml"
    path.write_text(SETTINGS[service], encoding="utf-8")
    database = {"RESOURCE_API_DATABASE_URL": f"sqlite+aiosqlite:///{tmp_path}/todos.sqlite"}
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        start = f"import sys; sys.argv[0] = {service!r}; from {service}.cli import main; main()"
        options = ["serve", "--config", str(path), "--port", str(port), "--log-style", "console"]
        done = subprocess.run(
            [sys.executable, "-c", start, *options],
            env=os.environ | (database if service == "resource_api" else {}),
            capture_output=True,
            text=True,
            timeout=50,
            check=False,
        )
    assert done.returncode != 0
    assert f"'127.0.0.1', {port}" in done.stderr
    assert "address already in use" in done.stderr
    assert "Traceback" not in done.stderr
