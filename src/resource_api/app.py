"""``create_app(settings)``: the composition root, and the only file that knows everyone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from fastapi import FastAPI

from resource_api import problems
from resource_api.clock import Clock
from resource_api.routes import docs, health, todolist
from resource_api.routes.body_limit import BodyLimit
from resource_api.routes.head import HeadAsGet
from resource_api.security import ResourceServer, audit_routes, protect
from resource_api.settings import ResourceAPISettings
from resource_api.telemetry.requests import RequestLog
from resource_api.todos.database import open_engine
from resource_api.todos.repository import TodoRepository


def create_app(
    settings: ResourceAPISettings, *, transport: httpx.AsyncBaseTransport | None = None, clock: Clock | None = None
) -> FastAPI:
    """The whole API. A team may add routers to it; each of their routes needs a policy too, or the start stops.

    ``transport`` is the way to the issuer, ``clock`` the time: what a test replaces. Raises ConfigurationError.
    """
    app = FastAPI(
        title="To-do API",
        version="1",
        summary="To-do lists for people, and for applications that look after them.",
        openapi_url=None,  # routes/docs.py serves the document: FastAPI's own page loads its scripts from a CDN
        lifespan=_store_open,
        redirect_slashes=False,  # a redirected POST arrives as a GET in some clients
        generate_unique_id_function=lambda route: route.name,
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    app.state.todos = TodoRepository(open_engine(settings.database()))
    server = ResourceServer(
        issuers=settings.trusted_issuers(),
        rules=settings.token_rules(),
        scopes=todolist.SCOPES,
        app_roles=todolist.APP_ROLES,
        resource=settings.resource,
        introspection=settings.introspection(),
        ca_file=settings.ca_file,
        transport=transport,
        clock=clock,
    )
    protect(app, server)
    problems.answer_all_errors(app)
    for router in (todolist.router, health.router, docs.router):
        app.include_router(router)
    app.add_middleware(BodyLimit)
    app.add_middleware(HeadAsGet)
    app.add_middleware(RequestLog)
    audit_routes(app, server)
    return app


@asynccontextmanager
async def _store_open(app: FastAPI) -> AsyncIterator[None]:
    todos: TodoRepository = app.state.todos
    await todos.prepare()
    try:
        yield
    finally:
        await todos.aclose()
