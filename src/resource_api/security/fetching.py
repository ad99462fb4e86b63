"""One JSON object from an authorization server: no redirect, no compression, bounded in bytes and in time."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx

from resource_api.errors import KeySetUnavailable, Unavailable
from resource_api.security.strict_json import UnclearJSONError, parse_object

FETCH_SECONDS = 5.0
MAX_DOCUMENT_BYTES = 512 * 1024


async def fetch_object(client: httpx.AsyncClient, url: str) -> tuple[dict[str, Any], httpx.Headers]:
    """GET one JSON object. Raises KeySetUnavailable for anything but status 200 and an object of at most 512 KB."""
    try:
        request = client.build_request("GET", url)
    except httpx.InvalidURL as error:
        raise KeySetUnavailable(f"{url}: {type(error).__name__}") from error
    return await read_object(client, request, KeySetUnavailable)


async def read_object(
    client: httpx.AsyncClient, request: httpx.Request, unavailable: type[Unavailable]
) -> tuple[dict[str, Any], httpx.Headers]:
    """Send a request and read its answer within 5 seconds; whatever else happens is ``unavailable``."""
    url = request.url.copy_with(query=None)
    try:
        async with asyncio.timeout(FETCH_SECONDS):
            response = await client.send(request, stream=True)
            try:
                return parse_object(await _body(response, unavailable)), response.headers
            finally:
                await response.aclose()
    except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, TimeoutError) as error:
        raise unavailable(f"{url}: {type(error).__name__}") from error
    except UnclearJSONError as error:
        raise unavailable(f"{url}: {error}") from error


async def _body(response: httpx.Response, unavailable: type[Unavailable]) -> bytes:
    if response.status_code != httpx.codes.OK:
        raise unavailable(f"{response.url} answered {response.status_code}")
    if response.headers.get("content-encoding", "identity") != "identity":
        raise unavailable(f"{response.url} sent a compressed document, whose size nobody can bound")
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > MAX_DOCUMENT_BYTES:
            raise unavailable(f"{response.url} sent more than {MAX_DOCUMENT_BYTES} bytes")
    return bytes(body)
