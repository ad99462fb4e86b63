"""An issuer's keys over time: fetched once, renewed, rolled, lost, and never asked for too often."""

from __future__ import annotations

import asyncio

import pytest

from resource_api.security import InvalidToken, Issuer, KeySetUnavailable, ResourceServer, TokenRules
from tests.resource_api.security.conftest import Verify, verifier
from tests.world.clock import MovableClock
from tests.world.key_host import MISBEHAVIOURS, KeyHost, Misbehaviour
from tests.world.tokens import (
    ABSENT,
    API_CLIENT_ID,
    ISSUER,
    JWKS_URI,
    METADATA_URL,
    access_token,
    ec_key,
    jwks,
    rsa_key,
    stranger,
)

HOUR = 3600


async def settled() -> None:
    """Let a fetch in the background come to its end."""
    for _ in range(20):
        await asyncio.sleep(0)


def fresh() -> str:
    """A token never seen before."""
    return access_token()


@pytest.mark.req("K-41", "K-42", "RS-11")
async def test_many_callers_one_fetch(verify: Verify, key_host: KeyHost) -> None:
    """A hundred first calls at once fetch metadata and keys once."""
    key_host.misbehave = "stuck"
    calls = [asyncio.create_task(verify(fresh())) for _ in range(100)]
    await settled()
    key_host.release.set()
    assert len(await asyncio.gather(*calls)) == 100
    assert (key_host.asked(METADATA_URL), key_host.asked()) == (1, 1)


@pytest.mark.req("RS-11")
async def test_a_caller_who_leaves_stops_nobody(verify: Verify, key_host: KeyHost) -> None:
    """The fetch goes on for the others when the caller who began it is cancelled."""
    key_host.misbehave = "stuck"
    first = asyncio.create_task(verify(fresh()))
    await settled()
    second = asyncio.create_task(verify(fresh()))
    await settled()
    first.cancel()
    await settled()
    key_host.release.set()
    assert (await second).issuer
    assert key_host.asked() == 1


@pytest.mark.req("ATK-49", "RS-11", "K-43")
async def test_unknown_keys_cost_one_fetch_per_cool_down(
    verify: Verify, key_host: KeyHost, clock: MovableClock
) -> None:
    """However many tokens name unknown keys, the issuer is asked once per 30 seconds."""
    await verify(fresh())
    for _ in range(4):
        for number in range(50):
            with pytest.raises(InvalidToken, match="6 key"):
                await verify(access_token(header={"kid": f"unknown-{number}"}))
        clock.advance(15)
    assert key_host.asked() == 2


@pytest.mark.req("ATK-49")
async def test_unknown_keys_at_once_cost_one_fetch(verify: Verify, key_host: KeyHost, clock: MovableClock) -> None:
    """A flood of different unknown keys shares one fetch."""
    await verify(fresh())
    clock.advance(31)
    flood = (verify(access_token(header={"kid": f"unknown-{number}"})) for number in range(200))
    answers = await asyncio.gather(*flood, return_exceptions=True)
    assert {type(answer) for answer in answers} == {InvalidToken}
    assert key_host.asked() == 2


@pytest.mark.req("K-40", "K-43")
async def test_a_new_key_is_found(verify: Verify, key_host: KeyHost, clock: MovableClock) -> None:
    """A key that was rolled without notice is found by its unknown kid."""
    await verify(fresh())
    clock.advance(31)
    key_host.document = jwks(rsa_key("rolled"))
    assert (await verify(access_token(key=rsa_key("rolled")))).issuer


@pytest.mark.req("K-40")
async def test_a_removed_key_stops_at_once_when_seen(verify: Verify, key_host: KeyHost, clock: MovableClock) -> None:
    """Once a fetch shows that a key is gone, its tokens are refused, those verified before included."""
    token = fresh()
    await verify(token)
    key_host.document = jwks(rsa_key("rolled"))
    clock.advance(31)
    await verify(access_token(key=rsa_key("rolled")))
    with pytest.raises(InvalidToken, match="6 key"):
        await verify(token)


@pytest.mark.req("K-40", "RS-11")
async def test_a_removed_key_stops_when_its_time_is_over(
    verify: Verify, key_host: KeyHost, clock: MovableClock
) -> None:
    """No call is served with a removed key after the held set's lifetime, not even the first one, nor a warm one."""
    token = access_token(exp=clock.now() + 10 * HOUR)
    await verify(token)
    key_host.document = jwks(ec_key())
    clock.advance(HOUR)
    with pytest.raises(InvalidToken, match="6 key"):
        await verify(token)


@pytest.mark.req("RS-11")
@pytest.mark.parametrize(
    ("header", "lifetime"),
    [
        ("max-age=10", 300),
        ("public, max-age=600", 600),
        ('max-age="600"', 600),
        ("max-age=999999999", 3600),
        ("no-cache", 3600),
        ("s-maxage=400", 3600),
        ("max-age=abc", 3600),
        ("", 3600),
    ],
)
async def test_the_lifetime_of_a_key_set(
    verify: Verify, key_host: KeyHost, clock: MovableClock, header: str, lifetime: int
) -> None:
    """Cache-Control's max-age counts, between 5 minutes and 1 hour; without one it is an hour."""
    key_host.headers = {"Cache-Control": header}
    await verify(fresh())
    clock.advance(lifetime * 0.74)
    await verify(fresh())
    await settled()
    assert key_host.asked() == 1
    clock.advance(lifetime * 0.26)
    await verify(fresh())
    assert key_host.asked() == 2


@pytest.mark.req("K-41", "K-42")
async def test_keys_are_renewed_before_anybody_waits(verify: Verify, key_host: KeyHost, clock: MovableClock) -> None:
    """Near its end the set is renewed in the background, while calls are served with what is held."""
    await verify(fresh())
    clock.advance(HOUR * 0.95)
    key_host.misbehave = "stuck"
    assert (await verify(fresh())).issuer
    assert (await verify(fresh())).issuer
    key_host.misbehave = None
    key_host.release.set()
    await settled()
    assert key_host.asked() == 2


@pytest.mark.req("RS-2", "RS-11", "K-42")
@pytest.mark.parametrize("how", MISBEHAVIOURS)
@pytest.mark.parametrize("where", [METADATA_URL, JWKS_URI])
async def test_a_key_server_that_misbehaves_is_an_outage(
    verify: Verify, key_host: KeyHost, clock: MovableClock, how: Misbehaviour, where: str
) -> None:
    """Whatever the key server does wrong is KeySetUnavailable, never the token's fault; and then all is well again."""
    key_host.misbehave, key_host.only = how, where
    for token in (fresh(), access_token(key=stranger()), access_token(header={"kid": "unknown"})):
        with pytest.raises(KeySetUnavailable):
            await verify(token)
    key_host.misbehave = None
    clock.advance(31)
    assert (await verify(access_token(header={"kid": "rsa-1"}))).issuer


@pytest.mark.req("RS-11")
async def test_a_key_server_that_is_down_is_left_in_peace(
    verify: Verify, key_host: KeyHost, clock: MovableClock
) -> None:
    """After a failure nobody asks again for five seconds, and every caller is told at once."""
    key_host.misbehave = "down"
    for _ in range(3):
        for _ in range(20):
            with pytest.raises(KeySetUnavailable):
                await verify(fresh())
        clock.advance(5)
    assert key_host.asked(METADATA_URL) == 3


@pytest.mark.req("K-42", "K-44")
@pytest.mark.parametrize("how", [one for one in MISBEHAVIOURS if one != "no-usable-key"])
async def test_the_last_known_good_keys_bridge_an_outage(
    verify: Verify, key_host: KeyHost, clock: MovableClock, how: Misbehaviour
) -> None:
    """Through an outage the held keys verify for one more hour, and no longer."""
    await verify(fresh())
    key_host.misbehave = how
    for _ in range(7):
        clock.advance(1000)
        assert (await verify(access_token(exp=clock.now() + 10))).issuer
        await settled()
    clock.advance(201)
    with pytest.raises(KeySetUnavailable):
        await verify(access_token(exp=clock.now() + 10))


@pytest.mark.req("RS-11")
async def test_an_unknown_key_in_an_outage_is_not_refused(
    verify: Verify, key_host: KeyHost, clock: MovableClock
) -> None:
    """While the issuer cannot be asked, nobody can tell a new key from a forged one: 503, not 401."""
    await verify(fresh())
    clock.advance(31)
    key_host.misbehave = "down"
    for _ in range(3):
        with pytest.raises(KeySetUnavailable):
            await verify(access_token(key=rsa_key("rolled")))
    assert (await verify(fresh())).issuer


@pytest.mark.req("K-40")
async def test_a_set_without_usable_keys_verifies_nothing(
    verify: Verify, key_host: KeyHost, clock: MovableClock
) -> None:
    """An issuer may withdraw all its keys: the old ones are not good any more, and it is an outage."""
    await verify(fresh())
    key_host.document = {"keys": []}
    clock.advance(HOUR)
    with pytest.raises(KeySetUnavailable):
        await verify(fresh())


@pytest.mark.req("K-30", "RS-2")
@pytest.mark.parametrize("order", [1, -1])
async def test_keys_without_a_kid_are_tried(verify: Verify, key_host: KeyHost, order: int) -> None:
    """Where keys are published without kid, each of the token's algorithm is tried; a token needs none either."""
    keys = [rsa_key("a").public_jwk(kid=ABSENT), rsa_key("b").public_jwk(kid=ABSENT), ec_key().public_jwk(kid=ABSENT)]
    key_host.document = {"keys": keys[::order]}
    for kid in (ABSENT, "whatever"):
        assert (await verify(access_token(key=rsa_key("b"), header={"kid": kid}))).issuer
    with pytest.raises(InvalidToken, match="7 signature"):
        await verify(access_token(key=rsa_key("c"), header={"kid": ABSENT}))


@pytest.mark.req("K-02", "K-32")
@pytest.mark.parametrize(
    "other", [ISSUER + "/", ISSUER.upper(), "https://login.microsoftonline.com/x/v2.0", "", None, 7, [ISSUER]]
)
async def test_metadata_of_another_issuer(verify: Verify, key_host: KeyHost, other: object) -> None:
    """Metadata whose issuer is not exactly ours lends us no keys (OIDC Discovery 4.3)."""
    key_host.issuer = other  # type: ignore[assignment]  # a server may say anything
    with pytest.raises(KeySetUnavailable, match="another issuer"):
        await verify(fresh())
    assert key_host.asked() == 0


@pytest.mark.req("RS-2")
@pytest.mark.parametrize(
    "url", ["http://keys.example/k", "file:///etc/passwd", "//keys.example", "", "https://", 7, None]
)
async def test_a_jwks_uri_that_may_not_be_fetched(verify: Verify, key_host: KeyHost, url: object) -> None:
    """Keys come over TLS, or from this very machine; nothing else is asked."""
    key_host.jwks_uri = url  # type: ignore[assignment]  # a server may say anything
    with pytest.raises(KeySetUnavailable, match="jwks_uri"):
        await verify(fresh())
    assert len(key_host.requests) == 1


async def test_keys_without_metadata(key_host: KeyHost, clock: MovableClock) -> None:
    """With a jwks_uri of its own an issuer needs no metadata."""
    server = ResourceServer(
        issuers=[Issuer(ISSUER, jwks_uri=JWKS_URI)],
        rules=TokenRules(audience=API_CLIENT_ID),
        transport=key_host.transport,
        clock=clock,
    )
    assert (await verifier(server)(fresh())).issuer
    assert key_host.asked(METADATA_URL) == 0
    await server.aclose()


async def test_where_metadata_is_by_default(clock: MovableClock) -> None:
    """Without a metadata URL the document is below the issuer (OIDC Discovery 4)."""
    host = KeyHost(metadata_url=f"{ISSUER}/.well-known/openid-configuration")
    server = ResourceServer(
        issuers=[ISSUER], rules=TokenRules(audience=API_CLIENT_ID), transport=host.transport, clock=clock
    )
    assert (await verifier(server)(fresh())).issuer
    await server.aclose()


async def test_what_is_asked_for(verify: Verify, key_host: KeyHost) -> None:
    """Documents are asked for uncompressed, so that their size is what it seems, and without any credentials."""
    await verify(fresh())
    for request in key_host.requests:
        assert request.headers["Accept-Encoding"] == "identity"
        assert not {"authorization", "cookie"} & set(request.headers)


@pytest.mark.parametrize(("coding", "taken"), [("identity", True), ("gzip", False), ("br", False)])
async def test_a_compressed_document_is_not_read(verify: Verify, key_host: KeyHost, coding: str, taken: bool) -> None:
    """A document that comes compressed all the same is an outage: what it unfolds to cannot be bounded."""
    key_host.headers = {"Content-Encoding": coding}
    if taken:
        assert (await verify(fresh())).issuer
    else:
        with pytest.raises(KeySetUnavailable, match="compressed"):
            await verify(fresh())


async def test_closing_gives_up_a_fetch(server: ResourceServer, key_host: KeyHost) -> None:
    """A fetch under way ends with the server, and leaves no task behind."""
    key_host.misbehave = "stuck"
    server.begin()
    await settled()
    await server.aclose()
    assert len(asyncio.all_tasks()) == 1
