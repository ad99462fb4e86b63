"""``GET /bff/login`` sends the browser to the authorization server; ``/bff/callback`` brings it back signed in."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated
from urllib.parse import parse_qsl

from fastapi import APIRouter, Depends, Request
from starlette.responses import RedirectResponse, Response

from bff.errors import BFFError, LoginLoop, MalformedRequest, SessionError
from bff.gate.login_request import parse_login_request
from bff.oidc.messages import AuthorizationResponse
from bff.routes.dependencies import Cookies, Query, Services, ServicesOf, guarded, query_pairs
from bff.routes.outcome_pages import failed_navigation
from bff.session.cookies import Jar, SetCookie
from bff.session.endings import Reason
from bff.session.model import Session
from bff.telemetry import metrics
from bff.telemetry.logs import trace_id

MAX_FORM_BYTES = 16 * 1024
router = APIRouter(include_in_schema=False)


@dataclass(frozen=True, slots=True)
class Arrival:
    """What one authorization response led to: where to go or why not, and the cookies, the same for every delivery."""

    location: str | None
    failure: BFFError | None
    cookies: tuple[SetCookie, ...]

    def response(self) -> Response:
        """303 to the page that began the sign-in, or the page that says what happened."""
        if self.failure is not None:
            return with_cookies(failed_navigation(self.failure, trace_id.get()), self.cookies)
        return with_cookies(see_other(self.location or "/"), self.cookies)


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
    asked = replace(parse_login_request(query), replaces=await _current_sid(services, jar))
    authorization, transaction = await services.relying_party.begin_login(asked)
    return with_cookies(see_other(authorization.url), await services.vault.keep_login(transaction, jar))


async def _current_sid(services: Services, jar: Jar) -> str | None:
    """The session that this browser shows, if it shows one."""
    try:
        return (await services.vault.find_session(jar)).require().sid
    except SessionError:
        return None


async def _response_pairs(request: Request) -> list[tuple[str, str]]:
    """The parameters of an authorization response: the query, or a form of at most 16 KiB (response_mode=form_post)."""
    if request.method == "GET":
        return query_pairs(request)
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_FORM_BYTES:
            raise MalformedRequest("form too large")
    try:
        return parse_qsl(body.decode("ascii"), keep_blank_values=True, errors="strict")
    except ValueError as error:
        raise MalformedRequest("form is not urlencoded") from error


@router.api_route("/bff/callback", methods=["GET", "POST"], dependencies=[Depends(guarded("callback"))])
async def callback(
    services: ServicesOf, jar: Cookies, pairs: Annotated[list[tuple[str, str]], Depends(_response_pairs)]
) -> Response:
    """Duplicates → state → iss → error → code; a second delivery of an answer gets the first one's outcome (F18)."""
    response = AuthorizationResponse.parse(pairs)
    transaction, _ = await services.vault.open_login(jar, response.state)
    arrival = await services.vault.once(transaction, lambda: _arrive(services, response, jar))
    return arrival.response()


async def _arrive(services: Services, response: AuthorizationResponse, jar: Jar) -> Arrival:
    """Spend the transaction and turn the response into a session; whatever happens, the transaction's cookie goes."""
    transaction, spent = await services.vault.take_login(jar, response.state)
    try:
        sign_in = await services.relying_party.complete_login(response, transaction)
        loop, attempts = services.vault.count_arrival(jar)
        if loop:
            raise LoginLoop
        session = Session.begin(sign_in, now=services.clock.now(), absolute_seconds=services.vault.lifetimes.absolute)
        if transaction.replaces is not None:
            await services.vault.end_sid(transaction.replaces, Reason.REPLACED)
        kept = await services.vault.keep_session(session, jar)
    except BFFError as failure:
        metrics.logins.labels(type(failure).__name__).inc()
        return Arrival(None, failure, tuple(spent))
    metrics.logins.labels("signed_in").inc()
    metrics.sessions_started.inc()
    return Arrival(transaction.return_to, None, (*spent, *attempts, *kept))
