"""What an authorization server can get wrong, by name. For tests: it comes in by constructor, never over HTTP."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum, auto
from typing import Any, Final, Literal

Endpoint = Literal["metadata", "keys", "authorize", "token", "userinfo", "revoke", "logout"]


class Absent:
    """The value of a claim that shall not be there at all."""

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = Absent()


class Misbehaviour(StrEnum):
    """What it does wrong. Those of ID tokens spare access tokens, unless the name says so."""

    # ID tokens
    ID_TOKEN_WRONG_AUDIENCE = auto()
    ID_TOKEN_WRONG_ISSUER = auto()
    ID_TOKEN_WRONG_NONCE = auto()
    ID_TOKEN_WRONG_AZP = auto()
    ID_TOKEN_WRONG_SUBJECT = auto()
    ID_TOKEN_EXPIRED = auto()
    ID_TOKEN_FROM_THE_FUTURE = auto()
    ID_TOKEN_ALG_NONE = auto()
    ID_TOKEN_HS256_WITH_PUBLIC_KEY = auto()
    ID_TOKEN_FOREIGN_KEY = auto()
    ID_TOKEN_UNKNOWN_KID = auto()
    REFRESHED_ID_TOKEN_OTHER_SUBJECT = auto()
    REFRESHED_ID_TOKEN_OTHER_NONCE = auto()
    REFRESHED_ID_TOKEN_OTHER_AUTH_TIME = auto()
    # the token endpoint's answer
    ID_TOKEN_MISSING = auto()
    REFRESH_TOKEN_MISSING = auto()
    EXPIRES_IN_MISSING = auto()
    INVALID_GRANT = auto()
    REFRESH_REFUSED = auto()
    INVALID_CLIENT = auto()
    ANSWER_LOST = auto()
    # the revocation endpoint: its token alone, not the grant behind it; of a token spent before, nothing at all
    REVOKES_ONE_TOKEN = auto()
    # any endpoint
    SLOW = auto()
    DOWN = auto()
    UNREACHABLE = auto()
    TOO_MANY_REQUESTS = auto()
    BROKEN_JSON = auto()
    OVERSIZED = auto()
    REDIRECTED = auto()
    # the metadata and the authorization response
    METADATA_WRONG_ISSUER = auto()
    RESPONSE_WRONG_ISSUER = auto()
    RESPONSE_MISSING_ISSUER = auto()
    RESPONSE_REPEATED_ISSUER = auto()


@dataclass(slots=True)
class _Active:
    times: int | None
    at: Endpoint | None


@dataclass(slots=True)
class Misbehaviours:
    """Which misbehaviours are on. ``id_token``, ``refreshed_id_token``, ``access_token`` and ``logout_token`` override
    claims, ABSENT removes one; ``seconds`` is how long SLOW takes.
    """

    id_token: dict[str, Any] = field(default_factory=dict)
    refreshed_id_token: dict[str, Any] = field(default_factory=dict)
    access_token: dict[str, Any] = field(default_factory=dict)
    logout_token: dict[str, Any] = field(default_factory=dict)
    seconds: float = 30.0
    _active: dict[Misbehaviour, _Active] = field(default_factory=dict)

    def begin(self, name: Misbehaviour, *, times: int | None = None, at: Endpoint | None = None) -> None:
        """Misbehave so, the next ``times`` times or until ``end``, ``at`` one endpoint or wherever the name applies."""
        self._active[name] = _Active(times, at)

    def end(self, name: Misbehaviour | None = None) -> None:
        """Behave again: in this respect, or in all."""
        if name is not None:
            self._active.pop(name, None)
            return
        self._active.clear()
        for overrides in (self.id_token, self.refreshed_id_token, self.access_token, self.logout_token):
            overrides.clear()

    def take(self, name: Misbehaviour, at: Endpoint | None = None) -> bool:
        """Whether to misbehave so now; counts as one time."""
        active = self._active.get(name)
        if active is None or (active.at is not None and active.at != at):
            return False
        if active.times is not None:
            active.times -= 1
            if active.times <= 0:
                del self._active[name]
        return True
