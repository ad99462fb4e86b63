"""ATK-22: whoever can write the store decides what is loaded from it, and loads nothing but bytes that are refused."""

from __future__ import annotations

import ast
import pickle
import zlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from bff.errors import NoSession, SessionStoreUnavailable
from bff.session.cipher import Cipher, SharedSealer
from bff.session.key_ring import KeyRing
from bff.session.marks import mark_of_sid
from bff.session.redis_keys import key_of, number
from bff.session.ticket import TicketedSession
from tests.bff.session.session_world import CLIENT_ID, NOW, PUBLIC_URL, Browser
from tests.bff.session.test_redis_vault import in_redis
from tests.bff.session.vault_suite import Running
from tests.world.clock import MovableClock
from tests.world.valkey import Valkey

SOURCE: Final = Path(__file__).parents[2] / "src"
RUNS_WHAT_IT_LOADS: Final = frozenset(
    {"pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "yaml", "jsonpickle"}
)


@pytest.mark.req("ATK-22")
def test_nothing_that_runs_what_it_loads_is_imported() -> None:
    """Neither pickle nor a relative of it, in either service, in any of its files."""
    imported = {
        (str(path.relative_to(SOURCE)), name.partition(".")[0])
        for path in SOURCE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        for name in names_of(node)
    }
    assert len(imported) > 100
    assert not {one for one in imported if one[1] in RUNS_WHAT_IT_LOADS}


def names_of(node: ast.AST) -> list[str]:
    """The modules that a statement imports."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module] if isinstance(node, ast.ImportFrom) and node.module else []


@pytest.fixture
def ring() -> KeyRing:
    """One for every process of a test."""
    return KeyRing.generate()


@pytest.fixture
async def started(valkey: Valkey, ring: KeyRing) -> AsyncIterator[list[Running]]:
    """Two processes on one store: one that keeps, one that has never seen what it kept."""
    both = [in_redis(valkey, MovableClock(NOW), ring=ring) for _ in range(2)]
    yield both
    for one in both:
        await one.vault.aclose()
        await one.ledger.aclose()


async def found_after(started: list[Running], valkey: Valkey, **fields: bytes) -> Any:
    """What a cold process finds of a session some of whose stored fields were overwritten."""
    (keeper, cold), browser = started, Browser()
    session = await keeper.keep(browser)
    with valkey.client() as client:
        client.hset(key_of(mark_of_sid(session.sid), "session"), mapping=fields)
    return await cold.present(browser)


JUNK: Final = {
    "nothing": b"",
    "a byte": b"\0",
    "a pickle": pickle.dumps({"subject": "admin"}),
    "JSON": b'{"subject": "admin"}',
    "ours, cut": b"\x01" * 40,
    "a mebibyte": b"A" * 2**20,
}


@pytest.mark.req("ATK-22", "F9")
@pytest.mark.parametrize(
    ("field", "junk"),
    # An activity that was never noted is no surprise.
    sorted({(field, junk) for field in ("about", "secrets", "active") for junk in JUNK} - {("active", "nothing")}),
)
async def test_junk_in_a_record_signs_nobody_in_and_breaks_nothing(
    started: list[Running], valkey: Valkey, field: str, junk: str
) -> None:
    """A field that is none of ours makes a record none of ours: no session, the cookie kept, no error of our own."""
    presented = await found_after(started, valkey, **{field: JUNK[junk]})
    assert isinstance(presented.refusal, NoSession)


@pytest.mark.req("ATK-22")
@pytest.mark.parametrize("instant", [b"nan", b"inf", b"-inf", b"1e999", b"1_0"])
async def test_an_activity_is_an_instant(started: list[Running], valkey: Valkey, instant: bytes) -> None:
    """What is no number of seconds never passes for an activity that keeps a session from being idle."""
    assert isinstance((await found_after(started, valkey, active=instant)).refusal, NoSession)


@pytest.mark.req("ATK-22")
@pytest.mark.parametrize(
    "payload",
    [
        b"",
        pickle.dumps({"subject": "admin"}),
        zlib.compress(b"\0" * 50_000_000)[2:-4],
        zlib.compress(msgspec.msgpack.encode({"subject": "admin"}))[2:-4],
        zlib.compress(msgspec.msgpack.encode(["sid", "one", None]))[2:-4],
    ],
    ids=["nothing", "pickle", "bomb", "another shape", "another type"],
)
async def test_what_our_own_keys_sealed_is_still_read_by_a_strict_schema(
    started: list[Running], ring: KeyRing, valkey: Valkey, payload: bytes
) -> None:
    """Even whoever has the key ring and the ticket loads a session of this version, or none."""
    (keeper, cold), browser = started, Browser()
    await keeper.keep(browser)
    session = (await keeper.present(browser)).require()
    assert isinstance(session, TicketedSession)
    cipher, mark = Cipher(ring, keeper.clock, client_id=CLIENT_ID, origin=PUBLIC_URL), session.ticket.mark
    secrets = SharedSealer(cipher, "secrets").seal(payload, browser_key=session.ticket.key, bound_to=mark)
    about = cipher.sealer("about", mark.hex()).seal(payload[:8000])
    for fields in ({"secrets": secrets}, {"about": about}):
        with valkey.client() as client:
            client.hset(key_of(mark, "session"), mapping=fields)
        assert isinstance((await cold.present(browser)).refusal, NoSession)


@pytest.mark.req("ATK-22")
def test_what_is_longer_than_any_session_is_not_opened() -> None:
    """A size limit before the cipher: nobody makes us copy and decrypt what we would never have sealed."""
    sealer = SharedSealer(Cipher(KeyRing.generate(), MovableClock(NOW), client_id="c", origin=PUBLIC_URL), "secrets")
    fits = sealer.seal(b"x" * 64 * 1024, browser_key=b"k" * 32, bound_to=b"here")
    too_long = sealer.seal(b"x" * 128 * 1024, browser_key=b"k" * 32, bound_to=b"here")
    assert sealer.open(fits, browser_key=b"k" * 32, bound_to=b"here") is not None
    assert sealer.open(too_long, browser_key=b"k" * 32, bound_to=b"here") is None


@pytest.mark.req("ATK-22", "B14")
def test_what_is_no_instant_is_an_outage_and_no_error_of_ours() -> None:
    """Leases, sign-ins and successors end at instants; another value there is answered as if the store were away."""
    assert number(b"1800000000.25") == NOW + 0.25
    with pytest.raises(SessionStoreUnavailable):
        number(b"tomorrow")
