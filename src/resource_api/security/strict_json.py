"""JSON that has one meaning only: what two parsers could read in two ways is refused (ATK-52, RFC 8725 2.4).

Refused: duplicate members, NaN and infinities, integers beyond 64 bits, nesting deeper than 16, invalid UTF-8,
lone surrogates, and any document that is not an object.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, NoReturn

MAX_DEPTH = 16
_WHITE_SPACE = " \t\n\r"
"""RFC 8259 2, and nothing else that Python calls a space."""
_MAX_CHARACTERS = 20  # of a 64-bit integer, its sign included; int() of many digits is slow
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)


class UnclearJSONError(ValueError):
    """The document is no JSON object, or not one that every parser would read alike. The text never quotes it."""


def parse_object(document: bytes) -> dict[str, Any]:
    """Read one JSON object (RFC 8259). Raises UnclearJSONError, and nothing else."""
    if document.count(b"{") + document.count(b"[") > MAX_DEPTH and _depth(document) > MAX_DEPTH:
        raise UnclearJSONError("nested too deeply")
    try:
        text = document.decode("utf-8").strip(_WHITE_SPACE)
        value, end = _DECODER.raw_decode(text)
        if b"\\u" in document:
            json.dumps(value, ensure_ascii=False).encode("utf-8")  # an escaped lone surrogate has no UTF-8
    except UnclearJSONError:
        raise
    except (ValueError, RecursionError) as error:
        raise UnclearJSONError("not JSON") from error
    if end != len(text):
        raise UnclearJSONError("something behind it")
    if not isinstance(value, dict):
        raise UnclearJSONError("not an object")
    return value


def _depth(document: bytes) -> int:
    deepest = depth = 0
    for byte in _STRING.sub(b"", document):
        if byte in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif byte in b"]}":
            depth -= 1
    return deepest


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise UnclearJSONError("a member comes twice")
    return members


def _integer(digits: str) -> int:
    if len(digits) > _MAX_CHARACTERS or not -(2**63) <= (value := int(digits)) < 2**64:
        raise UnclearJSONError("a number is too large")
    return value


def _real(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise UnclearJSONError("a number is too large")
    return value


def _constant(_: str) -> NoReturn:
    raise UnclearJSONError("not a JSON number")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_members, parse_int=_integer, parse_float=_real, parse_constant=_constant, strict=True
)
