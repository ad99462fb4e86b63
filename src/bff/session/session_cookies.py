"""How a session lies in cookies: sealed and cut, opened and remembered, beside its stamp and the list of ended ones."""

from __future__ import annotations

import msgspec

from bff.errors import SessionTooLarge
from bff.session.chunks import MOST, count_of, join, split
from bff.session.cipher import Cipher, Opened, Sealer
from bff.session.cookies import CookiePolicy, Jar, SetCookie
from bff.session.marks import Marks, tag
from bff.session.model import Lifetimes, Session
from bff.session.opened import OpenedSession, OpenedSessions
from bff.session.packing import largest_parts, pack, unpack
from bff.session.signed import Stamp, same
from bff.session.vault import CookieBudget
from bff.telemetry.logs import get_logger

_RESERVED = 1024  # of the budget of all cookies: for the idle stamp, the ended sessions and one login transaction
_ENDED_KEPT = 4
_SETTLED = 60.0

_log = get_logger(__name__)
_tags = msgspec.msgpack.Decoder(list[str])


class SessionCookies:
    """Writes and reads the session's own cookies; when they may be written is the vault's to decide."""

    def __init__(
        self,
        policy: CookiePolicy,
        cipher: Cipher,
        *,
        lifetimes: Lifetimes,
        budget: CookieBudget,
        keep_id_token: bool,
        memory_bytes: int,
    ) -> None:
        self._policy = policy
        self._cipher = cipher
        self._lifetimes = lifetimes
        self._budget = budget
        self._keep_id_token = keep_id_token
        self._sealer = cipher.sealer("session", policy.session)
        self._out_sealer = cipher.sealer("ended", policy.out)
        self._idle_stamp = Stamp(cipher, "idle")
        self._names = [policy.chunk(index) for index in range(MOST)] + [policy.out]
        self._session_name, self._idle_name, self._out_name = policy.session, policy.idle, policy.out
        self._opened = OpenedSessions(memory_bytes)
        self._newest = OpenedSessions(memory_bytes // 4)
        self._revision = cipher.ring.revision
        self._started_at = cipher.clock.now()
        self.foreign_seals = 0
        """Cookies sealed by another instance while this one was running: without a shared ledger, an alarm (F14)."""

    def seal(self, session: Session) -> OpenedSession:
        """Seal one generation, once; raises ``SessionTooLarge`` with the largest parts named (rule F21)."""
        packed = pack(session, keep_id_token=self._keep_id_token)
        length = Sealer.sealed_length(1 + len(packed))
        chunks = count_of(length)
        weight = length + chunks * (len(self._session_name) + 5)
        if chunks > self._budget.chunks or weight > self._budget.total - _RESERVED:
            largest = largest_parts(session, self._keep_id_token)
            raise SessionTooLarge(f"{weight} bytes in {chunks} cookies; the largest parts are {largest}")
        value = self._sealer.seal(bytes([chunks]) + packed)
        sealed = Opened(b"", self._cipher.clock.now(), self._cipher.ring.sealing_key.id, self._cipher.instance)
        return self._remembered(value, chunks, session, sealed)

    def opened(self, jar: Jar) -> OpenedSession | None:
        """The session in this jar, as it was sealed, or None: absent, repeated, incomplete, or not ours to open."""
        value, chunks = jar.get(self._session_name), 1
        if value is None or jar.any_twice(self._names):
            return None
        if value[1:2] == b".":
            joined = join(self._policy, jar)
            if joined is None:
                return None
            value, chunks = joined
        if self._revision != self._cipher.ring.revision:
            self._forget_all()
        opened = self._opened.get(value)
        if opened is None:
            opened = self.open(value)
        else:
            self._cipher.ring.opens[opened.key_id] += 1
        return opened if opened is not None and opened.chunks == chunks else None

    def open(self, value: bytes) -> OpenedSession | None:
        """The session in one sealed value, and None for anything else."""
        known = self._opened.get(value)
        if known is not None:
            return known
        found = self._sealer.open(value)
        session = None if found is None else unpack(found.payload[1:])
        if found is None or session is None:
            return None
        self._watch_for_strangers(found)
        return self._remembered(value, found.payload[0], session, found)

    def newest_of(self, opened: OpenedSession) -> None:
        """Remember that this is the newest generation of its session."""
        known = self._newest.get(opened.marks.sid)
        if known is None or known.session.generation < opened.session.generation:
            self._newest.put(opened.marks.sid, opened)

    def newer_than(self, marks: Marks, generation: int) -> OpenedSession | None:
        """A newer generation that this process has the bytes of, or None."""
        if self._revision != self._cipher.ring.revision:
            self._forget_all()
        newest = self._newest.get(marks.sid)
        return newest if newest is not None and newest.session.generation > generation else None

    def forget(self, marks: Marks) -> None:
        """An ended session has no newest generation."""
        self._newest.forget(marks.sid)

    def cookies(self, opened: OpenedSession, jar: Jar, *, jar_is_complete: bool = True) -> list[SetCookie]:
        """The cookies of one sealed session, and the deletion of chunks that it does not need.

        At a callback the jar holds no Strict cookie, so every chunk that might be left over is deleted.
        """
        kept = [self._policy.cookie(self._policy.chunk(at), part) for at, part in enumerate(split(opened.value))]
        surplus = (self._policy.chunk(at) for at in range(opened.chunks, MOST))
        return kept + [self._policy.deletion(name) for name in surplus if name in jar or not jar_is_complete]

    def stamp(self, session: Session) -> SetCookie:
        """An idle stamp of this second, bound to this session (rule F19)."""
        return self._policy.cookie(self._idle_name, self._idle_stamp.sign(tag(session.sid, "idle")))

    def last_activity(self, opened: OpenedSession, jar: Jar) -> float:
        """The later of the seal's and the stamp's instant; a stamp that is not this session's is as good as none."""
        stamp = jar.get(self._idle_name)
        if stamp is None:
            return opened.session.active_at
        if stamp != opened.stamp:
            stamped = self._idle_stamp.read(stamp)
            valid = stamped is not None and same(stamped.value, opened.idle_tag)
            opened.stamp, opened.stamped_at = stamp, stamped.at if stamped is not None and valid else 0.0
        return max(opened.session.active_at, opened.stamped_at)

    def named_out(self, opened: OpenedSession, jar: Jar) -> bool:
        """Whether this browser knows that the session was signed out in it (rule F2)."""
        out = jar.get(self._out_name)
        if out is None:
            return False
        if out != opened.out:
            opened.out, opened.named_out = out, tag(opened.session.sid, "ended") in self._ended_tags(jar)
        return opened.named_out

    def out(self, jar: Jar, session: Session) -> SetCookie:
        """The list of the last four sessions that ended in this browser, with this one first."""
        tags = [tag(session.sid, "ended"), *self._ended_tags(jar)]
        value = self._out_sealer.seal(msgspec.msgpack.encode(list(dict.fromkeys(tags))[:_ENDED_KEPT]))
        return self._policy.cookie(self._out_name, value, max_age=int(self._lifetimes.absolute))

    def deletions(self, jar: Jar) -> list[SetCookie]:
        """Take back the session and its stamp, whether or not they came along, and every chunk that did."""
        chunks = [name for name in self._names[1:MOST] if name in jar]
        return [self._policy.deletion(name) for name in (self._session_name, *chunks, self._idle_name)]

    def _ended_tags(self, jar: Jar) -> list[str]:
        opened = self._out_sealer.open(jar.get(self._out_name) or b"")
        return [] if opened is None else _tags.decode(opened.payload)

    def _remembered(self, value: bytes, chunks: int, session: Session, found: Opened) -> OpenedSession:
        opened = OpenedSession(
            value=value,
            chunks=chunks,
            session=session,
            marks=Marks.of(session),
            sealed_at=found.sealed_at,
            key_id=found.key_id,
            idle_tag=tag(session.sid, "idle"),
            acknowledged=session.generation == 1,
        )
        self._opened.put(value, opened)
        return opened

    def _forget_all(self) -> None:
        self._opened.clear()
        self._newest.clear()
        self._revision = self._cipher.ring.revision

    def _watch_for_strangers(self, found: Opened) -> None:
        if found.instance == self._cipher.instance or found.sealed_at <= self._started_at + _SETTLED:
            return
        self.foreign_seals += 1
        if self.foreign_seals == 1:
            _log.error("another_instance_seals", cure="one ledger for all processes, or one process")
