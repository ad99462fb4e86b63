"""``/api/todolist``: a person sees and changes their own items, an application with the right app role everybody's."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Path, Response
from pydantic import BeforeValidator

from resource_api.errors import InvalidInput
from resource_api.routes.bodies import ChangedTodo, NewTodo, TodoItem
from resource_api.routes.services import Server, Todos
from resource_api.security import CurrentPrincipal, GuardedRoute, Principal, ResourceServer, problem_response, requires
from resource_api.todos.model import MAX_ID

PATH: Final = "/api/todolist"
SCOPES: Final = {
    "ToDoList.Read": "Read your own to-dos",
    "ToDoList.ReadWrite": "Read, add, change and remove your own to-dos",
}
APP_ROLES: Final = {
    "ToDoList.Read.All": "Read everybody's to-dos, as an application",
    "ToDoList.ReadWrite.All": "Read, add, change and remove everybody's to-dos, as an application",
}

may_read: Final = requires(scopes=tuple(SCOPES), app_roles=tuple(APP_ROLES))
may_write: Final = requires(scopes=("ToDoList.ReadWrite",), app_roles=("ToDoList.ReadWrite.All",))


def _one_spelling(value: str) -> str:
    """Decimal digits without a leading zero: pydantic would also take ``1.0``, ``+1`` and a space behind it."""
    if _DECIMAL(value) is None:
        raise ValueError
    return value


TodoId = Annotated[int, BeforeValidator(_one_spelling), Path(ge=1, le=MAX_ID, description="The number of a to-do")]
_UNREADABLE: Final[dict[int | str, dict[str, Any]]] = {
    400: problem_response("The request cannot be read"),
    "4XX": problem_response("Any other refusal"),
}
_UNKNOWN = _UNREADABLE | {404: problem_response("No such to-do, or not the caller's")}
_WITH_BODY = _UNREADABLE | {
    413: problem_response("The body is too large"),
    415: problem_response("The body is not application/json"),
    422: problem_response("Values break a limit"),
}
_json = msgspec.json.Encoder()
_DECIMAL = re.compile(r"[1-9][0-9]{0,18}", re.ASCII).fullmatch

router = APIRouter(prefix=PATH, tags=["to-do list"], route_class=GuardedRoute)


@router.get("", dependencies=[may_read], response_model=list[TodoItem], responses=_UNREADABLE)
async def list_todos(principal: CurrentPrincipal, todos: Todos) -> Response:
    """All to-dos of the caller; an application's are everybody's."""
    return _answer(await todos.list(_reach(principal)))


@router.get("/{todo_id}", dependencies=[may_read], response_model=TodoItem, responses=_UNKNOWN)
async def read_todo(todo_id: TodoId, principal: CurrentPrincipal, todos: Todos) -> Response:
    """One to-do."""
    return _answer(await todos.find(todo_id, _reach(principal)))


@router.post("", dependencies=[may_write], response_model=TodoItem, status_code=201, responses=_WITH_BODY)
async def add_todo(body: NewTodo, principal: CurrentPrincipal, todos: Todos, server: Server) -> Response:
    """Add a to-do, for the caller or, as an application, for the owner it names."""
    added = await todos.add(_owner(body, principal, server), body.description.strip())
    return _answer(added, status=201, headers={"Location": f"{PATH}/{added.id}"})


@router.put("/{todo_id}", dependencies=[may_write], response_model=TodoItem, responses=_WITH_BODY | _UNKNOWN)
async def describe_todo(todo_id: TodoId, body: ChangedTodo, principal: CurrentPrincipal, todos: Todos) -> Response:
    """Change a to-do's description, and nothing else of it."""
    return _answer(await todos.describe(todo_id, _reach(principal), body.description.strip()))


@router.delete("/{todo_id}", dependencies=[may_write], response_class=Response, responses=_UNKNOWN)
async def remove_todo(todo_id: TodoId, principal: CurrentPrincipal, todos: Todos) -> Response:
    """Remove a to-do. The answer is 200 and empty, as the seed's clients know it (A-05)."""
    await todos.remove(todo_id, _reach(principal))
    return Response()


def _reach(principal: Principal) -> str | None:
    """Whose items: a person's own; None, everybody's, for an application (A-21)."""
    return None if principal.is_app else principal.owner


def _owner(body: NewTodo, principal: Principal, server: ResourceServer) -> str:
    """Whose a new item is (A-20). Raises InvalidInput where an application names none, or one that nobody could be."""
    if not principal.is_app:
        return principal.owner
    if body.owner is None:
        raise InvalidInput({"owner": "is required of an application"})
    owner = server.valid_owner(body.owner)
    if owner is None:
        raise InvalidInput({"owner": "is not an owner as this API's tokens name one"})
    return owner


def _answer(value: object, *, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(_json.encode(value), status, headers=headers, media_type="application/json")
