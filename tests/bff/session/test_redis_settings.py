from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from bff.clock import SystemClock
from bff.errors import ConfigurationError
from bff.session.cipher import Key, KeyRing, write_keys
from bff.session.cookie_vault import CookieVault
from bff.session.key_watch import KeyWatch
from bff.session.ledger import FileLedger
from bff.session.redis_ledger import RedisLedger
from bff.session.redis_vault import RedisVault
from bff.telemetry.key_uses import KeyUses
from bff.wiring import hears_the_authority, ledger_of, vault_of
from tests.bff.session.session_world import until
from tests.world.settings import settings_with_session as settings
from tests.world.valkey import Valkey


async def wired(**session: Any) -> tuple[object, object, bool]:
    """What becomes of them: the ledger, the vault, and whether logouts elsewhere are heard."""
    chosen, clock = settings(**session), SystemClock()
    ledger = ledger_of(chosen, clock)
    vault = vault_of(chosen, ledger, clock)
    await vault.aclose()
    await ledger.aclose()
    return ledger, vault, hears_the_authority(chosen, ledger)


@pytest.mark.req("F13", "F14")
async def test_one_word_moves_sessions_and_ledger(valkey: Valkey, tmp_path: Path) -> None:
    """``store = redis`` brings its ledger along; on any number of machines logouts elsewhere are heard then."""
    url = tmp_path / "url"
    url.write_text(valkey.url + "\n")
    for session in ({"store": "redis", "redis_url": valkey.url}, {"store": "redis", "redis_url_file": url}):
        ledger, vault, hears = await wired(machines=3, **session)
        assert (type(ledger), type(vault), hears) == (RedisLedger, RedisVault, True)
    ledger, vault, hears = await wired(ledger="redis", redis_url=valkey.url, machines=3)
    assert (type(ledger), type(vault), hears) == (RedisLedger, CookieVault, True)
    ledger, vault, hears = await wired(ledger=f"file:{tmp_path}/l.sqlite")
    assert (type(ledger), type(vault), hears) == (FileLedger, CookieVault, True)


@pytest.mark.req("ADV-10")
@pytest.mark.parametrize(
    ("session", "cause"),
    [
        ({"store": "redis"}, "exactly one of redis_url, redis_url_file"),
        ({"ledger": "redis"}, "exactly one of redis_url, redis_url_file"),
        ({"store": "redis", "redis_url": "redis://h", "redis_url_file": "f"}, "exactly one of redis_url"),
        ({"store": "redis", "redis_url": "http://h"}, "redis_url is no address"),
        ({"store": "redis", "redis_url_file": "missing"}, "redis_url_file cannot be read"),
        ({"redis_url": "redis://h"}, "redis_url is read by nobody"),
        ({"store": "redis", "ledger": "memory", "redis_url": "redis://h"}, "refused"),
        ({"store": "redis", "ledger": "file:x", "redis_url": "redis://h"}, "refused"),
        ({"machines": 2}, "refused"),
    ],
)
def test_what_cannot_work_is_refused_with_its_cure(session: dict[str, Any], cause: str) -> None:
    """Each fault names the setting and what to do; none quotes an address."""
    with pytest.raises(ConfigurationError) as refused:
        settings(**session)
    told = "\n".join(refused.value.causes)
    assert cause in told
    assert "Cure" in told
    assert "redis://h" not in told


def test_an_address_never_shows() -> None:
    """Settings that are printed tell no password."""
    chosen = settings(store="redis", redis_url="redis://app:the-password@h/0")
    assert "the-password" not in repr(chosen) + str(chosen.session)
    assert chosen.session.redis_address == "redis://app:the-password@h/0"


# The key ring's file (rule F22).


def a_key(number: int) -> Key:
    """The same key for the same number."""
    return Key(id=f"0000000{number}", secret=bytes([number]) * 32, use_from=0.0)


@pytest.mark.req("F22")
async def test_a_ring_follows_its_file(tmp_path: Path) -> None:
    """A key that is added opens, and then seals, without a restart; a file that is spoilt or away changes nothing."""
    path = tmp_path / "keys.json"
    write_keys(path, (a_key(1),))
    ring = KeyRing.load(path, SystemClock())
    watch = KeyWatch(ring, path, seconds=0.01)
    watch.start()
    write_keys(path, (a_key(1), a_key(2)))
    await until(lambda: len(ring.keys) == 2)
    for spoil in (lambda: path.write_text("{"), path.unlink):
        spoil()
        await asyncio.sleep(0.05)
        assert [key.id for key in ring.keys] == ["00000001", "00000002"]
    write_keys(path, (a_key(2),))
    await until(lambda: [key.id for key in ring.keys] == ["00000002"])
    assert ring.revision == 2
    await watch.aclose()


@pytest.mark.req("F22")
async def test_a_mounted_secret_is_replaced_behind_a_link(tmp_path: Path) -> None:
    """What is looked at is where the link leads."""
    for number in (1, 2):
        (tmp_path / str(number)).mkdir()
        write_keys(tmp_path / str(number) / "keys.json", (a_key(number),))
    link = tmp_path / "data"
    link.symlink_to(tmp_path / "1")
    ring = KeyRing.load(link / "keys.json", SystemClock())
    watch = KeyWatch(ring, link / "keys.json", seconds=0.01)
    watch.start()
    fresh = tmp_path / "fresh"
    fresh.symlink_to(tmp_path / "2")
    fresh.replace(link)
    await until(lambda: ring.sealing_key.id == "00000002")
    await watch.aclose()


async def test_without_a_file_there_is_nothing_to_watch() -> None:
    """A ring that lives in memory is as it is."""
    watch = KeyWatch(KeyRing.generate(), None)
    watch.start()
    await watch.aclose()


@pytest.mark.req("F22", "B10")
def test_uses_are_counted_per_key() -> None:
    """One series a key, by id; never a secret."""
    uses = KeyUses()
    uses.watch({"00000001": 3}, {"00000001": 5, "00000002": 7})
    told = {(family.name, sample.labels["key"]): sample.value for family in uses.collect() for sample in family.samples}
    assert told == {
        ("bff_key_seals", "00000001"): 3,
        ("bff_key_opens", "00000001"): 5,
        ("bff_key_opens", "00000002"): 7,
    }
