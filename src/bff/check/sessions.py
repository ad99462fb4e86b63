"""Where sessions lie: whether they fit a cookie, whether their store answers, whether the machines agree."""

from __future__ import annotations

import base64
import json
import secrets
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from bff.check.finding import Finding, failed, passed, warned
from bff.clock import Clock
from bff.errors import SessionTooLarge
from bff.oidc.messages import TokenSet
from bff.session.cookies import Jar
from bff.session.ledger import open_ledger
from bff.session.model import Session
from bff.settings import BFFSettings, promise_of
from bff.wiring import vault_of

# Bytes of an access token's payload, a refresh token and an ID token's payload; Entra's refresh tokens are long.
_SIZES: Final = {"entra-external-id": (1_100, 1_400, 900), "generic": (900, 700, 700)}


async def check_cookie_budget(settings: BFFSettings, clock: Clock) -> Finding:
    """Seal a session of this kind of server's tokens, and measure its cookies (rule F21)."""
    if settings.session.store == "redis":
        return passed("cookie budget", "the browser holds a ticket of 108 bytes, whatever the tokens weigh.")
    ledger = open_ledger("memory", clock)
    vault = vault_of(settings, ledger, clock)
    try:
        cookies = await vault.keep_session(usual_session(settings, clock), Jar.read([]))
    except SessionTooLarge:
        usual = f"a usual session of the profile {settings.authority.profile}"
        return failed(
            "cookie budget",
            f"{usual} does not fit {settings.session.max_cookie_bytes} bytes.",
            "raise session.max_cookie_bytes, or have the server put less into its tokens",
        )
    finally:
        await vault.aclose()
        await ledger.aclose()
    size = sum(len(cookie.name) + len(cookie.value) + 3 for cookie in cookies)
    return passed("cookie budget", f"a usual session takes {size} of {settings.session.max_cookie_bytes} bytes.")


def usual_session(settings: BFFSettings, clock: Clock) -> Session:
    """A session with tokens as large as this kind of server's."""
    access, refresh, identity = _SIZES[settings.authority.profile]
    now = clock.now()
    tokens = TokenSet(
        access_token=_token(access),
        expires_at=now + 3600,
        refresh_token=secrets.token_urlsafe(refresh * 3 // 4),
        id_token=_token(identity),
        scope=frozenset(settings.authority.scopes),
    )
    return Session(
        sid=secrets.token_urlsafe(16),
        generation=1,
        issuer=settings.authority.issuer,
        subject=secrets.token_urlsafe(32),
        claims={"sub": "x" * 43, "name": "Ada Lovelace", "sid": secrets.token_hex(16), "iat": int(now)},
        tokens=tokens,
        began_at=now,
        active_at=now,
        absolute_end=now + settings.session.absolute,
        id_token_issued_at=now,
    )


def _token(size: int) -> str:
    """A token's shape: a header, a payload of half words and half random text, and a 256-byte signature."""
    words = {f"claim_{number}": secrets.token_urlsafe(12) for number in range(size // 32)}
    header, payload = {"alg": "RS256", "typ": "JWT", "kid": secrets.token_urlsafe(20)}, json.dumps(words)
    parts = (json.dumps(header).encode(), payload.encode(), secrets.token_bytes(256))
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)


def check_store(settings: BFFSettings) -> Iterator[Finding]:
    """The ledger: a file that can be written, or memory, which forgets."""
    kind, _, path = settings.session.ledger.partition(":")
    if kind == "memory":
        message = "endings are remembered in memory only: after a restart a revoked session is good again."
        yield warned("session store", message, 'ledger = "file:/var/lib/bff/ledger.sqlite"')
    elif kind == "file":
        folder = Path(path).absolute().parent
        try:
            with tempfile.TemporaryFile(dir=folder):
                yield passed("session store", f"{path} can be written.")
        except OSError as error:
            yield failed("session store", f"{folder} cannot be written ({error.strerror}).", "give it to this user")


def check_replicas(settings: BFFSettings) -> Iterator[Finding]:
    """Replicas, store and rotation together: what the settings allow, in words (rules F13, F14)."""
    session, server, rotation = settings.session, settings.server, settings.authority.rotation
    if server.workers > 1 and session.ledger == "memory":
        message = f"{server.workers} workers with a ledger in memory: each has its own."
        yield failed("replicas", message, 'ledger = "file:…", which workers share')
    elif session.machines > 1 and session.ledger.startswith("file:"):
        message = (
            f"{session.machines} machines, each with a ledger of its own; rotation is {rotation}. Refresh is safe, but "
            "a session that ends on one is good on the others until it expires."
        )
        yield warned("replicas", message, 'one machine, or ledger = "redis", which machines share')
    else:
        ledger, promise = session.ledger.partition(":")[0], promise_of(session, settings.authority, server).promise
        said = f"{session.machines} machine(s), store {session.store}, ledger {ledger}, rotation {rotation}"
        yield passed("replicas", f"{said}: {promise.replace('`', '')}.")
