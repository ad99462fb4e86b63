from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
import respx
from tests.bff.oidc.simulated_server import METADATA_URL, SimulatedServer, registration
from tests.world.clock import MovableClock

from bff.oidc.back_channel import BackChannel, open_back_channel
from bff.oidc.metadata import Metadata
from bff.oidc.relying_party import RelyingParty
from tests.world.tokens import ISSUER


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock()


@pytest.fixture
def network() -> Iterator[respx.MockRouter]:
    with respx.mock(assert_all_called=False) as router:
        yield router


@pytest.fixture
def server(network: respx.MockRouter, clock: MovableClock) -> SimulatedServer:
    return SimulatedServer(network, clock)


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with open_back_channel() as client:
        yield client


@pytest.fixture
def back_channel(http: httpx.AsyncClient, clock: MovableClock) -> BackChannel:
    return BackChannel(http, clock)


@pytest.fixture
def metadata(back_channel: BackChannel, clock: MovableClock) -> Metadata:
    return Metadata(issuer=ISSUER, metadata_url=METADATA_URL, back_channel=back_channel, clock=clock)


@pytest.fixture
def relying_party(http: httpx.AsyncClient, clock: MovableClock) -> RelyingParty:
    return RelyingParty(registration(), http=http, clock=clock)
