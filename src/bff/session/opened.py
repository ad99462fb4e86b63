"""Opened sessions, remembered: a warm request neither decrypts nor inflates. It may forget any of them at any time."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

from bff.session.marks import Marks
from bff.session.model import Session

MEMORY_BYTES: Final = 128 * 1024 * 1024
"""Of what one process remembers: the usual sessions of ten thousand people, and some room."""
_OBJECTS = 4096  # what a session costs beyond its texts: dataclasses, marks, the claims' dict
_CLAIM = 256


@dataclass(slots=True, eq=False)
class OpenedSession:
    """One opened cookie value: the session in it and what was verified beside it, so that nothing is verified twice.

    ``stamp`` and ``out`` are the last bytes of the idle stamp and of the list of ended sessions that were judged for
    this session, with the verdict (rule F19). Whether it has ended is never remembered here (rule F20).
    """

    value: bytes = field(repr=False)
    chunks: int
    session: Session
    marks: Marks
    sealed_at: float
    key_id: str
    idle_tag: str
    acknowledged: bool
    stamp: bytes | None = field(default=None, repr=False)
    stamped_at: float = 0.0
    out: bytes | None = field(default=None, repr=False)
    named_out: bool = False

    @property
    def weight(self) -> int:
        """About how many bytes of memory this takes."""
        tokens = self.session.tokens
        texts = (tokens.access_token, tokens.refresh_token or "", tokens.id_token or "")
        return len(self.value) + sum(map(len, texts)) + _CLAIM * len(self.session.claims) + _OBJECTS


class OpenedSessions:
    """The sessions used last, as many as fit into so many bytes, under a key of 16 bytes or of the cookie itself."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._kept: OrderedDict[bytes, OpenedSession] = OrderedDict()
        self.weight = 0

    def get(self, key: bytes) -> OpenedSession | None:
        """The session, which is now the one used last."""
        found = self._kept.get(key)
        if found is not None:
            self._kept.move_to_end(key)
        return found

    def put(self, key: bytes, opened: OpenedSession) -> None:
        """Remember one more and forget the ones unused for longest."""
        self.forget(key)
        self._kept[key] = opened
        self.weight += opened.weight
        while self.weight > self._limit and self._kept:
            self.weight -= self._kept.popitem(last=False)[1].weight

    def forget(self, key: bytes) -> None:
        """Forget one, if it is here."""
        known = self._kept.pop(key, None)
        if known is not None:
            self.weight -= known.weight

    def clear(self) -> None:
        """Forget all: the key ring has changed."""
        self._kept.clear()
        self.weight = 0

    def __len__(self) -> int:
        return len(self._kept)
