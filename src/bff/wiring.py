"""What the settings become: the values that the floors below take, each made in one place from what an operator wrote.

``app.py`` puts them together; nothing here keeps anything.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx

from bff.clock import Clock
from bff.errors import ConfigurationError
from bff.oidc.client_authentication import ClientAuthentication, ClientSecret, PrivateKey
from bff.oidc.relying_party import Registration, Rule
from bff.relay.fair_use import FairUse
from bff.relay.httptools_upstream import HttptoolsUpstream
from bff.relay.httpx_upstream import HttpxUpstream
from bff.relay.route import Route
from bff.relay.upstream import Upstream
from bff.routes.docs import ApiDocument
from bff.session.cipher import Cipher, KeyRing
from bff.session.cookie_vault import CookieVault
from bff.session.cookies import CookiePolicy
from bff.session.ended_grants import EndedGrants
from bff.session.ledger import Ledger, open_ledger
from bff.session.limits import Limit, limits_of
from bff.session.operator import Operator
from bff.session.own_sessions import OwnSessions
from bff.session.probe import Probe
from bff.session.vault import CookieBudget, Lifetimes, SessionVault
from bff.settings import AuthoritySettings, BFFSettings, RouteSettings


def ledger_of(settings: BFFSettings, clock: Clock) -> Ledger:
    """What is remembered about sessions; raises ``ConfigurationError`` where it cannot be trusted to remember."""
    session = settings.session
    return open_ledger(session.ledger, clock, redis_url=session.redis_address, keep_seconds=session.absolute)


def ring_of(settings: BFFSettings, clock: Clock) -> KeyRing:
    """The keys that seal here; without a file they live as long as this process."""
    path = settings.session.keys_file
    return KeyRing.load(path, clock) if path else KeyRing.generate(clock)


def begun_after_of(settings: BFFSettings, clock: Clock) -> float | None:
    """The instant until which all sessions are over; raises ``ConfigurationError`` where it is still to come."""
    instant = settings.session.begun_after
    if instant is None:
        return None
    if instant.timestamp() > clock.now():
        cause = f"session.begun_after {instant.isoformat()} is still to come: nobody could sign in until then"
        raise ConfigurationError([f"{cause}. Cure: an instant that has passed, or a clock that is right"])
    return instant.timestamp()


def probe_of(settings: BFFSettings, clock: Clock) -> Probe:
    """What asks a running deployment of these settings, and proves that it may."""
    policy = CookiePolicy.for_public_url(settings.origin)
    cipher = Cipher(ring_of(settings, clock), clock, client_id=settings.authority.client_id, origin=policy.origin)
    return Probe(cipher, policy)


def vault_of(
    settings: BFFSettings,
    ledger: Ledger,
    clock: Clock,
    ring: KeyRing | None = None,
    grants: EndedGrants | None = None,
) -> SessionVault:
    """Sessions in sealed cookies, or in Redis or Valkey behind a ticket, under the key ring of the settings.

    ``grants`` revokes what ended sessions leave behind.
    """
    session, authority = settings.session, settings.authority
    ring, policy = ring or ring_of(settings, clock), CookiePolicy.for_public_url(settings.origin)
    lifetimes = Lifetimes(idle=session.idle, absolute=session.absolute)
    options: dict[str, Any] = {
        "client_id": authority.client_id,
        "budget": CookieBudget(total=session.max_cookie_bytes),
        "form_post": authority.response_mode == "form_post",
        "keep_id_token": authority.end_session == "id_token_hint",
        "grants": grants,
    }
    if session.store == "redis":
        return _in_redis(ring, policy, ledger, clock, lifetimes, options)
    return CookieVault(ring, policy, ledger, clock, lifetimes, **options)


def _in_redis(
    ring: KeyRing,
    policy: CookiePolicy,
    ledger: Ledger,
    clock: Clock,
    lifetimes: Lifetimes,
    options: dict[str, Any],
) -> SessionVault:
    from bff.session.redis_ledger import RedisLedger
    from bff.session.redis_vault import RedisVault

    if not isinstance(ledger, RedisLedger):
        raise ConfigurationError(['session.store = "redis" without its ledger there. Cure: ledger = "redis"'])
    return RedisVault(ring, policy, ledger, clock, lifetimes, **options)


def upstream_of(settings: BFFSettings, transport: httpx.AsyncBaseTransport | None, clock: Clock) -> Upstream:
    """How calls reach the upstreams; a test's transport is a network that only httpx knows."""
    if transport is not None or settings.relay.upstream == "httpx":
        return HttpxUpstream(transport=transport, max_connections=settings.relay.max_connections)
    return HttptoolsUpstream(clock, max_connections=settings.relay.max_connections)


def registration_of(settings: BFFSettings) -> Registration:
    """Who we are to the authorization server, and what we demand of it."""
    authority = settings.authority
    return Registration(
        issuer=authority.issuer,
        metadata_url=authority.effective_metadata_url,
        client_id=authority.client_id,
        authentication=authentication_of(authority),
        redirect_uri=f"{settings.origin}/bff/callback",
        post_logout_redirect_uri=f"{settings.origin}/bff/logged-out",
        scopes=authority.scopes,
        algorithms=authority.algorithms,
        leeway_seconds=authority.leeway_seconds,
        authorize_params=authority.authorize_params,
        response_mode=authority.response_mode,
        require=tuple(
            Rule(claim=rule.claim, equals=rule.equals, contains=rule.contains, one_of=rule.one_of)
            for rule in authority.require
        ),
        end_session_hint=authority.end_session,
        sends_prompt_create=authority.profile != "entra-external-id",
        front_channel_sid_alone=authority.profile == "entra-external-id",
    )


def own_sessions_of(settings: BFFSettings, ledger: Ledger, vault: SessionVault, clock: Clock) -> OwnSessions | None:
    """The lists of people's own sessions, where an end that is asked for would hold (F13)."""
    if not hears_the_authority(settings, ledger):
        return None
    return OwnSessions(ledger, vault, clock)


def operator_of(settings: BFFSettings, clock: Clock) -> tuple[Operator, tuple[Callable[[], Awaitable[None]], ...]]:
    """An operator's hands on the ledger, and what to close then; raises ``ConfigurationError`` where none holds."""
    kind, _, path = settings.session.ledger.partition(":")
    if Limit.ELSEWHERE in sign_out_limits(settings):
        cause = "this ledger is another process's own, so that an end would not hold everywhere"
        raise ConfigurationError([f"{cause}. Cure: one ledger for all: redis, or a file on one machine"])
    if kind == "file" and not Path(path).is_file():
        cause = f"there is no ledger {Path(path).absolute()}"
        raise ConfigurationError([f"{cause}. Cure: run this where bff serve runs, or give session.ledger a whole path"])
    ledger = ledger_of(settings, clock)
    vault = vault_of(settings, ledger, clock)
    sessions = OwnSessions(ledger, vault, clock)
    operator = Operator(ledger, vault, sessions, clock, absolute=settings.session.absolute)
    return operator, (sessions.aclose, vault.aclose, ledger.aclose)


def hears_the_authority(settings: BFFSettings, ledger: Ledger) -> bool:
    """Whether a logout that the authorization server tells us of would hold: everywhere, and after a restart (F13)."""
    return ledger.durable and Limit.ELSEWHERE not in sign_out_limits(settings)


def sign_out_limits(settings: BFFSettings) -> tuple[Limit, ...]:
    """What these sessions cannot know about their ends."""
    return limits_of(ledger=settings.session.ledger.partition(":")[0], machines=settings.session.machines)


def authentication_of(authority: AuthoritySettings) -> ClientAuthentication:
    """How we prove who we are at the token endpoint: a certificate's key where there is one, else the secret."""
    if authority.private_key_file is not None:
        return PrivateKey.load(authority.private_key_file, authority.certificate_file)
    return ClientSecret(authority.secret or "", method=authority.client_authentication)


def api_document_of(settings: BFFSettings, http: httpx.AsyncClient) -> ApiDocument:
    """The OpenAPI document of the first route's upstream."""
    if not settings.route:
        return ApiDocument(http, None, "/")
    first = settings.route[0]
    return ApiDocument(http, first.upstream.rstrip("/") + "/openapi.json", first.path)


def route_of(route: RouteSettings) -> Route:
    """One ``[[route]]`` as the relay takes it."""
    return Route(
        path=route.path,
        upstream=route.upstream,
        methods=frozenset(route.methods),
        token=route.token,
        antiforgery=route.antiforgery,
        encoded_slash=route.encoded_slash,
        anonymous=route.anonymous,
        scope=route.scope,
        resource=route.resource,
        audience=route.audience,
        request_headers=frozenset(name.lower() for name in route.request_headers),
        response_headers=frozenset(name.lower() for name in route.response_headers),
        redirects=route.redirects,
        cacheable=route.cacheable,
        sandbox=route.sandbox,
        timeout=route.timeout,
        stream_idle=route.stream_idle,
        outlives_token=route.outlives_token,
        max_body=route.max_body,
        websocket=route.websocket,
        subprotocols=route.subprotocols,
        max_message=route.max_message,
        ca_file=route.ca_file,
    )


def fair_use_of(settings: BFFSettings) -> FairUse:
    """How much one session and one address may ask for."""
    relay = settings.relay
    return FairUse(
        concurrency=relay.concurrency,
        per_session=relay.rate_per_session,
        per_address=relay.rate_per_address,
    )
