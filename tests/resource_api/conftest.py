"""An API in this process, its issuer in ``KeyHost``, and a clock that only a test moves."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from resource_api.app import create_app
from resource_api.settings import ResourceAPISettings
from tests.world import tokens
from tests.world.clock import MovableClock
from tests.world.key_host import KeyHost

ORIGIN = "http://api.test"


@pytest.fixture
def clock() -> MovableClock:
    """The API's time; tokens are made at the machine's."""
    return MovableClock()


@pytest.fixture
def key_host() -> KeyHost:
    """The issuer's metadata and keys."""
    return KeyHost()


@pytest.fixture
def settings(tmp_path: Path) -> ResourceAPISettings:
    """Settings as an operator of an Entra External ID tenant has them."""
    return settings_with(tmp_path)


@pytest.fixture
def app(settings: ResourceAPISettings, key_host: KeyHost, clock: MovableClock) -> FastAPI:
    """The whole API, not started yet."""
    return create_app(settings, transport=key_host.transport, clock=clock)


@pytest.fixture
async def api(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A caller of the started API."""
    async with app.router.lifespan_context(app), caller(app) as client:
        yield client


def settings_with(folder: Path, **overrides: Any) -> ResourceAPISettings:
    """Settings with some of them changed."""
    values = {
        "issuers": (tokens.ISSUER,),
        "metadata_url": tokens.METADATA_URL,
        "audience": tokens.API_CLIENT_ID,
        "database_url": f"sqlite+aiosqlite:///{folder}/todos.sqlite",
    }
    return ResourceAPISettings(**{**values, **overrides})


def caller(app: FastAPI) -> httpx.AsyncClient:
    """A client whose requests reach the application without a socket; a failure of ours arrives as the 500 it is."""
    return httpx.AsyncClient(transport=httpx.ASGITransport(app, raise_app_exceptions=False), base_url=ORIGIN)


def bearing(token: str) -> dict[str, str]:
    """The header that carries a token."""
    return {"Authorization": f"Bearer {token}"}
