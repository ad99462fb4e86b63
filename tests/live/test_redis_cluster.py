"""Sessions in a cluster: every command that is sent touches one slot, so that it, or a proxy before it, serves it."""

from __future__ import annotations

import binascii
import itertools
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from bff.session import redis_scripts
from bff.session.endings import Ending, Reason
from bff.session.marks import mark_of_login, mark_of_person
from bff.session.redis_ledger import RedisLedger
from bff.session.redis_scripts import Script
from tests.bff.session.ledger_suite import DAY, LOGIN, ONE, OTHER, SID, an_ending, successor
from tests.bff.session.redis_house import several
from tests.bff.session.session_world import NOW, Browser, a_transaction
from tests.bff.session.vault_suite import Processes, VaultSuite, renewed
from tests.world.clock import MovableClock
from tests.world.valkey import Valkey, running_cluster

pytestmark = [pytest.mark.live, pytest.mark.timeout(120)]

SLOTS = 16_384
SCRIPTS = {name: script for name, script in vars(redis_scripts).items() if isinstance(script, Script)}
WITHOUT_KEYS = {b"HELLO", b"INFO", b"WAIT", b"CLIENT"}


def slot_of(key: bytes) -> int:
    """As the cluster's specification has it: CRC16 (XMODEM) of what stands in the first braces, if anything does."""
    tag = re.match(rb"[^{]*\{([^}]+)\}", key)
    return binascii.crc_hqx(tag[1] if tag else key, 0) % SLOTS


@pytest.fixture
def clock() -> MovableClock:
    """It stands at NOW."""
    return MovableClock(NOW)


@pytest.fixture(scope="module")
def clustered() -> Iterator[Valkey]:
    """A cluster of one, with all slots."""
    with running_cluster() as server:
        yield server


@pytest.fixture
def valkey(clustered: Valkey) -> Valkey:
    """Emptied."""
    with clustered.client() as client:
        client.flushall()
    return clustered


@pytest.fixture
async def processes(valkey: Valkey, clock: MovableClock) -> AsyncIterator[Processes]:
    """As many as a test asks for, on that cluster."""
    async with several(valkey, clock) as start:
        yield start


class TestRedisVaultInACluster(VaultSuite):
    """The suite, in a Valkey that refuses every script and command whose keys lie in more than one slot."""


@pytest.mark.parametrize(
    ("key", "slot"), [(b"123456789", 12739), (b"{user1000}.following", 3443), (b"foo{}{bar}", 8363)]
)
def test_a_slot_is_what_the_cluster_says(valkey: Valkey, key: bytes, slot: int) -> None:
    """The examples of its specification, and the server's own answer."""
    with valkey.client() as client:
        assert (slot_of(key), client.execute_command("CLUSTER", "KEYSLOT", key)) == (slot, slot)


def test_a_script_touches_only_what_it_is_told_of() -> None:
    """Every call in Lua names one of ``KEYS``: a name that is made up inside would be looked for in another's slot."""
    called = [
        (name, call) for name, script in SCRIPTS.items() for call in re.findall(r"redis\.call\(([^)]*)", script.text)
    ]
    assert len(called) > len(SCRIPTS)
    strangers = [(name, call) for name, call in called if not re.match(r"'\w+'(, KEYS\[\d\]|$)", call)]
    assert strangers == []
    assert {call for _, call in called if "KEYS" not in call} == {"'TIME'"}


def overheard(server: Valkey, lines: list[bytes]) -> list[tuple[list[bytes], list[bytes]]]:
    """Each command that ``MONITOR`` has shown and that names a key, and the keys that the server finds in it."""
    found = []
    with server.client() as client:
        for line in lines:
            words = [_unquoted(word) for word in re.findall(rb'"((?:[^"\\]|\\.)*)"', line)]
            if words[0].upper() not in WITHOUT_KEYS:
                found.append((words, [key.encode() for key in client.command_getkeys(*words)]))
    return found


def _unquoted(word: bytes) -> bytes:
    escaped = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"a": b"\a", b"b": b"\b"}

    def plain(found: re.Match[bytes]) -> bytes:
        return bytes.fromhex(found[1][1:].decode()) if found[1][:1] == b"x" else escaped.get(found[1], found[1])

    return re.sub(rb"\\(x[0-9a-f]{2}|.)", plain, word)


async def whole_life(processes: Processes, clock: MovableClock) -> None:
    """Everything that a vault and a ledger ever ask."""
    process, browser = processes(), Browser()
    vault, ledger = process.vault, process.ledger
    session = await process.keep(browser, authority_sid="as-1")
    transaction = a_transaction(replaces=session.sid)
    await vault.keep_login(transaction, browser.jar())
    clock.advance(100)
    stands = (await process.present(browser)).require()
    await vault.keep_generation(stands, renewed(stands))
    await vault.newest(stands)
    await vault.end_replaced(transaction)
    await process.keep(Browser(), authority_sid="as-2")
    await ledger.end(fact := Ending.of_everybody(before=NOW, at=NOW, until=NOW + DAY))
    await vault.shred_covered(fact.mark)
    idle = Browser()
    await process.keep(idle, began_at=NOW + 1)
    clock.advance(1801)
    assert await process.reason(idle) == Reason.IDLE
    await vault.aclose()
    await process.keep(Browser(), began_at=NOW + 2)
    await every_question(ledger)


async def every_question(ledger: Any) -> None:
    """What the vault's story leaves out."""
    person = mark_of_person("https://login.example", "alice")
    await ledger.end(an_ending())
    await ledger.announce_generation(SID, 2, NOW + DAY)
    await ledger.spend_login(LOGIN, NOW + DAY)
    await ledger.keep_landing(LOGIN, b"sealed")
    await ledger.landing(LOGIN)
    await ledger.release_login(mark_of_login("other"))
    await ledger.keep_successor(SID, successor(1, 2), NOW + DAY)
    await ledger.shorten_path(SID, successor(1, 3))
    await ledger.successor(SID, 1)
    await ledger.acknowledge(SID, 3, NOW + 60)
    await ledger.enter_flight(SID, 1, ONE, NOW + DAY)
    await ledger.enter_flight(SID, 1, OTHER, NOW + DAY)
    await ledger.renew_flight(SID, 1, ONE)
    await ledger.flight_sent(SID, 1, ONE)
    await ledger.note_uncertain(SID, 1, NOW + DAY)
    await ledger.is_uncertain(SID, 1)
    await ledger.note_stale(SID, NOW, NOW + DAY)
    await ledger.list_session(SID, person, b"sealed", NOW + DAY)
    await ledger.list_session(OTHER, person, b"sealed", NOW)
    await ledger.listed(person)
    await ledger.unlist_session(SID, person)
    assert isinstance(ledger, RedisLedger)
    await ledger.own_writes.tell_again()
    await ledger.leave_flight(SID, 1, ONE)


@pytest.mark.req("F9", "ADV-4")
async def test_every_command_that_is_sent_touches_one_slot(
    processes: Processes, valkey: Valkey, clock: MovableClock
) -> None:
    """A whole life of sessions, every question of the ledger, and all told again: listened to at the server."""
    with valkey.client() as client, valkey.monitored() as lines:
        await whole_life(processes, clock)
        client.echo("the end")
        said = list(itertools.takewhile(lambda line: b"the end" not in line, lines))
    commands = overheard(valkey, [line for line in said if b" lua] " not in line])
    spread = [words[:3] for words, keys in commands if len({slot_of(key) for key in keys}) != 1]
    assert spread == []
    assert any(len(keys) > 1 for _, keys in commands)
    assert len({slot_of(key) for _, keys in commands for key in keys}) > 250, "they do not all lie in one place"
    told = {words[1].decode() for words, _ in commands if words[0].upper() == b"EVALSHA"}
    assert {name for name, script in SCRIPTS.items() if script.digest not in told} == set()
