from __future__ import annotations

import base64
import html
import re
from pathlib import Path

import httpx
import pytest

from bff.errors import ConfigurationError
from bff.settings import load_settings
from tests.world.house import ADA, BFF_ORIGIN, SECRET, House, opened_house

PICTURE = {"page": {"picture": True}}


async def drawn(house: House) -> str:
    """The picture as a browser gets it."""
    response = await house.sends("/bff/picture", ("host", "localhost:3000"))
    assert response.status_code == 200
    return response.text


async def test_the_picture_tells_the_last_sign_in_and_the_last_call(tmp_path: Path) -> None:
    """Browser, BFF, authorization server and API, in the order of the wire, with times, files and sections."""
    async with opened_house(tmp_path, settings=PICTURE) as house:
        assert "Nothing yet" in await drawn(house)
        tab = house.browser().tab()
        await house.sign_in(tab)
        await house.user(tab)
        assert (await tab.api("/api/todolist")).status_code == 200
        text = html.unescape(await drawn(house))
    said = re.sub(r"<[^>]+>", "", re.sub(r"<svg.*?</svg>", "", text))
    story = ["The last sign-in", "browser → BFF: GET /bff/login", "BFF → authorization server: GET",
             "openid-configuration", "code_challenge_method = S256", "browser → BFF: GET /bff/callback",
             "BFF → authorization server: POST", "grant_type = authorization_code", "BFF → browser: 303",
             "The last call", "browser → BFF: GET /api/todolist",
             "BFF → API: GET /api/todolist with Authorization: Bearer … → 200", "BFF → browser: 200"]  # fmt: skip
    at = 0
    for part in story:
        at = said.find(part, at)
        assert at >= 0, part
    assert re.search(r"took \d+\.\d ms", said)
    assert "https://www.rfc-editor.org/rfc/rfc6749#section-4.1.3" in text
    assert "<script" not in text
    hop = next(line for line in text.split("<li>") if "oauth2/v2.0/token" in line)
    assert "oidc/token_client.py" in hop


@pytest.mark.req("ATK-50")
async def test_no_secret_is_in_the_picture(tmp_path: Path) -> None:
    """Whatever went over any wire as a code, token, state, verifier, cookie, password or secret is not in the page."""
    async with opened_house(tmp_path, settings=PICTURE) as house:
        browser = house.browser()
        tab = browser.tab()
        await house.sign_in(tab)
        await house.user(tab)
        await tab.api("/api/todolist?secret=a-query-of-mine")
        session = await house.session(browser)
        text = await drawn(house)
        await house.sign_out(tab)
        text += await drawn(house)
        wire = " ".join(f"{one.url} {one.request_body.decode('latin-1')}" for one in house.internet.exchanges)
    secrets = {session.tokens.access_token, session.tokens.refresh_token, session.tokens.id_token, SECRET}
    secrets |= {base64.b64encode(SECRET.encode()).decode(), ADA.password, "a-query-of-mine", session.sid}
    named = re.findall(
        r"\b(?:code|state|nonce|code_verifier|code_challenge|id_token_hint|token|password)=([^&\s]+)", wire
    )
    secrets |= set(named) | {
        cookie.value for cookie in browser.cookies_for(BFF_ORIGIN, cross_site=False, safe_navigation=True)
    }
    assert len(secrets) > 12
    assert [secret for secret in secrets if secret and secret in text] == []


async def test_without_the_setting_there_is_no_picture(tmp_path: Path) -> None:
    """The page and its sources do not exist unless somebody asked for them."""
    async with opened_house(tmp_path) as house:
        for path in ("/bff/picture", "/bff/picture/source/relay/relay.py"):
            assert (await house.sends(path, ("host", "localhost:3000"))).status_code == 404


@pytest.mark.req("ADV-10")
def test_the_picture_is_refused_beyond_this_machine(tmp_path: Path) -> None:
    """With a public_url that others can reach, the setting stops the start."""
    path = tmp_path / "bff.toml"
    path.write_text('public_url = "https://app.example.com"\n[page]\npicture = true\n[authority]\nissuer = "https://a.example"\n'
                    'client_id = "x"\nclient_secret = "k7Qw-2Zt9_bXr4Vn8Lm3"\n')  # fmt: skip
    with pytest.raises(ConfigurationError, match="development machines only"):
        load_settings(path)


@pytest.mark.parametrize("path", ["relay/relay.py", "routes/login.py", "oidc/token_client.py", "oidc/key_set.py"])
async def test_a_hop_leads_to_the_file_that_did_it(tmp_path: Path, path: str) -> None:
    """The files that the picture names are served as text."""
    async with opened_house(tmp_path, settings=PICTURE) as house:
        response = await house.sends(f"/bff/picture/source/{path}", ("host", "localhost:3000"))
    assert response.text == (Path("src/bff") / path).read_text(encoding="utf-8")
    assert response.headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize("path", ["session/cipher.py", "../pyproject.toml", "%2e%2e/%2e%2e/etc/passwd", ""])
async def test_no_other_file_is_read(tmp_path: Path, path: str) -> None:
    """A file that the picture does not name is unknown, whatever the path says."""
    async with opened_house(tmp_path, settings=PICTURE) as house:
        response: httpx.Response = await house.sends(f"/bff/picture/source/{path}", ("host", "localhost:3000"))
    assert response.status_code in {400, 404}
