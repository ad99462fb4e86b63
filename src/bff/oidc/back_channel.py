"""The back channel: every HTTPS call from us to the authorization server, bounded in time and in size.

One shared client serves all callers. It follows no redirect, keeps no cookie, reads no environment variable and asks
for no compression, so an answer is what arrived and never more than its cap.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from http.cookiejar import DefaultCookiePolicy
from pathlib import Path
from typing import Any

import httpx

from bff.clock import Clock
from bff.errors import AuthorizationServerUnavailable, ConfigurationError
from bff.oidc.strict_json import parse_object

CONNECT_SECONDS = 2.0
TOTAL_SECONDS = 5.0
MAX_BYTES = 256 * 1024
HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "sealed-bff"}

# What httpx raises before the first byte of a request leaves; any other failure may have reached the server.
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError, httpx.UnsupportedProtocol)


def open_back_channel(
    *,
    transport: httpx.AsyncBaseTransport | None = None,
    ca_file: Path | None = None,
    proxy_url: str | None = None,
) -> httpx.AsyncClient:
    """The one client of the back channel, which the caller closes.

    ``ca_file`` (PEM) replaces the public roots. Raises ConfigurationError for a file or a proxy that cannot work.
    """
    try:
        client = httpx.AsyncClient(
            transport=transport,
            verify=True if ca_file is None else ssl.create_default_context(cafile=str(ca_file)),
            proxy=proxy_url,
            trust_env=False,
            follow_redirects=False,
            headers=HEADERS,
            timeout=httpx.Timeout(TOTAL_SECONDS, connect=CONNECT_SECONDS, pool=CONNECT_SECONDS / 2),
        )
    except OSError as unreadable:
        raise ConfigurationError([f"authority.ca_file: {ca_file} holds no readable PEM certificates"]) from unreadable
    except (ValueError, httpx.InvalidURL):
        # Without the cause: a proxy address may hold a password.
        raise ConfigurationError(["authority.proxy_url: give http://host:port or https://host:port"]) from None
    # A cookie kept from one person's token call would be sent with the next person's.
    client.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    return client


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer that arrived whole, below its cap; whether it says yes is the caller's question."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    def members(self) -> dict[str, Any]:
        """The JSON object of the body; raises ValueError where it is none (``strict_json``)."""
        return parse_object(self.body)


class BackChannel:
    """Calls to one authorization server. Any outage is AuthorizationServerUnavailable, and its detail says which.

    ``skew`` is how many seconds the server's clock is ahead of ours, from its latest ``Date`` header (RFC 9110 6.6.1,
    so to half a second); None until one came.
    """

    def __init__(self, http: httpx.AsyncClient, clock: Clock, *, total_seconds: float = TOTAL_SECONDS) -> None:
        self._http = http
        self._clock = clock
        self._total_seconds = total_seconds
        self.skew: float | None = None

    async def fetch_json(self, url: str, max_bytes: int = MAX_BYTES) -> tuple[dict[str, Any], Mapping[str, str]]:
        """A document and its response headers. It must come as 2xx and as one strict JSON object.

        A failure never counts as sent: to ask for a document again is harmless.
        """
        try:
            answer = await self._send(self._http.build_request("GET", url), max_bytes)
        except AuthorizationServerUnavailable as outage:
            raise AuthorizationServerUnavailable(outage.detail, sent=False) from None
        if not httpx.codes.is_success(answer.status):
            raise AuthorizationServerUnavailable(f"{url} answered {answer.status}", sent=False)
        try:
            return answer.members(), answer.headers
        except ValueError as malformed:
            raise AuthorizationServerUnavailable(f"{url}: {malformed}", sent=False) from None

    async def post_form(self, url: str, *, body: str, headers: Mapping[str, str]) -> Answer:
        """Whatever the endpoint answered to a form; raises only where no whole answer came."""
        return await self._send(self._http.build_request("POST", url, content=body, headers=headers), MAX_BYTES)

    async def _send(self, request: httpx.Request, max_bytes: int) -> Answer:
        try:
            async with asyncio.timeout(self._total_seconds):
                response = await self._http.send(request, stream=True, follow_redirects=False)
                try:
                    self._measure_skew(response.headers.get("Date"))
                    return await _read(response, max_bytes)
                finally:
                    await response.aclose()
        except TimeoutError:
            raise AuthorizationServerUnavailable(f"{request.url} took more than {self._total_seconds:g} s") from None
        except httpx.HTTPError as failure:
            detail = f"{request.url}: {type(failure).__name__}"
            # Without the cause: its request carries the client's credentials and the form.
            raise AuthorizationServerUnavailable(detail, sent=not isinstance(failure, _NOT_SENT)) from None

    def _measure_skew(self, date: str | None) -> None:
        # A date that cannot be read, or has no zone, says nothing about a clock.
        with suppress(ValueError, OverflowError):
            if date is not None:
                # The date names a whole second; its middle is the best guess of the instant.
                self.skew = parsedate_to_datetime(date).timestamp() + 0.5 - self._clock.now()


async def _read(response: httpx.Response, max_bytes: int) -> Answer:
    if response.headers.get("Content-Encoding", "identity").lower() != "identity":
        # Unasked for, and a few kilobytes of it may inflate to gigabytes before any cap is looked at.
        raise AuthorizationServerUnavailable(f"{response.url} answered with a content encoding")
    body = bytearray()
    async for piece in response.aiter_bytes():
        body += piece
        if len(body) > max_bytes:
            raise AuthorizationServerUnavailable(f"{response.url} answered with more than {max_bytes} bytes")
    return Answer(status=response.status_code, headers=response.headers, body=bytes(body))
