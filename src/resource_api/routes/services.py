"""What ``app.py`` wired, as parameters for handlers."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from resource_api.security import ResourceServer
from resource_api.todos.repository import TodoRepository


async def _todos(request: Request) -> TodoRepository:
    repository: TodoRepository = request.app.state.todos
    return repository


async def _server(request: Request) -> ResourceServer:
    server: ResourceServer = request.app.state.resource_server
    return server


Todos = Annotated[TodoRepository, Depends(_todos)]
Server = Annotated[ResourceServer, Depends(_server)]
