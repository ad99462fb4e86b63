"""RP-initiated logout (OIDC RP-Initiated Logout 2): at once for who proves whom, after a question for others."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from local_authority.end_session import EndSessionRequest, means, read_end_session
from local_authority.metadata import Paths
from local_authority.options import Options
from local_authority.pages import Policy, origin
from local_authority.routes.dependencies import Services, Wired
from local_authority.routes.requests import read_navigation, read_own_form
from local_authority.routes.responses import redirect
from local_authority.secret_values import new_secret
from local_authority.sessions import Session

SIGN_OUT: Final = "sign-out"


def logout_routes(options: Options) -> APIRouter:
    """The endpoint, and the form of its question."""
    router, paths = APIRouter(), Paths(options.tenant_id)
    router.add_api_route(paths.oauth2("logout"), end_session, methods=["GET", "POST"], response_model=None)
    router.add_api_route(f"{paths.base}/{SIGN_OUT}", confirmed, methods=["POST"], response_model=None)
    return router


async def end_session(request: Request, services: Wired) -> Response:
    """End the session that the hints mean; ask where there are none."""
    services.record.requests["logout"] += 1
    asked = read_end_session(await read_navigation(request), services.registry, services.keys, services.options)
    session = services.sessions.find(services.cookies.session(request)) or services.sessions.of(asked.sid or "")
    if session is None:
        return _finished(services, asked, frames=[])
    if not means(asked, session, services.people):
        return _question(request, services, asked)
    return await _end(services, asked, session)


async def confirmed(request: Request, services: Wired) -> Response:
    """The answer to the question."""
    form = await read_own_form(request, services.options)
    browser = services.cookies.browser(request)
    asked = services.transactions.open(form.text("transaction"), browser, EndSessionRequest)
    session = services.sessions.find(services.cookies.session(request))
    if form.get("action") == SIGN_OUT and session is not None:
        return await _end(services, asked, session)
    return services.pages.render("signed_out.html", ended=session is None, continue_to=asked.return_url, frames=[])


async def _end(services: Services, asked: EndSessionRequest, session: Session) -> Response:
    frames = await services.sign_out.end(session, asked_by=asked.client_id)
    return _finished(services, asked, frames=frames)


def _finished(services: Services, asked: EndSessionRequest, *, frames: list[str]) -> Response:
    """Back to the client at once, or by a page whose frames tell the others first."""
    if asked.return_url is not None and not frames:
        response = redirect(asked.return_url)
    else:
        response = services.pages.render(
            "signed_out.html",
            policy=Policy(frames=tuple(frames), script=bool(frames)),
            ended=True,
            continue_to=asked.return_url,
            frames=frames,
        )
    services.cookies.drop_session(response)
    return response


def _question(request: Request, services: Services, asked: EndSessionRequest) -> Response:
    browser = services.cookies.browser(request) or new_secret()
    targets = () if asked.return_url is None else (origin(asked.return_url),)
    response = services.pages.render(
        "sign_out.html",
        policy=Policy(form_targets=targets),
        transaction=services.transactions.seal(asked, browser),
    )
    services.cookies.keep_browser(response, browser)
    return response
