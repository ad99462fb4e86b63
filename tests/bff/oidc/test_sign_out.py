from __future__ import annotations

import asyncio
from typing import Any, Literal

import httpx
import pytest

from bff.oidc import relying_party as module
from bff.oidc.client_authentication import ClientSecret
from bff.oidc.relying_party import RelyingParty
from tests.bff.oidc.simulated_server import HOST, SECRET, SimulatedServer, form_of, query_of, registration
from tests.world.clock import MovableClock
from tests.world.tokens import ABSENT, CLIENT_ID, id_token

LOGGED_OUT = "https://app.example.com/bff/logged-out"


async def leave(party: RelyingParty, **claims: object) -> dict[str, str]:
    """The query of the address where the browser signs out."""
    url = await party.end_session_url(state="st", claims=claims, id_token=id_token())
    assert url is not None
    assert url.startswith(f"{HOST}/logout?")
    return query_of(url)


@pytest.mark.parametrize("hint", ["refresh_token", "access_token"])
async def test_a_token_is_withdrawn(
    server: SimulatedServer,
    http: httpx.AsyncClient,
    clock: MovableClock,
    hint: Literal["refresh_token", "access_token"],
) -> None:
    """The request names the token and its kind, and we authenticate as at the token endpoint (RFC 7009 2.1)."""
    authentication = ClientSecret(SECRET, method="client_secret_post")
    party = RelyingParty(registration(authentication=authentication), http=http, clock=clock)
    assert await party.revoke("the-token", hint)
    form = form_of(server.revocation_route.calls.last.request)
    assert form == {
        "token": "the-token",
        "token_type_hint": hint,
        "client_id": CLIENT_ID,
        "client_secret": SECRET,
    }


@pytest.mark.req("ATK-59")
@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(503, headers={"Retry-After": "5"}),
        httpx.Response(400, json={"error": "unsupported_token_type"}),
        httpx.Response(401, json={"error": "invalid_client"}),
        httpx.Response(302, headers={"Location": "https://evil.example"}),
        httpx.ReadTimeout("silent"),
        httpx.ConnectError("down"),
    ],
)
async def test_a_failed_revocation_is_said_and_stops_nobody(
    relying_party: RelyingParty,
    server: SimulatedServer,
    answer: httpx.Response | Exception,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A sign-out goes on; the log knows that the token lives, and does not know the token."""
    server.revocation_answer = answer
    assert not await relying_party.revoke("canary-token", "refresh_token")
    assert "lives on" in caplog.text
    assert "canary" not in caplog.text


async def test_a_server_without_revocation_is_not_asked(relying_party: RelyingParty, server: SimulatedServer) -> None:
    """Entra has no such endpoint, and that is no failure worth a line each time."""
    server.document["revocation_endpoint"] = None
    assert not await relying_party.revoke("rt", "refresh_token")
    assert not server.revocation_route.called


async def test_a_slow_revocation_is_given_up(
    relying_party: RelyingParty, server: SimulatedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bound holds over metadata and call together."""

    async def never(_: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        return httpx.Response(200)

    monkeypatch.setattr(module, "REVOCATION_SECONDS", 0.05)
    server.revocation_route.mock(side_effect=never)
    async with asyncio.timeout(2):
        assert not await relying_party.revoke("rt", "refresh_token")


@pytest.mark.req("RPIL-1", "F31")
async def test_no_id_token_leaves_through_the_browser(relying_party: RelyingParty, server: SimulatedServer) -> None:
    """The server knows us by client_id and the person by a hint made for this."""
    assert await leave(relying_party, login_hint="O.abc", sub="s") == {
        "client_id": CLIENT_ID,
        "post_logout_redirect_uri": LOGGED_OUT,
        "state": "st",
        "logout_hint": "O.abc",
    }


@pytest.mark.req("RPIL-1")
@pytest.mark.parametrize("login_hint", [ABSENT, None, "", 1, ["x"]])
async def test_without_a_hint_the_client_id_is_enough(
    relying_party: RelyingParty, server: SimulatedServer, login_hint: object
) -> None:
    """A claim that is no text is no hint, and nothing personal takes its place."""
    claims = {} if login_hint is ABSENT else {"login_hint": login_hint}
    assert set(await leave(relying_party, **claims)) == {"client_id", "post_logout_redirect_uri", "state"}


@pytest.mark.req("RPIL-1", "F31")
async def test_an_id_token_hint_goes_where_it_is_configured(
    server: SimulatedServer, http: httpx.AsyncClient, clock: MovableClock
) -> None:
    """Only where the registration says so, only when there is one, and only as far as a URL can hold it."""
    party = RelyingParty(registration(end_session_hint="id_token_hint"), http=http, clock=clock)

    async def hinted(token: str | None) -> dict[str, str]:
        url = await party.end_session_url(state="st", claims={"login_hint": "h"}, id_token=token)
        assert url is not None
        return query_of(url)

    assert (await hinted("a.b.c"))["id_token_hint"] == "a.b.c"
    assert "logout_hint" not in await hinted("a.b.c")
    for unfit in (None, "x" * 8000):
        query = await hinted(unfit)
        assert "id_token_hint" not in query
        assert query["logout_hint"] == "h"


async def test_the_endpoints_own_query_stays(relying_party: RelyingParty, server: SimulatedServer) -> None:
    """Parameters of the endpoint are kept, ours are added, and special characters survive."""
    server.document["end_session_endpoint"] = f"{HOST}/logout?p=B2C&empty="
    url = await relying_party.end_session_url(state="a&b=c", claims={}, id_token=None)
    assert url is not None
    query = query_of(url)
    assert (query["p"], query["empty"], query["state"]) == ("B2C", "", "a&b=c")


async def test_no_place_to_go_is_none(relying_party: RelyingParty, server: SimulatedServer) -> None:
    """A server without the endpoint, or one that is down, does not undo a sign-out at home."""
    arguments: dict[str, Any] = {"state": "st", "claims": {}, "id_token": None}
    server.down = True
    assert await relying_party.end_session_url(**arguments) is None
    server.down = False
    server.document["end_session_endpoint"] = None
    assert await relying_party.end_session_url(**arguments) is None
