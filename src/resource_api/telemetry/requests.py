"""One line for each request, and the id under which everything about it is found. A pure ASGI middleware."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import MutableMapping
from typing import Any

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_TRACEPARENT = re.compile(rb"00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}").fullmatch


class RequestLog:
    """Gives a request its trace id (W3C Trace Context, where the caller sent one) and every response three headers.

    ``X-Request-Id`` is the trace id; ``Cache-Control: no-store`` unless the response says otherwise; no sniffing.
    The line names the route's template, never the path as it was sent, and the caller by tag only.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._log = structlog.get_logger("resource_api.requests")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass an HTTP request on, and note how it went."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        trace = scope.setdefault("state", {})["trace_id"] = _trace_id(scope["headers"])
        began, status = time.perf_counter(), 500

        async def send_on(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                _add_headers(message, trace.encode("ascii"))
            await send(message)

        try:
            await self._app(scope, receive, send_on)
        finally:
            self._log.info("request", status=status, ms=round((time.perf_counter() - began) * 1000, 2), **_of(scope))


def _trace_id(headers: list[tuple[bytes, bytes]]) -> str:
    for name, value in headers:
        if name == b"traceparent" and (match := _TRACEPARENT(value)):
            return match[1].decode("ascii")
    return secrets.token_hex(16)


def _add_headers(message: MutableMapping[str, Any], trace: bytes) -> None:
    headers = list(message["headers"])
    names = {name for name, _ in headers}
    if b"cache-control" not in names:
        headers.append((b"cache-control", b"no-store"))
    message["headers"] = [*headers, (b"x-request-id", trace), (b"x-content-type-options", b"nosniff")]


def _of(scope: Scope) -> dict[str, Any]:
    _, principal = scope.get("resource_api.proven", (None, None))
    return {
        "method": scope["method"],
        "route": getattr(scope.get("route"), "path", None),
        "trace_id": scope["state"]["trace_id"],
        "caller": principal.tag if principal is not None else None,
    }
