from __future__ import annotations

import json
from pathlib import Path

import pytest
from structlog.testing import CapturingLogger

from bff.errors import ConfigurationError, SessionStoreUnavailable
from bff.session.cipher import Cipher, Key, KeyRing, read_keys, write_keys
from tests.bff.session.session_world import NOW, said
from tests.world.clock import MovableClock


def a_key(number: int, *, use_from: float = NOW) -> Key:
    """A key that is its number."""
    return Key(id=f"{number:08x}", secret=bytes([number]) * 32, use_from=use_from)


@pytest.mark.req("F22")
def test_the_newest_key_whose_time_has_come_seals() -> None:
    """A key seals from its instant on, and not before, so that every replica can learn it first."""
    clock = MovableClock(NOW)
    ring = KeyRing((a_key(1), a_key(2, use_from=NOW + 100)), clock)
    assert ring.sealing_key.id == "00000001"
    clock.advance(100)
    assert ring.sealing_key.id == "00000002"


@pytest.mark.req("B10")
def test_a_value_sealed_by_one_replica_opens_at_another_before_and_after_rotation() -> None:
    """All keys of the ring open, whichever of them seals."""
    clock = MovableClock(NOW)
    old, new = a_key(1), a_key(2, use_from=NOW + 10)
    ahead = Cipher(KeyRing((old, new), clock), clock, client_id="c", origin="o").sealer("session", "n")
    behind_ring = KeyRing((old,), clock)
    behind = Cipher(behind_ring, clock, client_id="c", origin="o").sealer("session", "n")
    assert ahead.open(behind.seal(b"old")) is not None
    clock.advance(10)
    sealed = ahead.seal(b"new")
    assert behind.open(sealed) is None
    behind_ring.replace((old, new))
    opened = behind.open(sealed)
    assert opened is not None
    assert opened.key_id == new.id


def test_a_ring_survives_its_file(tmp_path: Path) -> None:
    """What was written is what is read, oldest key first."""
    path = tmp_path / "keys.json"
    write_keys(path, (a_key(2, use_from=NOW + 5), a_key(1)))
    assert path.stat().st_mode & 0o777 == 0o600
    assert read_keys(path) == (a_key(1), a_key(2, use_from=NOW + 5))


def test_a_reload_takes_new_keys_and_says_so(tmp_path: Path) -> None:
    """A ring reads its file again, and its revision tells that remembered sessions must go."""
    path, clock = tmp_path / "keys.json", MovableClock(NOW)
    write_keys(path, (a_key(1),))
    ring = KeyRing.load(path, clock)
    assert ring.reload() is False
    write_keys(path, (a_key(1), a_key(2)))
    assert (ring.reload(), ring.revision, len(ring.keys)) == (True, 1, 2)


def test_a_reload_of_a_broken_file_changes_nothing(tmp_path: Path) -> None:
    """A file that cannot be used must not take away the keys in use."""
    path, clock = tmp_path / "keys.json", MovableClock(NOW)
    write_keys(path, (a_key(1),))
    ring = KeyRing.load(path, clock)
    path.write_text("{")
    with pytest.raises(ConfigurationError):
        ring.reload()
    assert (ring.revision, ring.sealing_key) == (0, a_key(1))


SECRET = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE"
GOOD = {"id": "00000001", "secret": SECRET, "use_from": "2027-01-15T08:00:00Z"}


@pytest.mark.parametrize(
    "content",
    [
        {"keys": []},
        {"keys": [{**GOOD, "id": "1"}]},
        {"keys": [{**GOOD, "id": "0000000g"}]},
        {"keys": [{**GOOD, "secret": "c2hvcnQ"}]},
        {"keys": [{**GOOD, "secret": SECRET[:-1] + "!"}]},
        {"keys": [{**GOOD, "use_from": "soon"}]},
        {"keys": [{**GOOD, "use_from": "2999-01-01T00:00:00Z"}]},
        {"keys": [{**GOOD, "comment": "mine"}]},
        {"keys": [GOOD, GOOD]},
        {"keys": [GOOD, {**GOOD, "id": "00000002"}]},
        {"keys": [{"id": "00000001"}]},
        {"keys": None},
        [],
    ],
)
def test_a_ring_that_cannot_work_stops_the_start_without_telling_a_secret(tmp_path: Path, content: object) -> None:
    """Every unusable file is refused with a cure, and no message holds a key."""
    path = tmp_path / "keys.json"
    path.write_text(json.dumps(content))
    path.chmod(0o600)
    with pytest.raises(ConfigurationError) as refused:
        KeyRing.load(path, MovableClock(NOW))
    assert "Cure:" in str(refused.value)
    assert SECRET[:20] not in str(refused.value)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_key_file_that_others_may_read_stops_the_start(tmp_path: Path, mode: int) -> None:
    """The keys are the owner's alone."""
    path = tmp_path / "keys.json"
    write_keys(path, (a_key(1),))
    path.chmod(mode)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        KeyRing.load(path, MovableClock(NOW))


def test_a_missing_key_file_is_named(tmp_path: Path) -> None:
    """Whoever forgot the file reads its name."""
    with pytest.raises(ConfigurationError, match=r"keys\.json"):
        KeyRing.load(tmp_path / "keys.json", MovableClock(NOW))


def test_no_repr_shows_a_secret() -> None:
    """A key in a log line or a traceback tells its id only."""
    assert "secret" not in repr(a_key(1))
    assert repr(b"\x01")[2:-1] * 3 not in repr(a_key(1))


@pytest.mark.req("F22", "ATK-18")
def test_seals_are_counted_and_a_worn_out_key_refuses() -> None:
    """A random nonce may be drawn 2^32 times per key; then sealing is an outage, and opening still works."""
    clock = MovableClock(NOW)
    ring = KeyRing((a_key(1),), clock)
    sealer = Cipher(ring, clock, client_id="c", origin="o").sealer("session", "n")
    last = sealer.seal(b"x")
    assert ring.seals["00000001"] == 1
    ring.seals["00000001"] = 2**32
    with pytest.raises(SessionStoreUnavailable):
        sealer.seal(b"x")
    assert sealer.open(last) is not None


@pytest.mark.req("F22")
def test_half_way_to_the_limit_a_rotation_is_asked_for(log: CapturingLogger) -> None:
    """2^31 seals under one key are said once, with the key's id."""
    clock = MovableClock(NOW)
    ring = KeyRing((a_key(1),), clock)
    sealer = Cipher(ring, clock, client_id="c", origin="o").sealer("session", "n")
    ring.seals["00000001"] = 2**31 - 1
    sealer.seal(b"x")
    sealer.seal(b"x")
    assert said(log) == ["key_needs_rotation"]


@pytest.mark.req("B10")
def test_opens_are_counted_per_key() -> None:
    """An old key that opens nothing any more may be taken away, and the count tells when."""
    clock = MovableClock(NOW)
    ring = KeyRing((a_key(1),), clock)
    sealer = Cipher(ring, clock, client_id="c", origin="o").sealer("session", "n")
    for _ in range(3):
        sealer.open(sealer.seal(b"x"))
    assert ring.opens == {"00000001": 3}
