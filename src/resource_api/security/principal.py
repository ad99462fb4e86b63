"""Who calls, as proven by a verified access token."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """A person's client, or an application of its own; whoever holds one holds a verified caller.

    ``scopes`` is what a person delegated: empty for an app. ``app_roles`` is what was granted to the application
    itself: empty for a person, whose roles never widen access (A-25, A-38). ``owner`` is the key of what the caller
    owns: ``object_id`` in Entra's tokens, else ``subject``. ``expires_at``, ``issued_at`` and ``authenticated_at`` are
    instants in seconds. ``contexts`` is how the person signed in (``acr``, and Entra's ``acrs``). ``claims`` cannot be
    changed, at any depth: the same principal answers for every call with its token.
    """

    kind: Literal["user", "app"]
    issuer: str
    subject: str
    owner: str
    client_id: str
    scopes: frozenset[str]
    app_roles: frozenset[str]
    expires_at: float
    issued_at: float = 0.0
    tenant: str | None = None
    object_id: str | None = None
    contexts: frozenset[str] = frozenset()
    authenticated_at: float | None = None
    understands_claims_challenge: bool = False
    claims: Mapping[str, Any] = field(repr=False, compare=False)

    @property
    def is_app(self) -> bool:
        """An application acts in its own name, with no person behind it."""
        return self.kind == "app"

    @property
    def tag(self) -> str:
        """Eight characters that tell callers apart in a log, and say nothing about them."""
        return hashlib.sha256(f"{self.issuer}\n{self.subject}".encode()).hexdigest()[:8]
