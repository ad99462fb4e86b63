"""Sign-out that begins elsewhere: the authorization server says, by back or front channel, that its session is over.

Both routes read no cookie: none comes along with the one, none of ours with the other (SameSite). What they are told
becomes a fact in the ledger, so they are mounted only where there is one that outlives this process (rule F13).
"""

from __future__ import annotations

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from bff.errors import InvalidLogoutToken, TooManyRequests
from bff.routes.dependencies import Form, Query, Services, ServicesOf, guarded
from bff.session.marks import mark_of_person
from bff.telemetry.logs import get_logger

router = APIRouter(include_in_schema=False, dependencies=[Depends(guarded("unauthenticated"))])
_log = get_logger(__name__)


@router.post("/bff/backchannel-logout")
async def back_channel_logout(services: ServicesOf, form: Form) -> Response:
    """200 once the end is durable here (Back-Channel Logout 2.8); 400 for a token that is not good, or not new."""
    tokens = [value for name, value in form if name == "logout_token"]
    if len(tokens) != 1:
        raise InvalidLogoutToken("0", "the form holds not exactly one logout_token")
    notice = await services.relying_party.back_channel_logout(tokens[0])
    await services.authority_logouts.hear_back_channel(notice)
    if services.own_sessions is not None and notice.subject is not None:
        services.own_sessions.sweep_later(mark_of_person(notice.issuer, notice.subject))
    return Response(headers={"Cache-Control": "no-store"})


@router.get("/bff/frontchannel-logout")
async def front_channel_logout(request: Request, services: ServicesOf, query: Query) -> Response:
    """The same 200 whichever session is named, so that it tells nobody which sessions there are (rule F34)."""
    notice = services.relying_party.front_channel_logout(query)
    if notice is None:
        _log.info("front_channel_logout_ignored", detail="it does not name one session of our issuer")
    elif _is_admitted(request, services):
        await services.authority_logouts.hear_front_channel(notice)
    return Response(
        "<!doctype html><title>Signed out</title>", media_type="text/html", headers=await _frame_headers(services)
    )


def _is_admitted(request: Request, services: Services) -> bool:
    """Anybody may ask, so that one address may ask only so often: each new name is written to the disk."""
    try:
        services.frames.admit_address(request.client.host if request.client else "")
    except TooManyRequests as refusal:
        _log.warning("front_channel_logout_ignored", detail=refusal.detail)
        return False
    return True


async def _frame_headers(services: Services) -> dict[str, str]:
    """This document, and no other of ours, may be framed: by the pages of the server that signs people out."""
    framing = " ".join((*await services.relying_party.front_channel_origins(), *services.framed_by)) or "'none'"
    return {
        "Cache-Control": "no-store",
        "Content-Security-Policy": f"default-src 'none'; frame-ancestors {framing}",
        "Cross-Origin-Resource-Policy": "cross-origin",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }
