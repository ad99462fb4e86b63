from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bff.session.cipher import Cipher, Key, KeyRing
from bff.session.signed import Stamp
from tests.bff.session.session_world import NOW
from tests.world.clock import MovableClock

OLD = Key(id="00000001", secret=b"1" * 32, use_from=NOW - 100)
NEW = Key(id="00000002", secret=b"2" * 32, use_from=NOW + 100)


def a_stamp(purpose: str = "idle", *, keys: tuple[Key, ...] = (OLD,), skew: float = 0.0, client_id: str = "c") -> Stamp:
    """One signer; what is given differs from the others."""
    clock = MovableClock(NOW + skew)
    return Stamp(Cipher(KeyRing(keys, clock), clock, client_id=client_id, origin="o"), purpose)


@pytest.mark.req("F19")
def test_a_stamp_says_what_and_when() -> None:
    """It is readable, and it is ours."""
    signed = a_stamp().sign("tag-1")
    assert signed.startswith(b"tag-1.")
    read = a_stamp().read(signed)
    assert read is not None
    assert (read.value, read.at) == ("tag-1", NOW)


@pytest.mark.req("F17")
@pytest.mark.parametrize(("skew", "readable"), [(-120, True), (-299, True), (-301, False), (120, True), (90_000, True)])
def test_a_stamp_of_a_clock_that_is_ahead_counts_as_new(skew: float, *, readable: bool) -> None:
    """Within 300 s a stamp from the future is read; the library alone would refuse it."""
    assert (a_stamp(skew=skew).read(a_stamp().sign("t")) is not None) is readable


@pytest.mark.req("F17")
def test_age_is_judged_by_us() -> None:
    """A limit of 30 s holds, with the tolerance for clocks."""
    signed = a_stamp().sign("t")
    assert a_stamp(skew=329).read(signed, max_age=30) is not None
    assert a_stamp(skew=331).read(signed, max_age=30) is None


@pytest.mark.req("ATK-15", "F19")
def test_a_stamp_counts_for_its_purpose_client_and_keys_only() -> None:
    """A loop count is no idle stamp, another application's is none of ours."""
    signed = a_stamp().sign("t")
    assert a_stamp("loop").read(signed) is None
    assert a_stamp(client_id="other").read(signed) is None
    assert a_stamp(keys=(Key(id="00000001", secret=b"x" * 32, use_from=0),)).read(signed) is None


@pytest.mark.req("B10")
def test_a_stamp_survives_the_rotation_of_keys() -> None:
    """All keys verify; the newest whose time has come signs."""
    before = a_stamp().sign("t")
    rotated = a_stamp(keys=(OLD, NEW), skew=200)
    assert rotated.read(before) is not None
    assert a_stamp(keys=(NEW, OLD), skew=0).sign("t") == before
    assert a_stamp(keys=(OLD,), skew=200).read(rotated.sign("t")) is None


@pytest.mark.req("F20")
def test_a_stamp_has_one_spelling() -> None:
    """Neither its time nor its signature may be written in another way."""
    stamp = a_stamp()
    signed = stamp.sign("t")
    value, time, signature = signed.split(b".")
    forms = [
        signed + b"=",
        b".".join([value, time + b"=", signature]),
        b".".join([value, b"A" + time, signature]),
        b".".join([value, time, signature[:9] + b"!" + signature[9:]]),
        b" " + signed,
        signed.replace(b".", b":"),
        b".".join([value, signature]),
        b".".join([value, time, signature, b""]),
        b"",
        b"..",
    ]
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    forms += [signed[:-1] + bytes([last]) for last in alphabet if last != signed[-1]]
    assert [form for form in forms if stamp.read(form) is not None] == []


@given(st.binary(max_size=120))
@settings(max_examples=300, deadline=None)
def test_no_bytes_make_reading_raise(value: bytes) -> None:
    """Bad input has one answer."""
    assert a_stamp().read(value) is None
