"""The composition root: options become an application. The only file that knows everyone."""

from __future__ import annotations

from collections.abc import Mapping

import httpx
from fastapi import FastAPI
from joserfc.jwk import RSAKey

from local_authority import assembly, problems
from local_authority.attempts import Attempts
from local_authority.bearer_tokens import BearerTokens
from local_authority.clients.assertions import Assertions
from local_authority.clients.authentication import ClientAuthentication
from local_authority.clock import Clock, SystemClock
from local_authority.cookies import Cookies
from local_authority.grants import Grants
from local_authority.host_gate import HostGate
from local_authority.keys import Keys
from local_authority.metadata import Paths
from local_authority.misbehaving.misbehaviours import Endpoint, Misbehaviours
from local_authority.misbehaving.signer import LyingSigner
from local_authority.misbehaving.wire import MisbehavingWire
from local_authority.options import Options
from local_authority.pages import Pages
from local_authority.people import People
from local_authority.record import Record
from local_authority.routes.authorize import authorize_routes
from local_authority.routes.dependencies import Services
from local_authority.routes.discovery import discovery_routes
from local_authority.routes.forms import SIGN_IN, SIGN_UP, form_routes
from local_authority.routes.logout import logout_routes
from local_authority.routes.token import token_routes
from local_authority.routes.userinfo import userinfo_routes
from local_authority.sessions import Sessions
from local_authority.sign_out import SignOut
from local_authority.store import Store
from local_authority.token_answers import TokenAnswers
from local_authority.tokens import KeySigner, Signer, Tokens
from local_authority.transactions import Transactions

ROUTES = (discovery_routes, authorize_routes, form_routes, token_routes, userinfo_routes, logout_routes)


def create_app(
    options: Options,
    *,
    clock: Clock | None = None,
    transport: httpx.AsyncBaseTransport | None = None,
    signing_key: RSAKey | None = None,
    misbehaviours: Misbehaviours | None = None,
) -> FastAPI:
    """The authority as an ASGI application; ConfigurationError with every cause where the options cannot work.

    ``transport`` carries back-channel logout, ``signing_key`` spares tests the making of one, and ``misbehaviours`` are
    the only way to make it misbehave. ``app.state.services`` holds what was wired.
    """
    options.check()
    services = _services(options, clock or SystemClock(), transport, signing_key, misbehaviours)
    app = FastAPI(title="Local authority", openapi_url=None, redirect_slashes=False)
    app.state.services = services
    problems.install(app, services.pages, services.record)
    for routes in ROUTES:
        app.include_router(routes(options))
    if misbehaviours is not None:
        app.add_middleware(MisbehavingWire, misbehaviours=misbehaviours, endpoints=_endpoints(options))
    app.add_middleware(HostGate, hosts=options.hosts)
    return app


def _services(
    options: Options,
    clock: Clock,
    transport: httpx.AsyncBaseTransport | None,
    signing_key: RSAKey | None,
    misbehaviours: Misbehaviours | None,
) -> Services:
    configured = assembly.configuration(options)
    registry, store = assembly.registry(options, configured), Store(options.data)
    store.trim(clock.now())
    keys = Keys(store, first=signing_key)
    signer: Signer = KeySigner(keys) if misbehaviours is None else LyingSigner(keys, misbehaviours)
    tokens = Tokens(options, signer, clock, pairwise=assembly.own_secret(store, "pairwise"))
    people = People(store, Attempts(clock), cost=options.password_cost)
    people.seed(assembly.people(options, configured, store, hint_key=assembly.own_secret(store, "login_hint")))
    sessions = Sessions(store, clock, seconds=options.lifetimes.session)
    overlap, seconds = options.refresh_overlap, options.lifetimes.refresh_token
    grants = Grants(store, clock, refresh_seconds=seconds, overlap_seconds=overlap)
    return Services(
        options=options,
        clock=clock,
        registry=registry,
        keys=keys,
        people=people,
        sessions=sessions,
        transactions=Transactions(assembly.own_secret(store, "transactions"), clock),
        grants=grants,
        tokens=tokens,
        answers=TokenAnswers(options, registry, people, grants, tokens),
        bearer_tokens=BearerTokens(options, store, keys, grants, clock),
        client_authentication=ClientAuthentication(registry, _assertions(options, store, clock)),
        cookies=Cookies.of(options),
        sign_out=SignOut(options, registry, sessions, tokens, transport),
        pages=Pages(Paths(options.tenant_id).base),
        record=Record(),
    )


def _assertions(options: Options, store: Store, clock: Clock) -> Assertions:
    token_endpoint = f"{options.origin}{Paths(options.tenant_id).oauth2('token')}"
    audiences = frozenset({options.issuer_identifier, token_endpoint})
    return Assertions(store, clock, audiences, key_must_be_named=options.shape == "entra")


def _endpoints(options: Options) -> Mapping[str, Endpoint]:
    """What misbehaves where; the forms answer for the authorization endpoint."""
    paths = Paths(options.tenant_id)
    return {
        paths.metadata: "metadata",
        paths.keys: "keys",
        paths.oauth2("authorize"): "authorize",
        f"{paths.base}/{SIGN_IN}": "authorize",
        f"{paths.base}/{SIGN_UP}": "authorize",
        paths.oauth2("token"): "token",
        paths.userinfo: "userinfo",
        paths.oauth2("revoke"): "revoke",
        paths.oauth2("logout"): "logout",
    }
