from __future__ import annotations

import asyncio
from typing import Any

import pytest
import respx
from cryptography.hazmat.primitives.asymmetric import rsa

from bff.errors import AuthorizationServerUnavailable
from bff.oidc.back_channel import BackChannel
from bff.oidc.key_set import ALGORITHMS, KeySet, fresh_seconds, usable_keys
from bff.oidc.metadata import Metadata
from tests.bff.oidc.simulated_server import HOST, SimulatedServer
from tests.world.clock import MovableClock
from tests.world.tokens import b64url, ec_key, rsa_key

WEAK = rsa.generate_private_key(65537, 1024).public_key().public_numbers().n  # noqa: S505 — weak on purpose
WEAK_JWK = {"kty": "RSA", "kid": "weak", "e": "AQAB", "n": b64url(WEAK.to_bytes(128, "big"))}


@pytest.fixture
def key_set(metadata: Metadata, back_channel: BackChannel, clock: MovableClock) -> KeySet:
    """The key set of the simulated server."""
    return KeySet(metadata=metadata, back_channel=back_channel, clock=clock)


def kids(document: dict[str, Any]) -> list[str | None]:
    """The names of the usable keys in a document."""
    return [key.kid for key in usable_keys(document)]


@pytest.mark.req("ATK-45")
def test_no_algorithm_we_can_name_is_a_mac_or_none() -> None:
    """A key set is public; whatever could be verified with a shared secret cannot even be configured."""
    assert not [name for name in ALGORITHMS if name.startswith("HS") or name == "none"]


@pytest.mark.parametrize(
    "unusable",
    [
        {"kty": "oct", "k": "c2VjcmV0"},
        {"kty": "unheard-of", "n": "x"},
        {"kty": ["RSA"]},
        {"n": "x", "e": "AQAB"},
        rsa_key().private_jwk(),
        ec_key().private_jwk(),
        WEAK_JWK,
        rsa_key().public_jwk(use="enc"),
        rsa_key().public_jwk(use=["sig"]),
        rsa_key().public_jwk(key_ops=["encrypt"]),
        rsa_key().public_jwk(key_ops="verify"),
        rsa_key().public_jwk(kid=1),
        rsa_key().public_jwk(alg=256),
        rsa_key().public_jwk(n="not base64!"),
        rsa_key().public_jwk(n=None),
        rsa_key().public_jwk(n=""),
        rsa_key().public_jwk(e="AA"),
        ec_key().public_jwk(crv="P-512"),
        ec_key().public_jwk(crv=["P-256"]),
        ec_key().public_jwk(crv="secp256k1"),
        ec_key().public_jwk(y=ec_key().public_jwk()["x"]),
        {"kty": "OKP", "crv": "X25519", "x": "A" * 43},
        {"kty": "OKP", "crv": "Ed25519", "x": "short"},
        "not an object",
        None,
    ],
)
def test_an_unusable_key_is_passed_over(unusable: object) -> None:
    """Unknown, symmetric, private, weak, foreign or broken keys never verify anything, and spoil no other key."""
    assert kids({"keys": [unusable, ec_key().public_jwk()]}) == ["ec-1"]


@pytest.mark.parametrize("document", [{}, {"keys": None}, {"keys": {}}, {"keys": "RSA"}, {"keys": []}])
def test_a_set_that_is_none_holds_no_key(document: dict[str, Any]) -> None:
    """Whatever stands where a list of keys should is no key."""
    assert usable_keys(document) == []


@pytest.mark.req("ATK-45", "ATK-46")
def test_a_key_fits_its_own_name_type_curve_and_algorithm() -> None:
    """Which key may verify is decided by what the issuer published, and a kid is only ever compared."""
    (rsa,) = usable_keys({"keys": [rsa_key().public_jwk(alg=None)]})
    assert rsa.fits(kid="rsa-1", alg="RS256")
    assert rsa.fits(kid=None, alg="PS256")
    assert not rsa.fits(kid="rsa-1", alg="ES256")
    assert not rsa.fits(kid="../../etc/passwd", alg="RS256")
    (bound,) = usable_keys({"keys": [rsa_key().public_jwk()]})
    assert not bound.fits(kid="rsa-1", alg="PS256")
    (ec,) = usable_keys({"keys": [ec_key("p384", "P-384").public_jwk(alg=None)]})
    assert not ec.fits(kid="p384", alg="ES256")


@pytest.mark.parametrize(
    ("cache_control", "seconds"),
    [
        ("", 300),
        ("public", 300),
        ("max-age=0", 300),
        ("max-age=1200", 1200),
        ("public, Max-Age=86400, must-revalidate", 3600),
        ("max-age=900, no-cache", 300),
        ("no-store,max-age=900", 300),
        ("s-maxage=900", 300),
        ("max-age=-1", 300),
        ("max-age=99999999999999999999", 300),
        ("max-age=many", 300),
    ],
)
def test_freshness_stays_within_five_minutes_and_an_hour(cache_control: str, seconds: float) -> None:
    """A server may say how long its keys hold, and can neither make us ask each time nor trust a key for a day."""
    assert fresh_seconds(cache_control) == seconds


@pytest.mark.req("OIDC-6")
async def test_a_removed_key_stops_counting_when_the_set_is_stale(
    server: SimulatedServer, key_set: KeySet, clock: MovableClock
) -> None:
    """A key that the issuer withdrew verifies nothing after the next fetch."""
    server.jwks_headers = {"Cache-Control": "max-age=600"}
    server.keys = (rsa_key(), rsa_key("leaked"))
    assert await key_set.matching(kid="leaked", alg="RS256")
    server.keys = (rsa_key(),)
    clock.advance(599)
    assert await key_set.matching(kid="leaked", alg="RS256")
    clock.advance(1)
    assert not await key_set.matching(kid="leaked", alg="RS256")


@pytest.mark.req("OIDC-6")
async def test_a_new_key_is_found_by_a_refetch(server: SimulatedServer, key_set: KeySet) -> None:
    """Rotation through jwks_uri needs no restart and no waiting."""
    assert not await key_set.matching(kid="next", alg="RS256")
    server.keys = (rsa_key("next"),)
    assert await key_set.matching(kid="next", alg="RS256", refetch=True)


@pytest.mark.req("ATK-49")
async def test_a_flood_of_unknown_keys_costs_one_fetch_in_thirty_seconds(
    server: SimulatedServer, key_set: KeySet, clock: MovableClock
) -> None:
    """Random kids cannot make us hammer the issuer."""
    await key_set.current()
    for number in range(100):
        assert not await key_set.matching(kid=f"random-{number}", alg="RS256", refetch=True)
    await asyncio.gather(*(key_set.matching(kid=f"r{n}", alg="RS256", refetch=True) for n in range(100)))
    assert server.jwks_route.call_count == 2
    clock.advance(30)
    await asyncio.gather(*(key_set.matching(kid=f"r{n}", alg="RS256", refetch=True) for n in range(100)))
    assert server.jwks_route.call_count == 3


async def test_the_last_known_keys_serve_a_day(server: SimulatedServer, key_set: KeySet, clock: MovableClock) -> None:
    """An outage of the key host ends no sign-in for 24 hours, and every one after that."""
    await key_set.current()
    server.down = True
    clock.advance(24 * 3600 - 1)
    assert await key_set.matching(kid="rsa-1", alg="RS256")
    clock.advance(1)
    with pytest.raises(AuthorizationServerUnavailable):
        await key_set.matching(kid="rsa-1", alg="RS256")


async def test_a_set_without_a_usable_key_is_an_outage(server: SimulatedServer, key_set: KeySet) -> None:
    """The issuer's mistake is the issuer's outage: nobody's token is called invalid for it."""
    server.keys = ()
    with pytest.raises(AuthorizationServerUnavailable, match="no usable key"):
        await key_set.current()


async def test_the_keys_move_with_the_metadata(
    server: SimulatedServer, network: respx.MockRouter, key_set: KeySet, clock: MovableClock
) -> None:
    """The key set's address is read from the metadata at every fetch."""
    await key_set.current()
    server.document["jwks_uri"] = f"{HOST}/moved"
    network.get(f"{HOST}/moved").respond(200, json={"keys": [rsa_key("moved").public_jwk()]})
    clock.advance(3600)
    assert [key.kid for key in await key_set.current()] == ["moved"]
