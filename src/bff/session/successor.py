"""What follows a generation, for whoever still holds the old one: a response that got lost loses nothing (rule F4)."""

from __future__ import annotations

from dataclasses import dataclass, field

from bff.session.cipher import open_under, seal_under
from bff.session.model import Session

_PURPOSE = "successor"


@dataclass(frozen=True, slots=True, kw_only=True)
class Successor:
    """The number of a generation, that of the newest one, and its cookie value under the old one's refresh token."""

    generation: int
    newest: int
    sealed: bytes = field(repr=False)

    @classmethod
    def of(cls, before: Session, *, newest: int, value: bytes) -> Successor:
        """The entry that leads from ``before`` to the newest; ``ValueError`` where there is no refresh token."""
        if before.tokens.refresh_token is None:
            raise ValueError("a session without a refresh token has no successor")
        sealed = seal_under(before.tokens.refresh_token, value, purpose=_PURPOSE, about=_about(before))
        return cls(generation=before.generation, newest=newest, sealed=sealed)

    def value_for(self, before: Session) -> bytes | None:
        """The newest cookie value, opened with the old refresh token; None for any other session."""
        if before.tokens.refresh_token is None:
            return None
        return open_under(before.tokens.refresh_token, self.sealed, purpose=_PURPOSE, about=_about(before))


def _about(before: Session) -> str:
    return f"{before.sid} {before.generation}"
