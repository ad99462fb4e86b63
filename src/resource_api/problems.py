"""From an error to what the caller gets: a table of statuses and problem types (RFC 9457), and its challenge.

Whose fault is it? decides the status: an outage never says 401. The public text is a constant of the class; what a
raiser added goes to the log under the same trace id. Nothing that was sent comes back.
"""

from __future__ import annotations

import json
import logging
import secrets
from collections.abc import Mapping, MutableMapping
from typing import Any, Final

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import iter_route_contexts
from starlette.exceptions import HTTPException

from resource_api import errors
from resource_api.challenges import Challenger, challenge

TYPE_PREFIX: Final = "urn:resource-api:problem:"
MEDIA_TYPE: Final = "application/problem+json"
_log = logging.getLogger(__name__)

TABLE: Final[Mapping[type[errors.ResourceAPIError], tuple[int, str]]] = {
    errors.ConfigurationError: (500, "misconfigured"),
    errors.NoCredentials: (401, "no-credentials"),
    errors.InvalidRequest: (400, "invalid-credentials"),
    errors.InvalidToken: (401, "invalid-token"),
    errors.InsufficientAuthentication: (401, "insufficient-authentication"),
    errors.InsufficientClaims: (401, "insufficient-claims"),
    errors.InsufficientScope: (403, "insufficient-scope"),
    errors.StepUpUnsupported: (403, "step-up-unsupported"),
    errors.MalformedRequest: (400, "malformed-request"),
    errors.InvalidInput: (422, "invalid-input"),
    errors.UnknownTodo: (404, "unknown-todo"),
    errors.PreconditionFailed: (412, "precondition-failed"),
    errors.UnknownResource: (404, "unknown-resource"),
    errors.UnknownPath: (404, "unknown-path"),
    errors.MethodNotAllowed: (405, "method-not-allowed"),
    errors.RequestTooLarge: (413, "request-too-large"),
    errors.UnsupportedMediaType: (415, "unsupported-media-type"),
    errors.KeySetUnavailable: (503, "keys-unavailable"),
    errors.IntrospectionUnavailable: (503, "introspection-unavailable"),
    errors.TodoStoreUnavailable: (503, "store-unavailable"),
    errors.UnexpectedFailure: (500, "unexpected-failure"),
}
"""A class that only groups others has no row: nobody raises it."""

_REASONS: Final[Mapping[str, str]] = {
    "missing": "is required",
    "string_type": "must be a string",
    "string_too_short": "is too short",
    "string_too_long": "is too long",
    "string_pattern_mismatch": "has characters that are not accepted, or says nothing",
    "string_unicode": "is not valid text",
    "model_attributes_type": "must be an object",
    "value_error": "must be a number",
    "greater_than_equal": "is too small",
    "less_than_equal": "is too large",
}


def trace_id(scope: MutableMapping[str, Any]) -> str:
    """The request's trace id: given by whoever logs requests, or made here and kept for the rest of the request."""
    state = scope.setdefault("state", {})
    made: str = state.setdefault("trace_id", secrets.token_hex(16))
    return made


def render(error: errors.ResourceAPIError, scope: MutableMapping[str, Any]) -> Response:
    """The problem of this error, noted in the log."""
    status, slug = TABLE[type(error)]
    trace = trace_id(scope)
    level = logging.WARNING if status >= 500 else logging.INFO  # noqa: PLR2004 — because it is HTTP's own line
    _log.log(level, "refused", extra={"problem": slug, "status": status, "detail": str(error), "trace_id": trace})
    body = {"type": TYPE_PREFIX + slug, "title": error.public, "status": status, "trace_id": trace}
    if isinstance(error, errors.InvalidInput):
        body["fields"] = dict(error.fields)
    headers = {"Cache-Control": "no-store", **_headers(error, _challenger(scope))}
    return Response(json.dumps(body), status, headers=headers, media_type=MEDIA_TYPE)


def _challenger(scope: MutableMapping[str, Any]) -> Challenger | None:
    """The resource server of the application that answers, where one protects it."""
    server: Challenger | None = getattr(getattr(scope.get("app"), "state", None), "resource_server", None)
    return server


def _headers(error: errors.ResourceAPIError, server: Challenger | None) -> dict[str, str]:
    """Challenges (RFC 6750 3), and what else a status obliges to (RFC 9110 15.5.6, 10.2.3)."""
    challenged = challenge(error, server)
    if challenged is not None:
        return {"WWW-Authenticate": challenged}
    match error:
        case errors.MethodNotAllowed(allowed=allowed):
            return {"Allow": ", ".join(allowed)}
        case errors.Unavailable(retry_after=seconds):
            return {"Retry-After": str(seconds)}
    return {}


def answer_own_errors(app: FastAPI) -> None:
    """Let an application answer the errors of this package, and no others, as problems."""

    async def own(request: Request, error: Exception) -> Response:
        return render(error if isinstance(error, errors.ResourceAPIError) else _unforeseen(error), request.scope)

    app.add_exception_handler(errors.ResourceAPIError, own)


def answer_all_errors(app: FastAPI) -> None:
    """Let an application answer whatever goes wrong as a problem: ours, FastAPI's, and what nobody foresaw."""

    async def refused(request: Request, error: Exception) -> Response:
        translated = _translated(error, request)
        if isinstance(translated, errors.MethodNotAllowed) and request.method == "OPTIONS":
            return Response(status_code=204, headers={"Allow": ", ".join(translated.allowed)})
        return render(translated, request.scope)

    answer_own_errors(app)
    for kind in (RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, refused)


def _translated(error: Exception, request: Request) -> errors.ResourceAPIError:
    if isinstance(error, RequestValidationError):
        return _of_validation(error, request)
    if isinstance(error, HTTPException):
        return _of_status(error, request)
    return _unforeseen(error)


def _unforeseen(error: Exception) -> errors.ResourceAPIError:
    return errors.UnexpectedFailure(type(error).__name__)


def _of_status(error: HTTPException, request: Request) -> errors.ResourceAPIError:
    match error.status_code:
        case 404:
            return errors.UnknownPath()
        case 405:
            return errors.MethodNotAllowed(methods_of(request.app, request.url.path))
        case 413:
            return errors.RequestTooLarge()
        case 400:
            return errors.MalformedRequest("the body could not be parsed")
    return errors.UnexpectedFailure(f"status {error.status_code}")


def methods_of(app: FastAPI, path: str) -> tuple[str, ...]:
    """Every method that any route of this path takes (RFC 9110 10.2.1): HEAD comes with GET, OPTIONS with all."""
    methods = {"OPTIONS"}
    for context in iter_route_contexts(app.routes):
        if context.path_regex.match(path):
            methods |= context.methods or set()
    return tuple(sorted(methods | ({"HEAD"} if "GET" in methods else set())))


def _of_validation(error: RequestValidationError, request: Request) -> errors.ResourceAPIError:
    """What cannot be read is 400 (A-10), another media type 415, what breaks a limit 422."""
    found = error.errors()
    places = {one["loc"] for one in found}
    if any(place[0] == "path" for place in places):
        return errors.MalformedRequest("a part of the path is not of its type")
    if any(one["type"] == "json_invalid" for one in found):
        return errors.MalformedRequest("the body is not JSON")
    if any(one["type"] == "missing" and one["loc"] == ("body",) for one in found):
        return errors.MalformedRequest("there is no body")
    if ("body",) in places:
        media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type != "application/json" and not media_type.endswith("+json"):
            return errors.UnsupportedMediaType()
    return errors.InvalidInput({str(one["loc"][-1]): _REASONS.get(one["type"], "cannot be accepted") for one in found})
