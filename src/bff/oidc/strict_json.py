"""JSON from another party, read so that no two readers can see two different objects in it (RFC 8259 4, RFC 8725 3)."""

from __future__ import annotations

import json
import math
from typing import Any, Never

MAX_DEPTH = 16


def parse_object(raw: bytes) -> dict[str, Any]:
    """The JSON object in ``raw``.

    Refused with ValueError: bytes that are not UTF-8, duplicate members, NaN and infinities, lone surrogates, more than
    ``MAX_DEPTH`` levels, and any value that is no object. The message never quotes the input, which may hold a token.
    """
    try:
        value = json.loads(
            raw.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite
        )
        _check(value, depth=0)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except ValueError as malformed:
        # `from None`: a JSONDecodeError and a UnicodeDecodeError both carry the whole input.
        raise ValueError(_reason(malformed)) from None
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004 — to the caller it is one more malformed input
    return value


def _reason(malformed: ValueError) -> str:
    if isinstance(malformed, json.JSONDecodeError):
        return f"not JSON at character {malformed.pos}"
    if isinstance(malformed, UnicodeError):
        return "not UTF-8 text"
    return str(malformed)


def _unique(members: list[tuple[str, Any]]) -> dict[str, Any]:
    unique = dict(members)
    if len(unique) != len(members):
        raise ValueError("a member appears twice")
    return unique


def _no_constant(_: str) -> Never:
    raise ValueError("NaN and Infinity are not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number exceeds every float")
    return number


def _check(value: object, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise ValueError("nested too deeply")
    if isinstance(value, str):
        value.encode("utf-8")
    elif isinstance(value, dict):
        for name, member in value.items():
            _check(name, depth)
            _check(member, depth + 1)
    elif isinstance(value, list):
        for member in value:
            _check(member, depth + 1)
