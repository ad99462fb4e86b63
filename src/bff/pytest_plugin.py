"""A pytest plugin for a team's own routes: ``pytest_plugins = ["bff.pytest_plugin"]`` in their conftest.py.

They provide the fixture ``bff_app`` (what ``create_app`` returned) and get ``signed_in_client``: a client whose cookie
is sealed by that very application, so that everything a request passes is the real thing, and nobody has to sign in.

    client = await signed_in_client(scopes={"Reports.Read"}, claims={"name": "Ada"})
    answer = await client.get("/reports/mine")
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Collection, Mapping, MutableMapping
from typing import Any, Final, Protocol

import httpx
import pytest

from bff.app import BFF
from bff.gate.front import FRONT
from bff.oidc.messages import TokenSet
from bff.routes.dependencies import Services
from bff.session.cookies import Jar
from bff.session.model import Session

Application = Callable[..., Awaitable[None]]
LASTS: Final = 3600.0
# What bff.js and a browser send with every call of the page.
PAGE_HEADERS: Final = {"X-CSRF": "1", "Sec-Fetch-Site": "same-origin"}


class SignedInClient(Protocol):
    """Makes clients; each is a person of their own, signed in for an hour."""

    def __call__(
        self,
        *,
        scopes: Collection[str] = (),
        claims: Mapping[str, Any] | None = None,
        access_token: str = "an-access-token",  # noqa: S107 — because no server issued it
    ) -> Awaitable[httpx.AsyncClient]:
        """A client that holds a session with these scopes and ID-token claims.

        ``access_token`` is what relayed calls carry to the upstream.
        """
        ...


def in_process(app: BFF) -> Application:
    """The application as a client in the same process calls it, without a server: for ASGITransport and TestClient.

    Elsewhere requests must come through ``bff.server``, for another server passes on what it refuses (rule F36).
    """

    async def served(scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:  # noqa: ANN401 — ASGI's, passed on
        scope.setdefault("state", {})[FRONT] = True
        await app(scope, receive, send)

    return served


@pytest.fixture
def signed_in_client(bff_app: BFF) -> SignedInClient:
    """Clients of ``bff_app``, signed in without a sign-in."""

    async def make(
        *,
        scopes: Collection[str] = (),
        claims: Mapping[str, Any] | None = None,
        access_token: str = "an-access-token",  # noqa: S107 — because no server issued it
    ) -> httpx.AsyncClient:
        services: Services = bff_app.state.services
        session = _session(services.clock.now(), frozenset(scopes), claims or {}, access_token)
        cookies = await services.vault.keep_session(session, Jar.read([]))
        header = "; ".join(f"{cookie.name}={cookie.value.decode('ascii')}" for cookie in cookies if cookie.value)
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(in_process(bff_app)),
            base_url=services.vault.policy.origin,
            headers={**PAGE_HEADERS, "Cookie": header},
        )

    return make


def _session(now: float, scopes: frozenset[str], claims: Mapping[str, Any], access_token: str) -> Session:
    said = {"sub": "somebody", "iss": "https://issuer.example", "iat": int(now), **claims}
    return Session(
        sid=secrets.token_urlsafe(16),
        generation=1,
        issuer=said["iss"],
        subject=said["sub"],
        claims=said,
        tokens=TokenSet(access_token=access_token, expires_at=now + LASTS, scope=scopes),
        began_at=now,
        active_at=now,
        absolute_end=now + LASTS,
        id_token_issued_at=now,
    )
