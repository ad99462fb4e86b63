"""Conditional requests (RFC 9110 13): entity tags, made from versions and read back from what a caller sends.

A condition that cannot be read is refused: whoever sent it wanted something not to happen.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Final

from fastapi import Depends, Request

from resource_api.errors import MalformedRequest
from resource_api.todos.model import MAX_ID, Condition

_ELEMENT = re.compile(r'[ \t]*+((?:W/)?"[!#-~]*+")?+[ \t]*+(?:,|\Z)')
_VERSION = re.compile(r'"([1-9][0-9]{0,18})"', re.ASCII).fullmatch
_ANY: Final = "*"


def _parameter(name: str, description: str) -> dict[str, Any]:
    documented = f"{description} `*`, or entity tags with commas between them (RFC 9110 13.1)."
    schema = {"type": "string"}
    return {
        "name": name,
        "in": "header",
        "required": False,
        "description": documented,
        "example": '"1"',
        "schema": schema,
    }


READ_ON_CONDITION: Final = {
    "parameters": [_parameter("If-None-Match", "Answer 304 where one of these entity tags is current.")]
}
CHANGE_ON_CONDITION: Final = {
    "parameters": [
        _parameter(
            "If-Match", "Change nothing unless one of these entity tags is current. Absent: change in any case."
        ),
        _parameter("If-None-Match", "Change nothing where one of these entity tags is current."),
    ]
}


def tag_of(version: int) -> str:
    """The strong entity tag of a version of a to-do."""
    return f'"{version}"'


def is_known(tag: str, request: Request) -> bool:
    """Whether the caller has this representation already (RFC 9110 13.1.2; W/ makes no difference there).

    Raises MalformedRequest.
    """
    tags = _tags(request, "if-none-match")
    return tags is not None and (_ANY in tags or tag in {one.removeprefix("W/") for one in tags})


async def _condition(request: Request) -> Condition:
    """Which versions a change is meant for. ``If-Match`` compares strongly: W/ is never the same (RFC 9110 8.8.3.2)."""
    wanted, unwanted = _tags(request, "if-match"), _tags(request, "if-none-match") or []
    if _ANY in unwanted:  # meant for nothing that exists
        return Condition(matching=frozenset())
    return Condition(
        matching=None if wanted is None or _ANY in wanted else _versions(wanted),
        differing=_versions([tag.removeprefix("W/") for tag in unwanted]),
    )


CurrentCondition = Annotated[Condition, Depends(_condition)]


def _tags(request: Request, name: str) -> list[str] | None:
    """Every entity tag of these fields, or ``*`` alone; None without the field. Raises MalformedRequest."""
    fields = request.headers.getlist(name)
    if not fields:
        return None
    value = ",".join(fields)
    if value.strip(" \t") == _ANY:
        return [_ANY]
    tags, position = list[str](), 0
    while position < len(value):
        element = _ELEMENT.match(value, position)
        if element is None:
            raise MalformedRequest(f"{name} is no list of entity tags")
        tags += [element[1]] if element[1] else []
        position = element.end()
    if not tags:
        raise MalformedRequest(f"{name} names no entity tag")
    return tags


def _versions(tags: list[str]) -> frozenset[int]:
    """The versions that these tags name. One that we never gave names none, and matches nothing."""
    found = (int(match[1]) for match in map(_VERSION, tags) if match)
    return frozenset(version for version in found if version <= MAX_ID)
