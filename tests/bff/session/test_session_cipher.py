from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bff.session.cipher import Cipher, Key, KeyRing, Sealer, open_under, seal_under
from tests.bff.session.session_world import NOW
from tests.world.clock import MovableClock

ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def a_sealer(*, purpose: str = "session", cookie: str = "__Host-Http-bff", skew: float = 0.0, **scope: Any) -> Sealer:
    """One sealer; what is given differs from the others."""
    clock = MovableClock(NOW + skew)
    key = Key(id="000000aa", secret=b"s" * 32, use_from=NOW - 1000)
    scope = {"client_id": "client", "origin": "https://app.example", **scope}
    return Cipher(KeyRing((key,), clock), clock, **scope).sealer(purpose, cookie)


@pytest.mark.req("BBA-9")
@given(st.binary(max_size=3000))
@settings(max_examples=100, deadline=None)
def test_what_was_sealed_opens(payload: bytes) -> None:
    """Sealing loses nothing, and says when and by which key."""
    sealer = a_sealer()
    opened = sealer.open(sealer.seal(payload))
    assert opened is not None
    assert (opened.payload, opened.sealed_at, opened.key_id) == (payload, NOW, "000000aa")


@pytest.mark.req("BBA-9", "ATK-15")
def test_every_changed_byte_is_refused() -> None:
    """No bit of version, key id, nonce, ciphertext or tag may change."""
    sealer = a_sealer()
    raw = bytearray(base64.urlsafe_b64decode(_padded(sealer.seal(b"alice"))))
    for at in range(len(raw)):
        for bit in range(8):
            raw[at] ^= 1 << bit
            assert sealer.open(_encoded(bytes(raw))) is None, (at, bit)
            raw[at] ^= 1 << bit
    assert sealer.open(_encoded(bytes(raw))) is not None


@pytest.mark.req("ATK-15", "F22", "BBA-9")
@pytest.mark.parametrize(
    "elsewhere",
    [
        {"purpose": "login"},
        {"cookie": "__Host-Http-bff-out"},
        {"cookie": "__Host-Http-bf", "purpose": "sessionf"},
        {"client_id": "another"},
        {"origin": "https://other.example"},
        {"client_id": "clienthttps://app.example", "origin": ""},
    ],
    ids=str,
)
def test_a_value_opens_nowhere_else(elsewhere: dict[str, Any]) -> None:
    """Purpose, cookie name, client and origin belong to the key or to the tag, without a seam between them."""
    sealed = a_sealer().seal(b"alice")
    assert a_sealer(**elsewhere).open(sealed) is None
    assert a_sealer().open(sealed) is not None


@pytest.mark.req("F20")
def test_one_value_has_one_spelling() -> None:
    """What a lenient base64 decoder would forgive is no session: padding, junk, other alphabets, loose last bits."""
    sealer = a_sealer()
    value = sealer.seal(b"x" * 50)
    assert len(value) % 4 != 0
    spellings = [
        value + b"=" * (-len(value) % 4),
        value + b"=",
        value[:9] + b"!" + value[9:],
        value[:9] + b"\n" + value[9:],
        b" " + value,
        value + b"\n",
        b'"' + value + b'"',
        value.replace(b"-", b"+").replace(b"_", b"/") if set(value) & set(b"-_") else b"+" + value[1:],
        value + b"A",
        value[:-1],
        b"",
        b"=",
        "é".encode(),
        b"%41" + value[1:],
    ]
    last = ALPHABET.index(value[-1:])
    spellings += [value[:-1] + ALPHABET[other : other + 1] for other in range(64) if other != last]
    assert [spelling for spelling in spellings if sealer.open(spelling) is not None] == []
    assert sealer.open(value) is not None


@pytest.mark.req("F20")
@given(st.binary(max_size=400))
@settings(max_examples=300, deadline=None)
def test_no_bytes_make_opening_raise(value: bytes) -> None:
    """Bad input has one answer."""
    assert a_sealer().open(value) is None


@pytest.mark.req("F20", "ATK-14")
def test_an_endless_value_is_refused_before_it_is_decoded() -> None:
    """What no five cookies can hold is not looked at."""
    assert a_sealer().open(b"A" * 10_000_000) is None


@pytest.mark.req("F17")
@pytest.mark.parametrize(("skew", "opens"), [(-299, True), (-120, True), (120, True), (-301, False), (5000, True)])
def test_clocks_of_replicas_may_lie_300_seconds_apart(skew: float, *, opens: bool) -> None:
    """A seal from the near future is as good as one of now, one from the far future is not."""
    assert (a_sealer(skew=skew).open(a_sealer().seal(b"x")) is not None) is opens


@pytest.mark.req("F17")
@pytest.mark.parametrize(("age", "opens"), [(59, True), (359, True), (361, False)])
def test_age_is_judged_with_the_same_tolerance(age: float, *, opens: bool) -> None:
    """What lives 60 s here may have been sealed by a clock that is 300 s behind."""
    assert (a_sealer(skew=age).open(a_sealer().seal(b"x"), max_age=60) is not None) is opens


@pytest.mark.req("F40")
def test_the_length_tells_only_every_128_bytes() -> None:
    """Payloads that differ by less than the padding have values of one length, and it is known before sealing."""
    sealer = a_sealer()
    lengths = {len(sealer.seal(b"x" * size)) for size in range(21, 149)}
    assert len(lengths) <= 2
    for size in (0, 1, 107, 108, 109, 3000):
        assert len(sealer.seal(b"x" * size)) == Sealer.sealed_length(size)


@pytest.mark.req("ATK-18")
def test_no_two_seals_are_alike() -> None:
    """Each has a nonce of its own."""
    sealer = a_sealer()
    assert len({sealer.seal(b"x") for _ in range(200)}) == 200


def test_an_unknown_key_or_version_does_not_open() -> None:
    """Another replica may know the key: the value is not ours to judge."""
    sealer = a_sealer()
    raw = base64.urlsafe_b64decode(_padded(sealer.seal(b"x")))
    assert sealer.open(_encoded(b"\x02" + raw[1:])) is None
    assert sealer.open(_encoded(raw[:1] + b"\0\0\0\x01" + raw[5:])) is None


@pytest.mark.req("F4")
@pytest.mark.parametrize(
    "other",
    [{"secret": "another"}, {"about": "sid 2"}, {"purpose": "landing"}],
    ids=lambda change: next(iter(change)),
)
def test_a_value_under_a_secret_opens_with_it_alone(other: dict[str, str]) -> None:
    """The ledger's file opens nothing without the refresh token, and no entry passes for another."""
    words = {"secret": "refresh-token", "purpose": "successor", "about": "sid 1"}
    sealed = seal_under(words["secret"], b"next", purpose=words["purpose"], about=words["about"])
    assert open_under(words["secret"], sealed, purpose=words["purpose"], about=words["about"]) == b"next"
    words |= other
    assert open_under(words["secret"], sealed, purpose=words["purpose"], about=words["about"]) is None
    assert open_under("refresh-token", sealed[:5], purpose="successor", about="sid 1") is None
    assert open_under("refresh-token", b"", purpose="successor", about="sid 1") is None


def _padded(value: bytes) -> bytes:
    return value + b"=" * (-len(value) % 4)


def _encoded(raw: bytes) -> bytes:
    return base64.urlsafe_b64encode(raw).rstrip(b"=")
