"""The API's document, and a page that shows it: offline, under a strict policy, and for reading only.

Calls are tried where a session is, at the BFF's ``/docs``; a page here could only ask for a token to be pasted (F29).
"""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files
from typing import Final

import msgspec
from fastapi import APIRouter, Request, Response

from resource_api.errors import UnknownPath
from resource_api.security import public

_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_ASSETS: Final = {
    "swagger-ui-bundle.js": ("fastapi_offline", "static", "text/javascript"),
    "swagger-ui.css": ("fastapi_offline", "static", "text/css"),
    "docs.js": ("resource_api.routes", "docs", "text/javascript"),
    "docs.css": ("resource_api.routes", "docs", "text/css"),
}

router = APIRouter(include_in_schema=False)


@router.get("/openapi.json")
@public
async def document(request: Request) -> Response:
    """The OpenAPI document, with the flows of the authorization server once its metadata was read."""
    return Response(msgspec.json.encode(request.app.openapi()), media_type="application/json")


@router.get("/docs")
@public
async def page() -> Response:
    """The page; its script and style are files of ours and of the installed package."""
    return _file("resource_api.routes", "docs", "index.html", "text/html", None)


@router.get("/docs/{name}")
@public
async def asset(name: str, request: Request) -> Response:
    """One of the page's files, by its exact name."""
    if name not in _ASSETS:
        raise UnknownPath
    package, folder, media_type = _ASSETS[name]
    return _file(package, folder, name, media_type, request.headers.get("if-none-match"))


def _file(package: str, folder: str, name: str, media_type: str, known: str | None) -> Response:
    content, tag = _content(package, folder, name)
    headers = {
        "Content-Security-Policy": _POLICY,
        "Cache-Control": "no-cache",
        "ETag": tag,
        "Referrer-Policy": "no-referrer",
    }
    if known == tag:
        return Response(status_code=304, headers=headers)
    return Response(content, headers=headers, media_type=media_type)


@cache
def _content(package: str, folder: str, name: str) -> tuple[bytes, str]:
    content = files(package).joinpath(folder, name).read_bytes()
    return content, f'"{hashlib.sha256(content).hexdigest()[:32]}"'
