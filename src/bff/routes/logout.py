"""Sign-out: the local session is dead first, then the refresh token, then the authorization server's own session."""

from __future__ import annotations

import secrets

from fastapi import APIRouter, Depends
from starlette.responses import JSONResponse, Response

from bff.routes.dependencies import Cookies, Query, Services, ServicesOf, guarded
from bff.routes.login import see_other, with_cookies
from bff.routes.outcome_pages import Outcome, outcome_page
from bff.session.cookies import SetCookie
from bff.session.endings import Reason
from bff.session.vault import Presented
from bff.telemetry.logs import trace_id

CONTINUE = "/bff/logout/continue"
SIGNED_OUT = "/"
router = APIRouter(include_in_schema=False)

_CONFIRM = Outcome(
    "Sign out?",
    "This link belongs to another sign-in than the one in this browser, so nothing has happened yet.",
    (("Stay signed in", "/"),),
)


async def _sign_out(services: Services, presented: Presented) -> tuple[str | None, list[SetCookie]]:
    """End the session that a request presents; return where the browser goes next and the cookies that say so.

    The order is the promise: our session is dead before anything is asked of a peer (RPIL-2); the refresh token is
    revoked by a task that no answer waits for (RFC 7009); what is unreachable then keeps nobody signed in here.
    """
    session = presented.session
    if session is None:
        return None, services.vault.deletions(presented.jar)
    try:
        cookies = await services.vault.end_session(session, Reason.SIGNED_OUT, presented.jar)
    finally:  # where the ledger does not take the ending yet, it is over here all the same, and so is its grant
        services.tokens.revoke_later(session)
    if services.own_sessions is not None:
        services.own_sessions.forget_later(session)
    state = secrets.token_urlsafe(16)
    url = await services.relying_party.end_session_url(
        state=state, claims=session.claims, id_token=session.tokens.id_token
    )
    return url, cookies if url is None else [*cookies, services.vault.keep_logged_out_state(state)]


@router.post("/bff/logout", dependencies=[Depends(guarded("header"))])
async def logout(services: ServicesOf, jar: Cookies) -> Response:
    """End the session and name a path of ours to go on with: no ID token passes through the page (F31)."""
    url, cookies = await _sign_out(services, await services.vault.find_session(jar))
    return with_cookies(
        JSONResponse({"redirect_to": CONTINUE}, headers={"Cache-Control": "no-store"}),
        [*cookies, services.vault.keep_sign_out(url)],
    )


@router.get("/bff/logout", dependencies=[Depends(guarded("ticket"))])
async def logout_link(services: ServicesOf, jar: Cookies, query: Query) -> Response:
    """End the session whose ticket the link carries, if this browser shows that very session; otherwise ask (F32)."""
    presented = await services.vault.find_session(jar)
    tickets = [value for name, value in query if name == "ticket"]
    session = presented.session
    if session is None or len(tickets) != 1 or not services.vault.is_logout_ticket(tickets[0], session):
        return outcome_page(_CONFIRM, status=200, trace_id=trace_id.get(), script="/assets/sign-out.js")
    url, cookies = await _sign_out(services, presented)
    return with_cookies(see_other(url or SIGNED_OUT), cookies)


@router.get(CONTINUE, dependencies=[Depends(guarded("ticket"))])
async def logout_continue(services: ServicesOf, jar: Cookies) -> Response:
    """Go on to the authorization server with the URL that a sealed cookie of 60 seconds holds."""
    url, cookies = services.vault.take_sign_out(jar)
    return with_cookies(see_other(url or SIGNED_OUT), cookies)


@router.get("/bff/logged-out", dependencies=[Depends(guarded("callback"))])
async def logged_out(services: ServicesOf, jar: Cookies, query: Query) -> Response:
    """Where the authorization server sends the browser back; a ``state`` that is not ours changes nothing (F33)."""
    states = [value for name, value in query if name == "state"]
    return with_cookies(
        see_other(SIGNED_OUT), services.vault.check_logged_out(jar, states[0] if len(states) == 1 else None)
    )
