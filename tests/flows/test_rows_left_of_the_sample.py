"""What is left of the Node.js sample's rows: no answer given twice, nothing in the code that belongs into settings."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import pytest

from bff.errors import ConfigurationError
from bff.settings import load_settings
from local_authority.misbehaving.misbehaviours import Misbehaviour
from tests.world.house import ADA, API_ORIGIN, AUTHORITY_ORIGIN, BFF_ORIGIN, opened_house, problem_of

SECRET = "k7Qw-2Zt9_bXr4Vn8Lm3"
SOURCES = [path for folder in ("bff", "resource_api") for path in Path("src", folder).rglob("*.py")]


@pytest.mark.req("C-03")
async def test_the_second_leg_ends_where_the_person_wanted_to_be(tmp_path: Path) -> None:
    """One code, one exchange, a session of ours, and a redirect to a path of ours."""
    async with opened_house(tmp_path) as house:
        tab = house.browser().tab()
        visit = await house.sign_in(tab, path="/bff/login?return_to=/todos")
        assert visit.url == f"{BFF_ORIGIN}/todos"
        assert house.record.token_calls["authorization_code"] == 1
        assert (await house.user(tab))["claims"]["preferred_username"] == ADA.email


@pytest.mark.req("C-09")
@pytest.mark.parametrize(
    ("path", "kind"), [("/assets/style.css", "text/css"), ("/assets/app.js", "text/javascript")], ids=str
)
async def test_static_files_are_for_everybody_and_can_be_validated(tmp_path: Path, path: str, kind: str) -> None:
    """A file has its type and a validator: whoever has it already gets 304 and no body."""
    async with opened_house(tmp_path) as house:
        first = await house.sends(path, ("host", "localhost:3000"))
        assert (first.status_code, first.headers["content-type"].split(";")[0]) == (200, kind)
        again = await house.sends(path, ("host", "localhost:3000"), ("if-none-match", first.headers["etag"]))
        assert (again.status_code, again.content) == (304, b"")


@pytest.mark.req("C-36", "C-37", "C-35")
@pytest.mark.parametrize("without", ["a refused refresh token", "a refresh token"])
async def test_a_token_that_cannot_be_had_is_one_answer(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, without: str
) -> None:
    """Consent withdrawn, or nothing to renew with: one 401 that says so, never a 500, and no error in any log."""
    caplog.set_level(logging.DEBUG)
    async with opened_house(tmp_path, access_token_seconds=300) as house:
        missing = without == "a refresh token"
        house.misbehaviours.begin(Misbehaviour.REFRESH_TOKEN_MISSING if missing else Misbehaviour.REFRESH_REFUSED)
        tab = house.browser().tab()
        await house.sign_in(tab)
        house.clock.advance(400)
        before = len(house.internet.to(API_ORIGIN))
        answer = await tab.api("/api/todolist", method="POST", json={"description": "kept by the page"})
        assert (answer.status_code, problem_of(answer)) == (401, "session-ended")
        assert len(house.internet.to(API_ORIGIN)) == before
        assert not (await house.user(tab))["authenticated"]
    assert [one for one in caplog.records if one.levelno >= logging.ERROR] == []


def settings_of(folder: Path, more: str = "") -> Path:
    """A file of settings that could start."""
    path = folder / "bff.toml"
    authority = f'[authority]\nissuer = "https://a.example"\nclient_id = "x"\nclient_secret = "{SECRET}"\n'
    path.write_text(f'public_url = "http://localhost:3000"\n{authority}{more}')
    return path


@pytest.mark.req("C-39", "C-58")
def test_addresses_and_ports_are_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The API's address is a route's, the port is ours by its own name; another program's variables mean nothing."""
    for name, value in {"PORT": "4444", "NODE_ENV": "production", "EXPRESS_SESSION_SECRET": "guessed"}.items():
        monkeypatch.setenv(name, value)
    path = settings_of(tmp_path, '[[route]]\npath = "/api/"\nupstream = "http://localhost:44351"\n')
    settings = load_settings(path)
    assert [route.upstream for route in settings.route] == ["http://localhost:44351"]
    assert settings.server.port == 3000
    monkeypatch.setenv("BFF_SERVER__PORT", "4000")
    assert load_settings(path).server.port == 4000


@pytest.mark.req("C-45")
def test_no_setting_turns_verification_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable and no key does what NODE_TLS_REJECT_UNAUTHORIZED=0 did, and no line of ours could."""
    monkeypatch.setenv("NODE_TLS_REJECT_UNAUTHORIZED", "0")
    monkeypatch.setenv("PYTHONHTTPSVERIFY", "0")
    for key in ("verify", "verify_tls", "insecure", "reject_unauthorized"):
        with pytest.raises(ConfigurationError, match=key):
            load_settings(settings_of(tmp_path, f"{key} = false\n"))
    lax = re.compile(r"CERT_NONE|check_hostname\s*=\s*False|verify\s*=\s*False|_create_unverified_context")
    assert [str(path) for path in SOURCES if lax.search(path.read_text(encoding="utf-8"))] == []
    assert len(SOURCES) > 50


@pytest.mark.req("K-37", "C-38")
def test_nobody_reads_an_access_token_that_is_not_for_them() -> None:
    """No file of the BFF decodes one: what it holds is sent as it came."""
    reading = re.compile(r"access_token\.(?:split|partition|rpartition)|decode\([^)]*access_token")
    bff = [path for path in SOURCES if path.parts[1] == "bff"]
    assert [str(path) for path in bff if reading.search(path.read_text(encoding="utf-8"))] == []


@pytest.mark.req("T-23", "K-28")
async def test_the_flows_that_are_used_are_those_a_tenant_supports(tmp_path: Path) -> None:
    """Code with PKCE and refresh, never an implicit response and never a password that passes through us."""
    async with opened_house(tmp_path, access_token_seconds=300) as house:
        tab = house.browser().tab()
        await house.sign_in(tab)
        house.clock.advance(290)
        assert (await tab.api("/api/todolist")).status_code == 200
        asked = [one.url for one in house.internet.exchanges if "/authorize?" in one.url]
        assert asked
        assert all("response_type=code&" in f"{url}&" and "code_challenge_method=S256" in url for url in asked)
        sent = [one.request_body.decode() for one in house.internet.to(AUTHORITY_ORIGIN, "POST")]
        grants = {grant for body in sent for grant in re.findall(r"grant_type=([\w%.-]+)", body)}
        assert grants == {"authorization_code", "refresh_token"}
        assert set(house.record.token_calls) <= {"authorization_code", "refresh_token"}
