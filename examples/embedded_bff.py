"""A team's own FastAPI with the BFF inside: sign-in and relay are ours, ``/reports`` is theirs.

python -m examples.embedded_bff bff.toml
"""

from __future__ import annotations

import asyncio
import logging
import sys
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from fastapi import APIRouter, Depends

from bff.app import BFF, create_app
from bff.relay.hooks import Hooks, RelayedCall
from bff.routes.dependencies import CurrentSession, public
from bff.server import uvicorn_config
from bff.settings import BFFSettings, load_settings

reports = APIRouter(prefix="/reports")


@reports.get("/mine")
async def my_report(session: CurrentSession) -> dict[str, Any]:
    """Behind the session: 401 for whoever has none, 403 for another site's request."""
    return {"prepared_for": session.claims.get("name"), "may": sorted(session.tokens.scope)}


@reports.get("/published", dependencies=[Depends(public)])
async def published() -> list[str]:
    """For everybody, said so: a route that says nothing about its callers stops the start."""
    return ["The annual report"]


def note(call: RelayedCall, status: int | None, seconds: float) -> None:
    """In a middleware's place: what the relay takes never reaches one."""
    logging.getLogger("reports").info("%s %s: %s after %.3f s", call.method, call.route, status, seconds)


def make_app(settings: BFFSettings, *, transport: httpx.AsyncBaseTransport | None = None) -> BFF:
    """The whole application: ``create_app`` returns a FastAPI, and this adds a router to it."""
    app = create_app(settings, transport=transport, hooks=Hooks(ended=note))
    app.include_router(reports)
    return app


def main() -> None:
    """Serve until SIGTERM, through the stricter protocol that the BFF's own command uses."""
    settings = load_settings(Path(sys.argv[1]))
    server = settings.server
    config = uvicorn_config(make_app(settings), host=server.host, port=server.port, drain_seconds=server.drain_seconds)
    asyncio.run(uvicorn.Server(config).serve())


if __name__ == "__main__":
    main()
