"""``protect(app, server)``: from here on the application starts only if every route says who may call it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI

from resource_api import problems
from resource_api.security.guarded_route import GuardedRoute
from resource_api.security.openapi import describe_protection
from resource_api.security.resource_metadata import metadata_router
from resource_api.security.resource_server import ResourceServer
from resource_api.security.route_audit import audit_routes


def protect(app: FastAPI, server: ResourceServer) -> None:
    """Bind an application to its resource server; call it before the first route is added.

    At the start every route is audited, and a ConfigurationError names those that declare no policy; the issuer's keys
    are fetched in the background. Refusals are answered as problems with the challenges of RFC 6750.
    """
    app.state.resource_server = server
    app.router.route_class = GuardedRoute
    problems.answer_own_errors(app)
    describe_protection(app, server)
    if server.metadata_url is not None:
        app.include_router(metadata_router(server, server.metadata_url))
    inner = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(started: FastAPI) -> AsyncIterator[Any]:
        current: ResourceServer = started.state.resource_server  # a test may have put a replica there
        audit_routes(started, current)
        current.begin()
        try:
            async with inner(started) as state:
                yield state
        finally:
            await current.aclose()

    app.router.lifespan_context = lifespan
