"""Which header names may cross, in each direction, and which never may, whatever a route declares."""

from __future__ import annotations

from typing import Final

# Meant for one connection, not for the message (RFC 9110 7.6.1): never forwarded, in either direction.
HOP_BY_HOP: Final = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade"}
    | {b"close", b"http2-settings"}
)

REQUEST_ALLOWED: Final = frozenset(
    {b"accept", b"accept-encoding", b"accept-language", b"user-agent", b"prefer", b"idempotency-key"}
    | {b"content-type", b"content-encoding", b"content-language"}
    | {b"if-match", b"if-none-match", b"if-modified-since", b"if-unmodified-since", b"if-range", b"range"}
)
# Two of these and two readers take two different ones (RFC 9110 5.3).
REQUEST_SINGLE: Final = frozenset(
    {b"content-type", b"content-encoding", b"user-agent", b"idempotency-key", b"if-modified-since"}
    | {b"if-unmodified-since", b"if-range", b"range"}
)

_REQUEST_NEVER = frozenset(
    {b"authorization", b"cookie", b"cookie2", b"host", b"origin", b"referer", b"dpop", b"forwarded", b"via", b"expect"}
    | {b"content-length", b"date", b"server", b"traceparent", b"tracestate", b"baggage", b"purpose", b"x-csrf"}
    | {b"x-http-method-override", b"x-http-method", b"x-method-override", b"x-original-url", b"x-rewrite-url"}
    | {b"x-real-ip", b"x-client-ip", b"x-cluster-client-ip", b"true-client-ip", b"cf-connecting-ip", b"client-cert"}
    | {b"client-cert-chain", b"x-client-cert", b"x-ssl-client-cert", b"remote-user", b"x-remote-user"}
) | (HOP_BY_HOP - {b"close"})
_REQUEST_NEVER_PREFIXES = (b"x-forwarded-", b"x-auth-", b"x-authenticated-", b"x-bff-", b"proxy-", b"sec-")

RESPONSE_ALLOWED: Final = frozenset(
    {b"content-type", b"content-length", b"content-encoding", b"content-language", b"content-disposition"}
    | {b"content-range", b"content-digest", b"etag", b"last-modified", b"accept-ranges", b"retry-after"}
    | {b"deprecation", b"sunset", b"x-request-id"}
    | {b"allow"}  # a 405 of the API is no answer without it (RFC 9110 15.5.6)
)
RATE_LIMIT: Final = b"ratelimit"
# Where no token of a person was sent, the upstream decides how its answer is cached.
RESPONSE_ALLOWED_PUBLIC: Final = frozenset({b"cache-control", b"expires", b"age", b"vary"})
RESPONSE_SINGLE: Final = frozenset(
    {b"content-type", b"content-length", b"content-encoding", b"content-disposition", b"location", b"etag"}
)

_RESPONSE_NEVER = (
    frozenset(
        {b"set-cookie", b"set-cookie2", b"clear-site-data", b"strict-transport-security", b"alt-svc", b"server"}
        | {b"service-worker-allowed", b"x-sendfile", b"refresh", b"nel", b"report-to", b"reporting-endpoints"}
        | {b"speculation-rules", b"content-location", b"www-authenticate", b"location", b"cache-control", b"pragma"}
        | {b"x-content-type-options", b"public-key-pins", b"permissions-policy", b"sourcemap", b"x-sourcemap", b"via"}
        | {b"authentication-info", b"x-frame-options", b"origin-agent-cluster", b"supports-loading-mode"}
    )
    | HOP_BY_HOP
)
_RESPONSE_NEVER_PREFIXES = (
    b"access-control-",
    b"content-security-policy",
    b"cross-origin-",
    b"x-accel-",
    b"x-lighttpd-",
    b"proxy-",
    b"sec-",
)  # fmt: skip — one list


def never_crosses(name: bytes) -> bool:
    """Say whether a request header of the browser may not reach an upstream, in any spelling with underscores."""
    name = name.replace(b"_", b"-")
    return name in _REQUEST_NEVER or name.startswith(_REQUEST_NEVER_PREFIXES)


def never_returns(name: bytes) -> bool:
    """Say whether a response header of an upstream may not reach the browser: it would act on our whole origin."""
    name = name.replace(b"_", b"-")
    return name in _RESPONSE_NEVER or name.startswith(_RESPONSE_NEVER_PREFIXES)
