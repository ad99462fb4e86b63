"""Reading claims strictly: each reader returns the claim in its type, or refuses the token at its numbered step.

A claim that is ``null`` or of another type is refused, never taken for an absent one.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from resource_api.errors import InvalidToken

Claims = Mapping[str, Any]

MAX_TEXT = 255
MAX_INSTANT = 2**53
_CONTAINERS = frozenset({dict, list})
_GUID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}").fullmatch
_SCOPES = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+(?: [\x21\x23-\x5b\x5d-\x7e]+)*").fullmatch


def is_guid(value: str) -> bool:
    """Whether this is a GUID in its usual spelling of 36 characters."""
    return _GUID(value) is not None


def text(claims: Claims, name: str, step: str) -> str:
    """A required string of 1 to 255 printable characters."""
    value = claims.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= MAX_TEXT or not value.isprintable():
        raise InvalidToken(step, f"{name} is not a string of 1 to {MAX_TEXT} characters")
    return value


def guid(claims: Claims, name: str, step: str) -> str:
    """A required GUID, in lower case: its case has no meaning."""
    value = claims.get(name)
    if not isinstance(value, str) or not is_guid(value):
        raise InvalidToken(step, f"{name} is not a GUID")
    return value.lower()


def instant(claims: Claims, name: str, step: str) -> float:
    """A required NumericDate (RFC 7519 2): seconds since the epoch, finite and never negative."""
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidToken(step, f"{name} is not a number")
    if not math.isfinite(value) or not 0 <= value <= MAX_INSTANT:
        raise InvalidToken(step, f"{name} is out of range")
    return float(value)


def scope_names(claims: Claims, name: str, step: str) -> frozenset[str]:
    """Optional scopes, separated by single spaces (RFC 6749 3.3); an empty string is no scope."""
    if name not in claims:
        return frozenset()
    value = claims[name]
    if not isinstance(value, str) or (value and _SCOPES(value) is None):
        raise InvalidToken(step, f"{name} is not a list of scopes")
    return frozenset(value.split())


def names(claims: Claims, name: str, step: str) -> frozenset[str]:
    """An optional array of strings."""
    if name not in claims:
        return frozenset()
    value = claims[name]
    if not isinstance(value, list) or not all(isinstance(one, str) and one for one in value):
        raise InvalidToken(step, f"{name} is not an array of strings")
    return frozenset(value)


def names_at(claims: Claims, path: str, step: str) -> frozenset[str]:
    """An optional array of strings under a name or, where no claim has that name, a dotted path of names."""
    if path in claims:
        return names(claims, path, step)
    *parents, last = path.split(".")
    within: Any = claims
    for parent in parents:
        if parent not in within:
            return frozenset()
        within = within[parent]
        if not isinstance(within, dict):
            raise InvalidToken(step, f"{path} does not lead to an array")
    return names(within, last, step)


def frozen(value: Any) -> Any:  # noqa: ANN401 — because a claim may be any JSON
    """The same JSON, which nobody can change: objects as read-only mappings, arrays as tuples."""
    if type(value) is dict:
        if _CONTAINERS.isdisjoint(map(type, value.values())):
            return MappingProxyType(value.copy())
        within = {name: frozen(one) if type(one) in _CONTAINERS else one for name, one in value.items()}
        return MappingProxyType(within)
    return tuple(map(frozen, value)) if type(value) is list else value
