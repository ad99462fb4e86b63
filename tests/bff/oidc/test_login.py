from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace
from typing import Any

import httpx
import pytest
import respx

from bff.errors import (
    AuthorizationRefused,
    AuthorizationServerUnavailable,
    ClientRefused,
    CodeRefused,
    InvalidAuthorizationResponse,
    InvalidIDToken,
    LoginNotPermitted,
)
from bff.oidc.messages import AuthorizationResponse, LoginRequest, LoginTransaction, SignIn
from bff.oidc.relying_party import RelyingParty, Rule
from tests.bff.oidc.simulated_server import (
    HOST,
    METADATA_URL,
    REDIRECT_URI,
    SECRET,
    SimulatedServer,
    form_of,
    query_of,
    registration,
)
from tests.world.clock import MovableClock
from tests.world.tokens import ABSENT, CLIENT_ID, ISSUER, at_hash, rsa_key


async def begun(party: RelyingParty, server: SimulatedServer, **asked: Any) -> tuple[dict[str, str], LoginTransaction]:
    """The query of an authorization request, and the transaction whose nonce the server will repeat."""
    authorization, transaction = await party.begin_login(LoginRequest(**asked))
    server.nonce = transaction.nonce
    return query_of(authorization.url), transaction


def response_to(transaction: LoginTransaction, **overrides: Any) -> AuthorizationResponse:
    """The honest response to a request."""
    values = {"state": transaction.state, "code": "code-1", "iss": ISSUER, **overrides}
    return AuthorizationResponse(**values)


async def signed_in(party: RelyingParty, server: SimulatedServer, **asked: Any) -> SignIn:
    """A whole sign-in."""
    _, transaction = await begun(party, server, **asked)
    return await party.complete_login(response_to(transaction), transaction)


@pytest.mark.req("BBA-2", "BCP-4", "OIDC-1", "OA-6", "OA-7", "ATK-4")
async def test_an_authorization_request_protects_itself(relying_party: RelyingParty, server: SimulatedServer) -> None:
    """Always a code, S256, a state, a nonce and openid; each secret 256 bits and 43 unreserved characters."""
    query, transaction = await begun(relying_party, server, return_to="/todos", replaces="old-sid")
    challenge = base64.urlsafe_b64encode(hashlib.sha256(transaction.code_verifier.encode()).digest()).rstrip(b"=")
    assert query == {
        "response_type": "code",
        "client_id": CLIENT_ID,
        "redirect_uri": REDIRECT_URI,
        "scope": "openid offline_access api://todo/ToDoList.Read",
        "state": transaction.state,
        "nonce": transaction.nonce,
        "code_challenge": challenge.decode(),
        "code_challenge_method": "S256",
    }
    for secret in (transaction.state, transaction.nonce, transaction.code_verifier):
        assert re.fullmatch(r"[A-Za-z0-9._~-]{43}", secret)
    assert len({transaction.state, transaction.nonce, transaction.code_verifier}) == 3
    assert (transaction.return_to, transaction.replaces, transaction.issuer) == ("/todos", "old-sid", ISSUER)


@pytest.mark.req("BCP-4")
async def test_no_two_transactions_share_a_secret(relying_party: RelyingParty, server: SimulatedServer) -> None:
    """Secrets are made per request, however many begin."""
    transactions = [(await begun(relying_party, server))[1] for _ in range(50)]
    assert len({secret for t in transactions for secret in (t.state, t.nonce, t.code_verifier)}) == 150


async def test_what_is_asked_for_is_passed_on(
    server: SimulatedServer, http: httpx.AsyncClient, clock: MovableClock
) -> None:
    """The request's own parameters win over the registration's; max_age=0 is not lost; form_post is said."""
    settings = registration(authorize_params={"prompt": "consent", "domain_hint": "x"}, response_mode="form_post")
    party = RelyingParty(settings, http=http, clock=clock)
    asked = {"prompt": "login", "login_hint": "a@b", "acr_values": "mfa hw", "max_age": 0, "ui_locales": "de fr"}
    query, transaction = await begun(party, server, **asked)
    assert {name: query[name] for name in asked} == {**asked, "max_age": "0"}
    assert (query["domain_hint"], query["response_mode"]) == ("x", "form_post")
    assert (transaction.max_age, transaction.acr_values) == (0, "mfa hw")
    assert (await begun(party, server))[0]["prompt"] == "consent"


@pytest.mark.parametrize(
    ("sends", "known", "sent"),
    [
        (True, ABSENT, "create"),
        (True, ["login", "create"], "create"),
        (True, ["login"], None),
        (False, ABSENT, None),
        (False, ["create"], None),
    ],
)
async def test_prompt_create_goes_where_it_is_known(
    server: SimulatedServer, http: httpx.AsyncClient, clock: MovableClock, sends: bool, known: Any, sent: str | None
) -> None:
    """A server that would not understand it gets an ordinary request, and no error page."""
    server.document["prompt_values_supported"] = None if known is ABSENT else known
    party = RelyingParty(registration(sends_prompt_create=sends), http=http, clock=clock)
    assert (await begun(party, server, prompt="create"))[0].get("prompt") == sent
    assert (await begun(party, server, prompt="login"))[0]["prompt"] == "login"


async def test_an_endpoint_with_a_query_keeps_it(relying_party: RelyingParty, server: SimulatedServer) -> None:
    """Parameters of the endpoint stay, ours are added (RFC 6749 3.1)."""
    server.document["authorization_endpoint"] = f"{HOST}/authorize?p=B2C_1_signin&x=%C3%BC"
    query, _ = await begun(relying_party, server)
    assert (query["p"], query["x"], query["client_id"]) == ("B2C_1_signin", "ü", CLIENT_ID)


@pytest.mark.req("OA-2", "BBA-1", "OIDC-3")
async def test_a_sign_in_is_completed(
    relying_party: RelyingParty, server: SimulatedServer, clock: MovableClock
) -> None:
    """The code goes to the token endpoint with its verifier, the same redirect_uri and our secret; claims come back."""
    server.id_token = {"at_hash": at_hash("at-for-code-1")}
    sign_in = await signed_in(relying_party, server, return_to="/todos")
    request = server.token_route.calls.last.request
    assert form_of(request) == {
        "grant_type": "authorization_code",
        "code": "code-1",
        "redirect_uri": REDIRECT_URI,
        "code_verifier": sign_in.transaction.code_verifier,
    }
    credentials = base64.b64decode(request.headers["Authorization"].removeprefix("Basic ")).decode()
    assert credentials == f"{CLIENT_ID}:{SECRET}"
    assert (sign_in.issuer, sign_in.subject) == (ISSUER, sign_in.claims["sub"])
    assert sign_in.tokens.access_token == "at-for-code-1"
    assert sign_in.tokens.refresh_token == "rt-after-code-1"
    assert sign_in.tokens.expires_at == clock.now() + 3600
    assert sign_in.tokens.scope == {"openid", "offline_access", "api://todo/ToDoList.Read"}
    assert sign_in.transaction.return_to == "/todos"


@pytest.mark.req("BCP-2", "OA-6")
@pytest.mark.parametrize("state", ["", "other", "x" * 43])
@pytest.mark.parametrize("error", [None, "access_denied"])
async def test_a_foreign_state_comes_first(
    relying_party: RelyingParty, server: SimulatedServer, state: str, error: str | None
) -> None:
    """No code is spent and no error is believed before the state fits."""
    _, transaction = await begun(relying_party, server)
    with pytest.raises(InvalidAuthorizationResponse, match="state"):
        await relying_party.complete_login(response_to(transaction, state=state, error=error, iss="evil"), transaction)
    assert not server.token_route.called


@pytest.mark.req("ISS-1", "ISS-2", "OIDC-2", "ATK-3", "BCP-14")
@pytest.mark.parametrize("iss", ["https://evil.example", ISSUER + "/", ISSUER.upper()])
@pytest.mark.parametrize("error", [None, "access_denied"])
@pytest.mark.parametrize("advertised", [True, False])
async def test_a_foreign_iss_is_refused_before_anything_is_sent(
    relying_party: RelyingParty, server: SimulatedServer, iss: str, error: str | None, advertised: bool
) -> None:
    """An iss is compared as text, on success and on error, whether the server advertises it or not."""
    server.document["authorization_response_iss_parameter_supported"] = advertised
    _, transaction = await begun(relying_party, server)
    with pytest.raises(InvalidAuthorizationResponse, match="iss"):
        await relying_party.complete_login(response_to(transaction, iss=iss, error=error), transaction)
    assert not server.token_route.called


@pytest.mark.req("ISS-3", "ISS-2")
@pytest.mark.parametrize("error", [None, "access_denied"])
async def test_an_advertised_iss_is_missed(
    relying_party: RelyingParty, server: SimulatedServer, error: str | None
) -> None:
    """A server that always sends iss did not send a response without one."""
    _, transaction = await begun(relying_party, server)
    with pytest.raises(InvalidAuthorizationResponse, match="missing"):
        await relying_party.complete_login(response_to(transaction, iss=None, error=error), transaction)
    assert not server.token_route.called


async def test_an_unadvertised_iss_may_be_absent(relying_party: RelyingParty, server: SimulatedServer) -> None:
    """Servers as thin as Entra's send none, and sign people in."""
    server.document["authorization_response_iss_parameter_supported"] = None
    _, transaction = await begun(relying_party, server)
    assert (await relying_party.complete_login(response_to(transaction, iss=None), transaction)).subject


@pytest.mark.req("BCP-14", "ATK-3")
async def test_a_transaction_of_another_server_is_refused(relying_party: RelyingParty, server: SimulatedServer) -> None:
    """The issuer is remembered per request; a response is not completed at another one."""
    _, transaction = await begun(relying_party, server)
    elsewhere = replace(transaction, issuer="https://old.example")
    with pytest.raises(InvalidAuthorizationResponse, match="another authorization server"):
        await relying_party.complete_login(response_to(elsewhere, iss=None), elsewhere)
    with pytest.raises(InvalidAuthorizationResponse, match="another authorization server"):
        await relying_party.complete_login(response_to(elsewhere), elsewhere)
    assert not server.token_route.called


@pytest.mark.req("ATK-7", "OIDC-2")
@pytest.mark.parametrize(
    ("error", "code"),
    [
        ("access_denied", "access_denied"),
        ("login_required", "login_required"),
        ("interaction_required", "interaction_required"),
        ("consent_required", "consent_required"),
        ("account_selection_required", "account_selection_required"),
        ("invalid_scope", "invalid_scope"),
        ("temporarily_unavailable", "temporarily_unavailable"),
        ("server_error", "server_error"),
        ("invalid_request", "other"),
        ("<script>alert(1)</script>", "other"),
    ],
)
async def test_an_error_becomes_a_word_of_ours(
    relying_party: RelyingParty, server: SimulatedServer, error: str, code: str
) -> None:
    """The server's text is never the browser's; a code beside an error is not spent."""
    _, transaction = await begun(relying_party, server)
    with pytest.raises(AuthorizationRefused) as refusal:
        await relying_party.complete_login(response_to(transaction, error=error), transaction)
    assert refusal.value.code == code
    assert "script" not in refusal.value.public
    assert not server.token_route.called


async def test_a_response_without_a_code_is_refused(relying_party: RelyingParty, server: SimulatedServer) -> None:
    """A response that was not parsed but built is no way around the parser."""
    _, transaction = await begun(relying_party, server)
    with pytest.raises(InvalidAuthorizationResponse, match="code"):
        await relying_party.complete_login(response_to(transaction, code=None), transaction)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (httpx.Response(400, json={"error": "invalid_grant"}), CodeRefused),
        (httpx.Response(401, json={"error": "invalid_client"}), ClientRefused),
        (httpx.Response(400, json={"error": "unauthorized_client"}), ClientRefused),
        (httpx.Response(500, text="oops"), AuthorizationServerUnavailable),
        (httpx.Response(502, json={"error": "invalid_grant"}), AuthorizationServerUnavailable),
        (httpx.Response(429, text="slow down"), AuthorizationServerUnavailable),
        (httpx.Response(200, text="<html>"), AuthorizationServerUnavailable),
        (httpx.Response(200, json={"token_type": "Bearer"}), AuthorizationServerUnavailable),
        (httpx.Response(307, headers={"Location": "https://evil.example/token"}), AuthorizationServerUnavailable),
        (httpx.ReadTimeout("slow"), AuthorizationServerUnavailable),
        (httpx.ConnectError("down"), AuthorizationServerUnavailable),
    ],
)
async def test_a_refused_code_tells_whose_fault_it_is(
    relying_party: RelyingParty, server: SimulatedServer, answer: httpx.Response | Exception, kind: type[Exception]
) -> None:
    """The person's code, our registration and the server's outage are three different failures."""
    server.token_answer = answer
    with pytest.raises(kind) as refusal:
        await signed_in(relying_party, server)
    assert type(refusal.value) is kind
    assert server.token_route.call_count == 1


@pytest.mark.req("OIDC-3")
@pytest.mark.parametrize("absent", [ABSENT, None, ""])
async def test_a_sign_in_without_an_id_token_is_none(
    relying_party: RelyingParty, server: SimulatedServer, absent: object
) -> None:
    """An access token says nothing about who is there."""
    server.token = {"id_token": absent}
    with pytest.raises(InvalidIDToken, match="step 0"):
        await signed_in(relying_party, server)


@pytest.mark.req("BCP-15", "ATK-4", "ATK-1")
async def test_a_code_from_another_browser_is_found_by_its_nonce(
    relying_party: RelyingParty, server: SimulatedServer
) -> None:
    """A server that ignores PKCE still cannot place one person's code into another's sign-in."""
    _, transaction = await begun(relying_party, server)
    server.nonce = "the-attackers-nonce"
    with pytest.raises(InvalidIDToken) as refusal:
        await relying_party.complete_login(response_to(transaction), transaction)
    assert refusal.value.step == "11"


@pytest.mark.req("OA-4")
async def test_a_bare_token_answer_is_enough(
    relying_party: RelyingParty, server: SimulatedServer, clock: MovableClock
) -> None:
    """No expires_in means five minutes, no scope means the one we asked for, no refresh token means none."""
    server.token = {"expires_in": ABSENT, "scope": ABSENT, "refresh_token": ABSENT, "token_type": "bEARER"}
    tokens = (await signed_in(relying_party, server)).tokens
    assert tokens.expires_at == clock.now() + 300
    assert tokens.scope == {"openid", "offline_access", "api://todo/ToDoList.Read"}
    assert tokens.refresh_token is None


async def test_a_broken_clock_is_named_with_its_skew(
    relying_party: RelyingParty, server: SimulatedServer, clock: MovableClock
) -> None:
    """When a token is from the future, the error says how far the server's clock is ahead of ours."""
    _, transaction = await begun(relying_party, server)
    clock.advance(3600)
    await relying_party.begin_login(LoginRequest())
    clock.advance(-94)
    server.id_token = {"iat": int(clock.now()) + 94, "exp": int(clock.now()) + 4000}
    with pytest.raises(InvalidIDToken) as refusal:
        await relying_party.complete_login(response_to(transaction), transaction)
    assert refusal.value.step == "10"
    assert refusal.value.skew == pytest.approx(0, abs=1)


@pytest.mark.req("ATK-49", "OIDC-6")
async def test_a_rotated_key_signs_people_in_at_once(relying_party: RelyingParty, server: SimulatedServer) -> None:
    """The sign-in that meets a new key fetches it and goes on."""
    await signed_in(relying_party, server)
    server.keys = (rsa_key("rotated"),)
    server.id_token = {"key": rsa_key("rotated")}
    assert (await signed_in(relying_party, server)).subject
    assert server.jwks_route.call_count == 2


async def test_rules_are_judged_on_the_verified_claims(
    server: SimulatedServer, http: httpx.AsyncClient, clock: MovableClock
) -> None:
    """Who is who they say and does not match is not let in."""
    party = RelyingParty(registration(require=(Rule(claim="tid", equals="t1"),)), http=http, clock=clock)
    server.id_token = {"tid": "t1"}
    assert (await signed_in(party, server)).claims["tid"] == "t1"
    server.id_token = {"tid": "t2"}
    with pytest.raises(LoginNotPermitted):
        await signed_in(party, server)


@pytest.mark.req("OA-8")
async def test_a_server_that_names_another_issuer_gets_nobody(
    network: respx.MockRouter, relying_party: RelyingParty, server: SimulatedServer
) -> None:
    """Without believable metadata there is no request, and the site says that the service does not answer."""
    server.document["issuer"] = "https://evil.example"
    with pytest.raises(AuthorizationServerUnavailable):
        await relying_party.begin_login(LoginRequest())
    assert not await relying_party.ready()
    assert [str(call.request.url) for call in network.calls] == [METADATA_URL] * 2


async def test_it_is_ready_when_a_sign_in_could_be_completed(
    relying_party: RelyingParty, server: SimulatedServer, clock: MovableClock
) -> None:
    """Metadata and keys at hand are readiness; their outage is none, and is no exception either."""
    server.down = True
    assert not await relying_party.ready()
    server.down = False
    assert await relying_party.ready()
    server.down = True
    clock.advance(7200)
    assert await relying_party.ready()
