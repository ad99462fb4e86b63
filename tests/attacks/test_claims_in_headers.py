"""What a person may call themselves, and what a token may be made of, never becomes a header of somebody else's."""

from __future__ import annotations

import pytest

from bff.clock import SystemClock
from bff.errors import ResourceAPIUnavailable
from bff.relay.httptools_upstream import HttptoolsUpstream
from bff.relay.httpx_upstream import HttpxUpstream
from bff.relay.route_table import Route
from bff.relay.websocket_upstream import WebSocketUpstream
from tests.world.relaying import World, token_set
from tests.world.upstream import RawUpstream, echo
from tests.world.websocket_upstream import accepts

NAME = "José\r\nX-Admin: 1"


@pytest.mark.req("ATK-68")
@pytest.mark.parametrize("implementation", [HttptoolsUpstream, HttpxUpstream])
async def test_no_claim_is_sent_to_the_api(implementation: type[HttptoolsUpstream | HttpxUpstream]) -> None:
    """Who calls stands in the token alone: a subject made of line ends and other letters changes no byte of a head."""
    upstream = implementation()
    async with RawUpstream(echo) as api:
        world = World(Route(path="/api/", upstream=api.url), upstream=upstream)
        for subject in ("alice", NAME):
            await world.call(b"/api/x", headers=await world.sign_in(subject))
        await upstream.aclose()
        plain, hostile = ({name for name, _ in one.fields} for one in api.received)
        assert plain == hostile
        assert b"X-Admin" not in api.received[1].head
        assert "José".encode() not in api.received[1].head


@pytest.mark.req("ATK-68", "ATK-37")
@pytest.mark.parametrize("token", ["x\r\nX-Admin: 1", "x\nX-Admin: 1", "x\x00"])
@pytest.mark.parametrize("implementation", [HttptoolsUpstream, HttpxUpstream])
async def test_no_token_ends_its_own_line(implementation: type[HttptoolsUpstream | HttpxUpstream], token: str) -> None:
    """An authorization server that issues such a token costs a call, and nothing of it reaches the API."""
    upstream = implementation()
    async with RawUpstream(echo) as api:
        world = World(Route(path="/api/", upstream=api.url), upstream=upstream)
        cookie = await world.sign_in(tokens=token_set(access_token=token))
        with pytest.raises(ResourceAPIUnavailable):
            await world.call(b"/api/x", headers=cookie)
        await upstream.aclose()
        assert api.received == []


@pytest.mark.req("ATK-68", "ATK-37")
@pytest.mark.parametrize("token", [b"x\r\nX-Admin: 1", b"x\nX-Admin: 1", b"x\x00"])
async def test_no_token_ends_its_line_in_a_handshake(token: bytes) -> None:
    """The same holds for the handshake of a WebSocket."""
    async with RawUpstream(accepts()) as api:
        route = Route(path="/live/", upstream=api.url, websocket=True)
        sent = [(b"authorization", b"Bearer " + token)]
        with pytest.raises(ResourceAPIUnavailable):
            async with WebSocketUpstream(SystemClock()).open(route, b"/live/x", sent, offer=()):
                pass
        assert api.received == []
