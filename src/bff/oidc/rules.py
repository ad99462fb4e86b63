"""``authority.require``: who may use this application, judged on the claims of a verified ID token."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bff.errors import ConfigurationError, LoginNotPermitted
from bff.oidc.messages import Claims

Scalar = str | int | bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One claim and exactly one comparison; a claim that is absent, or of another type, matches nothing.

    ``equals``: the claim is this value. ``one_of``: the claim is one of these. ``contains``: the claim is a list that
    holds this value, or the value alone. Raises ConfigurationError for a rule that no claim could ever match.
    """

    claim: str
    equals: Scalar | None = None
    contains: str | None = None
    one_of: Sequence[Scalar] | None = None

    def __post_init__(self) -> None:
        comparisons = [value for value in (self.equals, self.contains, self.one_of) if value is not None]
        if not self.claim or len(comparisons) != 1 or comparisons[0] in ("", (), []):
            raise ConfigurationError(
                [f"authority.require: {self} can match nothing. Cure: name a claim and one of equals, contains, in"]
            )

    def permits(self, claims: Claims) -> bool:
        """Whether the claim is there and matches. ``true`` is not ``1``, and no part of a text is the text."""
        if self.claim not in claims:
            return False
        value = claims[self.claim]
        if self.contains is not None:
            return self.contains in value if isinstance(value, list) else _same(value, self.contains)
        return any(_same(value, accepted) for accepted in self._accepted())

    def excludes(self, other: Rule) -> bool:
        """Whether no claims can satisfy both rules: they demand different values of the same claim."""
        if self.claim != other.claim or self.contains is not None or other.contains is not None:
            return False
        return not any(_same(ours, theirs) for ours in self._accepted() for theirs in other._accepted())

    def _accepted(self) -> Iterable[Scalar]:
        return (self.equals,) if self.equals is not None else self.one_of or ()


def contradictions(rules: Iterable[Rule]) -> list[str]:
    """One line per pair of rules that nobody could satisfy together."""
    return [
        f"authority.require: nobody can satisfy both {one} and {other}. Cure: keep one of them"
        for one, other in itertools.combinations(rules, 2)
        if one.excludes(other)
    ]


def require(rules: Iterable[Rule], claims: Claims) -> None:
    """Raise LoginNotPermitted, naming the rule and never the claim's value, unless every rule matches."""
    for rule in rules:
        if not rule.permits(claims):
            raise LoginNotPermitted(f"{rule} does not match")


def _same(value: object, accepted: Scalar) -> bool:
    return type(value) is type(accepted) and value == accepted
