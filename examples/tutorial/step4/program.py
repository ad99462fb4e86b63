"""Step 4: call the API. New since step 3: the relayed route, and adding and removing to-dos."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Annotated, Any

import httpx
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel, StringConstraints

from bff.app import BFF, create_app
from bff.settings import BFFSettings, PageSettings
from resource_api.security import CurrentPrincipal, Principal, ResourceServer, protect, requires
from resource_api.settings import ResourceAPISettings

PAGE = Path(__file__).parent / "page"
may_read = requires(scopes={"ToDoList.Read", "ToDoList.ReadWrite"}, app_roles={"ToDoList.Read.All"})
may_write = requires(scopes={"ToDoList.ReadWrite"}, app_roles={"ToDoList.ReadWrite.All"})


class NewTodo(BaseModel):
    """What a caller may say about a to-do; whose it is, the token says."""

    description: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]


def make_api(settings: ResourceAPISettings, *, transport: httpx.AsyncBaseTransport | None = None) -> FastAPI:
    """The API: list, add, remove."""
    server = ResourceServer(issuers=settings.trusted_issuers(), rules=settings.token_rules(), transport=transport)
    api = FastAPI(title="To-dos")
    protect(api, server)
    todos: dict[int, dict[str, Any]] = {}
    numbers = itertools.count(1)

    def is_reached_by(principal: Principal, todo: dict[str, Any]) -> bool:
        return principal.is_app or todo["owner"] == principal.owner

    @api.get("/api/todolist", dependencies=[may_read])
    async def list_todos(principal: CurrentPrincipal) -> list[dict[str, Any]]:
        """A person's own items; an application's are everybody's."""
        return [todo for todo in todos.values() if is_reached_by(principal, todo)]

    @api.post("/api/todolist", status_code=201, dependencies=[may_write])
    async def add_todo(new: NewTodo, principal: CurrentPrincipal) -> dict[str, Any]:
        """The owner is whoever the token speaks for, never what a body says."""
        number = next(numbers)
        todos[number] = {"id": number, "owner": principal.owner, "description": new.description}
        return todos[number]

    @api.delete("/api/todolist/{number}", dependencies=[may_write])
    async def remove_todo(number: int, principal: CurrentPrincipal) -> None:
        """Somebody else's is answered like one that is not there."""
        if number not in todos or not is_reached_by(principal, todos[number]):
            raise HTTPException(404)
        del todos[number]

    return api


def make_app(settings: BFFSettings, *, transport: httpx.AsyncBaseTransport | None = None) -> BFF:
    """The app: /api/ of the settings is relayed, with the token added on the way."""
    ours = settings.model_copy(update={"page": PageSettings(directory=PAGE, picture=True)})
    return create_app(ours, transport=transport)
