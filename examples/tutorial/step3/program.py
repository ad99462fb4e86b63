"""Step 3: sign in, and acquire an access token. New since step 2: the route that tells about the token."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI

from bff.app import BFF, create_app
from bff.routes.dependencies import CurrentSession, Presentation, ServicesOf
from bff.settings import BFFSettings, PageSettings
from resource_api.security import CurrentPrincipal, ResourceServer, protect, requires
from resource_api.settings import ResourceAPISettings

PAGE = Path(__file__).parent / "page"


def make_api(settings: ResourceAPISettings, *, transport: httpx.AsyncBaseTransport | None = None) -> FastAPI:
    """The API of step 2."""
    server = ResourceServer(issuers=settings.trusted_issuers(), rules=settings.token_rules(), transport=transport)
    api = FastAPI(title="To-dos")
    protect(api, server)
    todos: list[dict[str, Any]] = []

    @api.get(
        "/api/todolist",
        dependencies=[requires(scopes={"ToDoList.Read", "ToDoList.ReadWrite"}, app_roles={"ToDoList.Read.All"})],
    )
    async def list_todos(principal: CurrentPrincipal) -> list[dict[str, Any]]:
        """A person's own items; an application's are everybody's."""
        return [todo for todo in todos if principal.is_app or todo["owner"] == principal.owner]

    return api


def make_app(settings: BFFSettings, *, transport: httpx.AsyncBaseTransport | None = None) -> BFF:
    """The app: sign-in and sign-out are under /bff/; the token stays here, and the browser never sees it."""
    ours = settings.model_copy(update={"page": PageSettings(directory=PAGE, picture=True), "route": ()})
    app = create_app(ours, transport=transport)

    @app.get("/app/token")
    async def token(_: CurrentSession, presented: Presentation, services: ServicesOf) -> dict[str, Any]:
        """What is known about the access token; a new one is acquired where the old one is about to end."""
        session = await services.tokens.fresh(presented)
        seconds = session.tokens.expires_at - services.clock.now()
        return {"good_for_seconds": round(seconds), "scopes": sorted(session.tokens.scope)}

    return app
