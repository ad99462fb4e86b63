"""Tokens verified before: remembered within bounds, and never longer than they would be taken."""

from __future__ import annotations

import pytest

from resource_api.security import InvalidToken, Principal, ResourceServer
from resource_api.security.verified_tokens import VerifiedTokens, digest_of
from tests.resource_api.security.conftest import Verify
from tests.world.clock import MovableClock
from tests.world.key_host import KeyHost
from tests.world.tokens import access_token


def principal(expires_at: float) -> Principal:
    """Any caller, until some time."""
    return Principal(
        kind="user",
        issuer="i",
        subject="s",
        owner="s",
        client_id="c",
        scopes=frozenset({"a"}),
        app_roles=frozenset(),
        expires_at=expires_at,
        claims={"secret": "claim"},
    )


async def test_a_warm_call_verifies_nothing_twice(verify: Verify) -> None:
    """The same token brings the same principal back."""
    token = access_token()
    first = await verify(token)
    assert await verify(token) is first


@pytest.mark.req("K-03")
async def test_a_remembered_token_expires(verify: Verify, clock: MovableClock) -> None:
    """A token that was verified before is refused once it has expired, like one that was not."""
    token = access_token(exp=clock.now() + 10)
    await verify(token)
    clock.advance(39)
    assert (await verify(token)).issuer
    clock.advance(2)
    with pytest.raises(InvalidToken, match="10 times"):
        await verify(token)


def test_nothing_is_remembered_beyond_exp(clock: MovableClock) -> None:
    """At exp the memory is empty: the leeway is for the verifier to grant."""
    verified = VerifiedTokens(clock)
    verified.keep(b"d", principal(clock.now() + 10), keys_until=clock.monotonic() + 100)
    clock.advance(9)
    assert verified.find(b"d") is not None
    clock.advance(1)
    assert verified.find(b"d") is None
    assert len(verified) == 0


def test_nothing_is_remembered_beyond_its_keys(clock: MovableClock) -> None:
    """When the keys' time is over, what they verified is forgotten with them."""
    verified = VerifiedTokens(clock)
    verified.keep(b"d", principal(clock.now() + 100), keys_until=clock.monotonic() + 10)
    clock.advance(10)
    assert verified.find(b"d") is None


def test_the_memory_is_bounded(clock: MovableClock) -> None:
    """Beyond the bound the one that was not used for longest goes."""
    verified = VerifiedTokens(clock, bound=3)
    for digest in (b"1", b"2", b"3"):
        verified.keep(digest, principal(clock.now() + 9), keys_until=clock.monotonic() + 9)
    verified.find(b"1")
    verified.keep(b"4", principal(clock.now() + 9), keys_until=clock.monotonic() + 9)
    assert [verified.find(one) is not None for one in (b"1", b"2", b"3", b"4")] == [True, False, True, True]
    for number in range(20_000):
        verified.keep(digest_of(str(number).encode()), principal(clock.now() + 9), keys_until=clock.monotonic() + 9)
    assert len(verified) == 3


@pytest.mark.req("K-40")
async def test_other_keys_empty_the_memory(
    server: ResourceServer, verify: Verify, clock: MovableClock, key_host: KeyHost
) -> None:
    """A fetch that brings other keys forgets every token; one that brings the same keys forgets none."""
    token = access_token()
    first = await verify(token)
    clock.advance(3599)
    assert await verify(token) is first
    key_host.document["keys"].pop()
    clock.advance(31)
    second = await verify(access_token(exp=clock.now() + 60))
    assert second is not first
    assert len(server._verified) == 1


def test_a_principal_shows_no_claims() -> None:
    """The repr of a principal has no claims, and its tag is not its subject."""
    one = principal(1.0)
    assert "secret" not in repr(one)
    assert (len(one.tag), one.tag != one.subject) == (8, True)
