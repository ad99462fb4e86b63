"""The whole house in one process: browser, BFF, resource API and local authority in a simulated internet."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from joserfc.jwk import RSAKey
from pydantic import SecretStr

from bff.app import BFF
from bff.app import create_app as create_bff
from bff.clock import SystemClock
from bff.session.cipher import Key, write_keys
from bff.session.cookies import Jar
from bff.session.model import Session
from bff.settings import BFFSettings
from local_authority.app import create_app as create_authority
from local_authority.misbehaving.misbehaviours import Misbehaviours
from local_authority.options import Lifetimes, Options
from local_authority.seeds import (
    ADA,
    API_CLIENT_ID,
    BFF_CLIENT_ID,
    GRACE,
    READ_SCOPE,
    READ_WRITE_SCOPE,
    SeededPerson,
)
from resource_api.app import create_app as create_api
from resource_api.settings import ResourceAPISettings
from tests.world.authority import OnTheWire
from tests.world.browser import Browser, Tab, Visit
from tests.world.clock import AnotherClock, MovableClock
from tests.world.internet import Internet

__all__ = ["ADA", "API_ORIGIN", "AUTHORITY_ORIGIN", "BFF_ORIGIN", "GRACE", "House", "opened_house", "problem_of"]

BFF_ORIGIN = "http://localhost:3000"
API_ORIGIN = "http://127.0.0.1:3001"
AUTHORITY_ORIGIN = "http://127.0.0.1:3002"
SECRET = "k7Qw-2Zt9_bXr4Vn8Lm3"
SCOPES = ["openid", "profile", "email", "offline_access", READ_SCOPE, READ_WRITE_SCOPE]
_SIGNING_KEY = RSAKey.generate_key(2048, {"kid": "world"}, private=True)


@dataclass
class House:
    """Everything that a flow needs; ``bff`` can be torn down and built again, as a restart would."""

    folder: Path
    internet: Internet
    clock: MovableClock
    misbehaviours: Misbehaviours
    options: Options
    bff_overrides: dict[str, Any] = field(default_factory=dict)
    origin: str = BFF_ORIGIN
    authority_clock: AnotherClock = field(init=False)
    bff: BFF = field(init=False)
    authority: Any = field(init=False)
    api: Any = field(init=False)
    _stack: contextlib.AsyncExitStack = field(default_factory=contextlib.AsyncExitStack)
    _bff_stack: contextlib.AsyncExitStack = field(default_factory=contextlib.AsyncExitStack)

    # -- building --------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Start all three services."""
        self.authority_clock = AnotherClock(self.clock)
        self.authority = create_authority(
            self.options,
            clock=self.authority_clock,
            transport=self.internet,
            signing_key=_SIGNING_KEY,
            misbehaviours=self.misbehaviours,
        )
        await self._stack.enter_async_context(self.authority.router.lifespan_context(self.authority))
        for origin in {self.options.origin, self.options.metadata_origin}:
            self.internet.put(origin, OnTheWire(self.authority), clock=self.authority_clock)
        api_settings = ResourceAPISettings(
            issuers=(self.options.issuer_identifier,),
            metadata_url=self.options.metadata_url,
            audience=API_CLIENT_ID,
            profile="entra-v2",
            database_url=SecretStr(f"sqlite+aiosqlite:///{self.folder}/todos.sqlite"),
        )
        self.api = create_api(api_settings, transport=self.internet, clock=self.clock)
        await self._stack.enter_async_context(self.api.router.lifespan_context(self.api))
        self.internet.put(API_ORIGIN, self.api)
        await self.start_bff()

    async def start_bff(self, **overrides: Any) -> BFF:
        """Start the BFF; a table of ``overrides`` (``session={…}``) is merged into the settings."""
        self.bff_overrides |= overrides
        self.bff = create_bff(self.settings(), transport=self.internet, clock=self.clock)
        self._bff_stack = contextlib.AsyncExitStack()
        await self._bff_stack.enter_async_context(self.bff.router.lifespan_context(self.bff))
        self.internet.put(self.origin, self.bff)
        return self.bff

    async def restart_bff(self, **overrides: Any) -> BFF:
        """Stop the BFF as a deployment would, and start it again on the same keys and ledger."""
        await self.stop_bff()
        return await self.start_bff(**overrides)

    async def stop_bff(self) -> None:
        """Take the BFF down."""
        self.internet.take_down(self.origin)
        await self._bff_stack.aclose()

    async def stop(self) -> None:
        """Stop everything."""
        await self.stop_bff()
        await self._stack.aclose()

    def settings(self) -> BFFSettings:
        """The BFF's settings, with this house's overrides."""
        keys = self.folder / "keys.json"
        if not keys.exists():
            write_keys(keys, (Key.generate(use_from=SystemClock().now() - 1000),))
        tables: dict[str, Any] = {
            "authority": {
                "issuer": self.options.issuer_identifier,
                "metadata_url": self.options.metadata_url,
                "client_id": BFF_CLIENT_ID,
                "client_secret": SECRET,
                "scopes": SCOPES,
            },
            "session": {"keys_file": keys, "ledger": f"file:{self.folder}/ledger.sqlite", "claims": ["*"]},
        }
        routes = [{"path": "/api/", "upstream": API_ORIGIN}]
        for table, values in self.bff_overrides.items():
            if table == "route":
                routes = values
            else:
                merged = tables.get(table, {}) | values
                tables[table] = {key: value for key, value in merged.items() if value is not None}
        return BFFSettings.model_validate({"public_url": self.origin, "route": routes, **tables})

    # -- people ----------------------------------------------------------------------------------------------------

    def browser(self) -> Browser:
        """A browser with an empty jar."""
        return Browser(self.internet, clock=self.clock)

    def url(self, path: str) -> str:
        """An address of the BFF."""
        return self.origin + path

    async def begin(self, tab: Tab, path: str = "/bff/login") -> Visit:
        """Open the page and follow its sign-in link; ends at the authority's form."""
        await tab.go(self.url("/"))
        return await tab.link(path)

    async def sign_in(self, tab: Tab, person: SeededPerson = ADA, path: str = "/bff/login") -> Visit:
        """Sign a seeded person in."""
        visit = await self.begin(tab, path)
        if visit.url.startswith(self.origin):
            return visit
        return await tab.submit(email=person.email, password=person.password)

    async def signed_in(self, person: SeededPerson = ADA, *, browser: Browser | None = None) -> Tab:
        """A tab with the page of somebody who is signed in."""
        tab = (browser or self.browser()).tab()
        await self.sign_in(tab, person)
        await self.user(tab)
        return tab

    async def user(self, tab: Tab) -> dict[str, Any]:
        """What the page learns from ``/bff/user``."""
        if not tab.url.startswith(self.origin):
            await tab.go(self.url("/"))
        response = await tab.api("/bff/user")
        assert response.status_code == 200, response.text
        answer: dict[str, Any] = response.json()
        return answer

    async def sign_up(self, tab: Tab, *, email: str, name: str, password: str) -> Visit:
        """Create an account at the authority, from the page's own link."""
        await self.begin(tab, "/bff/login?prompt=create")
        return await tab.submit(email=email, name=name, password=password)

    async def tag(self, tab: Tab) -> str:
        """The session's public name, as the page knows it."""
        known: str = (await self.user(tab))["session"]["tag"]
        return known

    async def sign_out(self, tab: Tab) -> Visit:
        """What the page's button does: end the session, then follow the way on."""
        if not tab.url.startswith(self.origin):
            await tab.go(self.url("/"))
        response = await tab.api("/bff/logout", method="POST")
        assert response.status_code == 200, response.text
        return await tab.link(response.json()["redirect_to"])

    async def settle(self) -> None:
        """Let what runs in the background finish: a revocation, a refresh that nobody waits for, a count."""
        await self.bff.state.services.tokens.aclose()
        await self.bff.state.services.vault.aclose()
        await self.bff.state.ends_heard._background.finish(seconds=5)

    async def sends(
        self, path: str, *headers: tuple[str, str], method: str = "GET", body: bytes = b"", origin: str | None = None
    ) -> httpx.Response:
        """A request of exactly these headers, as a program that is no browser sends it."""
        request = httpx.Request(method, (origin or self.origin) + path, headers=list(headers), content=body)
        return await self.internet.handle_async_request(request)

    def cookie_header(self, browser: Browser) -> tuple[str, str]:
        """The ``Cookie`` header that a browser sends with its page's calls."""
        carried = browser.cookies_for(self.url("/"), cross_site=False, safe_navigation=True)
        return "cookie", "; ".join(f"{cookie.name}={cookie.value}" for cookie in carried)

    async def session(self, browser: Browser) -> Session:
        """The session that lies sealed in a browser's jar."""
        name, line = self.cookie_header(browser)
        presented = await self.bff.state.services.vault.find_session(Jar.read([(name.encode(), line.encode())]))
        session: Session = presented.require()
        return session

    @property
    def bff_client_id(self) -> str:
        """Who the BFF is at the authority."""
        return BFF_CLIENT_ID

    @property
    def cookie(self) -> str:
        """The name of the session's cookie."""
        return self.bff.state.services.vault.policy.session  # type: ignore[no-any-return]  # because a state holds anything

    @property
    def record(self) -> Any:
        """What the authority was asked, counted."""
        return self.authority.state.services.record


@contextlib.asynccontextmanager
async def opened_house(
    folder: Path,
    *,
    access_token_seconds: int = 3600,
    origin: str = BFF_ORIGIN,
    authority: dict[str, Any] | None = None,
    settings: dict[str, Any] | None = None,
) -> AsyncIterator[House]:
    """A running house. ``authority`` are options of the local authority, ``settings`` tables of the BFF's settings."""
    chosen: dict[str, Any] = {
        "port": 3002,
        "bff_url": origin,
        "client_secret": SECRET,
        "lifetimes": Lifetimes(access_token=access_token_seconds),
        "password_cost": 2,
    }
    options = Options(**(chosen | (authority or {})))
    house = House(folder, Internet(), MovableClock(), Misbehaviours(), options, dict(settings or {}), origin)
    await house.start()
    try:
        yield house
    finally:
        await house.stop()


def problem_of(response: httpx.Response) -> str:
    """The slug of a problem."""
    assert response.headers["content-type"].startswith("application/problem+json"), response.text
    kind: str = response.json()["type"]
    return kind.rpartition(":")[2]
