"""A route's rules are asked once, before its body, and the handler gets the caller whom they judged."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Annotated, Any

import pytest
from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import StreamingResponse

from resource_api.security import (
    ConfigurationError,
    CurrentPrincipal,
    GuardedRoute,
    ResourceServer,
    audit_routes,
    protect,
    requires,
)
from resource_api.security.needs import Needs
from resource_api.security.principal import Principal
from tests.resource_api.conftest import bearing, caller
from tests.world.tokens import ALICE, access_token

if TYPE_CHECKING:
    from decimal import Decimal

READ = requires(scopes={"ToDoList.Read"})


@pytest.fixture
def app(server: ResourceServer) -> FastAPI:
    """An application behind our rules."""
    app = FastAPI()
    protect(app, server)
    return app


@pytest.mark.parametrize("declared", ["application", "router", "included"])
async def test_a_rule_is_asked_once(app: FastAPI, monkeypatch: pytest.MonkeyPatch, declared: str) -> None:
    """However a rule was declared, one call asks it one time."""
    asked: list[str] = []
    check = Needs.check_granted

    def counted(needs: Needs, principal: Principal) -> None:
        asked.append(principal.owner)
        check(needs, principal)

    monkeypatch.setattr(Needs, "check_granted", counted)

    async def me(principal: CurrentPrincipal) -> str:
        return principal.owner

    router = APIRouter(route_class=GuardedRoute, dependencies=[READ] if declared == "router" else [])
    if declared == "application":
        app.get("/me", dependencies=[READ])(me)
    else:
        router.get("/me")(me)
        app.include_router(router, dependencies=[READ] if declared == "included" else [])
    audit_routes(app, app.state.resource_server)
    async with caller(app) as client:
        assert (await client.get("/me", headers=bearing(access_token()))).json() == ALICE
        assert asked == [ALICE]
        assert (await client.get("/me", headers=bearing(access_token(scp="Other")))).status_code == 403
        assert (await client.get("/me")).status_code == 401


async def _coroutine(principal: CurrentPrincipal, name: str) -> str:
    return f"{principal.owner} {name}"


def _plain(name: str, principal: CurrentPrincipal) -> str:
    return f"{principal.owner} {name}"


async def _with_the_request(principal: CurrentPrincipal, name: str, asked: Request) -> str:
    return f"{principal.owner} {asked.query_params['name']}" if name else ""


async def _twice(principal: CurrentPrincipal, again: CurrentPrincipal, name: str) -> str:
    return f"{principal.owner} {name}" if again is principal else ""


async def _with_a_default(principal: CurrentPrincipal, name: str = "none") -> str:
    return f"{principal.owner} {name}"


async def _unreadable_here(principal: CurrentPrincipal, name: str) -> Annotated[str, "Decimal"]:
    price: Decimal | None = None
    return f"{principal.owner} {name}" if price is None else ""


class _Callable:
    async def __call__(self, principal: CurrentPrincipal, name: str) -> str:
        return f"{principal.owner} {name}"


@pytest.mark.parametrize(
    "endpoint",
    [_coroutine, _plain, _with_the_request, _twice, _with_a_default, _unreadable_here, _Callable()],
    ids=["coroutine", "function", "request", "twice", "default", "unreadable", "object"],
)
async def test_every_kind_of_handler(app: FastAPI, endpoint: Any) -> None:
    """A handler of any shape gets its caller beside its own parameters, and the document shows only the latter."""
    app.get("/x", dependencies=[READ], name="x")(endpoint)
    async with caller(app) as client:
        answer = await client.get("/x", params={"name": "tea"}, headers=bearing(access_token()))
        assert (answer.status_code, answer.json()) == (200, f"{ALICE} tea")
        assert (await client.get("/x", params={"name": "tea"})).status_code == 401
    (operation,) = [methods["get"] for path, methods in app.openapi()["paths"].items() if path == "/x"]
    assert [one["name"] for one in operation["parameters"]] == ["name"]
    assert operation["security"] == [{"OAuth2": ["ToDoList.Read"]}]
    assert "OAuth2" in app.openapi()["components"]["securitySchemes"]


async def test_a_streaming_handler(app: FastAPI) -> None:
    """A handler that streams, as a response or as a generator, knows its caller as well."""

    def words(owner: str) -> Iterator[str]:
        yield from (owner, " ", "streamed")

    @app.get("/response", dependencies=[READ])
    async def response(principal: CurrentPrincipal) -> StreamingResponse:
        return StreamingResponse(words(principal.owner))

    @app.get("/lines", dependencies=[READ])
    async def lines(principal: CurrentPrincipal) -> AsyncIterator[str]:
        yield principal.owner

    async with caller(app) as client:
        assert (await client.get("/response", headers=bearing(access_token()))).text == f"{ALICE} streamed"
        assert ALICE in (await client.get("/lines", headers=bearing(access_token()))).text
        assert (await client.get("/lines")).status_code == 401


async def test_callers_do_not_meet(app: FastAPI) -> None:
    """A handler that calls the application itself, for somebody else, keeps its own caller."""
    other = access_token(oid="b0b00000-0000-4000-8000-000000000002", sub="bob")

    @app.get("/owner", dependencies=[READ])
    async def owner(principal: CurrentPrincipal) -> str:
        return principal.owner

    @app.get("/outer", dependencies=[READ])
    async def outer(principal: CurrentPrincipal) -> list[str]:
        async with caller(app) as client:
            inner = (await client.get("/owner", headers=bearing(other))).json()
        return [principal.owner, inner]

    async with caller(app) as client:
        owners = (await client.get("/outer", headers=bearing(access_token()))).json()
    assert owners == [ALICE, "b0b00000-0000-4000-8000-000000000002"]


def test_a_route_built_anew_without_its_rules_stops_the_start(app: FastAPI) -> None:
    """Whoever copies a route by its endpoint and dependencies gets one without a policy, which the audit names."""
    app.get("/x", dependencies=[READ])(_plain)
    (route,) = [one for one in app.routes if isinstance(one, GuardedRoute) and one.path == "/x"]
    copied = FastAPI()
    protect(copied, app.state.resource_server)
    copied.add_api_route("/x", route.endpoint, dependencies=route.dependencies)
    with pytest.raises(ConfigurationError, match="no policy"):
        audit_routes(copied, app.state.resource_server)
