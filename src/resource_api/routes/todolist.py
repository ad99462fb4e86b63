"""``/api/todolist``: a person sees and changes their own items, an application with the right app role everybody's."""

from __future__ import annotations

import hashlib
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Path, Request, Response
from pydantic import BeforeValidator

from resource_api.errors import InvalidInput
from resource_api.routes.bodies import ChangedTodo, NewTodo, TodoItem
from resource_api.routes.conditions import (
    CHANGE_ON_CONDITION,
    READ_ON_CONDITION,
    CurrentCondition,
    is_known,
    tag_of,
)
from resource_api.routes.numbers import one_spelling
from resource_api.routes.paging import BEGINNING, DEFAULT_LIMIT, Cursor, Limit, cut, id_in
from resource_api.routes.services import Server, Todos
from resource_api.security import CurrentPrincipal, GuardedRoute, Principal, ResourceServer, problem_response, requires
from resource_api.todos.model import MAX_ID, Todo

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


TodoId = Annotated[
    int, Path(ge=1, le=MAX_ID, description="The number of a to-do", examples=[1]), BeforeValidator(one_spelling)
]


def _with(description: str, *headers: str) -> dict[str, Any]:
    return {"description": description, "headers": {name: {"schema": {"type": "string"}} for name in headers}}


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
_PAGE: Final[dict[int | str, dict[str, Any]]] = _UNREADABLE | {
    200: _with("A page of to-dos", "ETag", "Link"),
    304: _with("The caller has this page already", "ETag", "Link"),
    422: problem_response("Values break a limit"),
}
_ONE: Final[dict[int | str, dict[str, Any]]] = {200: _with("The to-do", "ETag")}
_NOT_MODIFIED: Final[dict[int | str, dict[str, Any]]] = {304: _with("The caller has this version already", "ETag")}
_CHANGED = _UNKNOWN | {412: problem_response("The to-do is at another version")}
_ADDED: Final[dict[int | str, dict[str, Any]]] = {201: _with("The new to-do", "ETag", "Location")}
_json = msgspec.json.Encoder()

router = APIRouter(prefix=PATH, tags=["to-do list"], route_class=GuardedRoute)


@router.get(
    "",
    dependencies=[may_read],
    response_model=list[TodoItem],
    responses=_PAGE,
    openapi_extra=READ_ON_CONDITION,
)
async def list_todos(
    request: Request,
    principal: CurrentPrincipal,
    todos: Todos,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = BEGINNING,
) -> Response:
    """The to-dos of the caller, oldest first, in pages; an application's are everybody's."""
    found = await todos.list(_reach(principal), after=id_in(cursor), limit=limit + 1)
    page, link = cut(found, limit, PATH)
    content = _json.encode([_item(todo) for todo in page])
    tag = f'"{hashlib.sha256(content + (link or "").encode()).hexdigest()[:32]}"'
    headers = {"ETag": tag} if link is None else {"ETag": tag, "Link": link}
    return _read(request, content, headers)


@router.get(
    "/{todo_id}",
    dependencies=[may_read],
    response_model=TodoItem,
    responses=_UNKNOWN | _ONE | _NOT_MODIFIED,
    openapi_extra=READ_ON_CONDITION,
)
async def read_todo(request: Request, todo_id: TodoId, principal: CurrentPrincipal, todos: Todos) -> Response:
    """One to-do."""
    todo = await todos.find(todo_id, _reach(principal))
    return _read(request, _json.encode(_item(todo)), {"ETag": tag_of(todo.version)})


@router.post("", dependencies=[may_write], response_model=TodoItem, status_code=201, responses=_WITH_BODY | _ADDED)
async def add_todo(body: NewTodo, principal: CurrentPrincipal, todos: Todos, server: Server) -> Response:
    """Add a to-do, for the caller or, as an application, for the owner it names."""
    added = await todos.add(_owner(body, principal, server), body.description.strip())
    return _answer(added, status=201, headers={"Location": f"{PATH}/{added.id}"})


@router.put(
    "/{todo_id}",
    dependencies=[may_write],
    response_model=TodoItem,
    responses=_WITH_BODY | _CHANGED | _ONE,
    openapi_extra=CHANGE_ON_CONDITION,
)
async def describe_todo(
    todo_id: TodoId, body: ChangedTodo, principal: CurrentPrincipal, todos: Todos, condition: CurrentCondition
) -> Response:
    """Change a to-do's description, and nothing else of it."""
    return _answer(await todos.describe(todo_id, _reach(principal), body.description.strip(), condition))


@router.delete(
    "/{todo_id}",
    dependencies=[may_write],
    response_class=Response,
    responses=_CHANGED,
    openapi_extra=CHANGE_ON_CONDITION,
)
async def remove_todo(
    todo_id: TodoId, principal: CurrentPrincipal, todos: Todos, condition: CurrentCondition
) -> Response:
    """Remove a to-do. The answer is 200 and empty, as the seed's clients know it (A-05)."""
    await todos.remove(todo_id, _reach(principal), condition)
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


def _item(todo: Todo) -> dict[str, Any]:
    """A to-do as the seed's clients know it: its version travels as the entity tag."""
    return {"id": todo.id, "owner": todo.owner, "description": todo.description}


def _read(request: Request, content: bytes, headers: dict[str, str]) -> Response:
    if is_known(headers["ETag"], request):
        return Response(status_code=304, headers=headers)
    return Response(content, headers=headers, media_type="application/json")


def _answer(todo: Todo, *, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    headers = {"ETag": tag_of(todo.version), **(headers or {})}
    return Response(_json.encode(_item(todo)), status, headers=headers, media_type="application/json")
