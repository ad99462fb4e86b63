"""This project as an operator serves it: sealed cookies, a ledger in a file, every check and every metric."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from local_authority import seeds
from tests.benchmarks.town import Town

_BIN = Path(sys.executable).parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One server: how it is started, where a sign-in begins, and which path leads to the upstream."""

    name: str
    command: list[str]
    origin: str
    login: str | None
    env: Mapping[str, str] | None = None


def ours(town: Town, port: int) -> Subject:
    """With one route and everything else as it is by default."""
    return ours_with(town, port)


def ours_with(
    town: Town,
    port: int,
    *,
    kind: str = "ours",
    session: str = "",
    relay: str = "max_connections = 2048\nconcurrency_per_session = 1024",
    routes: str = "",
    upstream: int | None = None,
    max_body: int = 20_000_000,
) -> Subject:
    """With further lines of ``bff.toml``; ``kind`` names the folder that holds its keys and its ledger.

    The route of ``/api/`` comes last, so that whoever looked at routes one by one would look at all of them.
    """
    folder = town.folder / kind
    folder.mkdir(exist_ok=True)
    (folder / "secret").write_text(town.client_secret, encoding="utf-8")
    if not (folder / "keys.json").exists():
        subprocess.run([_BIN / "bff", "keys", "new", "--file", folder / "keys.json"], check=True, capture_output=True)
    (folder / "bff.toml").write_text(
        f"""public_url = "http://localhost:{port}"
[server]
port = {port}
[authority]
issuer = "{town.tenant}/v2.0"
client_id = "{seeds.BFF_CLIENT_ID}"
client_secret_file = "{folder}/secret"
scopes = {json.dumps(town.scope.split())}
[session]
keys_file = "{folder}/keys.json"
{session or f'ledger = "file:{folder}/ledger.sqlite"'}
[relay]
{relay}
{routes}
[[route]]
path = "/api/"
upstream = "http://127.0.0.1:{upstream or town.upstream}"
max_body = {max_body}
""",
        encoding="utf-8",
    )
    command = [str(_BIN / "bff"), "serve", "--config", str(folder / "bff.toml"), "--port", str(port)]
    return Subject(name="ours", command=command, origin=f"http://localhost:{port}", login="/bff/login")
