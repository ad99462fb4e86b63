"""Every route says who may call it, or nothing starts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import httpx
import pytest
from fastapi import APIRouter, Depends, FastAPI, WebSocket
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from resource_api.app import create_app
from resource_api.security import (
    ConfigurationError,
    CurrentPrincipal,
    GuardedRoute,
    ResourceServer,
    audit_routes,
    owned,
    protect,
    public,
    requires,
)
from resource_api.settings import ResourceAPISettings
from tests.resource_api.conftest import bearing, caller
from tests.resource_api.security.conftest import ServerWith
from tests.world.key_host import KeyHost
from tests.world.tokens import ALICE, BOB, access_token, app_token

READ = requires(scopes={"ToDoList.Read"})


async def handler() -> str:
    """Answer anything."""
    return "answered"


@pytest.fixture
def foreign(server: ResourceServer) -> FastAPI:
    """Somebody else's application behind our rules."""
    app = FastAPI()
    protect(app, server)
    return app


def faults(app: FastAPI, server: ResourceServer) -> list[str]:
    """What the audit finds."""
    with pytest.raises(ConfigurationError) as refusal:
        audit_routes(app, server)
    return refusal.value.causes


def _plain(app: FastAPI) -> None:
    app.get("/x")(handler)


def _empty(app: FastAPI) -> None:
    app.get("/x", dependencies=[requires()])(handler)


def _rule(**needs: Any) -> Callable[[FastAPI], None]:
    def declare(app: FastAPI) -> None:
        app.get("/x", dependencies=[requires(**needs)])(handler)

    return declare


def _persons_then_apps(app: FastAPI) -> None:
    router = APIRouter(dependencies=[READ])
    router.get("/x", dependencies=[requires(app_roles=["A"])])(handler)
    app.include_router(router)


def _not_a_scope(app: FastAPI) -> None:
    app.get("/x", dependencies=[requires(scopes=["A B"])])(handler)


def _included(app: FastAPI) -> None:
    inner, outer = APIRouter(prefix="/inner"), APIRouter(prefix="/outer")
    inner.get("/x")(handler)
    outer.include_router(inner)
    app.include_router(outer)


def _websocket(app: FastAPI) -> None:
    @app.websocket("/x")
    async def speak(socket: WebSocket) -> None:
        await socket.accept()


def _starlette(app: FastAPI) -> None:
    app.router.routes.append(Route("/x", PlainTextResponse("x")))


def _mounted(app: FastAPI) -> None:
    app.router.routes.append(Mount("/x", PlainTextResponse("x")))


def _depends_on_something_else(app: FastAPI) -> None:
    app.get("/x", dependencies=[Depends(handler)])(handler)


def _public_and_ruled(app: FastAPI) -> None:
    app.get("/x", dependencies=[READ])(public(_fresh_handler()))


def _public_and_curious(app: FastAPI) -> None:
    async def curious(principal: CurrentPrincipal) -> str:
        return principal.subject

    app.get("/x")(public(curious))


def _asks_without_a_rule(app: FastAPI) -> None:
    async def curious(principal: CurrentPrincipal) -> str:
        return principal.subject

    app.get("/x")(curious)


def _fresh_handler() -> Callable[[], Any]:
    async def own() -> str:
        return "own"

    return own


@pytest.mark.req("RS-3", "P-01")
@pytest.mark.parametrize(
    ("declare", "named", "because"),
    [
        (_plain, "GET /x", "no policy"),
        (_empty, "GET /x", "empty"),
        (_not_a_scope, "GET /x", "no scope-token"),
        (_rule(all_scopes=["A B"]), "GET /x", "no scope-token"),
        (_rule(app_roles=["A"], acr=["c1"]), "GET /x", "asked of persons"),
        (_rule(app_roles=["A"], max_age=300), "GET /x", "asked of persons"),
        (_rule(scopes=["A"], max_age=0), "GET /x", "lets nobody pass"),
        (_rule(scopes=["A"], max_age=True), "GET /x", "lets nobody pass"),
        (_rule(scopes=["A"], acr=["gold"]), "GET /x", "no authentication context"),
        (_rule(scopes=["A"], acr=['c1"']), "GET /x", "cannot be in a challenge"),
        (_persons_then_apps, "GET /x", "one kind for both"),
        (_included, "GET /outer/inner/x", "no policy"),
        (_websocket, "/x", "no policy"),
        (_starlette, "/x", "no policy"),
        (_mounted, "/x", "no policy"),
        (_depends_on_something_else, "GET /x", "no policy"),
        (_public_and_ruled, "GET /x", "one of the two"),
        (_public_and_curious, "GET /x", "CurrentPrincipal"),
        (_asks_without_a_rule, "GET /x", "no policy"),
    ],
)
async def test_a_route_that_stops_the_start(
    foreign: FastAPI, server: ResourceServer, declare: Callable[[FastAPI], None], named: str, because: str
) -> None:
    """A route without a policy, or with one that cannot be meant, is named with its cure, and the start stops."""
    declare(foreign)
    (fault,) = faults(foreign, server)
    assert named in fault
    assert because in fault
    assert "Cure:" in fault
    with pytest.raises(ConfigurationError):
        async with foreign.router.lifespan_context(foreign):
            pytest.fail("it started")


@pytest.mark.req("P-01")
def test_all_routes_are_named_at_once(foreign: FastAPI, server: ResourceServer) -> None:
    """One start names every route that needs a policy."""
    for number in range(3):
        foreign.get(f"/{number}")(handler)
    foreign.get("/good", dependencies=[READ])(handler)
    assert [fault.split(":")[0] for fault in faults(foreign, server)] == ["GET /0", "GET /1", "GET /2"]


@pytest.mark.req("P-01")
def test_a_name_that_nobody_offers(foreign: FastAPI, server_with: ServerWith) -> None:
    """Where the API says what it offers, a rule that asks for another name stops the start."""
    server = server_with()
    server.scopes, server.app_roles = {"ToDoList.Read": ""}, {"ToDoList.Read.All": ""}
    foreign.get("/x", dependencies=[requires(scopes=["ToDoList.read"], app_roles=["ToDoList.Read"])])(handler)
    first, second = faults(foreign, server)
    assert "scope 'ToDoList.read' is unknown" in first
    assert "app role 'ToDoList.Read' is unknown" in second


@pytest.mark.req("P-01")
def test_a_single_string_is_no_collection() -> None:
    """A string in place of a collection would be read letter by letter: it is refused where it is written."""
    with pytest.raises(ConfigurationError, match=r"Cure: scopes=\{'A B'\}"):
        requires(scopes="A B")


@pytest.mark.req("P-01")
def test_two_rules_that_no_token_meets_at_once(foreign: FastAPI, server_with: ServerWith) -> None:
    """Where a token has one acr, rules of one route that name different ones stop the start."""
    router = APIRouter(dependencies=[requires(scopes=["A"], acr=["gold"])])
    router.get("/x", dependencies=[requires(scopes=["A"], acr=["silver"])])(handler)
    foreign.include_router(router)
    (fault,) = faults(foreign, server_with(profile="jwt"))
    assert "different acr" in fault


@pytest.mark.req("W-02", "A-08")
async def test_all_scopes(foreign: FastAPI) -> None:
    """With all_scopes every one is needed, with scopes beside it one of those too; case counts."""
    foreign.get("/all", dependencies=[requires(all_scopes=["A", "B"])])(handler)
    foreign.get("/both", dependencies=[requires(all_scopes=["A"], scopes=["B", "C"])])(_fresh_handler())
    async with foreign.router.lifespan_context(foreign), caller(foreign) as client:
        held = [access_token(scp=scp) for scp in ("A B", "B A C", "A", "B", "a b", "A C", "B C")]
        assert await statuses(client, "/all", *held) == [200, 200, 403, 403, 403, 403, 403]
        assert await statuses(client, "/both", *held) == [200, 200, 403, 403, 403, 200, 403]
        refusal = await client.get("/both", headers=bearing(held[3]))
    assert 'error="insufficient_scope", scope="A B C"' in refusal.headers["WWW-Authenticate"]
    paths = foreign.openapi()["paths"]
    assert paths["/all"]["get"]["security"] == [{"OAuth2": ["A", "B"]}]
    assert paths["/both"]["get"]["security"] == [{"OAuth2": ["A", "B"]}, {"OAuth2": ["A", "C"]}]


@dataclass
class Document:
    """Something with an owner."""

    owner: str


async def find_document(name: str) -> Document | None:
    """Alice's and Bob's documents."""
    return {"alice": Document(ALICE), "bob": Document(BOB)}.get(name)


@pytest.mark.req("A-09", "A-21")
async def test_ownership_is_a_dependency(foreign: FastAPI) -> None:
    """A person gets their own; what is another's and what is not there are one answer; an application gets all."""

    @foreign.get("/documents/{name}", dependencies=[requires(scopes=["A"], app_roles=["R"])])  # noqa: FAST003 — because the dependency takes it
    async def read(document: Annotated[Document, owned(find_document)]) -> str:
        return document.owner

    @foreign.get("/unruled/{name}")  # noqa: FAST003 — because of the same
    async def unruled(document: Annotated[Document, owned(find_document)]) -> str:
        return document.owner

    async with caller(foreign) as client:
        person, app = bearing(access_token(scp="A")), bearing(app_token(roles=["R"]))
        assert (await client.get("/documents/alice", headers=person)).json() == ALICE
        refusals = [await client.get(f"/documents/{name}", headers=person) for name in ("bob", "nobody")]
        assert {one.status_code for one in refusals} == {404}
        first, second = ({**one.json(), "trace_id": ""} for one in refusals)
        assert first == second
        assert (await client.get("/documents/bob", headers=app)).json() == BOB
        assert (await client.get("/documents/nobody", headers=app)).status_code == 404
        assert (await client.get("/unruled/alice", headers=person)).status_code == 401


async def test_a_principal_stays_as_it_was_verified(foreign: FastAPI) -> None:
    """A handler cannot change what the next call with the same token will see, at any depth."""
    seen: list[Any] = []

    @foreign.get("/x", dependencies=[READ])
    async def curious(principal: CurrentPrincipal) -> str:
        seen.append(principal)
        return "x"

    async with caller(foreign) as client:
        await client.get("/x", headers=bearing(access_token(groups=["a"], x={"y": [1]})))
    (principal,) = seen
    assert principal.claims["groups"] == ("a",)
    for change in (
        lambda: principal.claims.update(sub="evil"),
        lambda: principal.claims["x"].update(y=2),
        lambda: principal.claims["x"]["y"].append(2),
        lambda: setattr(principal, "kind", "app"),
    ):
        with pytest.raises((AttributeError, TypeError)):
            change()


def test_a_team_may_add_routes(settings: ResourceAPISettings, key_host: KeyHost) -> None:
    """The API takes a team's own routes, and asks the same of them."""
    app = create_app(settings, transport=key_host.transport)
    app.get("/team", dependencies=[READ])(handler)
    audit_routes(app, app.state.resource_server)
    app.get("/forgotten")(handler)
    assert [fault.split(":")[0] for fault in faults(app, app.state.resource_server)] == ["GET /forgotten"]


async def test_a_foreign_application(foreign: FastAPI) -> None:
    """Rules hold on the application's routes, on routers', on nested ones, and together; the caller is a parameter."""

    @foreign.get("/me", dependencies=[READ])
    async def me(principal: CurrentPrincipal) -> dict[str, str]:
        return {"owner": principal.owner}

    plain = APIRouter(prefix="/plain", dependencies=[READ])
    plain.get("/x", dependencies=[requires(scopes=["ToDoList.ReadWrite"])])(handler)
    guarded = APIRouter(prefix="/guarded", route_class=GuardedRoute)

    @guarded.post("/x")
    async def typed(body: dict[str, str], principal: Annotated[Any, READ]) -> str:
        return str(principal.kind) + body["x"]

    plain.include_router(guarded)
    foreign.include_router(plain)
    both, one = access_token(), access_token(scp="ToDoList.Read")
    async with foreign.router.lifespan_context(foreign), caller(foreign) as client:
        assert (await client.get("/me", headers=bearing(one))).status_code == 200
        assert await statuses(client, "/plain/x", both, one, app_token(), None) == [200, 403, 403, 401]
        answer = await client.post("/plain/guarded/x", json={"x": "!"}, headers=bearing(one))
        assert answer.json() == "user!"
        assert (await client.get("/openapi.json")).status_code == 200
        assert (await client.get("/docs")).status_code == 200


async def statuses(client: httpx.AsyncClient, path: str, *held: str | None) -> list[int]:
    """The statuses that these tokens get."""
    return [(await client.get(path, headers=bearing(token) if token else {})).status_code for token in held]


async def test_an_empty_rule_lets_nobody_pass(foreign: FastAPI) -> None:
    """Even if the start were not stopped, an empty rule is no open door."""
    foreign.get("/x", dependencies=[requires()])(handler)
    async with caller(foreign) as client:
        assert await statuses(client, "/x", access_token(), app_token(), None) == [403, 403, 401]


async def test_no_rule_no_principal(foreign: FastAPI) -> None:
    """Even if the start were not stopped, a handler that asks for a caller without a rule gets none."""
    _asks_without_a_rule(foreign)
    async with caller(foreign) as client:
        assert await statuses(client, "/x", access_token(), None) == [401, 401]


async def test_what_a_foreign_document_says(foreign: FastAPI) -> None:
    """Rules of several levels become one operation's alternatives; app roles and refusals are there."""
    router = APIRouter(prefix="/r", dependencies=[requires(scopes=["A", "B"], app_roles=["C"])])
    router.get("/x", dependencies=[requires(scopes=["D"])])(handler)
    router.get("/y")(_fresh_handler())
    foreign.include_router(router)
    document = foreign.openapi()
    operation = document["paths"]["/r/x"]["get"]
    assert operation["security"] == [{"OAuth2": ["A", "D"]}, {"OAuth2": ["B", "D"]}]
    assert operation["x-app-roles"] == ["C"]
    assert {"200", "401", "403", "503"} <= operation["responses"].keys()
    assert document["paths"]["/r/y"]["get"]["security"] == [{"OAuth2": ["A"]}, {"OAuth2": ["B"]}]
    assert foreign.openapi() == document


async def test_nobody_can_say_who_calls(foreign: FastAPI) -> None:
    """What a lifespan or a middleware leaves in the request's state is no proof of a caller."""
    foreign.get("/x", dependencies=[READ])(handler)
    async with caller(foreign) as client:
        assert await statuses(client, "/x", access_token()) == [200]

    async def claiming(scope: dict[str, Any], receive: object, send: object) -> None:
        scope.setdefault("state", {})["principal"] = "admin"
        await foreign(scope, receive, send)  # type: ignore[arg-type]  # passed on as they came

    transport = httpx.ASGITransport(claiming)  # type: ignore[arg-type]  # an ASGI application
    async with httpx.AsyncClient(transport=transport, base_url="http://api.test") as client:
        assert await statuses(client, "/x", None) == [401]
