"""``GET /bff/login`` sends the browser to the authorization server; ``/bff/callback`` brings it back signed in."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import RedirectResponse, Response

from bff.errors import BFFError, LoginLoop
from bff.gate.login_request import parse_login_request
from bff.oidc.messages import AuthorizationResponse, LoginTransaction
from bff.routes.dependencies import Cookies, Query, Services, ServicesOf, form_pairs, guarded, query_pairs
from bff.routes.outcome_pages import failed_navigation
from bff.session.cookies import Jar, SetCookie
from bff.session.devices import device_of
from bff.session.model import Session
from bff.session.vault import Landing
from bff.telemetry import metrics
from bff.telemetry.logs import trace_id

MAX_ATTEMPTS = 3
router = APIRouter(include_in_schema=False)


def see_other(location: str) -> Response:
    """303, never 307: what a form sent here is not sent on (RFC 9700 4.12)."""
    return RedirectResponse(location, 303, headers={"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"})


def with_cookies(response: Response, cookies: tuple[SetCookie, ...] | list[SetCookie]) -> Response:
    """Attach cookie values to an answer."""
    response.raw_headers.extend(cookie.header() for cookie in cookies)
    return response


@router.get("/bff/login", dependencies=[Depends(guarded("navigation"))])
async def login(services: ServicesOf, query: Query, jar: Cookies) -> Response:
    """Begin a sign-in; the transaction names the session it will replace, because the callback cannot see it (F23)."""
    presented = await services.vault.find_session(jar, bodiless=True)
    replaced = presented.living
    asked = replace(parse_login_request(query), replaces=None if replaced is None else replaced.sid)
    authorization, transaction = await services.relying_party.begin_login(asked)
    kept = await services.vault.keep_login(transaction, jar)
    # What does not open is of no use to anybody who is about to sign in, and is cleared here alone (F21).
    useless = replaced is None and services.vault.policy.session in jar
    cleared = services.vault.clear(presented) if useless else []
    return with_cookies(see_other(authorization.url), [*cleared, *kept])


async def _response_pairs(request: Request) -> list[tuple[str, str]]:
    """The parameters of an authorization response: the query, or a form of at most 16 KiB (response_mode=form_post)."""
    return query_pairs(request) if request.method == "GET" else await form_pairs(request)


@router.api_route("/bff/callback", methods=["GET", "POST"], dependencies=[Depends(guarded("callback"))])
async def callback(
    request: Request,
    services: ServicesOf,
    jar: Cookies,
    pairs: Annotated[list[tuple[str, str]], Depends(_response_pairs)],
) -> Response:
    """Duplicates → state → iss → error → code; whatever comes of it, the transaction's cookie goes."""
    response = AuthorizationResponse.parse(pairs)
    transaction, spent = await services.vault.take_login(jar, response.state)
    device = device_of(request.headers.get("user-agent", ""))
    try:
        landing = await services.vault.once(transaction, lambda: _arrive(services, response, transaction, jar, device))
    except BFFError as failure:
        metrics.logins.labels(type(failure).__name__).inc()
        return with_cookies(failed_navigation(failure, trace_id.get()), spent)
    return with_cookies(see_other(landing.location), [*spent, *landing.cookies])


async def _arrive(
    services: Services, response: AuthorizationResponse, transaction: LoginTransaction, jar: Jar, device: str
) -> Landing:
    """Turn one response into a session, once: a second delivery of it gets these very bytes (rule F18)."""
    sign_in = await services.relying_party.complete_login(response, transaction)
    session = Session.begin(sign_in, now=services.clock.now(), absolute_seconds=services.vault.lifetimes.absolute)
    try:
        cookies = await _settled(services, session, transaction, jar)
    except BFFError:
        services.vault.grants.revoke_later(session)  # a grant that leads to no session is nobody's to end later
        raise
    if services.own_sessions is not None:
        await services.own_sessions.begin(session, device)
    metrics.logins.labels("signed_in").inc()
    return Landing(location=transaction.return_to, cookies=cookies)


async def _settled(
    services: Services, session: Session, transaction: LoginTransaction, jar: Jar
) -> tuple[SetCookie, ...]:
    """Put a new session in the place of the one it replaces, whose refresh token goes with it."""
    attempts, counted = services.vault.login_attempts(jar, transaction)
    if attempts >= MAX_ATTEMPTS:
        raise LoginLoop
    replaced = await services.vault.end_replaced(transaction)
    # Within one session of one person a server may hold both sign-ins for one grant, and would end the new one too.
    if replaced is not None and (replaced.subject, replaced.authority_sid) != (session.subject, session.authority_sid):
        services.vault.grants.revoke_later(replaced)
    return counted, *await services.vault.keep_session(session, jar)
