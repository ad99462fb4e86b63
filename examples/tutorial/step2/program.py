"""Step 2: an app that shows a page, and an API that refuses whoever has no token."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI

from bff.app import BFF, create_app
from bff.settings import BFFSettings, PageSettings
from resource_api.security import CurrentPrincipal, ResourceServer, protect, requires
from resource_api.settings import ResourceAPISettings

PAGE = Path(__file__).parent / "page"


def make_api(settings: ResourceAPISettings, *, transport: httpx.AsyncBaseTransport | None = None) -> FastAPI:
    """The API: every route says who may call it, or it does not start."""
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
    """The app: it serves our page. Nobody can sign in yet, and no call is relayed."""
    ours = settings.model_copy(update={"page": PageSettings(directory=PAGE), "route": ()})
    return create_app(ours, transport=transport)
