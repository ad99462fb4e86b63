"""What the OpenAPI document says of a protected API: one OAuth2 scheme, each operation's needs and refusals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI
from fastapi.routing import RouteContext, iter_route_contexts

from resource_api.security.dependencies import SCHEME_NAME
from resource_api.security.needs import scope_alternatives
from resource_api.security.resource_server import ResourceServer
from resource_api.security.route_audit import rules_of

PROBLEM_SCHEMA: dict[str, Any] = {
    "title": "Problem",
    "description": "A refusal or an outage (RFC 9457).",
    "type": "object",
    "required": ["type", "title", "status", "trace_id"],
    "properties": {
        "type": {"type": "string", "format": "uri", "description": "urn:resource-api:problem:<slug>"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "trace_id": {"type": "string", "description": "finds the request in the log"},
        "fields": {
            "type": "object",
            "additionalProperties": {"type": "string"},
            "description": "what is wrong, by field",
        },
    },
}


def problem_response(description: str, *headers: str) -> dict[str, Any]:
    """An OpenAPI response whose body is a problem."""
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    response: dict[str, Any] = {"description": description, "content": content}
    if headers:
        response["headers"] = {name: {"schema": {"type": "string"}} for name in headers}
    return response


def describe_protection(app: FastAPI, server: ResourceServer) -> None:
    """Let ``app.openapi()`` say what each operation needs; it is made once, and its flows follow the metadata."""
    plain: Callable[[], dict[str, Any]] = app.openapi

    described: dict[str, Any] | None = None

    def openapi() -> dict[str, Any]:
        nonlocal described
        document = plain()
        if document is not described:
            _describe(document, app)
            described = document
        if any(rules_of(context) for context in iter_route_contexts(app.routes)):
            document["components"].setdefault("securitySchemes", {})[SCHEME_NAME] = _scheme(server)
        return document

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI documents this as the way to extend the document


def _describe(document: dict[str, Any], app: FastAPI) -> None:
    document.setdefault("components", {}).setdefault("schemas", {})["Problem"] = PROBLEM_SCHEMA
    for context in iter_route_contexts(app.routes):
        path = document["paths"].get(context.path_format or "", {})
        for method in context.methods or ():
            operation = path.get(method.lower())
            if operation is not None and rules_of(context):
                _describe_operation(operation, context)


def _describe_operation(operation: dict[str, Any], context: RouteContext) -> None:
    """Each set of scopes that is enough is a requirement of its own (OpenAPI 3.1, Security Requirement Object)."""
    needs = [rule.needs for rule in rules_of(context)]
    operation["security"] = [{SCHEME_NAME: sorted(enough)} for enough in scope_alternatives(needs)]
    ages = [one.max_age for one in needs if one.max_age is not None]
    more = {
        "x-app-roles": [role for one in needs for role in one.app_roles],
        "x-acr-values": [value for one in needs for value in one.acr],
        "x-max-age": min(ages, default=None),
    }
    operation |= {name: value for name, value in more.items() if value}
    operation["responses"] |= {
        "401": problem_response("No bearer token, or one that was refused", "WWW-Authenticate"),
        "403": problem_response("The token does not permit this", "WWW-Authenticate"),
        "503": problem_response("The issuer's keys or the store do not answer", "Retry-After"),
    }
    operation["responses"] = dict(sorted(operation["responses"].items()))


def _scheme(server: ResourceServer) -> dict[str, Any]:
    """OAuth2 with the endpoints that the issuer's metadata named, as soon as it was read."""
    scopes = dict(server.scopes or {})
    endpoints = server.endpoints()
    flows: dict[str, Any] = {}
    if endpoints and endpoints.token_endpoint:
        flows["clientCredentials"] = {"tokenUrl": endpoints.token_endpoint, "scopes": {}}
        if endpoints.authorization_endpoint:
            urls = {"authorizationUrl": endpoints.authorization_endpoint, "tokenUrl": endpoints.token_endpoint}
            flows["authorizationCode"] = {**urls, "scopes": scopes}
    return {
        "type": "oauth2",
        "description": "An access token for this API, sent as a bearer token (RFC 6750 2.1)."
        + "".join(f"\n\n- `{name}`: {meaning}" for name, meaning in scopes.items()),
        "flows": flows,
    }
