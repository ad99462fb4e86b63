"""What a deployment decides about the tokens it accepts. What must never vary is no field here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

ProfileName = Literal["entra-v2", "rfc9068", "jwt"]
PROFILE_NAMES: tuple[ProfileName, ...] = get_args(ProfileName)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRules:
    """For whom a token must be meant, in which shape, signed how, and from whom. ``leeway`` is in seconds.

    An empty allow-list allows all. ``roles_claim`` is a claim's name or a dotted path to it; Entra's profile has its
    own. ``client_names_audience`` takes tokens without any ``aud``, as Amazon Cognito's, from listed clients only.
    """

    audience: str
    profile: ProfileName = "entra-v2"
    algorithms: frozenset[str] = frozenset({"RS256", "ES256"})
    clients: frozenset[str] = frozenset()
    tenants: frozenset[str] = frozenset()
    roles_claim: str = "roles"
    leeway: float = 30.0
    client_names_audience: bool = False
