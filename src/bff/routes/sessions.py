"""``/bff/sessions``: somebody sees where they are signed in, and ends what they do not want any more.

Mounted only where there is a ledger that outlives this process: elsewhere an end would not hold (rule F13).
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.responses import JSONResponse, Response

from bff.routes.dependencies import OwnSessionsOf, ServicesOf, SpeakingSession
from bff.session.endings import Reason
from bff.session.marks import mark_of_person
from bff.session.own_sessions import OwnSession

router = APIRouter(prefix="/bff/sessions", include_in_schema=False)
_HEADERS = {
    "Cache-Control": "no-store",
    "Vary": "Cookie",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
}


@router.get("")
async def sessions(services: ServicesOf, own: OwnSessionsOf, session: SpeakingSession) -> Response:
    """The sessions of whoever asks, this one first, then the newest; nobody else's, and no sid."""
    lines = await own.of(mark_of_person(session.issuer, session.subject))
    current = services.vault.tag(session)
    shown = sorted((_shown(one, current) for one in lines), key=lambda one: not one["current"])
    return JSONResponse({"sessions": shown}, headers=_HEADERS)


@router.delete("/{tag}")
async def end_session(tag: str, services: ServicesOf, own: OwnSessionsOf, session: SpeakingSession) -> Response:
    """End one of one's own sessions, in whichever browser it is: 204; raises ``UnknownSession`` for any other tag."""
    if services.vault.tag_matches(session, tag):
        await services.vault.end_session(session, Reason.SIGNED_OUT)
        own.forget_later(session)
    else:
        await own.end(mark_of_person(session.issuer, session.subject), tag, Reason.ENDED_BY_OWNER)
    return Response(status_code=204, headers=_HEADERS)


def _shown(one: OwnSession, current: str) -> dict[str, Any]:
    return {
        "tag": one.tag,
        "device": one.device,
        "began_at": int(one.began_at),
        "seen_at": int(one.seen_at),
        "expires_at": int(one.absolute_end),
        "current": one.tag == current,
    }
