from __future__ import annotations

import asyncio

import pytest

from bff.errors import AuthorizationServerUnavailable
from bff.oidc.metadata import AuthorizationServer, Metadata, is_secure
from tests.bff.oidc.simulated_server import HOST, SimulatedServer, metadata_document
from tests.world.clock import MovableClock
from tests.world.tokens import ABSENT, ISSUER

HOUR = 3600.0


def parse(**overrides: object) -> AuthorizationServer:
    """The server that a document with these overrides describes."""
    return AuthorizationServer.parse(metadata_document(**overrides), issuer=ISSUER)


def test_a_full_document_becomes_a_value() -> None:
    """Every member we use is taken over, and none is invented."""
    server = parse(prompt_values_supported=["none", "login", "create"])
    assert server.authorization_endpoint == f"{HOST}/authorize"
    assert server.end_session_endpoint == f"{HOST}/logout"
    assert server.revocation_endpoint == f"{HOST}/revoke"
    assert server.iss_parameter_supported
    assert server.prompt_values_supported == {"none", "login", "create"}


def test_metadata_as_thin_as_entras_is_enough() -> None:
    """A server that mentions neither PKCE nor iss nor revocation nor logout is a server all the same."""
    server = parse(
        code_challenge_methods_supported=ABSENT,
        revocation_endpoint=ABSENT,
        end_session_endpoint=None,
        authorization_response_iss_parameter_supported=ABSENT,
    )
    assert server.revocation_endpoint is None
    assert server.end_session_endpoint is None
    assert not server.iss_parameter_supported
    assert server.code_challenge_methods_supported == frozenset()


@pytest.mark.req("OA-8")
@pytest.mark.parametrize(
    "issuer", [ABSENT, None, 1, [ISSUER], "", ISSUER + "/", ISSUER.upper(), "https://evil.example", ISSUER + "?a=b"]
)
def test_another_issuer_is_refused(issuer: object) -> None:
    """The issuer is compared as a string, to the last slash."""
    with pytest.raises(ValueError, match="issuer"):
        parse(issuer=issuer)


@pytest.mark.req("BCP-5", "ATK-4")
@pytest.mark.parametrize("methods", [["plain"], ["s256"], ["S512", "plain"]])
def test_a_server_without_s256_is_refused(methods: list[str]) -> None:
    """Who says which PKCE methods it knows must know S256."""
    with pytest.raises(ValueError, match="S256"):
        parse(code_challenge_methods_supported=methods)


@pytest.mark.parametrize("name", ["authorization_endpoint", "token_endpoint", "jwks_uri"])
@pytest.mark.parametrize("value", [ABSENT, None, 1, "", "/token", "http://as.example/token", "https://u:p@as.example/"])
def test_a_required_endpoint_is_a_secure_url(name: str, value: object) -> None:
    """No endpoint means no server, and no code, token or key ever crosses an open network."""
    with pytest.raises(ValueError, match=name):
        parse(**{name: value})


@pytest.mark.parametrize("name", ["end_session_endpoint", "revocation_endpoint"])
@pytest.mark.parametrize("value", [1, "", "http://as.example/x", "javascript:alert(1)"])
def test_an_optional_endpoint_is_absent_or_secure(name: str, value: object) -> None:
    """An endpoint that is there and unsafe condemns the document; it is not merely skipped."""
    with pytest.raises(ValueError, match=name):
        parse(**{name: value})


@pytest.mark.parametrize("name", ["code_challenge_methods_supported", "prompt_values_supported"])
@pytest.mark.parametrize("value", ["S256", 1, [1], {"S256": True}])
def test_a_list_of_names_is_one(name: str, value: object) -> None:
    """A text that contains the right letters is not a list that contains the right name."""
    with pytest.raises(ValueError, match=name):
        parse(**{name: value})


@pytest.mark.parametrize("value", ["true", 1, None, []])
def test_iss_support_is_said_with_true(value: object) -> None:
    """Only the JSON true promises an iss, which we then require."""
    assert not parse(authorization_response_iss_parameter_supported=value).iss_parameter_supported


@pytest.mark.parametrize(
    ("url", "secure"),
    [
        ("https://as.example/token", True),
        ("https://as.example:8443/token?tenant=1", True),
        ("http://localhost:3002/token", True),
        ("http://127.0.0.1:3002/token", True),
        ("http://[::1]:3002/token", True),
        ("http://localhost.evil.example/token", False),
        ("http://127.0.0.1.nip.io/token", False),
        ("http://10.0.0.1/token", False),
        ("https://user@as.example/token", False),
        ("https://as.example/token#fragment", False),
        ("https://as.example/to ken", False),
        ("https://as.example/\n", False),
        ("https://[as.example/token", False),
        ("https://as.example:port/token", False),
        ("https:///token", False),
        ("ftp://as.example/token", False),
        ("https://as.example/" + "x" * 3000, False),
    ],
)
def test_a_secure_url_is_https_or_this_machine(url: str, secure: bool) -> None:
    """Plain http is for loopback alone, and a host is what a URL parser says it is."""
    assert is_secure(url) is secure


async def test_the_document_is_fetched_once_an_hour(
    server: SimulatedServer, metadata: Metadata, clock: MovableClock
) -> None:
    """Fresh means unasked; an hour later it is asked again, and the new document counts."""
    assert (await metadata.current()).issuer == ISSUER
    clock.advance(HOUR - 1)
    await metadata.current()
    assert server.metadata_route.call_count == 1
    server.document["token_endpoint"] = f"{HOST}/token2"
    clock.advance(1)
    assert (await metadata.current()).token_endpoint == f"{HOST}/token2"
    assert server.metadata_route.call_count == 2


async def test_many_who_ask_at_once_cost_one_fetch(server: SimulatedServer, metadata: Metadata) -> None:
    """A cold start under load asks the server once."""
    await asyncio.gather(*(metadata.current() for _ in range(50)))
    assert server.metadata_route.call_count == 1


async def test_one_who_goes_away_cancels_nobody(server: SimulatedServer, metadata: Metadata) -> None:
    """The first caller's disconnect does not fail the fetch that the others wait for."""
    first = asyncio.create_task(metadata.current())
    await asyncio.sleep(0)
    others = [asyncio.create_task(metadata.current()) for _ in range(3)]
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert {server_.issuer for server_ in await asyncio.gather(*others)} == {ISSUER}
    assert server.metadata_route.call_count == 1


async def test_a_server_that_is_down_is_remembered_for_a_day(
    server: SimulatedServer, metadata: Metadata, clock: MovableClock
) -> None:
    """Stale metadata serves for 24 hours, asked for anew every 30 seconds at most, and not a second longer."""
    await metadata.current()
    server.down = True
    clock.advance(HOUR)
    await metadata.current()
    clock.advance(29)
    await metadata.current()
    assert server.metadata_route.call_count == 2
    clock.advance(1)
    await metadata.current()
    assert server.metadata_route.call_count == 3
    clock.advance(23 * HOUR - 31)
    await metadata.current()
    clock.advance(1)
    with pytest.raises(AuthorizationServerUnavailable) as outage:
        await metadata.current()
    assert not outage.value.sent
    server.down = False
    assert (await metadata.current()).issuer == ISSUER


async def test_a_document_that_turned_bad_is_an_outage_and_not_believed(
    server: SimulatedServer, metadata: Metadata, clock: MovableClock
) -> None:
    """Another issuer in a later document changes nothing while the good one lasts, and is fatal after that."""
    await metadata.current()
    server.document["issuer"] = "https://evil.example"
    server.document["token_endpoint"] = "https://evil.example/token"
    clock.advance(HOUR)
    assert (await metadata.current()).token_endpoint == f"{HOST}/token"
    clock.advance(24 * HOUR)
    with pytest.raises(AuthorizationServerUnavailable, match=r"evil\.example"):
        await metadata.current()


async def test_what_a_server_lacks_is_said_once(
    server: SimulatedServer, metadata: Metadata, clock: MovableClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Entra's thin metadata is named when it is first read, and not at every hour's refresh (ADR 16)."""
    for name in ("revocation_endpoint", "end_session_endpoint", "code_challenge_methods_supported"):
        server.document.pop(name, None)
    for _ in range(3):
        await metadata.current()
        clock.advance(HOUR)
    said = [record.getMessage() for record in caplog.records if record.name == "bff.oidc.metadata"]
    assert len(said) == 3
    assert "revocation" in said[0]
