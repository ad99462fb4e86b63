"""The BFF and the API in this process, the authorization server in its own."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from bff.app import BFF
from bff.app import create_app as create_bff
from bff.session.cipher import Key, write_keys
from bff.settings import BFFSettings
from resource_api.app import create_app as create_api
from resource_api.settings import ResourceAPISettings
from tests.interop.peers import OpenInternet
from tests.world.browser import Browser, Tab
from tests.world.clock import MovableClock

BFF_ORIGIN = "http://localhost:3000"
API_ORIGIN = "http://127.0.0.1:3001"


class Site:
    """Our side of the wire: what a test signs in to."""

    def __init__(self, internet: OpenInternet, clock: MovableClock, bff: BFF) -> None:
        self.internet, self.clock, self.bff = internet, clock, bff

    def tab(self) -> Tab:
        """A new browser with one tab."""
        return Browser(self.internet, clock=self.clock).tab()

    async def user(self, tab: Tab) -> dict[str, Any]:
        """What the page learns about who is there."""
        if not tab.url.startswith(BFF_ORIGIN):
            await tab.go(f"{BFF_ORIGIN}/")
        answer: dict[str, Any] = (await tab.api("/bff/user")).json()
        return answer


OpenSite = Callable[..., contextlib.AbstractAsyncContextManager[Site]]


@pytest.fixture
def open_site(tmp_path: Path) -> OpenSite:
    """Open a BFF and an API; ``authority`` is the BFF's table, ``api`` the API's settings.

    The BFF's clock can be moved, to bring a token near its end; the API keeps the real time, as its issuer does.
    """

    @contextlib.asynccontextmanager
    async def _open(*, authority: dict[str, Any], api: dict[str, Any]) -> AsyncIterator[Site]:
        internet, clock = OpenInternet(), MovableClock()
        keys = tmp_path / "keys.json"
        if not keys.exists():
            write_keys(keys, (Key.generate(use_from=clock.now() - 1),))
        settings = BFFSettings.model_validate(
            {
                "public_url": BFF_ORIGIN,
                "authority": authority,
                "session": {"keys_file": keys, "ledger": f"file:{tmp_path}/ledger.sqlite"},
                "route": [{"path": "/api/", "upstream": API_ORIGIN}],
            }
        )
        database = SecretStr(f"sqlite+aiosqlite:///{tmp_path}/todos.sqlite")
        resource_api = create_api(ResourceAPISettings(database_url=database, **api), transport=internet)
        bff = create_bff(settings, transport=internet, clock=clock)
        internet.put(BFF_ORIGIN, bff)
        internet.put(API_ORIGIN, resource_api)
        async with (
            resource_api.router.lifespan_context(resource_api),
            bff.router.lifespan_context(bff),
        ):
            yield Site(internet, clock, bff)
        await internet.aclose()

    return _open
