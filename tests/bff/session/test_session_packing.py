from __future__ import annotations

import base64
import zlib
from dataclasses import replace

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bff.errors import SessionTooLarge
from bff.session.cookies import Jar
from bff.session.model import Session
from bff.session.packing import largest_parts, pack, pack_transaction, unpack, unpack_transaction
from tests.bff.session.session_world import a_process, a_session, a_transaction, jwt, tokens, words
from tests.world import tokens as world
from tests.world.tokens import ALICE


def entra_sized() -> Session:
    """A session as Entra's tokens make it: 3.6 kB as JSON, with a refresh token of 655 characters."""
    id_token = world.id_token(name="Alice Example", uti=words(22), oid=ALICE)
    payload = id_token.split(".")[1]
    found = msgspec.json.decode(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    kept = tokens(access_token=world.access_token(uti=words(22)), id_token=id_token, refresh_token=words(655))
    return a_session(claims=found, tokens=kept, subject=found["sub"], issuer=world.ISSUER)


token_texts = st.one_of(
    st.text(max_size=60),
    st.binary(max_size=60).map(lambda raw: jwt({"x": raw.hex()})),
    st.from_regex(r"\A[A-Za-z0-9_=-]{0,9}\.[A-Za-z0-9_=-]{0,9}\.[A-Za-z0-9_=-]{0,9}\Z"),
)


@given(token_texts, st.none() | token_texts, st.none() | token_texts, st.dictionaries(st.text(max_size=8), st.text()))
@settings(max_examples=300, deadline=None)
def test_a_session_comes_back_exactly(
    access: str, refresh: str | None, id_token: str | None, claims: dict[str, str]
) -> None:
    """Whatever a token looks like, packing changes no character of it."""
    session = a_session(
        claims=claims, tokens=tokens(access_token=access, refresh_token=refresh, id_token=id_token), generation=7
    )
    assert unpack(pack(session, keep_id_token=True)) == session


def test_claims_that_the_id_token_repeats_are_kept_once() -> None:
    """Where the ID token is kept, its payload is the claims, and they come back equal."""
    claims = {"sub": "alice", "n": 1, "deep": {"list": [1, 2.5, None, True]}, "x": words(200)}
    session = a_session(claims=claims, tokens=tokens(id_token=jwt(claims)))
    other = replace(session, claims={**claims, "n": 2, "y": words(9)})
    assert unpack(pack(session, keep_id_token=True)) == session
    assert unpack(pack(other, keep_id_token=True)) == other
    assert len(pack(session, keep_id_token=True)) < len(pack(other, keep_id_token=True))


@pytest.mark.req("F21")
def test_an_id_token_that_nobody_asked_for_is_not_kept() -> None:
    """Its claims are; its signature would only take room."""
    session = a_session(tokens=tokens(id_token=jwt({"sub": "alice"})))
    unpacked = unpack(pack(session, keep_id_token=False))
    assert unpacked is not None
    assert unpacked.tokens.id_token is None
    assert unpacked.claims == session.claims


@pytest.mark.req("F21", "CK-2")
@pytest.mark.parametrize("keep_id_token", [False, True])
async def test_a_session_of_entras_size_takes_one_cookie(*, keep_id_token: bool) -> None:
    """3.6 kB of session fit into one cookie, with room to spare."""
    session = entra_sized()
    kept = session.tokens
    plain = msgspec.json.encode((session.claims, kept.access_token, kept.refresh_token, kept.id_token))
    assert 3400 < len(plain) < 3900
    cookies = await a_process(keep_id_token=keep_id_token).vault.keep_session(session, Jar({}))
    set_now = [cookie for cookie in cookies if cookie.max_age != 0]
    assert [cookie.name for cookie in set_now] == ["__Host-Http-bff", "__Host-Http-bff-idle"]
    assert len(set_now[0].value) < 2600


@pytest.mark.req("ATK-22")
def test_nothing_but_a_session_unpacks() -> None:
    """The schema is strict, the inflated size capped, and a pickle is a row of bytes."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = deflate.compress(b"\0" * 50_000_000) + deflate.flush()
    good = pack(a_session(), keep_id_token=True)
    for bad in (b"", b"x", bomb, good[:-1], good + b"x", zlib.compress(b"\x90")[2:-4], b"\x80\x04N."):
        assert unpack(bad) is None


@pytest.mark.req("ATK-22")
def test_nothing_but_a_transaction_unpacks() -> None:
    """A transaction of this version comes back, anything else does not."""
    transaction = a_transaction(max_age=5, acr_values="x", replaces="sid")
    assert unpack_transaction(pack_transaction(transaction)) == transaction
    for bad in (b"", b"x", pack_transaction(transaction)[:-1], msgspec.msgpack.encode({"state": "x"})):
        assert unpack_transaction(bad) is None


@pytest.mark.req("F40")
def test_a_transaction_is_not_deflated() -> None:
    """``return_to`` is a stranger's choice, and must not tell by its length what lies beside it."""
    repeated = pack_transaction(a_transaction(return_to="/" + "a" * 500))
    assert len(repeated) > 500


@pytest.mark.req("F21")
def test_what_makes_a_session_large_is_named_and_never_shown() -> None:
    """Names and sizes only."""
    session = a_session(claims={"groups": ["secret-group"] * 400, "name": "Alice"})
    named = largest_parts(session, keep_id_token=False)
    assert named.startswith("claims.groups 5")
    assert "secret-group" not in named


@pytest.mark.req("F21", "ATK-22")
def test_what_would_not_be_inflated_is_not_deflated() -> None:
    """Claims that deflate to nothing still count: a session that could not be opened again is refused at once."""
    with pytest.raises(SessionTooLarge, match=r"claims\.note"):
        pack(a_session(claims={"note": "a" * 70_000}), keep_id_token=False)
    fits = a_session(claims={"note": "a" * 60_000})
    assert unpack(pack(fits, keep_id_token=False)) == fits
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    over = deflate.compress(_long(fits)) + deflate.flush()
    assert unpack(over) is None


def _long(session: Session) -> bytes:
    """A session's fields with a claim that is longer than we would ever write."""
    plain = msgspec.msgpack.decode(zlib.decompress(pack(session, keep_id_token=False), -15))
    plain[4] = {"note": "a" * 70_000}
    return msgspec.msgpack.encode(plain)
