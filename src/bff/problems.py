"""From an error to what the browser gets: one table of status, problem type and title (RFC 9457).

Whose fault is it? decides the status. An outage, ours or the authorization server's, never says 401.
The public text is the class's own; the detail goes to the log under the same trace id.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass

from starlette.responses import Response

from bff import errors
from bff.telemetry import logs, metrics

TYPE_PREFIX = "urn:bff:problem:"
_log = logs.get_logger("bff.problems")
_jitter = random.SystemRandom()


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the table: the HTTP status and the slug behind ``urn:bff:problem:``."""

    status: int
    slug: str


TABLE: dict[type[errors.BFFError], Row] = {
    errors.InvalidLoginRequest: Row(400, "login-invalid-request"),
    errors.UnknownLogin: Row(400, "login-expired"),
    errors.InvalidAuthorizationResponse: Row(400, "login-invalid-response"),
    errors.AuthorizationRefused: Row(403, "login-refused"),
    errors.CodeRefused: Row(400, "login-code-refused"),
    errors.InvalidIDToken: Row(502, "login-invalid-id-token"),
    errors.LoginNotPermitted: Row(403, "login-not-permitted"),
    errors.LoginLoop: Row(400, "login-loop"),
    errors.NoSession: Row(401, "no-session"),
    errors.SessionEnded: Row(401, "session-ended"),
    errors.SessionSuperseded: Row(401, "session-superseded"),
    errors.RefreshRefused: Row(401, "session-ended"),
    errors.SessionChanged: Row(409, "session-changed"),
    errors.SessionTooLarge: Row(500, "session-too-large"),
    errors.AntiforgeryHeaderMissing: Row(403, "antiforgery-header"),
    errors.CrossSiteRequest: Row(403, "antiforgery-cross-site"),
    errors.ForeignOrigin: Row(403, "antiforgery-origin"),
    errors.MalformedRequest: Row(400, "malformed-request"),
    errors.MisdirectedRequest: Row(421, "misdirected-request"),
    errors.UnknownRoute: Row(404, "unknown-route"),
    errors.UnknownSession: Row(404, "unknown-session"),
    errors.MethodNotAllowed: Row(405, "method-not-allowed"),
    errors.UpgradeRefused: Row(400, "upgrade-refused"),
    errors.RequestTooLarge: Row(413, "request-too-large"),
    errors.RequestStalled: Row(408, "request-stalled"),
    errors.TooManyRequests: Row(429, "too-many-requests"),
    errors.SpeculativeRequest: Row(503, "speculative-request"),
    errors.UpstreamUnauthorized: Row(401, "upstream-unauthorized"),
    errors.InvalidLogoutToken: Row(400, "invalid-logout-token"),
    errors.AuthorizationServerUnavailable: Row(503, "authority-unavailable"),
    errors.ClientRefused: Row(502, "authority-client-refused"),
    errors.ResourceAPIUnavailable: Row(502, "upstream-unavailable"),
    errors.ResourceAPITimeout: Row(504, "upstream-timeout"),
    errors.ResourceAPIBusy: Row(503, "upstream-busy"),
    errors.SessionStoreUnavailable: Row(503, "session-store-unavailable"),
}
# A class of the tree that only groups others has no row; whatever is not ours is an internal error.
INTERNAL = Row(500, "internal-error")


def row_of(error: Exception) -> Row:
    """The row of an error's class; anything outside the tree is an internal error."""
    return TABLE.get(type(error), INTERNAL) if isinstance(error, errors.BFFError) else INTERNAL


def note(error: Exception, trace_id: str) -> Row:
    """Write an error to the log and the metrics, once, where it is answered; return its row."""
    row = row_of(error)
    metrics.refusals.labels(row.slug).inc()
    if row is INTERNAL:
        _log.error("internal_error", trace_id=trace_id, kind=type(error).__name__, exc_info=error)
    elif isinstance(error, errors.Unavailable):
        _log.warning("unavailable", problem=row.slug, detail=str(error), trace_id=trace_id)
    else:
        _log.info("refused", problem=row.slug, detail=str(error), trace_id=trace_id)
    return row


def headers_of(error: Exception) -> dict[str, str]:
    """The headers a status asks for: ``Allow`` with 405, ``Retry-After`` with an outage (with jitter: ATK-67)."""
    headers = {
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "Cross-Origin-Resource-Policy": "same-origin",
    }
    if isinstance(error, errors.MethodNotAllowed):
        headers["Allow"] = ", ".join(sorted(error.allowed))
    if isinstance(error, errors.RequestStalled):
        headers["Connection"] = "close"  # what is left of the body may still come: nothing else may (RFC 9110 15.5.9)
    if isinstance(error, errors.TooManyRequests):
        headers["Retry-After"] = str(error.retry_after)
    if isinstance(error, errors.Unavailable):
        headers["Retry-After"] = str(error.retry_after + _jitter.randrange(error.retry_after + 1))
    return headers


def problem_response(error: Exception, trace_id: str) -> Response:
    """Render an error as ``application/problem+json``. Nothing of the request is echoed."""
    row = note(error, trace_id)
    title = error.public if isinstance(error, errors.BFFError) else "Something went wrong here."
    body: dict[str, object] = {
        "type": TYPE_PREFIX + row.slug,
        "title": title,
        "status": row.status,
        "trace_id": trace_id,
    }
    if isinstance(error, errors.SessionEnded):
        body["reason"] = error.reason
    return Response(
        json.dumps(body), status_code=row.status, headers=headers_of(error), media_type="application/problem+json"
    )
