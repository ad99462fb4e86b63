from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from bff.errors import (
    AuthorizationServerUnavailable,
    ClientRefused,
    InvalidIDToken,
    LoginNotPermitted,
    RefreshRefused,
)
from bff.oidc.messages import Claims, Narrow, TokenSet
from bff.oidc.relying_party import RelyingParty, Rule
from tests.bff.oidc.simulated_server import SimulatedServer, form_of, registration
from tests.world.clock import MovableClock
from tests.world.tokens import ABSENT, id_claims, rsa_key, stranger

SCOPE = frozenset({"openid", "offline_access", "api://todo/ToDoList.Read"})


@pytest.fixture
def claims(clock: MovableClock) -> Claims:
    """The first ID token's claims, an hour ago."""
    first = id_claims(now=clock.now() - 3600)
    del first["auth_time"]
    return first


def held(name: str = "rt", **overrides: Any) -> TokenSet:
    """The tokens that a session holds."""
    return TokenSet(**{"access_token": "at", "refresh_token": name, "expires_at": 0.0, "scope": SCOPE, **overrides})


@pytest.mark.req("OA-5", "OIDC-5")
async def test_a_refresh_replaces_the_tokens(
    relying_party: RelyingParty, server: SimulatedServer, clock: MovableClock, claims: Claims
) -> None:
    """The new refresh token takes the old one's place, the new claims are verified, and no scope is asked for."""
    refreshed = await relying_party.refresh(held("rt-1"), claims)
    request = server.token_route.calls.last.request
    assert form_of(request) == {"grant_type": "refresh_token", "refresh_token": "rt-1"}
    assert request.headers["Authorization"].startswith("Basic ")
    assert refreshed.tokens.access_token == "at-for-rt-1"
    assert refreshed.tokens.refresh_token == "rt-after-rt-1"
    assert refreshed.tokens.expires_at == clock.now() + 3600
    assert refreshed.claims is not None
    assert refreshed.claims["sub"] == claims["sub"]


@pytest.mark.req("C6", "BBA-18")
async def test_one_apis_own_token_is_asked_for_by_name(
    relying_party: RelyingParty, server: SimulatedServer, claims: Claims
) -> None:
    """Scope, resource and audience go along where they are named (RFC 6749 6, RFC 8707 2.2)."""
    narrow = Narrow(scope="todo.read", resource="https://todo.example", audience="todo")
    await relying_party.refresh(held("rt-1"), claims, narrow=narrow)
    assert form_of(server.token_route.calls.last.request) == {
        "grant_type": "refresh_token",
        "refresh_token": "rt-1",
        **narrow.parameters(),
    }
    assert Narrow(scope="todo.read").parameters() == {"scope": "todo.read"}


@pytest.mark.req("F3")
async def test_who_may_not_send_sends_nothing(
    relying_party: RelyingParty, server: SimulatedServer, claims: Claims
) -> None:
    """It is asked after everything else is at hand, in the last instant before the refresh token leaves."""
    calls: list[int] = []

    async def forbid() -> None:
        calls.append(server.token_route.call_count)
        raise RuntimeError("another process is faster")

    with pytest.raises(RuntimeError, match="faster"):
        await relying_party.refresh(held("rt-1"), claims, sending=forbid)
    assert (calls, server.token_route.call_count) == ([0], 0)


@pytest.mark.req("OA-5")
@pytest.mark.parametrize("absent", [ABSENT, None, ""])
async def test_an_unreturned_refresh_token_stays(
    relying_party: RelyingParty, server: SimulatedServer, claims: Claims, absent: object
) -> None:
    """A server that does not rotate sends none, and ours goes on (RFC 6749 6)."""
    server.token = {"refresh_token": absent}
    assert (await relying_party.refresh(held("rt-1"), claims)).tokens.refresh_token == "rt-1"


@pytest.mark.req("OA-5")
@pytest.mark.parametrize(
    ("answered", "relied_on"),
    [
        (ABSENT, {"api://todo/ToDoList.Read"}),
        ("api://todo/ToDoList.Read", {"api://todo/ToDoList.Read"}),
        ("openid api://todo/ToDoList.Read", {"openid", "api://todo/ToDoList.Read"}),
        ("api://todo/ToDoList.Read admin.all", {"api://todo/ToDoList.Read"}),
        ("openid", {"openid"}),
    ],
)
async def test_a_refresh_never_broadens_the_scope(
    relying_party: RelyingParty, server: SimulatedServer, claims: Claims, answered: object, relied_on: set[str]
) -> None:
    """What nobody asked for is not relied on, whatever the answer says."""
    server.token = {"scope": answered}
    tokens = held(scope=frozenset({"api://todo/ToDoList.Read"}))
    assert (await relying_party.refresh(tokens, claims)).tokens.scope == relied_on


async def test_an_id_token_is_optional(relying_party: RelyingParty, server: SimulatedServer, claims: Claims) -> None:
    """Without one the tokens are new and the claims are not (OIDC Core 12.2)."""
    server.token = {"id_token": ABSENT}
    refreshed = await relying_party.refresh(held("rt-1"), claims)
    assert refreshed.claims is None
    assert refreshed.tokens.access_token == "at-for-rt-1"


@pytest.mark.req("OIDC-5", "ATK-11")
@pytest.mark.parametrize(
    ("overrides", "step"),
    [
        ({"sub": "somebody-else"}, "12.2"),
        ({"iss": "https://evil.example"}, "2"),
        ({"aud": "other"}, "3"),
        ({"nonce": "other"}, "12.2"),
        ({"key": stranger()}, "6"),
    ],
)
async def test_a_refresh_that_names_somebody_else_fails(
    relying_party: RelyingParty, server: SimulatedServer, claims: Claims, overrides: dict[str, Any], step: str
) -> None:
    """A session never changes hands by a refresh."""
    server.id_token = overrides
    with pytest.raises(InvalidIDToken) as refusal:
        await relying_party.refresh(held(), claims)
    assert refusal.value.step == step


@pytest.mark.parametrize(
    ("answer", "kind", "sent"),
    [
        (httpx.Response(400, json={"error": "invalid_grant"}), RefreshRefused, None),
        (httpx.Response(403, json={"error": "invalid_grant"}), RefreshRefused, None),
        (httpx.Response(401, json={"error": "invalid_client"}), ClientRefused, None),
        (httpx.Response(400, json={"error": "interaction_required"}), ClientRefused, None),
        (httpx.Response(503, json={"error": "invalid_grant"}), AuthorizationServerUnavailable, True),
        (httpx.Response(429, json={"error": "invalid_grant"}), AuthorizationServerUnavailable, False),
        (httpx.Response(200, text="<html>"), AuthorizationServerUnavailable, True),
        (httpx.ReadTimeout("silent"), AuthorizationServerUnavailable, True),
        (httpx.RemoteProtocolError("hung up"), AuthorizationServerUnavailable, True),
        (httpx.ConnectError("refused"), AuthorizationServerUnavailable, False),
        (httpx.PoolTimeout("busy"), AuthorizationServerUnavailable, False),
    ],
)
@pytest.mark.req("F8", "BBA-17")
async def test_a_failed_refresh_tells_three_things_apart(
    relying_party: RelyingParty,
    server: SimulatedServer,
    claims: Claims,
    answer: httpx.Response | Exception,
    kind: type[Exception],
    sent: bool | None,
) -> None:
    """Refused, sent and unanswered, and never sent need three reactions; invalid_grant alone ends a session."""
    server.token_answer = answer
    with pytest.raises(kind) as failure:
        await relying_party.refresh(held(), claims)
    assert getattr(failure.value, "sent", None) is sent
    if isinstance(failure.value, AuthorizationServerUnavailable):
        assert failure.value.answered is isinstance(answer, httpx.Response)
    assert server.token_route.call_count == 1


@pytest.mark.req("F8")
async def test_unreachable_metadata_or_keys_spend_no_refresh_token(
    relying_party: RelyingParty, server: SimulatedServer, claims: Claims
) -> None:
    """Whatever is needed to judge the answer is fetched before the token is sent; its outage says: not sent."""
    server.down = True
    with pytest.raises(AuthorizationServerUnavailable) as outage:
        await relying_party.refresh(held(), claims)
    assert not outage.value.sent
    server.down, server.keys = False, ()
    with pytest.raises(AuthorizationServerUnavailable) as outage:
        await relying_party.refresh(held(), claims)
    assert not outage.value.sent
    assert not server.token_route.called


async def test_no_refresh_token_is_no_refresh(
    relying_party: RelyingParty, server: SimulatedServer, claims: Claims
) -> None:
    """Without one nothing is sent and the session cannot go on."""
    with pytest.raises(RefreshRefused):
        await relying_party.refresh(held(refresh_token=None), claims)
    assert not server.token_route.called


async def test_a_late_key_set_does_not_cost_the_new_tokens(
    relying_party: RelyingParty, server: SimulatedServer, claims: Claims, caplog: pytest.LogCaptureFixture
) -> None:
    """An ID token whose key is not published yet, or cannot be fetched, is left aside; the session keeps its claims."""
    await relying_party.ready()
    server.id_token = {"key": rsa_key("not-yet-published"), "name": "Alicia"}
    refreshed = await relying_party.refresh(held("rt-1"), claims)
    assert (refreshed.tokens.refresh_token, refreshed.claims) == ("rt-after-rt-1", None)
    assert "left aside" in caplog.text


@pytest.mark.parametrize("hours", [-2, 2])
async def test_a_wrong_clock_does_not_cost_the_new_tokens(
    relying_party: RelyingParty, server: SimulatedServer, clock: MovableClock, claims: Claims, hours: int
) -> None:
    """A clock that jumps makes every date look wrong; nobody is signed out for it."""
    server.id_token = {"now": clock.now() + hours * 3600}
    refreshed = await relying_party.refresh(held("rt-1"), claims)
    assert (refreshed.tokens.refresh_token, refreshed.claims) == ("rt-after-rt-1", None)


async def test_a_key_host_that_goes_down_does_not_cost_the_new_tokens(
    relying_party: RelyingParty, server: SimulatedServer, claims: Claims
) -> None:
    """The refetch for an unknown key fails, the tokens are kept all the same."""
    await relying_party.ready()
    server.jwks_route.mock(side_effect=httpx.ConnectError("down"))
    server.id_token = {"key": rsa_key("unknown")}
    refreshed = await relying_party.refresh(held("rt-1"), claims)
    assert (refreshed.tokens.refresh_token, refreshed.claims) == ("rt-after-rt-1", None)


@pytest.mark.req("ATK-58")
@pytest.mark.parametrize(
    ("token", "permitted"), [({"tid": "t1"}, True), ({"tid": "t2"}, False), ({"tid": ABSENT}, True)]
)
async def test_rules_are_judged_again(
    server: SimulatedServer,
    http: httpx.AsyncClient,
    clock: MovableClock,
    claims: Claims,
    token: dict[str, Any],
    permitted: bool,
) -> None:
    """Who lost the right loses the session at the next refresh; a claim the server does not repeat still counts."""
    party = RelyingParty(registration(require=(Rule(claim="tid", equals="t1"),)), http=http, clock=clock)
    server.id_token = token
    if permitted:
        assert (await party.refresh(held(), {**claims, "tid": "t1"})).tokens.access_token == "at-for-rt"
    else:
        with pytest.raises(LoginNotPermitted):
            await party.refresh(held(), {**claims, "tid": "t1"})


async def test_two_hundred_refreshes_at_once_do_not_meet(
    relying_party: RelyingParty, server: SimulatedServer, claims: Claims
) -> None:
    """One client serves all people: each gets the answer to their own token, and nothing is kept of it."""
    results = await asyncio.gather(*(relying_party.refresh(held(f"rt-{n}"), claims) for n in range(200)))
    assert [r.tokens.access_token for r in results] == [f"at-for-rt-{n}" for n in range(200)]
    assert [r.tokens.refresh_token for r in results] == [f"rt-after-rt-{n}" for n in range(200)]
    assert server.metadata_route.call_count == server.jwks_route.call_count == 1
    assert relying_party._client.token is None
