"""Profile jwt takes what Keycloak, Auth0, Okta and Amazon Cognito issue, and tells a person from an application."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from resource_api.security import ConfigurationError, InvalidToken, Issuer, ResourceServer, TokenRules
from tests.resource_api.security.conftest import verifier
from tests.world import other_tokens as shapes
from tests.world.clock import MovableClock
from tests.world.key_host import KeyHost
from tests.world.other_tokens import AUDIENCE, Shape
from tests.world.tokens import ABSENT

COGNITO_RULES = {
    "client_names_audience": True,
    "clients": frozenset({"xxxxxxxxxxxxexample", "jjjjjjjjjjjjexample"}),
    "roles_claim": "scope",
}
RULES: dict[str, dict[str, Any]] = {
    shapes.KEYCLOAK: {"roles_claim": "resource_access.things-api.roles"},
    shapes.AUTH0: {"roles_claim": "permissions"},
    shapes.OKTA: {"roles_claim": "scp"},
    shapes.COGNITO: COGNITO_RULES,
}
PERSONS = [shapes.KEYCLOAK_PERSON, shapes.AUTH0_PERSON, shapes.OKTA_PERSON, shapes.COGNITO_PERSON]
SERVICES = [shapes.KEYCLOAK_SERVICE, shapes.AUTH0_SERVICE, shapes.OKTA_SERVICE, shapes.COGNITO_SERVICE]
NAMES = ["keycloak", "auth0", "okta", "cognito"]
Trusting = Callable[..., ResourceServer]


@pytest.fixture
async def trusting(key_host: KeyHost, clock: MovableClock) -> AsyncIterator[Trusting]:
    """Makes a resource server as an operator of one of these servers configures it."""
    made: list[ResourceServer] = []

    def make(shape: Shape, **rules: Any) -> ResourceServer:
        issuer = shape.claims["iss"]
        server = ResourceServer(
            issuers=[Issuer(issuer, jwks_uri=key_host.jwks_uri)],
            rules=TokenRules(**{"audience": AUDIENCE, "profile": "jwt", **RULES[issuer], **rules}),
            transport=key_host.transport,
            clock=clock,
        )
        made.append(server)
        return server

    yield make
    for server in made:
        await server.aclose()


@pytest.mark.req("RS-2", "RS-7")
@pytest.mark.parametrize("shape", PERSONS, ids=NAMES)
async def test_a_person(trusting: Trusting, shape: Shape) -> None:
    """A person's token gives delegated scopes and no app role, whatever roles it carries."""
    principal = await verifier(trusting(shape))(shape.token())
    assert (principal.kind, principal.owner) == ("user", shape.claims["sub"])
    assert "things.read" in principal.scopes
    assert principal.app_roles == frozenset()


@pytest.mark.req("RS-2", "RS-7")
@pytest.mark.parametrize("shape", SERVICES, ids=NAMES)
async def test_an_application(trusting: Trusting, shape: Shape) -> None:
    """An application's own token gives app roles, where each server writes them, and no delegated scope."""
    principal = await verifier(trusting(shape))(shape.token())
    assert (principal.kind, principal.app_roles, principal.scopes) == (
        "app",
        frozenset({"things.read.all"}),
        frozenset(),
    )


@pytest.mark.req("RS-7", "ATK-51")
@pytest.mark.parametrize("shape", [*PERSONS, *SERVICES])
@pytest.mark.parametrize(
    "overrides",
    [{"aud": "https://other.example"}, {"aud": []}, {"cnf": {"jkt": "x"}}, {"nonce": "n"}, {"exp": 1}, {"iss": "x"}],
    ids=["audience", "no audience", "bound", "ID token", "expired", "issuer"],
)
async def test_what_none_of_them_may_be(trusting: Trusting, shape: Shape, overrides: dict[str, Any]) -> None:
    """Tokens for others, bound ones, ID tokens and expired ones are refused in every server's shape."""
    with pytest.raises(InvalidToken):
        await verifier(trusting(shape))(shape.token(**overrides))


@pytest.mark.req("RS-7")
@pytest.mark.parametrize(
    ("overrides", "step"),
    [
        ({"client_id": "stranger"}, "13 client"),
        ({"client_id": ABSENT}, "13 client"),
        ({"token_use": "id"}, "11 kind"),
        ({"aud": AUDIENCE + "/"}, "9 audience"),
        ({"aud": None}, "9 audience"),
    ],
)
async def test_a_client_in_the_audiences_place(trusting: Trusting, overrides: dict[str, Any], step: str) -> None:
    """Without ``aud`` the client must be a listed one; an ``aud`` that is there still has to name us."""
    shape = shapes.COGNITO_PERSON
    with pytest.raises(InvalidToken, match=step):
        await verifier(trusting(shape))(shape.token(**overrides))


@pytest.mark.req("RS-7")
async def test_a_missing_audience_is_refused_unless_told(trusting: Trusting) -> None:
    """Nobody gets a token without ``aud`` accepted by accident."""
    shape = shapes.COGNITO_PERSON
    with pytest.raises(InvalidToken, match="9 audience"):
        await verifier(trusting(shape, client_names_audience=False))(shape.token())
    with pytest.raises(ConfigurationError, match="client_names_audience"):
        trusting(shape, clients=frozenset())


@pytest.mark.req("RS-2")
@pytest.mark.parametrize(
    "overrides",
    [{"gty": "password"}, {"gty": ABSENT}, {"sub": "other_job@clients"}, {"sub": "auth0|5f7c8ec7c33c6c004bbafe82"}],
)
async def test_nobody_becomes_an_application_by_a_name(trusting: Trusting, overrides: dict[str, Any]) -> None:
    """Auth0's application is its own subject *and* got its token as one; either alone is a person's token."""
    principal = await verifier(trusting(shapes.AUTH0_SERVICE))(shapes.AUTH0_SERVICE.token(**overrides))
    assert (principal.kind, principal.app_roles) == ("user", frozenset())
