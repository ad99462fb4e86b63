"""A route that asks who calls before FastAPI does anything for the call, and once.

FastAPI would solve each rule, and the caller as a parameter, as a dependency of its own: twice the work, for an answer
that is known by then. So the rules are taken out of the route's dependencies, and the handler gets the caller from the
request that was judged. What cannot be done that way (a rule on a router that is included, a rule as a parameter) stays
a dependency, as everywhere.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Sequence
from functools import wraps
from typing import Any, get_type_hints

from fastapi import Request, Response
from fastapi.params import Depends as DependsParameter
from fastapi.routing import APIRoute

from resource_api.security.dependencies import PROVEN, Rule, authenticated, current_principal

_REQUEST = "request_of_the_caller"


class GuardedRoute(APIRoute):
    """A route whose own rules are asked before its body is read: who may not call is not parsed either."""

    def __init__(
        self,
        path: str,
        endpoint: Callable[..., Any],
        *,
        dependencies: Sequence[DependsParameter] | None = None,
        **options: Any,  # noqa: ANN401 — as APIRoute itself
    ) -> None:
        declared = list(dependencies or ())
        self.rules = tuple(one.dependency for one in declared if isinstance(one.dependency, Rule))
        left = [one for one in declared if not isinstance(one.dependency, Rule)]
        super().__init__(path, _given_caller(endpoint) if self.rules else endpoint, dependencies=left, **options)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's handler behind the route's rules."""
        handle, rules = super().get_route_handler(), self.rules

        async def guarded(request: Request) -> Response:
            principal = await authenticated(request)
            for rule in rules:
                rule.check(principal, request)
            return await handle(request)

        return guarded if rules else handle


def _given_caller(endpoint: Callable[..., Any]) -> Callable[..., Any]:
    """The endpoint as FastAPI shall see it: with the request in place of what asks for the caller."""
    try:
        hints, signature = get_type_hints(endpoint, include_extras=True), inspect.signature(endpoint)
    except (NameError, TypeError):
        return endpoint  # its annotations cannot be read here: FastAPI gives it its caller
    asking = [name for name in signature.parameters if _asks_for_caller(hints.get(name))]
    if not asking or any(one.kind is one.VAR_KEYWORD for one in signature.parameters.values()):
        return endpoint
    own = next((name for name, hint in hints.items() if inspect.isclass(hint) and issubclass(hint, Request)), None)

    @wraps(endpoint)
    def called(**values: Any) -> Any:  # noqa: ANN401 — what an endpoint returns is its own
        request: Request = values[own] if own else values.pop(_REQUEST)
        for name in asking:
            values[name] = request.scope[PROVEN][1]
        return endpoint(**values)

    kept = [one for name, one in signature.parameters.items() if name not in asking]
    added = [] if own else [inspect.Parameter(_REQUEST, inspect.Parameter.KEYWORD_ONLY, annotation=Request)]
    called.__signature__ = signature.replace(parameters=[*kept, *added])  # type: ignore[attr-defined]  # PEP 362
    return called


def _asks_for_caller(hint: Any) -> bool:  # noqa: ANN401 — a type hint may be anything
    return any(
        isinstance(one, DependsParameter) and one.dependency is current_principal
        for one in getattr(hint, "__metadata__", ())
    )
