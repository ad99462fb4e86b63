"""Against PyPI's nanoidp, which is Python and shares no code with ours: access tokens of typ JWT, no iss parameter."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.interop.conftest import BFF_ORIGIN, OpenSite
from tests.interop.peers import free_port, running

pytestmark = [pytest.mark.interop, pytest.mark.timeout(120)]
SECRET = "p5Xw-2Jb8_nRq7Tk4Lz9-6Gc3Vm1Hy0"
SETTINGS = """\
config_version: 1
security_profile: oauth21
server:
  host: "127.0.0.1"
  port: {port}
oauth:
  issuer: "{issuer}"
  audience: "todo-api"
  token_expiry_minutes: 2
  require_pkce: true
  refresh_token_rotation: true
  scopes_supported: [openid, profile, email, offline_access, ToDoList.Read, ToDoList.ReadWrite]
  clients:
    - client_id: "bff"
      client_secret: "{secret}"
      redirect_uris: ["{bff}/bff/callback"]
"""


@pytest.fixture(scope="session")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A running server with one client and the people that it is shipped with."""
    folder, port = tmp_path_factory.mktemp("nanoidp"), free_port()
    address = f"http://127.0.0.1:{port}"
    nanoidp = str(Path(sys.executable).parent / "nanoidp")
    subprocess.run([nanoidp, "init", str(folder / "config")], check=True, capture_output=True)
    settings = SETTINGS.format(port=port, issuer=address, secret=SECRET, bff=BFF_ORIGIN)
    (folder / "config/settings.yaml").write_text(settings)
    command = [nanoidp, "--config", str(folder / "config"), "--port", str(port)]
    with running(command, ready=f"{address}/.well-known/openid-configuration", environment={}, folder=folder):
        yield address


def tables(issuer: str) -> dict[str, dict[str, Any]]:
    """Both sides' settings for this server."""
    scopes = ["openid", "profile", "email", "offline_access", "ToDoList.Read", "ToDoList.ReadWrite"]
    return {
        "authority": {"issuer": issuer, "client_id": "bff", "client_secret": SECRET, "scopes": scopes},
        "api": {"issuers": (issuer,), "audience": "todo-api", "profile": "jwt"},
    }


@pytest.mark.req("BBA-1", "OIDC-3", "RS-2")
async def test_sign_in_call_refresh_and_sign_out(issuer: str, open_site: OpenSite) -> None:
    """The whole story against a server whose tokens have another shape: sign-in, call, refresh, sign-out."""
    async with open_site(**tables(issuer)) as site:
        tab = site.tab()
        await tab.go(f"{BFF_ORIGIN}/")
        visit = await tab.link("/bff/login?return_to=/todos")
        visit = await tab.submit(username="testuser", password="test123")
        assert visit.url == f"{BFF_ORIGIN}/todos", visit.response.text[:500]
        created = await tab.api("/api/todolist", method="POST", json={"description": "Interoperate"})
        assert created.status_code == 201, created.text
        site.clock.advance(115)
        assert (await tab.api("/api/todolist")).status_code == 200
        assert site.internet.calls("POST", "/token") == 2
        answer = await tab.api("/bff/logout", method="POST")
        visit = await tab.link(answer.json()["redirect_to"])
        assert any(url.startswith(issuer) for url in visit.chain)
        assert not (await site.user(tab))["authenticated"]
