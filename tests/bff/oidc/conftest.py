from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
import respx

from bff.oidc.back_channel import BackChannel, open_back_channel
from bff.oidc.metadata import Metadata
from bff.oidc.relying_party import RelyingParty
from tests.bff.oidc.simulated_server import METADATA_URL, SimulatedServer, registration
from tests.world.clock import MovableClock
from tests.world.tokens import ISSUER


@pytest.fixture
def clock() -> MovableClock:
    """Time stands still unless a test moves it."""
    return MovableClock()


@pytest.fixture
def network() -> Iterator[respx.MockRouter]:
    """What httpx would reach, answered by respx."""
    with respx.mock(assert_all_called=False) as router:
        yield router


@pytest.fixture
def server(network: respx.MockRouter, clock: MovableClock) -> SimulatedServer:
    """The authorization server of these tests."""
    return SimulatedServer(network, clock)


@pytest.fixture
async def http(network: respx.MockRouter) -> AsyncIterator[httpx.AsyncClient]:
    """The client of the back channel, as production opens it."""
    # respx as the transport itself: to build a TLS context for every test would take longer than the tests.
    async with open_back_channel(transport=httpx.MockTransport(network.async_handler)) as client:
        yield client


@pytest.fixture
def back_channel(http: httpx.AsyncClient, clock: MovableClock) -> BackChannel:
    """The back channel itself."""
    return BackChannel(http, clock)


@pytest.fixture
def metadata(back_channel: BackChannel, clock: MovableClock) -> Metadata:
    """The metadata of the simulated server."""
    return Metadata(issuer=ISSUER, metadata_url=METADATA_URL, back_channel=back_channel, clock=clock)


@pytest.fixture
def relying_party(http: httpx.AsyncClient, clock: MovableClock) -> RelyingParty:
    """The relying party under its plain registration."""
    return RelyingParty(registration(), http=http, clock=clock)
