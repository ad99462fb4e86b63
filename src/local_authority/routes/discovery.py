"""Metadata, keys, and a page that says what this place is."""

from __future__ import annotations

from urllib.parse import urlsplit

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from local_authority.errors import UnknownPage
from local_authority.metadata import Paths, metadata
from local_authority.options import Options
from local_authority.pages import static_file
from local_authority.routes.dependencies import Services, Wired

CACHED = {"Cache-Control": "public, max-age=300"}


def discovery_routes(options: Options) -> APIRouter:
    """The routes of this authority's tenant; the metadata also under the issuer's own path, where that differs."""
    router, paths = APIRouter(), Paths(options.tenant_id)
    issuers = f"{urlsplit(options.issuer_identifier).path.rstrip('/')}/.well-known/openid-configuration"
    for path in {paths.metadata, issuers}:
        router.add_api_route(path, show_metadata, methods=["GET"], response_model=None)
    router.add_api_route(paths.keys, show_keys, methods=["GET"], response_model=None)
    router.add_api_route("/static/{name}", show_file, methods=["GET"], response_model=None)
    router.add_api_route("/", show_index, methods=["GET"], response_model=None)
    return router


async def show_metadata(request: Request, services: Wired) -> Response:
    """OIDC Discovery 4; under one host name only, where the options name one."""
    services.record.requests["metadata"] += 1
    if services.options.metadata_host not in {None, request.url.hostname}:
        raise UnknownPage("The metadata is served under another host name.")
    return JSONResponse(metadata(services.options, services.registry), headers=CACHED)


async def show_keys(services: Wired) -> Response:
    """The JWK set (RFC 7517 5); Entra's keys name their issuer (K-34)."""
    services.record.requests["keys"] += 1
    keys = services.keys.published()
    if services.options.shape == "entra":
        keys = [{**key, "issuer": services.options.issuer_identifier} for key in keys]
    return JSONResponse({"keys": keys}, headers=CACHED)


async def show_file(name: str) -> Response:
    """A style sheet or script of the pages."""
    found = static_file(name)
    if found is None:
        raise UnknownPage("No file has this name.")
    return found


async def show_index(services: Wired) -> Response:
    """What this place is, for whoever opens its address."""
    return _index(services)


def _index(services: Services) -> Response:
    return services.pages.render(
        "index.html", issuer=services.options.issuer_identifier, metadata_url=services.options.metadata_url
    )
