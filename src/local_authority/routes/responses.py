"""Authorization responses, by redirect or by a form that posts itself (RFC 6749 4.1.2, Form Post Response Mode)."""

from __future__ import annotations

from http import HTTPStatus
from urllib.parse import urlencode

from starlette.responses import RedirectResponse, Response

from local_authority.authorization import AuthorizationRequest, Target, code_parameters, error_parameters
from local_authority.errors import ProtocolRefusal
from local_authority.pages import HEADERS, Policy
from local_authority.routes.dependencies import Services
from local_authority.sessions import Session


def answer_code(services: Services, request: AuthorizationRequest, session: Session) -> Response:
    """A code for this request, out of this session."""
    code = services.grants.issue_code(request, session)
    services.sessions.used(session, request.target.client_id)
    return _answer(services, request.target, code_parameters(request.target, code))


def answer_error(services: Services, target: Target, refusal: ProtocolRefusal) -> Response:
    """The error back to the client."""
    return _answer(services, target, error_parameters(target, refusal))


def redirect(url: str) -> Response:
    """303, so that nothing that was posted is posted again (RFC 9700 4.12)."""
    return RedirectResponse(url, status_code=HTTPStatus.SEE_OTHER, headers=HEADERS)


def _answer(services: Services, target: Target, parameters: dict[str, str]) -> Response:
    """With ``iss`` in every answer (RFC 9207 2), but in Entra's shape, which does not know it."""
    if services.options.shape == "full":
        parameters = {**parameters, "iss": services.options.issuer_identifier}
    if target.response_mode == "form_post":
        policy = Policy(form_targets=(target.origin,), script=True)
        return services.pages.render("form_post.html", policy=policy, action=target.redirect_uri, parameters=parameters)
    if target.response_mode == "fragment":
        return redirect(f"{target.redirect_uri}#{urlencode(parameters)}")
    separator = "&" if "?" in target.redirect_uri else "?"
    return redirect(f"{target.redirect_uri}{separator}{urlencode(parameters)}")
