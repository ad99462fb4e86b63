"""What just happened, hop by hop, for a learner on a development machine: the last sign-in and the last call.

Nothing secret can be in it, because only what is named here is ever written down: methods, paths, statuses, times, and
of parameters their names; the values of a few that are public by their nature.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Final, Literal
from urllib.parse import parse_qsl, urlsplit

from bff.clock import Clock

Party = Literal["browser", "bff", "authority", "api"]
HIDDEN: Final = "…"
MAX_HOPS: Final = 24
PUBLIC: Final = frozenset({
    "response_type", "response_mode", "scope", "redirect_uri", "client_id", "code_challenge_method", "grant_type",
    "prompt", "post_logout_redirect_uri", "token_type_hint", "error",
})  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """One message: who to whom, what, how it was answered, ``began`` and ``took`` in seconds of the journal's clock."""

    source: Party
    target: Party
    what: str
    parameters: tuple[tuple[str, str], ...] = ()
    status: int | None = None
    began: float = 0.0
    took: float | None = None


@dataclass(slots=True)
class Story:
    """The hops of one event, in the order in which they began."""

    kind: str
    hops: list[Hop] = field(default_factory=list)


class Journal:
    """Keeps the last story of each kind, in this process's memory and nowhere else."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.stories: dict[str, Story] = {}
        self._current: ContextVar[Story | None] = ContextVar("story", default=None)

    def begin(self, kind: str, *, continues: bool = False) -> None:
        """Start a story in this request's context; one that ``continues`` goes on with the last of its kind."""
        story = self.stories.get(kind) if continues else None
        if story is None:
            story = self.stories[kind] = Story(kind)
        self._current.set(story)

    def leave(self) -> None:
        """This request belongs to no story."""
        self._current.set(None)

    def add(self, hop: Hop) -> None:
        """Write down a hop of the current story, if there is one; past the limit it is dropped."""
        story = self._current.get()
        if story is not None and len(story.hops) < MAX_HOPS:
            story.hops.append(hop)


def shown(pairs: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Parameters with their values hidden, but for those that are public by their nature."""
    return tuple((name[:64], value[:300] if name in PUBLIC else HIDDEN) for name, value in pairs)


def shown_url(url: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    """A URL's origin and path, and its parameters as ``shown``; no fragment, no user name."""
    parts = urlsplit(url)
    origin = f"{parts.scheme}://{parts.hostname}:{parts.port}" if parts.port else f"{parts.scheme}://{parts.hostname}"
    where = f"{origin if parts.hostname else ''}{parts.path}"
    return where, shown(parse_qsl(parts.query, keep_blank_values=True))
