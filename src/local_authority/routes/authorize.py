"""The authorization endpoint: a code at once where a session fits, a form where none does (OIDC Core 3.1.2)."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from local_authority.authorization import AuthorizationRequest, read_request, read_target
from local_authority.errors import LoginRequired, ProtocolRefusal
from local_authority.metadata import Paths
from local_authority.options import Options
from local_authority.routes.dependencies import Services, Wired
from local_authority.routes.forms import show_sign_in, show_sign_up
from local_authority.routes.requests import read_navigation
from local_authority.routes.responses import answer_code, answer_error
from local_authority.session_fit import fits
from local_authority.sessions import Session


def authorize_routes(options: Options) -> APIRouter:
    """GET and POST (OIDC Core 3.1.2.1)."""
    router = APIRouter()
    path = Paths(options.tenant_id).oauth2("authorize")
    router.add_api_route(path, authorize, methods=["GET", "POST"], response_model=None)
    return router


async def authorize(request: Request, services: Wired) -> Response:
    """Errors before the redirect URI is known are a page; all later ones go back to the client."""
    services.record.requests["authorize"] += 1
    parameters = await read_navigation(request)
    target = read_target(parameters, services.registry)
    several = services.options.shape == "full"
    try:
        asked = read_request(parameters, target, services.registry, several=several)
        session = _fitting_session(request, services, asked)
    except ProtocolRefusal as refusal:
        return answer_error(services, target, refusal)
    if session is not None:
        return answer_code(services, asked, session)
    return (show_sign_up if "create" in asked.prompts else show_sign_in)(request, services, asked)


def _fitting_session(request: Request, services: Services, asked: AuthorizationRequest) -> Session | None:
    """The session that answers without a form; LoginRequired where there is none and no form is allowed."""
    session = services.sessions.find(services.cookies.session(request))
    if session is not None and fits(
        asked,
        session,
        people=services.people,
        keys=services.keys,
        tokens=services.tokens,
        clock=services.clock,
    ):
        return session
    if "none" in asked.prompts:
        raise LoginRequired("Nobody is signed in here who fits this request.")
    return None
