"""The sign-in and the sign-up page: one plain form each, which carries its own transaction."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from starlette.responses import Response

from local_authority.authorization import AuthorizationRequest
from local_authority.errors import AccessDenied, FormRefused
from local_authority.metadata import Paths
from local_authority.options import Options
from local_authority.pages import Policy
from local_authority.parameters import Parameters
from local_authority.people import EMAIL, Person
from local_authority.routes.dependencies import Services, Wired
from local_authority.routes.requests import read_navigation, read_own_form
from local_authority.routes.responses import answer_code, answer_error
from local_authority.secret_values import new_secret

SIGN_IN: Final = "sign-in"
SIGN_UP: Final = "sign-up"
CANCEL: Final = "cancel"


def form_routes(options: Options) -> APIRouter:
    """Each form is shown by GET and posted to its own address."""
    router, base = APIRouter(), Paths(options.tenant_id).base
    router.add_api_route(f"{base}/{SIGN_IN}", open_form, methods=["GET"], response_model=None)
    router.add_api_route(f"{base}/{SIGN_UP}", open_form, methods=["GET"], response_model=None)
    router.add_api_route(f"{base}/{SIGN_IN}", sign_in, methods=["POST"], response_model=None)
    router.add_api_route(f"{base}/{SIGN_UP}", sign_up, methods=["POST"], response_model=None)
    return router


async def open_form(request: Request, services: Wired) -> Response:
    """One form's link to the other, with the same transaction."""
    asked = _transaction(request, services, await read_navigation(request))
    page = SIGN_UP if request.url.path.endswith(SIGN_UP) else SIGN_IN
    return _show(request, services, asked, page=page)


async def sign_in(request: Request, services: Wired) -> Response:
    """A session and a code for who knows the password."""
    form = await read_own_form(request, services.options)
    asked = _transaction(request, services, form)
    if form.get("action") == CANCEL:
        return _cancelled(services, asked)
    try:
        person = await services.people.sign_in(form.text("email"), form.text("password"))
    except FormRefused as refusal:
        return _show(request, services, asked, page=SIGN_IN, form=form, refusal=refusal)
    return _signed_in(request, services, asked, person)


async def sign_up(request: Request, services: Wired) -> Response:
    """A new person, signed in at once."""
    form = await read_own_form(request, services.options)
    asked = _transaction(request, services, form)
    if form.get("action") == CANCEL:
        return _cancelled(services, asked)
    try:
        person = await services.people.sign_up(form.text("email"), form.text("name"), form.text("password"))
    except FormRefused as refusal:
        return _show(request, services, asked, page=SIGN_UP, form=form, refusal=refusal)
    return _signed_in(request, services, asked, person)


def show_sign_in(request: Request, services: Services, asked: AuthorizationRequest) -> Response:
    """The sign-in page, with the email that ``login_hint`` names."""
    return _show(request, services, asked, page=SIGN_IN)


def show_sign_up(request: Request, services: Services, asked: AuthorizationRequest) -> Response:
    """The sign-up page (``prompt=create``)."""
    return _show(request, services, asked, page=SIGN_UP)


def _transaction(request: Request, services: Services, form: Parameters) -> AuthorizationRequest:
    browser = services.cookies.browser(request)
    return services.transactions.open(form.text("transaction"), browser, AuthorizationRequest)


def _signed_in(request: Request, services: Services, asked: AuthorizationRequest, person: Person) -> Response:
    previous = services.sessions.find(services.cookies.session(request))
    session, cookie = services.sessions.begin(person.oid, acr=asked.acr, previous=previous)
    response = answer_code(services, asked, session)
    services.cookies.keep_session(response, cookie)
    return response


def _cancelled(services: Services, asked: AuthorizationRequest) -> Response:
    return answer_error(services, asked.target, AccessDenied("The person cancelled."))


def _show(
    request: Request,
    services: Services,
    asked: AuthorizationRequest,
    *,
    page: str,
    form: Parameters | None = None,
    refusal: FormRefused | None = None,
) -> Response:
    """The page, with what was typed and what is wrong with it; never the password."""
    browser = services.cookies.browser(request) or new_secret()
    transaction = services.transactions.seal(asked, browser)
    errors: Mapping[str, str] = {} if refusal is None else refusal.fields
    response = services.pages.render(
        f"{page.replace('-', '_')}.html",
        policy=Policy(form_targets=(asked.target.origin,)),
        status=HTTPStatus.OK if refusal is None else HTTPStatus(refusal.status),
        client=services.registry.clients[asked.target.client_id].name,
        transaction=transaction,
        query=urlencode({"transaction": transaction}),
        email=_hinted_email(services, asked) if form is None else form.text("email"),
        name="" if form is None else form.text("name"),
        errors=errors,
    )
    services.cookies.keep_browser(response, browser)
    return response


def _hinted_email(services: Services, asked: AuthorizationRequest) -> str:
    if asked.login_hint is None:
        return ""
    person = services.people.find_hint(asked.login_hint)
    if person is not None:
        return person.email
    return asked.login_hint if EMAIL.fullmatch(asked.login_hint) else ""
