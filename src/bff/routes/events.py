"""``GET /bff/events``: tells the page that its session has ended, and why, within a second of its end (rule F28)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Final

from fastapi import APIRouter, Depends, Request
from starlette.responses import StreamingResponse

from bff.relay.lasting import LEAVING
from bff.routes.dependencies import Presentation, ServicesOf, SpeakingSession, guarded
from bff.session.endings import Reason
from bff.session.marks import Marks

PATH: Final = "/bff/events"
BEAT_SECONDS: Final = 15.0

router = APIRouter(include_in_schema=False)
_HEADERS = {
    "Cache-Control": "no-store",
    "Vary": "Cookie",
    "X-Accel-Buffering": "no",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
}


@router.get(PATH, dependencies=[Depends(guarded("header"))])
async def events(
    request: Request, services: ServicesOf, presented: Presentation, session: SpeakingSession
) -> StreamingResponse:
    """A stream that says nothing until the session ends, and ends with it; it never keeps a session alive.

    It also ends, without a word, when the idle time that this request's cookies tell of is over, and at a shutdown: the
    page asks again, with the cookies that it has by then. Raises what ``Presented.require`` raises, ``SessionChanged``
    and ``TooManyRequests``.
    """
    marks = Marks.of(session)
    services.endings.admit(marks)
    issued_at, until = session.id_token_issued_at, services.vault.idle_end(presented)
    end = partial(services.endings.end_of, marks, id_token_issued_at=issued_at, until=until)
    leaving: asyncio.Event = request.scope["state"].setdefault(LEAVING, asyncio.Event())
    return StreamingResponse(_told(end, leaving), media_type="text/event-stream", headers=_HEADERS)


async def _told(end: Callable[[], Awaitable[Reason | None]], leaving: asyncio.Event) -> AsyncIterator[bytes]:
    """A comment at once and every 15 seconds, so that nobody on the way takes silence for death; then the end."""
    ended, left = asyncio.ensure_future(end()), asyncio.ensure_future(leaving.wait())
    try:
        while not (ended.done() or left.done()):
            yield b":\n\n"
            await asyncio.wait({ended, left}, timeout=BEAT_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        reason = ended.result() if ended.done() else None
        if reason is not None:
            yield f"event: session-ended\ndata: {json.dumps({'reason': reason.value})}\n\n".encode()
    finally:
        ended.cancel()
        left.cancel()
