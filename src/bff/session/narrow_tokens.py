"""Narrow access tokens, each for one API only, remembered in this process: what is forgotten is fetched anew."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

from bff.clock import Clock
from bff.oidc.messages import Narrow, TokenSet
from bff.session.endings import EndingsView
from bff.session.marks import Marks
from bff.session.model import Session

_SESSIONS = 4096
_BYTES = 32 * 1024 * 1024
_OBJECTS = 1024  # what an entry costs beyond the text of its token
_SWEEP_EVERY = 60.0


@dataclass(frozen=True, slots=True)
class NarrowToken:
    """One token and the instant it was fetched at."""

    tokens: TokenSet
    since: float


@dataclass(slots=True)
class _OfSession:
    marks: Marks
    id_token_issued_at: float
    tokens: dict[Narrow, NarrowToken] = field(default_factory=dict)

    @property
    def weight(self) -> int:
        return sum(len(one.tokens.access_token) + _OBJECTS for one in self.tokens.values())


class NarrowTokens:
    """The tokens of the sessions used last, bounded by sessions and by bytes; none outlives its session or its end."""

    def __init__(self, view: EndingsView, clock: Clock, *, sessions: int = _SESSIONS, bytes_: int = _BYTES) -> None:
        self._view = view
        self._clock = clock
        self._most, self._heaviest = sessions, bytes_
        self._kept: OrderedDict[bytes, _OfSession] = OrderedDict()
        self._swept_at = clock.monotonic()
        self.weight = 0

    def find(self, sid: bytes, narrow: Narrow) -> NarrowToken | None:
        """The token, while it lives."""
        kept = self._kept.get(sid)
        found = None if kept is None else kept.tokens.get(narrow)
        if found is None or found.tokens.expires_at <= self._clock.now():
            return None
        self._kept.move_to_end(sid)
        return found

    def keep(self, session: Session, narrow: Narrow, tokens: TokenSet) -> None:
        """Remember one, in place of the one before, and forget the sessions unused for longest."""
        self._sweep()
        marks = Marks.of(session)
        kept = self._kept.setdefault(marks.sid, _OfSession(marks, session.id_token_issued_at))
        self.weight -= kept.weight
        kept.tokens[narrow] = NarrowToken(tokens, self._clock.now())
        self.weight += kept.weight
        self._kept.move_to_end(marks.sid)
        while len(self._kept) > self._most or self.weight > self._heaviest:
            self.weight -= self._kept.popitem(last=False)[1].weight

    def distrust(self, sid: bytes, narrow: Narrow, access_token: str) -> None:
        """Forget this token, if it is still the one that is known."""
        kept = self._kept.get(sid)
        if kept is not None and narrow in kept.tokens and kept.tokens[narrow].tokens.access_token == access_token:
            self.weight -= kept.weight
            del kept.tokens[narrow]
            self.weight += kept.weight

    def forget(self, sid: bytes) -> None:
        """The session is over."""
        kept = self._kept.pop(sid, None)
        if kept is not None:
            self.weight -= kept.weight

    def __len__(self) -> int:
        return len(self._kept)

    def _sweep(self) -> None:
        """Once a minute: what ended elsewhere goes, and what has expired."""
        if self._clock.monotonic() - self._swept_at < _SWEEP_EVERY:
            return
        self._swept_at, now = self._clock.monotonic(), self._clock.now()
        for sid, kept in list(self._kept.items()):
            alive = any(one.tokens.expires_at > now for one in kept.tokens.values())
            if not alive or self._view.ended(kept.marks, kept.id_token_issued_at) is not None:
                self.forget(sid)
