"""The seam to FastAPI: a rule on every route, and the caller as a parameter.

    @router.get("/todos", dependencies=[requires(scopes={"ToDoList.Read"})])
    async def todos(principal: CurrentPrincipal) -> ...

``GuardedRoute`` (guarded_route.py) asks a route's own rules before a byte of the body is read; ``protect`` makes it the
application's, and a router takes it as ``APIRouter(route_class=GuardedRoute)``. Elsewhere a rule is any dependency.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Annotated, Any, Final, TypeVar

from fastapi import Depends, Request, Security
from fastapi.openapi.models import OAuth2, OAuthFlows
from fastapi.security.base import SecurityBase

from resource_api.errors import ConfigurationError, NoCredentials
from resource_api.security.needs import Needs
from resource_api.security.principal import Principal
from resource_api.security.resource_server import ResourceServer

SCHEME_NAME: Final = "OAuth2"
PROVEN: Final = "resource_api.proven"
"""The ASGI scope's key for who was verified by whom: no request and no lifespan state can write there."""
_PUBLIC: Final = "__public_route__"
_Endpoint = TypeVar("_Endpoint", bound=Callable[..., Any])


class Rule(SecurityBase):
    """Who may call, as a dependency. A rule without a name lets nobody pass, and stops the start before that."""

    model = OAuth2(flows=OAuthFlows())
    scheme_name = SCHEME_NAME

    def __init__(self, needs: Needs) -> None:
        self.needs = needs
        self._asks_how = bool(needs.acr) or needs.max_age is not None

    async def __call__(self, request: Request) -> Principal:
        """Authenticate the request once, then check this rule. Raises AuthenticationError or InsufficientScope."""
        principal = await authenticated(request)
        self.check(principal, request)
        return principal

    def check(self, principal: Principal, request: Request) -> None:
        """Raise InsufficientScope or InsufficientAuthentication unless this caller may pass."""
        self.needs.check_granted(principal)
        if self._asks_how:
            server: ResourceServer = request.app.state.resource_server
            server.check_signed_in(self.needs, principal)


def requires(
    *,
    scopes: Collection[str] = (),
    app_roles: Collection[str] = (),
    all_scopes: Collection[str] = (),
    acr: Collection[str] = (),
    max_age: int | None = None,
) -> Any:  # noqa: ANN401 — as Security() itself
    """A dependency: any of ``scopes`` and every one of ``all_scopes`` for a person, any app role for an application.

    ``acr`` is any one of these ways to have signed in, ``max_age`` how many seconds ago at most (RFC 9470). A single
    string is a mistake that would be read letter by letter; it raises ConfigurationError.
    """
    named = {"scopes": scopes, "app_roles": app_roles, "all_scopes": all_scopes, "acr": acr}
    for name, names in named.items():
        if isinstance(names, str):
            raise ConfigurationError([f"requires({name}={names!r}) is one string. Cure: {name}={{{names!r}}}"])
    needs = Needs(tuple(scopes), tuple(app_roles), tuple(all_scopes), tuple(acr), max_age)
    return Security(Rule(needs), scopes=[*needs.all_scopes, *needs.scopes])


def public(endpoint: _Endpoint) -> _Endpoint:
    """Mark a route that anybody may call; below the route's own decorator, and as visible as that."""
    setattr(endpoint, _PUBLIC, True)
    return endpoint


def is_public(endpoint: object) -> bool:
    """Whether the route was marked as one that anybody may call."""
    return getattr(endpoint, _PUBLIC, False) is True


async def authenticated(request: Request) -> Principal:
    """The caller, verified once per request by the application's own resource server."""
    scope = request.scope
    server: ResourceServer = scope["app"].state["resource_server"]
    proven = scope.get(PROVEN)
    if proven is None or proven[0] is not server:
        proven = scope[PROVEN] = (server, await server.authenticate(scope["headers"]))
    principal: Principal = proven[1]
    return principal


async def current_principal(request: Request) -> Principal:
    """The caller whom the route's rule let pass. Raises NoCredentials where no rule was asked: nobody was let pass."""
    if PROVEN not in request.scope:
        raise NoCredentials("no rule was asked before the handler")
    return await authenticated(request)


CurrentPrincipal = Annotated[Principal, Depends(current_principal)]
