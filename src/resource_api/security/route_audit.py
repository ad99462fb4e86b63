"""Every route says who may call it, or the application does not start: all the routes that do not, at once, by name."""

from __future__ import annotations

import re
from collections.abc import Iterator

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import RouteContext, iter_route_contexts

from resource_api.errors import ConfigurationError
from resource_api.security.dependencies import Rule, current_principal, is_public
from resource_api.security.guarded_route import GuardedRoute
from resource_api.security.needs import Needs
from resource_api.security.resource_server import ResourceServer

_ENTRA_CONTEXT = re.compile(r"c[1-9][0-9]?").fullmatch
_SCOPE_TOKEN = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+").fullmatch


def audit_routes(app: FastAPI, server: ResourceServer) -> None:
    """Raise ConfigurationError with one line for each route without a policy, or with one that cannot be meant.

    FastAPI's own documentation pages are public where the application has them. A mounted application has no rule of
    ours: it is refused, since nobody could say here who may call it.
    """
    own_pages = {app.openapi_url, app.docs_url, app.redoc_url, app.swagger_ui_oauth2_redirect_url}
    faults = [
        f"{_name(context)}: {fault}"
        for context in iter_route_contexts(app.routes)
        if context.path not in own_pages or isinstance(getattr(context, "dependant", None), Dependant)
        for fault in _faults(context, server)
    ]
    if faults:
        raise ConfigurationError(faults)


def rules_of(context: RouteContext) -> list[Rule]:
    """Every rule a route will ask: its own, its router's, and those its parameters depend on."""
    dependant, route = getattr(context, "dependant", None), context.original_route
    asked = [one.call for one in _all(dependant)] if isinstance(dependant, Dependant) else []
    own = route.rules if isinstance(route, GuardedRoute) else ()
    return [*(one for one in asked if isinstance(one, Rule)), *own]


def _faults(context: RouteContext, server: ResourceServer) -> Iterator[str]:
    rules = rules_of(context)
    if is_public(context.endpoint):
        if rules:
            yield "it is marked @public and has a rule. Cure: one of the two"
        if _asks_for_principal(context):
            yield "it is marked @public and asks for a CurrentPrincipal. Cure: requires(...) in place of @public"
    elif not rules:
        yield "it declares no policy. Cure: dependencies=[requires(scopes=…, app_roles=…)], or @public"
    needs = [rule.needs for rule in rules]
    for one in needs:
        yield from _rule_faults(one, server)
    yield from _together_faults(needs, server)


def _rule_faults(needs: Needs, server: ResourceServer) -> Iterator[str]:
    if not needs.admits_persons and not needs.admits_apps:
        yield "its rule is empty, so that nobody could pass. Cure: name a scope or an app role"
    scopes = (*needs.scopes, *needs.all_scopes)
    for kind, names, known in (("scope", scopes, server.scopes), ("app role", needs.app_roles, server.app_roles)):
        for name in names:
            if _SCOPE_TOKEN(name) is None:
                yield f"{kind} {name!r} is no scope-token (RFC 6749 3.3). Cure: one name an element, without spaces"
            elif known is not None and name not in known:
                yield f"{kind} {name!r} is unknown. Cure: one of {', '.join(known)}"
    yield from _sign_in_faults(needs, server)


def _sign_in_faults(needs: Needs, server: ResourceServer) -> Iterator[str]:
    """What is asked of how a person signed in, and could never be answered."""
    if (needs.acr or needs.max_age is not None) and not needs.admits_persons:
        yield "acr and max_age are asked of persons, and it lets none pass. Cure: name a scope, or remove them"
    if needs.max_age is not None and (isinstance(needs.max_age, bool) or needs.max_age < 1):
        yield f"max_age={needs.max_age!r} lets nobody pass. Cure: a number of seconds, at least 1"
    entra = server.rules.profile == "entra-v2"
    for value in needs.acr:
        if _SCOPE_TOKEN(value) is None:
            yield f"acr {value!r} cannot be in a challenge (RFC 9470 3). Cure: one value an element, without spaces"
        elif entra and _ENTRA_CONTEXT(value) is None:
            yield f"acr {value!r} is no authentication context of Entra. Cure: c1 to c99, as the tenant publishes them"


def _together_faults(needs: list[Needs], server: ResourceServer) -> Iterator[str]:
    """Rules that are each right, and that nobody could meet at once."""
    each = [one for one in needs if one.admits_persons or one.admits_apps]
    if each and not (all(one.admits_persons for one in each) or all(one.admits_apps for one in each)):
        yield "of its rules one admits persons only and another applications only. Cure: one kind for both"
    asked = [frozenset(one.acr) for one in needs if one.acr]
    if server.rules.profile != "entra-v2" and asked and not frozenset.intersection(*asked):
        yield "its rules ask for different acr, and a token has one. Cure: an acr that all of them name"


def _asks_for_principal(context: RouteContext) -> bool:
    dependant = getattr(context, "dependant", None)
    return isinstance(dependant, Dependant) and any(one.call is current_principal for one in _all(dependant))


def _all(dependant: Dependant) -> Iterator[Dependant]:
    for one in dependant.dependencies:
        yield one
        yield from _all(one)


def _name(context: RouteContext) -> str:
    methods = ",".join(sorted(context.methods or ())) or type(context.original_route).__name__
    return f"{methods} {context.path}"
