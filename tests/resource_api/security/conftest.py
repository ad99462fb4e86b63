"""The verifier by itself: a resource server, its issuer, and the question whether a token is taken."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest

from resource_api.security import Issuer, Principal, ResourceServer, TokenRules
from tests.world.clock import MovableClock
from tests.world.key_host import KeyHost
from tests.world.tokens import API_CLIENT_ID, ISSUER, METADATA_URL

Verify = Callable[[str | bytes], Coroutine[Any, Any, Principal]]
ServerWith = Callable[..., ResourceServer]


@pytest.fixture
async def server_with(key_host: KeyHost, clock: MovableClock) -> AsyncIterator[ServerWith]:
    """Makes resource servers with some rules changed, and closes them."""
    made: list[ResourceServer] = []

    def make(**rules: Any) -> ResourceServer:
        server = ResourceServer(
            issuers=[Issuer(ISSUER, METADATA_URL)],
            rules=TokenRules(**{"audience": API_CLIENT_ID, **rules}),
            transport=key_host.transport,
            clock=clock,
        )
        made.append(server)
        return server

    yield make
    for server in made:
        await server.aclose()


@pytest.fixture
def server(server_with: ServerWith) -> ResourceServer:
    """A resource server of profile entra-v2."""
    return server_with()


@pytest.fixture
def verify(server: ResourceServer) -> Verify:
    """The principal of a token, or an error."""
    return verifier(server)


def verifier(server: ResourceServer) -> Verify:
    """How a token reaches this server."""

    async def verify(token: str | bytes) -> Principal:
        value = token if isinstance(token, bytes) else token.encode("utf-8", "surrogatepass")
        return await server.authenticate([(b"authorization", b"Bearer " + value)])

    return verify
