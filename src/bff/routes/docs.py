"""``/docs``: the API's own documentation, tried out through the signed-in session, not a token (rule F29)."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

import httpx
from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from bff.errors import ResourceAPIUnavailable, UnknownRoute
from bff.routes.dependencies import public
from bff.routes.pages import Asset, Page, asset_response, page_headers

MAX_DOCUMENT_BYTES = 2 * 1024 * 1024
UI_ASSETS = ("swagger-ui-bundle.js", "swagger-ui.css")
# Swagger UI draws its icons as data: images and sets styles through the DOM only: the page's policy is enough for it.
DOCS_CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
router = APIRouter(prefix="/docs", dependencies=[Depends(public)], include_in_schema=False)


class ApiDocument:
    """The BFF's copy of an upstream's OpenAPI document: our address, no security scheme, no upstream host."""

    def __init__(self, http: httpx.AsyncClient, url: str | None, relayed: str) -> None:
        self._http, self._url, self._relayed = http, url, relayed

    async def read(self) -> bytes:
        """Fetch and rewrite the document; ResourceAPIUnavailable when the upstream has none that can be read."""
        if self._url is None:
            raise ResourceAPIUnavailable("no route leads to an API")
        try:
            response = await self._http.get(self._url, headers={"Accept": "application/json"})
            document = response.raise_for_status().json()
        except (httpx.HTTPError, ValueError) as error:
            raise ResourceAPIUnavailable("its OpenAPI document cannot be read") from error
        if not isinstance(document, dict) or len(response.content) > MAX_DOCUMENT_BYTES:
            raise ResourceAPIUnavailable("its OpenAPI document is not one")
        return json.dumps(without_security(document, self._relayed)).encode()


def without_security(document: dict[str, Any], relayed: str) -> dict[str, Any]:
    """The same document for a page that holds no token: calls go to this site, and the session answers for them.

    Only paths below ``relayed`` are left: what no route relays could not be tried out here.
    """
    copy = {key: value for key, value in document.items() if key != "security"}
    copy["servers"] = [{"url": "/"}]
    components = {key: value for key, value in copy.get("components", {}).items() if key != "securitySchemes"}
    copy["components"] = components
    copy["paths"] = {
        path: {
            method: {key: value for key, value in operation.items() if key != "security"}
            if isinstance(operation, dict)
            else operation
            for method, operation in operations.items()
        }
        for path, operations in copy.get("paths", {}).items()
        if path.startswith(relayed)
    }
    return copy


def load_ui_assets() -> dict[str, Asset]:
    """Swagger UI's own files, read from the package that ships them: no CDN is ever asked."""
    folder = files("fastapi_offline") / "static"
    return {name: Asset.of(name, (folder / name).read_bytes()) for name in UI_ASSETS}


@router.get("")
def documentation(request: Request) -> Response:
    """The documentation page."""
    page: Page = request.app.state.page
    document = page.assets["/assets/docs.html"]
    headers = {**page_headers(DOCS_CSP), "Cache-Control": "no-cache"}
    return Response(document.content, media_type="text/html", headers=headers)


@router.get("/openapi.json")
async def openapi(request: Request) -> Response:
    """The API's document as this site offers it."""
    document: ApiDocument = request.app.state.api_document
    headers = {"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}
    return Response(await document.read(), media_type="application/json", headers=headers)


@router.get("/{name}")
def ui_asset(request: Request, name: str) -> Response:
    """One of Swagger UI's files."""
    assets: dict[str, Asset] = request.app.state.ui_assets
    if name not in assets:
        raise UnknownRoute
    return asset_response(request, assets[name], DOCS_CSP)
