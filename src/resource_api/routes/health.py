"""Is the process alive, and can it do its work: two questions with two answers."""

from __future__ import annotations

from typing import Any, Final

from fastapi import APIRouter, Response

from resource_api.routes.services import Server, Todos
from resource_api.security import problem_response, public

_NOT_READY: Final[dict[int | str, dict[str, Any]]] = {
    503: problem_response("The issuer's keys or the store do not answer")
}

router = APIRouter(tags=["health"])


@router.get("/livez", response_class=Response)
@public
async def alive() -> Response:
    """The process answers; nothing else is asked, for a restart would not mend anything else."""
    return Response("ok", media_type="text/plain")


@router.get("/readyz", response_class=Response, responses=_NOT_READY)
@public
async def ready(todos: Todos, server: Server) -> Response:
    """The database answers and the issuer's keys are held; else 503 names the one that is missing."""
    await todos.check()
    await server.check_keys()
    return Response("ok", media_type="text/plain")
