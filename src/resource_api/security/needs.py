"""What a route needs of its caller: names that were granted, and how a person signed in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

from resource_api.errors import (
    InsufficientAuthentication,
    InsufficientClaims,
    InsufficientScope,
    InvalidToken,
    StepUpUnsupported,
)
from resource_api.security.principal import Principal


@dataclass(frozen=True, slots=True)
class Needs:
    """Of a person's client any one of ``scopes`` and all of ``all_scopes``; of an application any one of ``app_roles``.

    ``acr`` and ``max_age`` (seconds) are asked of persons: an application never signed in. Names are compared exactly.
    """

    scopes: tuple[str, ...] = ()
    app_roles: tuple[str, ...] = ()
    all_scopes: tuple[str, ...] = ()
    acr: tuple[str, ...] = ()
    max_age: int | None = None

    @property
    def admits_persons(self) -> bool:
        """Whether any person could pass."""
        return bool(self.scopes or self.all_scopes)

    @property
    def admits_apps(self) -> bool:
        """Whether any application could pass."""
        return bool(self.app_roles)

    def scope_sets(self) -> list[frozenset[str]]:
        """Each set of scopes that is enough for a person."""
        every = frozenset(self.all_scopes)
        return [every | {one} for one in self.scopes] or ([every] if every else [])

    def check_granted(self, principal: Principal) -> None:
        """Raise InsufficientScope unless the principal holds what its kind needs."""
        if principal.is_app:
            enough = not principal.app_roles.isdisjoint(self.app_roles)
        else:
            held = principal.scopes
            enough = held.issuperset(self.all_scopes) and (
                not held.isdisjoint(self.scopes) if self.scopes else bool(self.all_scopes)
            )
        if not enough:
            asked = (*self.all_scopes, *self.scopes)
            needed = self.app_roles if principal.is_app else asked
            raise InsufficientScope(asked, f"a token of kind {principal.kind} needs: {' '.join(needed) or 'nothing'}")

    def check_signed_in(self, principal: Principal, *, now: float, leeway: float) -> None:
        """Raise InsufficientAuthentication unless the person signed in by these means, and lately enough (RFC 9470)."""
        if principal.is_app:
            return
        if self.acr and principal.contexts.isdisjoint(self.acr):
            raise InsufficientAuthentication(self.acr, self.max_age, "signed in by other means")
        if self.max_age is not None:
            at = principal.authenticated_at
            if at is None or now - at > self.max_age + leeway:
                raise InsufficientAuthentication(self.acr, self.max_age, "signed in too long ago, or nobody knows when")


def scope_alternatives(needs: list[Needs]) -> Iterator[frozenset[str]]:
    """Each set of scopes with which a person meets all of these at once."""
    seen = set[frozenset[str]]()
    for combination in product(*(one.scope_sets() for one in needs if one.admits_persons)):
        together = frozenset[str]().union(*combination)
        if together not in seen:
            seen.add(together)
            yield together


def as_claims_challenge(error: InsufficientAuthentication, principal: Principal) -> Exception:
    """The same refusal as Entra's clients know it: a challenge, if the client said that it understands one (K-63)."""
    if not error.acr_values or not principal.contexts.isdisjoint(error.acr_values):
        return error  # a claims challenge has no word for an age
    if not principal.understands_claims_challenge:
        return StepUpUnsupported(f"needs one of: {' '.join(error.acr_values)}; the client does not declare cp1")
    first, *others = error.acr_values
    wanted: dict[str, Any] = {"values": [first, *others]} if others else {"value": first}
    return InsufficientClaims({"access_token": {"acrs": {"essential": True, **wanted}}}, error.detail)


def require_issued_after(principal: Principal, instant: float) -> None:
    """Refuse a token from before a critical event at ``instant``: a revoked session, a changed password (CAE).

    Raises InsufficientClaims, which makes a capable client fetch a new token at once, else InvalidToken.
    """
    if principal.issued_at >= instant:
        return
    if principal.understands_claims_challenge:
        nbf = {"essential": True, "value": str(int(instant))}
        raise InsufficientClaims({"access_token": {"nbf": nbf}}, "issued before a critical event")
    raise InvalidToken("15 revocation", "issued before a critical event")
