from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import APIRouter

from bff.app import BFF
from bff.errors import ConfigurationError
from bff.pytest_plugin import SignedInClient
from examples.embedded_bff import make_app
from tests.world.house import House, opened_house, problem_of
from tests.world.internet import Internet


async def test_a_teams_route_knows_who_is_signed_in(signed_in_client: SignedInClient) -> None:
    """A route behind CurrentSession gets the session's claims and scopes."""
    client = await signed_in_client(scopes={"Reports.Read"}, claims={"name": "Ada"})
    answer = await client.get("/reports/mine")
    assert answer.json() == {"prepared_for": "Ada", "may": ["Reports.Read"]}


async def test_two_clients_are_two_people(signed_in_client: SignedInClient) -> None:
    """Each client holds a session of its own."""
    ada, grace = await signed_in_client(claims={"sub": "ada"}), await signed_in_client(claims={"sub": "grace"})
    assert (await ada.get("/bff/user")).json()["sub"] == "ada"
    assert (await grace.get("/bff/user")).json()["sub"] == "grace"


@pytest.mark.req("BBA-5")
async def test_the_client_passes_the_real_gate(signed_in_client: SignedInClient) -> None:
    """Without the anti-forgery header, or from another site, a team's route refuses the same session."""
    client = await signed_in_client()
    without = httpx.Headers({name: value for name, value in client.headers.items() if name != "x-csrf"})
    client.headers = without
    assert problem_of(await client.get("/reports/mine")) == "antiforgery-header"
    client.headers = httpx.Headers({**without, "x-csrf": "1", "sec-fetch-site": "cross-site"})
    assert problem_of(await client.get("/reports/mine")) == "antiforgery-cross-site"


async def test_a_relayed_call_carries_the_clients_token(signed_in_client: SignedInClient, internet: Internet) -> None:
    """The upstream gets the access token the client was made with, and no cookie."""
    seen: list[dict[bytes, bytes]] = []

    async def upstream(scope: Any, _: Any, send: Any) -> None:
        seen.append(dict(scope["headers"]))
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
        await send({"type": "http.response.body", "body": b"[]"})

    internet.put("http://127.0.0.1:9000", upstream)
    client = await signed_in_client(access_token="signed-by-my-test-key")
    assert (await client.get("/api/things")).json() == []
    assert seen[0][b"authorization"] == b"Bearer signed-by-my-test-key"
    assert b"cookie" not in seen[0]


@pytest.mark.req("F41")
async def test_a_team_hears_of_relayed_calls(
    signed_in_client: SignedInClient, internet: Internet, caplog: pytest.LogCaptureFixture
) -> None:
    """The example's hook notes a call that never meets a middleware, by its route and its status."""
    client = await signed_in_client()
    with caplog.at_level("INFO", "reports"):
        assert (await client.get("/api/things")).status_code == 502
    assert [record.getMessage()[:15] for record in caplog.records if record.name == "reports"] == ["GET /api/: 502 "]


async def test_a_session_that_was_signed_out_is_over(signed_in_client: SignedInClient) -> None:
    """Sign-out ends the session for the team's routes too."""
    client = await signed_in_client()
    assert (await client.post("/bff/logout")).status_code == 200
    assert (await client.get("/reports/mine")).status_code == 401


async def test_the_embedded_bff_signs_people_in(tmp_path: Path) -> None:
    """The example as a whole: nobody, then Ada after a real sign-in; the public route answers both."""
    async with opened_house(tmp_path) as house:
        app = make_app(house.settings(), transport=house.internet)
        async with app.router.lifespan_context(app):
            house.internet.put(house.origin, app)
            await _story(house)


async def _story(house: House) -> None:
    tab = house.browser().tab()
    await tab.go(house.url("/"))
    assert (await tab.api("/reports/published")).json() == ["The annual report"]
    assert problem_of(await tab.api("/reports/mine")) == "no-session"
    await house.sign_in(tab)
    await house.user(tab)
    assert (await tab.api("/reports/mine")).json()["prepared_for"] == "Ada Lovelace"


@pytest.mark.req("ADV-10", "ATK-66")
async def test_a_teams_route_without_a_policy_stops_the_start(bff_app: BFF) -> None:
    """A router that says nothing about its callers is refused at the start, by its path."""
    router = APIRouter()

    @router.get("/forgotten")
    async def forgotten() -> None:
        """Says nothing about its callers."""

    bff_app.include_router(router)
    with pytest.raises(ConfigurationError, match="/forgotten: no policy"):
        async with bff_app.router.lifespan_context(bff_app):
            pass
