"""What every subject of the relay's benchmark shares: upstreams, an authorization server, one client's registration.

nginx answers what has an end with constants; a program of ours streams. Both have the CPU that the subject has not.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from local_authority import seeds
from tests.benchmarks import programs
from tests.benchmarks.processes import free_port, running

OTHER_CPU = max((os.cpu_count() or 1) - 1, 0)
GROUPS = 265
"""So many groups fit an ID token of bearable size, and take a session to its third cookie."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Town:
    """Where the upstreams and the authorization server listen."""

    folder: Path
    upstream: int
    streams: int
    authority: int
    client_secret: str

    @property
    def tenant(self) -> str:
        return f"http://127.0.0.1:{self.authority}/{seeds.TENANT_ID}"

    @property
    def scope(self) -> str:
        return f"openid profile offline_access {seeds.READ_SCOPE} {seeds.READ_WRITE_SCOPE}"


@contextmanager
def town_of(folder: Path, ports: Mapping[str, int]) -> Iterator[Town]:
    """Start all of it; ``ports`` are the subjects'."""
    town = Town(
        folder=folder,
        upstream=free_port(),
        streams=free_port(),
        authority=free_port(),
        client_secret=secrets.token_urlsafe(33),
    )
    (folder / "client-secret").write_text(town.client_secret, encoding="utf-8")
    with ExitStack() as stack:
        upstream = [programs.find("nginx") or "nginx", "-c", str(_upstream_config(town)), "-p", str(folder)]
        env = programs.environment()
        stack.enter_context(running(upstream, town.upstream, cpu=OTHER_CPU, env=env, log=folder / "upstream.log"))
        streams = [sys.executable, "-m", "tests.benchmarks.streaming_upstream", str(town.streams)]
        stack.enter_context(running(streams, town.streams, cpu=OTHER_CPU, log=folder / "streams.log"))
        authority = _authority(town, ports)
        stack.enter_context(running(authority, town.authority, cpu=OTHER_CPU, log=folder / "authority.log"))
        yield town


def _authority(town: Town, ports: Mapping[str, int]) -> list[str]:
    command = [str(Path(sys.executable).parent / "local-authority"), "--port", str(town.authority)]
    command += ["--bff-url", f"http://localhost:{ports['ours']}"]
    command += [word for uri in redirect_uris(ports) for word in ("--client-redirect", uri)]
    command += ["--config", str(_people(town.folder)), "--client-secret-file", str(town.folder / "client-secret")]
    return command


def redirect_uris(ports: Mapping[str, int]) -> list[str]:
    """Where the authorization server may send a person back to, for all subjects but ours."""
    return [f"http://127.0.0.1:{port}/callback" for name, port in ports.items() if name != "ours"]


def _people(folder: Path) -> Path:
    """Ada as she is anywhere, and Grace with an ID token that names many groups."""
    groups = json.dumps([str(uuid.uuid4()) for _ in range(GROUPS)])
    lines = [
        f'[[person]]\nemail = "{person.email}"\nname = "{person.name}"\npassword = "{person.password}"'
        for person in (seeds.ADA, seeds.GRACE)
    ]
    path = folder / "people.toml"
    path.write_text("\n".join([*lines, f"claims = {{ groups = {groups} }}\n"]), encoding="utf-8")
    return path


def _upstream_config(town: Town) -> Path:
    files = town.folder / "files"
    (files / "api").mkdir(parents=True, exist_ok=True)
    (files / "api/large").write_bytes(b'{"items": ["' + b"x" * 102_000 + b'"]}')
    (files / "api/huge").write_bytes(os.urandom(10_000_000))
    small = '{"items": ["' + "x" * 242 + '"]}'
    config = town.folder / "upstream.conf"
    config.write_text(
        nginx_config(
            town.folder / "upstream",
            f"server {{ listen 127.0.0.1:{town.upstream} backlog=1024; default_type application/json;\n"
            f"client_max_body_size 20m; root {files};\n"
            f"location = /api/small {{ return 200 '{small}'; }}\n"
            "location = /api/upload { proxy_pass http://127.0.0.1:$server_port/api/taken; }\n"
            "location = /api/taken { return 200 '{}'; }\n}",
        ),
        encoding="utf-8",
    )
    return config


def nginx_config(folder: Path, http: str) -> str:
    """One worker, no logs, everything temporary below ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    places = "".join(f"{kind}_temp_path {folder}/{kind};\n" for kind in kinds)
    return (
        f"daemon off; master_process off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log;\n"
        "events { worker_connections 4096; }\n"
        f"http {{ access_log off; keepalive_requests 1000000000; keepalive_timeout 65s;\n{places}{http}\n}}\n"
    )
