"""What a handler is handed: the services that ``app.py`` wired, and who is signed in.

``CurrentSession`` and ``Presentation`` are public: a team's own routes use them and pass the same gate as ours.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import parse_qsl

from fastapi import Depends, Request

from bff.clock import Clock
from bff.errors import MalformedRequest, RequestStalled, SessionChanged, UnknownRoute
from bff.gate.antiforgery import Antiforgery
from bff.oidc.relying_party import RelyingParty
from bff.relay.fair_use import FairUse
from bff.relay.relay import PRESENTED
from bff.session.access_tokens import AccessTokens
from bff.session.authority_logouts import AuthorityLogouts
from bff.session.cookies import Jar
from bff.session.ending_watch import EndingWatch
from bff.session.ledger import Ledger
from bff.session.model import Session
from bff.session.own_sessions import OwnSessions
from bff.session.vault import Presented, SessionVault

MAX_QUERY_BYTES = 8192
MAX_FORM_BYTES = 16 * 1024
MAX_FORM_FIELDS = 64
FORM_SECONDS = 10.0
POLICY = "bff_policy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Everything a management endpoint may use; wired once, by ``create_app``."""

    relying_party: RelyingParty
    vault: SessionVault
    tokens: AccessTokens
    ledger: Ledger
    authority_logouts: AuthorityLogouts
    endings: EndingWatch
    antiforgery: Antiforgery
    clock: Clock
    public_claims: tuple[str, ...]
    frames: FairUse
    framed_by: tuple[str, ...]
    own_sessions: OwnSessions | None
    machines: int


def services(request: Request) -> Services:
    """The services of this application."""
    found: Services = request.app.state.services
    return found


def query_pairs(request: Request) -> list[tuple[str, str]]:
    """The decoded query, in order and with its repetitions; MalformedRequest when it is larger than any of ours."""
    query: bytes = request.scope["query_string"]
    if len(query) > MAX_QUERY_BYTES:
        raise MalformedRequest("query too long")
    try:
        return parse_qsl(query.decode("ascii"), keep_blank_values=True, strict_parsing=bool(query), errors="strict")
    except ValueError as error:
        raise MalformedRequest("query is not form-urlencoded") from error


async def form_pairs(request: Request) -> list[tuple[str, str]]:
    """The decoded fields of a form of at most 16 KiB, in order and with repetitions; MalformedRequest for any other.

    Whoever sends one need not be signed in, so all of it comes within ten seconds, or it is RequestStalled.
    """
    body = bytearray()
    try:
        async with asyncio.timeout(FORM_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MAX_FORM_BYTES:
                    raise MalformedRequest("form too large")
    except TimeoutError:
        raise RequestStalled from None
    try:
        return parse_qsl(body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MAX_FORM_FIELDS)
    except ValueError as error:
        raise MalformedRequest("form is not urlencoded") from error


def jar_of(request: Request) -> Jar:
    """The cookies of this request, read byte by byte."""
    return Jar.read(request.scope["headers"])


async def presented_of(request: Request) -> Presented:
    """What this request showed of a session; remembered, so that the answer carries the cookies due (rule F2)."""
    bodiless = "content-length" not in request.headers and "transfer-encoding" not in request.headers
    presented = await services(request).vault.find_session(jar_of(request), bodiless=bodiless)
    request.scope["state"][PRESENTED] = presented
    return presented


def guarded(kind: str) -> Callable[[Request], None]:
    """A dependency that lets only requests of this anti-forgery kind pass (the table of rule F27)."""

    def check(request: Request) -> None:
        services(request).antiforgery.check(kind, request.method, request.scope["headers"])

    setattr(check, POLICY, kind)
    return check


def public() -> None:
    """Declare that a route needs no session and reads none."""


setattr(public, POLICY, "public")


async def require_session(
    _: Annotated[None, Depends(guarded("header"))], presented: Annotated[Presented, Depends(presented_of)]
) -> Session:
    """The signed-in session, or the refusal that says why there is none."""
    return presented.require()


setattr(require_session, POLICY, "session")


async def speaking_session(
    request: Request,
    services: Annotated[Services, Depends(services)],
    session: Annotated[Session, Depends(require_session)],
) -> Session:
    """The signed-in session, where the page that calls speaks for it; raises ``SessionChanged`` (rule F30)."""
    claimed = request.headers.get("x-bff-session")
    if claimed is not None and not services.vault.tag_matches(session, claimed):
        raise SessionChanged
    return session


async def own_sessions_of(request: Request) -> OwnSessions:
    """The lists of people's own sessions; their routes are mounted only where there are any."""
    found = services(request).own_sessions
    if found is None:
        raise UnknownRoute
    return found


ServicesOf = Annotated[Services, Depends(services)]
OwnSessionsOf = Annotated[OwnSessions, Depends(own_sessions_of)]
Query = Annotated[list[tuple[str, str]], Depends(query_pairs)]
Form = Annotated[list[tuple[str, str]], Depends(form_pairs)]
Cookies = Annotated[Jar, Depends(jar_of)]
Presentation = Annotated[Presented, Depends(presented_of)]
CurrentSession = Annotated[Session, Depends(require_session)]
SpeakingSession = Annotated[Session, Depends(speaking_session)]


def has_policy(dependant: Any) -> bool:  # noqa: ANN401 — FastAPI's Dependant is not a public type
    """Say whether a route declares, somewhere in its dependencies, who may call it."""
    children = () if dependant is None else dependant.dependencies  # a mounted application has none of ours
    return any(hasattr(child.call, POLICY) or has_policy(child) for child in children)
