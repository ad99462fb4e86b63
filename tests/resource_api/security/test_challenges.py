"""What a refused caller is told: RFC 6750, step-up by RFC 9470, Entra's claims challenge, and metadata by RFC 9728."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from resource_api.app import create_app
from resource_api.security import (
    CurrentPrincipal,
    Issuer,
    ResourceServer,
    TokenRules,
    protect,
    require_issued_after,
    requires,
)
from tests.resource_api.conftest import bearing, caller, settings_with
from tests.resource_api.security.conftest import ServerWith
from tests.world.clock import MovableClock
from tests.world.key_host import KeyHost
from tests.world.tokens import API_CLIENT_ID, ISSUER, METADATA_URL, access_token, app_token

AUTHORIZE = "https://contoso.ciamlogin.com/oauth2/v2.0/authorize"
CHALLENGE = re.compile(
    r'Bearer(?: (?:[a-z_]+="[\x20\x21\x23-\x5b\x5d-\x7e]*")(?:, [a-z_]+="[\x20\x21\x23-\x5b\x5d-\x7e]*")*)?'
)


def challenge(response: httpx.Response) -> dict[str, str]:
    """The parameters of a response's only challenge, which is well formed (RFC 9110 11.6.1)."""
    (value,) = response.headers.get_list("WWW-Authenticate")
    assert CHALLENGE.fullmatch(value), value
    return dict(re.findall(r'([a-z_]+)="([^"]*)"', value))


def protected(server: ResourceServer, acr: str) -> FastAPI:
    """An application with one route of each kind of step-up."""
    app = FastAPI()
    protect(app, server)

    @app.get("/strong", dependencies=[requires(scopes=["ToDoList.Read"], app_roles=["ToDoList.Read.All"], acr=[acr])])
    async def strong() -> str:
        return "strong"

    @app.get("/recent", dependencies=[requires(scopes=["ToDoList.Read"], max_age=300)])
    async def recent() -> str:
        return "recent"

    @app.get("/both", dependencies=[requires(scopes=["ToDoList.Read"], acr=[acr, f"{acr}2"], max_age=300)])
    async def both() -> str:
        return "both"

    @app.get("/revocable", dependencies=[requires(scopes=["ToDoList.Read"])])
    async def revocable(principal: CurrentPrincipal, since: float) -> str:
        require_issued_after(principal, since)
        return "revocable"

    return app


@pytest.fixture
async def generic(server_with: ServerWith) -> AsyncIterator[httpx.AsyncClient]:
    """A caller of an API that takes RFC 9068's tokens."""
    app = protected(server_with(profile="rfc9068"), "gold")
    async with app.router.lifespan_context(app), caller(app) as client:
        yield client


@pytest.fixture
async def entra(server_with: ServerWith, key_host: KeyHost) -> AsyncIterator[httpx.AsyncClient]:
    """A caller of an API that takes Entra's tokens."""
    key_host.endpoints = {"authorization_endpoint": AUTHORIZE}
    server = server_with()
    await server.check_keys()
    app = protected(server, "c1")
    async with app.router.lifespan_context(app), caller(app) as client:
        yield client


async def answered() -> str:
    """Answer anything."""
    return "answered"


async def get(client: httpx.AsyncClient, path: str, **claims: Any) -> httpx.Response:
    """Call as a person whose token has these claims."""
    return await client.get(path, headers=bearing(access_token(**claims)))


@pytest.mark.req("RS-9")
@pytest.mark.parametrize(
    ("path", "claims", "asked"),
    [
        ("/strong", {}, {"acr_values": "gold"}),
        ("/strong", {"acr": "silver"}, {"acr_values": "gold"}),
        ("/strong", {"acr": "GOLD"}, {"acr_values": "gold"}),
        ("/strong", {"acr": "gold"}, None),
        ("/recent", {}, {"max_age": "300"}),
        ("/recent", {"auth_time": -331}, {"max_age": "300"}),
        ("/recent", {"auth_time": -329}, None),
        ("/both", {"acr": "gold", "auth_time": -331}, {"acr_values": "gold gold2", "max_age": "300"}),
        ("/both", {"acr": "silver", "auth_time": 0}, {"acr_values": "gold gold2", "max_age": "300"}),
        ("/both", {"acr": "gold2", "auth_time": 0}, None),
    ],
)
async def test_step_up(
    generic: httpx.AsyncClient, clock: MovableClock, path: str, claims: dict[str, Any], asked: dict[str, str] | None
) -> None:
    """Who signed in by other means, or too long ago, is told by which and how lately (RFC 9470 3)."""
    if "auth_time" in claims:
        claims = {**claims, "auth_time": int(clock.now()) + claims["auth_time"]}
    response = await get(generic, path, profile="rfc9068", **claims)
    if asked is None:
        assert response.status_code == 200
        return
    told = challenge(response)
    assert response.status_code == 401
    assert told.pop("error") == "insufficient_user_authentication"
    assert told.pop("error_description")
    assert told == asked


@pytest.mark.req("RS-9")
async def test_a_scope_is_asked_first(generic: httpx.AsyncClient) -> None:
    """Nobody is sent to sign in again for something that they may not do anyway."""
    response = await get(generic, "/strong", profile="rfc9068", scope="other")
    assert (response.status_code, challenge(response)["error"]) == (403, "insufficient_scope")


@pytest.mark.req("RS-9")
@pytest.mark.parametrize("claims", [{"auth_time": "1"}, {"auth_time": None}, {"acr": 1}, {"acr": ""}, {"acr": None}])
async def test_a_bent_sign_in_is_no_sign_in(generic: httpx.AsyncClient, claims: dict[str, Any]) -> None:
    """An acr or auth_time of another type is a refused token, not one that lacks it."""
    assert challenge(await get(generic, "/strong", profile="rfc9068", **claims))["error"] == "invalid_token"


@pytest.mark.req("RS-9")
async def test_a_sign_in_in_the_future(generic: httpx.AsyncClient, clock: MovableClock) -> None:
    """A token that says its person will sign in tomorrow is refused: it would be recent for ever."""
    response = await get(generic, "/recent", profile="rfc9068", auth_time=int(clock.now()) + 86_400)
    assert challenge(response)["error"] == "invalid_token"


async def test_an_application_never_signs_in(entra: httpx.AsyncClient) -> None:
    """A route that names app roles lets them pass: acr is asked of persons."""
    assert (await entra.get("/strong", headers=bearing(app_token()))).status_code == 200


@pytest.mark.req("K-17", "K-60", "K-62", "K-63")
@pytest.mark.parametrize("capability", ["cp1", "CP1"])
async def test_entras_claims_challenge(entra: httpx.AsyncClient, capability: str) -> None:
    """A client that declares cp1, in any case, is told in base64 which context its next token needs."""
    response = await get(entra, "/strong", xms_cc=[capability])
    told = challenge(response)
    assert response.status_code == 401
    assert json.loads(base64.b64decode(told.pop("claims"))) == {
        "access_token": {"acrs": {"essential": True, "value": "c1"}}
    }
    assert told == {"realm": "", "authorization_uri": AUTHORIZE, "error": "insufficient_claims"}


@pytest.mark.req("K-60")
async def test_several_contexts(entra: httpx.AsyncClient) -> None:
    """Where any of several contexts will do, all are named (OIDC Core 5.5.1)."""
    told = challenge(await get(entra, "/both", xms_cc=["cp1"]))
    wanted = json.loads(base64.b64decode(told["claims"]))["access_token"]["acrs"]
    assert wanted == {"essential": True, "values": ["c1", "c12"]}


@pytest.mark.req("K-63")
@pytest.mark.parametrize("claims", [{}, {"xms_cc": []}, {"xms_cc": ["cp2"]}, {"xms_cc": ["protapp"]}])
async def test_no_challenge_that_nobody_understands(entra: httpx.AsyncClient, claims: dict[str, Any]) -> None:
    """A client that does not declare cp1 gets a plain 403, without a challenge it would loop on."""
    response = await get(entra, "/strong", **claims)
    assert (response.status_code, response.json()["type"].rsplit(":", 1)[1]) == (403, "step-up-unsupported")
    assert "WWW-Authenticate" not in response.headers


@pytest.mark.req("K-17", "K-60")
async def test_a_context_that_is_there(entra: httpx.AsyncClient, clock: MovableClock) -> None:
    """A token with the context passes; one whose sign-in is too old is asked for a newer one in RFC 9470's words."""
    assert (await get(entra, "/strong", acrs=["c1", "c2"])).status_code == 200
    response = await get(entra, "/both", acrs=["c1"], auth_time=int(clock.now()) - 1000, xms_cc=["cp1"])
    assert challenge(response)["max_age"] == "300"


@pytest.mark.req("K-54", "K-60", "K-63")
async def test_continuous_access_evaluation(entra: httpx.AsyncClient, clock: MovableClock) -> None:
    """After a critical event a capable client is challenged with nbf; any other has an invalid token."""
    now = int(clock.now())
    old, new = {"iat": now - 100}, {"iat": now}
    told = challenge(await get(entra, f"/revocable?since={now - 50}", xms_cc=["cp1"], **old))
    assert told["error"] == "insufficient_claims"
    assert json.loads(base64.b64decode(told["claims"])) == {
        "access_token": {"nbf": {"essential": True, "value": str(now - 50)}}
    }
    assert challenge(await get(entra, f"/revocable?since={now - 50}", **old))["error"] == "invalid_token"
    assert (await get(entra, f"/revocable?since={now - 50}", **new)).status_code == 200


RESOURCES = [
    ("https://api.example", "/.well-known/oauth-protected-resource"),
    ("https://api.example/", "/.well-known/oauth-protected-resource"),
    ("https://api.example/things", "/.well-known/oauth-protected-resource/things"),
]


@pytest.mark.req("RS-10", "RS-3")
@pytest.mark.parametrize(("resource", "path"), RESOURCES)
async def test_metadata_of_the_resource(key_host: KeyHost, resource: str, path: str) -> None:
    """It is at its well-known path, names us exactly, and every challenge, of any status, points there (RFC 9728)."""
    server = ResourceServer(
        issuers=[Issuer(ISSUER, METADATA_URL)],
        rules=TokenRules(audience=API_CLIENT_ID),
        scopes={"ToDoList.Read": "read"},
        resource=resource,
        transport=key_host.transport,
    )
    app = FastAPI()
    protect(app, server)
    app.get("/x", dependencies=[requires(scopes=["ToDoList.Read"])])(answered)
    async with caller(app) as client:
        document = (await client.get(path)).json()
        told = [
            challenge(await client.get("/x", headers=headers))
            for headers in ({}, bearing("bad"), bearing(access_token(scp="Other")))
        ]
        two = await client.get("/x", headers=[("Authorization", "Bearer a"), ("Authorization", "Bearer b")])
    await server.aclose()
    assert document == {
        "resource": resource,
        "authorization_servers": [ISSUER],
        "bearer_methods_supported": ["header"],
        "scopes_supported": ["ToDoList.Read"],
    }
    assert {one["resource_metadata"] for one in [*told, challenge(two)]} == {f"https://api.example{path}"}
    assert [one.get("error") for one in told] == [None, "invalid_token", "insufficient_scope"]
    assert (two.status_code, challenge(two)["error"]) == (400, "invalid_request")


@pytest.mark.req("RS-10")
async def test_metadata_only_where_we_have_a_name(tmp_path: Any, key_host: KeyHost) -> None:
    """The to-do API publishes it by its setting ``resource``; without one there is nothing to say, and no pointer."""
    for resource, status in ((None, 404), ("https://todo.example", 200)):
        app = create_app(settings_with(tmp_path, resource=resource), transport=key_host.transport)
        async with app.router.lifespan_context(app), caller(app) as client:
            response = await client.get("/.well-known/oauth-protected-resource")
            told = challenge(await client.get("/api/todolist"))
        assert response.status_code == status
        assert ("resource_metadata" in told) is (resource is not None)
