"""The protected resource metadata at its well-known path (RFC 9728): who issues tokens for us, and how to send them."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse

from resource_api.security.dependencies import public
from resource_api.security.resource_server import ResourceServer


def metadata_router(server: ResourceServer, metadata_url: str) -> APIRouter:
    """One public route, at the path that every challenge points to."""
    router = APIRouter(include_in_schema=False)

    @router.get(urlsplit(metadata_url).path)
    @public
    async def protected_resource() -> Response:
        return JSONResponse(_document(server), headers={"Cache-Control": "public, max-age=3600"})

    return router


def _document(server: ResourceServer) -> dict[str, Any]:
    """RFC 9728 2: only what is certain; a token is taken from the header alone."""
    document: dict[str, Any] = {
        "resource": server.resource,
        "authorization_servers": list(server.issuers),
        "bearer_methods_supported": ["header"],
    }
    return document | ({"scopes_supported": list(server.scopes)} if server.scopes else {})
