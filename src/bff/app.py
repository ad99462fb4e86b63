"""The composition root: the only file that knows everyone.

Read it from top to bottom and you have read the story. A request meets, in this order:

    BFF.__call__      a trace id · the one public name
      ├── Relay       /api/…   a sealed cookie becomes a bearer token (relay/relay.py); no framework in between
      └── FastAPI     /bff/…   sign-in, sign-out, who am I (routes/); the page and its documents

and whatever goes wrong becomes one problem (problems.py) or one page with the way on (routes/outcome_pages.py).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import httpx
from fastapi import FastAPI, Request
from fastapi.routing import iter_route_contexts
from msgspec import Struct
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from bff.clock import Clock, SystemClock
from bff.errors import BFFError, ConfigurationError, MethodNotAllowed, UnknownRoute
from bff.gate.antiforgery import Antiforgery
from bff.gate.client_address import ClientAddress
from bff.gate.front import FRONT, refuse_request, refuse_start
from bff.gate.host import PublicName
from bff.gate.speculation import refuse_speculative
from bff.oidc.back_channel import open_back_channel
from bff.oidc.relying_party import RelyingParty
from bff.problems import problem_response, row_of
from bff.relay.callers import PRESENTED, Callers
from bff.relay.client_tokens import ClientTokens
from bff.relay.fair_use import FairUse
from bff.relay.hooks import HookedRelay, Hooks
from bff.relay.relay import Relay
from bff.relay.route_table import RouteTable
from bff.relay.second_chance import SecondChances
from bff.relay.websocket import UPGRADES
from bff.relay.websocket_upstream import WebSocketUpstream
from bff.routes import authority_logouts, docs, events, health, login, logout, pages, picture, probe, sessions, user
from bff.routes.dependencies import Services, has_policy
from bff.routes.outcome_pages import failed_navigation
from bff.routes.reach import shadowed_pages, shadowed_routes
from bff.session.access_tokens import AccessTokens
from bff.session.authority_logouts import AuthorityLogouts
from bff.session.ended_grants import EndedGrants
from bff.session.ending_watch import EndingWatch
from bff.session.ends_heard import EndsHeard
from bff.session.key_watch import KeyWatch
from bff.session.limits import MEANINGS, SERIOUS
from bff.session.marks import EVERYBODY
from bff.session.own_sessions import OwnSessions
from bff.session.vault import Presented, SessionVault
from bff.settings import BFFSettings
from bff.telemetry import metrics
from bff.telemetry.journal import Journal
from bff.telemetry.logs import get_logger, trace_id
from bff.telemetry.traces import trace_id_of
from bff.wiring import (
    api_document_of,
    begun_after_of,
    fair_use_of,
    hears_the_authority,
    ledger_of,
    own_sessions_of,
    registration_of,
    ring_of,
    route_of,
    sign_out_limits,
    upstream_of,
    vault_of,
)

_log = get_logger("bff")
_READING = frozenset({"GET", "HEAD", "OPTIONS"})
ANSWERED = "bff.answered"
# How often one address, and all together, may end a session by front channel: a request proves no more than a name.
FRAMES_PER_ADDRESS, FRAMES_IN_ALL = "60/minute", "600/minute"
# A browser arrives at these by navigation, so it gets a page to read; everything else gets a problem to parse.
NAVIGATIONS = frozenset({"/bff/login", "/bff/callback", "/bff/logout/continue", "/bff/logged-out"})


def create_app(
    settings: BFFSettings,
    *,
    transport: httpx.AsyncBaseTransport | None = None,
    clock: Clock | None = None,
    hooks: Hooks | None = None,
) -> BFF:
    """Wire the whole BFF. ``transport`` and ``clock`` are what a test replaces: the network and the time.

    ``hooks`` are told of each relayed call, which no middleware sees.
    Returns a FastAPI to which a team may add routers; each route declares who may call it, or the start is refused.
    """
    clock = clock or SystemClock()
    authority = settings.authority
    http = open_back_channel(transport=transport, ca_file=authority.ca_file, proxy_url=authority.proxy_url)
    relying_party = RelyingParty(registration_of(settings), http=http, clock=clock)
    ring, ledger = ring_of(settings, clock), ledger_of(settings, clock)
    vault = vault_of(settings, ledger, clock, ring, EndedGrants(relying_party))
    key_watch = KeyWatch(ring, settings.session.keys_file)
    metrics.key_uses.watch(ring.seals, ring.opens)
    tokens = AccessTokens(relying_party, vault, ledger, clock, rotation=authority.rotation)
    own_sessions = own_sessions_of(settings, ledger, vault, clock)
    endings = EndingWatch(ledger, clock)
    antiforgery = Antiforgery(settings.origin.encode())
    upstream = upstream_of(settings, transport, clock)
    journal = Journal(clock) if settings.page.picture else None
    if journal is not None:
        picture.watch_back_channel(http, journal)
        upstream = picture.WatchedUpstream(upstream, journal)
    routes = RouteTable([route_of(route) for route in settings.route])
    client_tokens = ClientTokens(relying_party, clock)
    relay = (Relay if hooks is None else partial(HookedRelay, hooks))(
        routes,
        antiforgery,
        vault,
        Callers(vault, tokens, client_tokens, SecondChances(clock)),
        upstream,
        endings,
        public_origin=settings.origin,
        clock=clock,
        fair_use=fair_use_of(settings),
        status_of=lambda error: row_of(error).status,
        observe=metrics.relayed.observe,
        websockets=WebSocketUpstream(clock, max_connections=settings.relay.max_connections),
    )

    app = BFF(relay, PublicName(settings.origin), ClientAddress(settings.server.trusted_proxies), vault)
    app.state.services = Services(
        relying_party=relying_party,
        vault=vault,
        tokens=tokens,
        ledger=ledger,
        antiforgery=antiforgery,
        clock=clock,
        public_claims=settings.session.claims,
        endings=endings,
        authority_logouts=AuthorityLogouts(ledger, vault, clock, absolute=settings.session.absolute),
        frames=FairUse(per_address=FRAMES_PER_ADDRESS, in_all=FRAMES_IN_ALL),
        framed_by=authority.logout_framed_by,
        own_sessions=own_sessions,
        machines=settings.session.machines,
    )
    app.own_sessions = own_sessions
    app.state.owned_by_relay = routes.owns
    app.state.journal = app.journal = journal
    app.state.page = pages.Page.load(settings.page.directory, settings.page.csp)
    if shadowed := shadowed_pages(app.state.page, routes.owns):
        raise ConfigurationError(shadowed)
    app.state.ui_assets = docs.load_ui_assets()
    app.state.api_document = api_document_of(settings, http)
    app.state.key_watch = key_watch
    begun_after = begun_after_of(settings, clock)
    app.state.begun_after = begun_after
    app.state.ends_heard = ends_heard = EndsHeard(ledger, clock, before=begun_after, absolute=settings.session.absolute)
    used = (key_watch, endings, ends_heard, tokens, client_tokens, own_sessions, vault, upstream, http, ledger)
    app.state.closing = [one.aclose for one in used if one is not None]
    ours = (login, logout, user, events, probe, health, docs, picture)
    for router in (module.router for module in ours):
        app.include_router(router)
    if hears_the_authority(settings, ledger):
        app.include_router(authority_logouts.router)
        app.include_router(sessions.router)
    for limit in sign_out_limits(settings):
        say = _log.warning if limit in SERIOUS else _log.info
        say("sign_out_limit", limit=limit.value, meaning=MEANINGS[limit])
    return app


class BFF(FastAPI):
    """A FastAPI that never sees the relayed calls: they leave before any middleware or router (ADR 3)."""

    def __init__(self, relay: Relay, public_name: PublicName, address: ClientAddress, vault: SessionVault) -> None:
        super().__init__(
            title="BFF", openapi_url=None, docs_url=None, redoc_url=None, lifespan=_lifespan, redirect_slashes=False
        )
        self._relay, self._public_name, self._address = relay, public_name, address
        self._vault = vault
        self.journal: Journal | None = None
        self.own_sessions: OwnSessions | None = None
        self.add_exception_handler(BFFError, _refused)
        self.add_exception_handler(HTTPException, _refused_by_framework)
        self.add_exception_handler(Exception, _failed)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take one request through the house; see the drawing at the top of this file."""
        state = scope.setdefault("state", {})
        if scope["type"] == "lifespan":
            state[UPGRADES] = self._relay.upgrades
            return await (super().__call__(scope, receive, send) if FRONT in state else refuse_start(receive, send))
        token = trace_id.set(trace_id_of(scope["headers"]))
        relayed = self._relay.matches(scope)
        if self.journal is not None and scope["type"] == "http":
            send = picture.watched(self.journal, scope, send, relayed=relayed)
        answer = _Answer(scope, send, self._vault)
        try:
            if FRONT not in state:
                refuse_request()
            self._public_name.check(scope)
            refuse_speculative(scope)
            self._address.settle(scope)
            if relayed:
                await self._relay(scope, receive, answer.relayed)
            else:
                await super().__call__(scope, receive, answer.ours)
        except Exception as error:  # the outermost floor: every failure becomes one problem
            if answer.begun and scope["state"].get(ANSWERED) is not error:
                raise  # a response that has begun can only be closed
            if not answer.begun:
                await problem_response(error, trace_id.get())(scope, receive, answer.ours)
        finally:
            presented: Presented | None = scope["state"].get(PRESENTED)
            if presented is not None and self.own_sessions is not None:
                self.own_sessions.seen(presented, reads=scope.get("method", "GET") in _READING)
            trace_id.reset(token)


class _Answer(Struct, eq=False):
    """The way out: knows whether an answer has begun, and adds the session's cookies in that very instant (rule F2)."""

    _scope: Scope
    _send: Send
    _vault: SessionVault
    begun: bool = False

    def __repr__(self) -> str:
        """Tell no scope: cookies lie in it."""
        return f"_Answer(begun={self.begun})"

    async def relayed(self, message: Message) -> None:
        """Pass on what the relay sends; it has decided about cookies itself."""
        self.begun = True
        await self._send(message)

    async def ours(self, message: Message) -> None:
        """Pass on an answer of ours, with whatever cookies its session is due."""
        if message["type"] in {"http.response.start", "websocket.http.response.start"}:
            self.begun = True
            presented: Presented | None = self._scope["state"].get(PRESENTED)
            if presented is not None:
                due = self._vault.cookies_due(presented, slides=_slides(self._scope))
                message["headers"] = [*message["headers"], *(cookie.header() for cookie in due)]
        await self._send(message)


def _slides(scope: Scope) -> bool:
    """A poll says ``X-BFF-Slide: 0``, and a stream is one: it keeps no session alive that nobody uses (F19, F28)."""
    return scope["path"] != events.PATH and (b"x-bff-slide", b"0") not in scope["headers"]


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Refuse a route that declares no policy or is never asked; at the end, finish what is in flight, then close."""
    # Through every included router: app.routes itself names only what was added without one.
    served = list(iter_route_contexts(app.routes))
    open_doors = sorted(str(route.path) for route in served if not has_policy(getattr(route, "dependant", None)))
    causes = [f"{path}: no policy. Cure: depend on CurrentSession, or on public" for path in open_doors]
    causes += shadowed_routes({str(route.path) for route in served}, app.state.owned_by_relay)
    if causes:
        raise ConfigurationError(causes)
    app.include_router(pages.router)  # last, so that a team's own routes come before the page's catch-all
    app.state.key_watch.start()
    await app.state.ends_heard.listen()
    if app.state.begun_after is not None:  # nothing stays stored of what is over since then (rule F9)
        app.state.services.vault.shred_covered_later(EVERYBODY)
    yield
    for close in app.state.closing:
        await close()


async def _refused(request: Request, error: Exception) -> Response:
    """A problem for a script, a page for a person on the way in or out."""
    by_link = request.method == "GET" and request.url.path == "/bff/logout"
    if request.url.path in NAVIGATIONS or by_link:
        return failed_navigation(error, trace_id.get())
    return problem_response(error, trace_id.get())


async def _failed(request: Request, error: Exception) -> Response:
    """A fault of our own, told like any other: Starlette alone would answer in plain text, and note nothing.

    It raises the error again when it has sent this answer; the mark says that there is nothing left to do.
    """
    request.scope["state"][ANSWERED] = error
    return await _refused(request, error)


async def _refused_by_framework(request: Request, error: Exception) -> Response:
    """What the router itself refuses, in our words."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    allowed: Any = getattr(error, "headers", None) or {}
    methods = frozenset(name.strip() for name in allowed.get("Allow", "").split(",") if name.strip())
    if request.method == "OPTIONS" and methods:  # every preflight fails: no CORS field says otherwise (ATK-25)
        told = ", ".join(sorted(methods | {"OPTIONS"}))
        return Response(status_code=204, headers={"Allow": told, "Cache-Control": "no-store"})
    return await _refused(request, MethodNotAllowed(methods) if status == 405 else UnknownRoute())  # noqa: PLR2004 — RFC 9110 15.5.6
