"""The local authority in one process with its tests: app, misbehaviours, and a browser that fills in its forms."""

from __future__ import annotations

import asyncio
import hashlib
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx

from local_authority.app import create_app
from local_authority.clock import Clock, SystemClock
from local_authority.keys import new_key
from local_authority.metadata import metadata
from local_authority.misbehaving.misbehaviours import ABSENT, Endpoint, Misbehaviour, Misbehaviours
from local_authority.misbehaving.wire import ConnectionLost, Unreachable
from local_authority.options import Options
from local_authority.seeds import ADA, BFF_CLIENT_ID, DAEMON_CLIENT_ID, GRACE, READ_SCOPE, READ_WRITE_SCOPE
from tests.world.forms import Page

if TYPE_CHECKING:
    from fastapi import FastAPI
    from joserfc.jwk import RSAKey

    from local_authority.record import Record
    from local_authority.routes.dependencies import Services

__all__ = ["ABSENT", "ADA", "GRACE", "Endpoint", "LocalAuthority", "Misbehaviour", "SignInBrowser", "authorization_url"]

CLIENT_SECRET = "the-bffs-secret-in-tests-0123456789abcdef"
REDIRECT_URI = "http://localhost:3000/bff/callback"
LOGGED_OUT_URI = "http://localhost:3000/bff/logged-out"
VERIFIER = "a-verifier-of-the-tests-that-is-long-enough-0123456789"
SCOPES = f"openid profile email offline_access {READ_SCOPE} {READ_WRITE_SCOPE}"
CHEAP = 2  # scrypt's N: the tests try the flow, not the cost


@cache
def signing_key() -> RSAKey:
    """One key for the whole run: making keys is slow."""
    return new_key()


class OnTheWire:
    """The app as a network shows it: a lost answer is a read error, an unreachable one a refused connection."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            await self._app(scope, receive, send)
        except ConnectionLost as error:
            raise httpx.ReadError("the connection broke before the answer was whole") from error
        except Unreachable as error:
            raise httpx.ConnectError("connection refused") from error


class AuthorityTransport(httpx.AsyncBaseTransport):
    """httpx to the authority without a socket; a slow answer runs into the caller's read time-out."""

    def __init__(self, app: OnTheWire) -> None:
        self._inner = httpx.ASGITransport(app)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        try:
            async with asyncio.timeout(request.extensions.get("timeout", {}).get("read")):
                return await self._inner.handle_async_request(request)
        except TimeoutError as error:
            raise httpx.ReadTimeout("no answer in time", request=request) from error


class LocalAuthority:
    """One authority; options are given by name.

    Others reach it by ``transport`` (httpx) or ``asgi`` (a simulated internet); ``outgoing`` is how it reaches them.
    """

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        outgoing: httpx.AsyncBaseTransport | None = None,
        key: RSAKey | None = None,
        **options: Any,
    ) -> None:
        self.options = replace(Options(client_secret=CLIENT_SECRET, password_cost=CHEAP), **options)
        self.misbehaviours = Misbehaviours()
        self.app = create_app(
            self.options,
            clock=clock or SystemClock(),
            transport=outgoing,
            signing_key=key or signing_key(),
            misbehaviours=self.misbehaviours,
        )
        self.asgi = OnTheWire(self.app)
        self.transport = AuthorityTransport(self.asgi)

    @property
    def services(self) -> Services:
        """What the app was wired with."""
        services: Services = self.app.state.services
        return services

    @property
    def record(self) -> Record:
        """How often it was asked for what."""
        return self.services.record

    @property
    def metadata(self) -> dict[str, Any]:
        """What it advertises."""
        return metadata(self.options, self.services.registry)

    @property
    def daemon_secret(self) -> str:
        """The seeded daemon's secret."""
        return str(self.services.registry.clients[DAEMON_CLIENT_ID].secret)

    def misbehave(self, name: Misbehaviour, *, times: int | None = None, at: Endpoint | None = None) -> None:
        """Misbehave so from now on."""
        self.misbehaviours.begin(name, times=times, at=at)

    def behave(self) -> None:
        """Misbehave no more."""
        self.misbehaviours.end()

    def rotate_keys(self, *, keep_old: bool = True) -> None:
        """Sign with a new key from now on."""
        self.services.keys.rotate(keep_old=keep_old)

    def browser(self) -> SignInBrowser:
        """A browser of its own, without cookies."""
        return SignInBrowser(self)

    async def post(self, endpoint: str, form: dict[str, str] | str, **arguments: Any) -> httpx.Response:
        """A form posted to an endpoint of the metadata, as a program does."""
        content = form if isinstance(form, str) else urlencode(form)
        headers = {"content-type": "application/x-www-form-urlencoded", **arguments.pop("headers", {})}
        async with httpx.AsyncClient(transport=self.transport) as http:
            return await http.post(self.metadata[endpoint], content=content, headers=headers, **arguments)

    async def token(self, **form: str) -> httpx.Response:
        """A token call of the BFF's client, by client_secret_post unless the form says otherwise."""
        client = {"client_id": BFF_CLIENT_ID, "client_secret": CLIENT_SECRET}
        return await self.post("token_endpoint", {**client, **form})

    async def redeem(self, code: str, **form: str) -> httpx.Response:
        """The token call for a code."""
        grant = {"grant_type": "authorization_code", "code": code, "redirect_uri": REDIRECT_URI}
        return await self.token(**{**grant, "code_verifier": VERIFIER, **form})

    async def refresh(self, refresh_token: str, **form: str) -> httpx.Response:
        """The token call for a refresh token."""
        return await self.token(**{"grant_type": "refresh_token", "refresh_token": refresh_token, **form})

    async def signed_in(self, browser: SignInBrowser | None = None, **parameters: str | None) -> dict[str, Any]:
        """The tokens of a whole sign-in of Ada."""
        response = await (browser or self.browser()).sign_in(authorization_url(self, **parameters))
        answer = await self.redeem(response_parameters(response)["code"])
        assert answer.status_code == 200, answer.text
        tokens: dict[str, Any] = answer.json()
        return tokens


@dataclass
class SignInBrowser:
    """Keeps the authority's cookies, sends what a browser sends with its forms, and follows no redirect."""

    authority: LocalAuthority
    cookies: httpx.Cookies = field(default_factory=httpx.Cookies)

    async def get(self, url: str) -> httpx.Response:
        """A navigation."""
        return await self._send("GET", url, {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"})

    async def submit(self, url: str, form: dict[str, str], **headers: str) -> httpx.Response:
        """A form of the authority's own page."""
        own = {"origin": self.authority.options.origin, "sec-fetch-site": "same-origin"}
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self._send("POST", url, {**own, **named}, urlencode(form))

    async def sign_in(self, url: str, *, email: str = ADA.email, password: str = ADA.password) -> httpx.Response:
        """Open the authorization URL, fill in the sign-in page, and return the answer to it."""
        return await self.fill(await self.get(url), email=email, password=password)

    async def sign_up(self, url: str, *, email: str, name: str, password: str) -> httpx.Response:
        """Open the authorization URL, go to the sign-up page where it is not that yet, and fill it in."""
        page = await self.get(url)
        link = Page.of(page.text).links.get("Create an account")
        page = page if link is None else await self.get(f"{self.authority.options.origin}{link}")
        return await self.fill(page, email=email, name=name, password=password)

    async def cancel(self, url: str) -> httpx.Response:
        """Open the authorization URL and cancel."""
        return await self.fill(await self.get(url), action="cancel")

    async def fill(self, page: httpx.Response, **values: str) -> httpx.Response:
        """Fill in the only form of a page and send it."""
        form = Page.of(page.text).form
        return await self.submit(f"{self.authority.options.origin}{form.action}", form.filled(**values))

    async def _send(self, method: str, url: str, headers: dict[str, str], content: str = "") -> httpx.Response:
        if method == "POST":
            headers = {**headers, "content-type": "application/x-www-form-urlencoded"}
        async with httpx.AsyncClient(transport=self.authority.transport, cookies=self.cookies) as http:
            response = await http.request(method, url, headers=headers, content=content)
            self.cookies = http.cookies
            return response


def authorization_url(authority: LocalAuthority, **parameters: str | None) -> str:
    """An authorization request of the BFF's client; a parameter given as None is left out."""
    request = {
        "client_id": BFF_CLIENT_ID,
        "redirect_uri": REDIRECT_URI,
        "response_type": "code",
        "scope": SCOPES,
        "state": "the-state",
        "nonce": "the-nonce",
        "code_challenge": code_challenge(VERIFIER),
        "code_challenge_method": "S256",
        **parameters,
    }
    sent = {name: value for name, value in request.items() if value is not None}
    return f"{authority.metadata['authorization_endpoint']}?{urlencode(sent)}"


def code_challenge(verifier: str) -> str:
    """S256 (RFC 7636 4.2)."""
    return urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def response_parameters(response: httpx.Response) -> dict[str, str]:
    """The parameters of an authorization response in a redirect, each of which must be there once."""
    assert response.status_code == 303, f"{response.status_code}: {response.text}"
    pairs = parse_qsl(urlsplit(response.headers["location"]).query, keep_blank_values=True)
    assert len({name for name, _ in pairs}) == len(pairs), pairs
    return dict(pairs)


def claims_of(token: str) -> dict[str, Any]:
    """The claims of a token, unverified: tests look, they do not trust."""
    return _part(token, 1)


def header_of(token: str) -> dict[str, Any]:
    """The header of a token, unverified."""
    return _part(token, 0)


def _part(token: str, index: int) -> dict[str, Any]:
    encoded = token.split(".")[index]
    part: dict[str, Any] = json.loads(urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))
    return part
