"""The services of a laptop: three commands, and their settings, written to one folder for everybody to read."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from local_authority import seeds

BIN = Path(sys.executable).parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One process: its name in the log, its command, its port, and the address that answers once it is ready."""

    name: str
    command: tuple[str, ...]
    port: int
    ready: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Laptop:
    """BFF at ``port``, API at the next one, local authority at the one after; what they keep lies in ``folder``.

    ``idle`` is a duration as bff.toml writes it. Few ``access_token_seconds`` let one watch a refresh.
    """

    port: int
    folder: Path
    access_token_seconds: int = 3_600
    idle: str = "30m"

    @property
    def public_url(self) -> str:
        """Where the page is. Another site than the authority, as in production: ports are not sites, hosts are."""
        return f"http://localhost:{self.port}"

    @property
    def authority_url(self) -> str:
        """Where people sign in."""
        return f"http://127.0.0.1:{self.port + 2}"

    @property
    def issuer(self) -> str:
        """The local authority's issuer identifier."""
        return f"{self.authority_url}/{seeds.TENANT_ID}/v2.0"

    def prepare(self) -> list[Service]:
        """Write the settings, and a key ring where there is none; return what to start, in this order."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        keys = self.folder / "keys.json"
        if not keys.exists():
            subprocess.run(
                [str(BIN / "bff"), "keys", "new", "--file", str(keys)], check=True, stdout=subprocess.DEVNULL
            )
        (self.folder / "bff.toml").write_text(self._bff_toml(), encoding="utf-8")
        (self.folder / "resource_api.toml").write_text(self._api_toml(), encoding="utf-8")
        return [
            self._authority(),
            api(self.folder / "resource_api.toml", self.port + 1),
            bff(self._settings, self.port),
        ]

    @property
    def _settings(self) -> Path:
        return self.folder / "bff.toml"

    def _authority(self) -> Service:
        options = {
            "--port": str(self.port + 2),
            "--bff-url": self.public_url,
            "--data": str(self.folder / "authority"),
            "--client-secret-file": str(self.folder / "client-secret"),
            "--access-token-seconds": str(self.access_token_seconds),
        }
        command = (str(BIN / "local-authority"), *(word for option in options.items() for word in option))
        ready = f"{self.issuer}/.well-known/openid-configuration"
        return Service(name="authority", command=command, port=self.port + 2, ready=ready)

    def _bff_toml(self) -> str:
        scopes = ["openid", "profile", "email", "offline_access", seeds.READ_SCOPE, seeds.READ_WRITE_SCOPE]
        return f"""\
# Written at every start: the BFF's settings, as docs/settings.md explains them.
public_url = "{self.public_url}"

[server]
port = {self.port}

[authority]
issuer = "{self.issuer}"
client_id = "{seeds.BFF_CLIENT_ID}"
client_secret_file = "{self.folder}/client-secret"
scopes = [{", ".join(f'"{scope}"' for scope in scopes)}]

[session]
keys_file = "{self.folder}/keys.json"
ledger = "file:{self.folder}/ledger.sqlite"
idle = "{self.idle}"
claims = ["*"]  # the account page shows every claim of the ID token, as the tutorial's sample does

[page]
picture = true  # /bff/picture draws the last sign-in and the last call; never beyond a development machine

[[route]]
path = "/api/"
upstream = "http://127.0.0.1:{self.port + 1}"
methods = ["GET", "HEAD", "POST", "PUT", "DELETE"]
"""

    def _api_toml(self) -> str:
        return f"""\
# Written at every start: the resource API's settings, as docs/settings.md explains them.
issuers = ["{self.issuer}"]
audience = "{seeds.API_CLIENT_ID}"
profile = "entra-v2"
database_url = "sqlite+aiosqlite:///{self.folder}/todos.sqlite"
port = {self.port + 1}
"""


def bff(config: Path, port: int) -> Service:
    """The BFF under the settings of a file."""
    options = ("--config", str(config), "--port", str(port), "--log-style", "console")
    return Service(name="bff", command=(str(BIN / "bff"), "serve", *options), port=port, ready=_livez(port))


def api(config: Path, port: int) -> Service:
    """The resource API under the settings of a file."""
    options = ("--config", str(config), "--port", str(port), "--log-style", "console")
    return Service(name="api", command=(str(BIN / "resource-api"), "serve", *options), port=port, ready=_livez(port))


def _livez(port: int) -> str:
    return f"http://127.0.0.1:{port}/livez"
