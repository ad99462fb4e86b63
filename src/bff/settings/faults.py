"""How a setting is refused: what is wrong with it, and its cure, all of them at once."""

from __future__ import annotations

import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "[::1]", "::1"})
_DURATION = re.compile(r"(\d+)(s|m|h|d)?")
_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def _seconds(value: object) -> object:
    """Turn ``"30m"``, ``"12h"``, ``"45s"``, ``"7d"`` or a plain number into seconds."""
    if isinstance(value, str):
        match = _DURATION.fullmatch(value.strip())
        if match is None:
            raise PydanticCustomError("duration", "is no duration. Cure: write it like 90s, 30m, 12h or 7d")
        return int(match[1]) * _UNIT_SECONDS[match[2] or "s"]
    return value


Duration = Annotated[float, BeforeValidator(_seconds), Field(gt=0)]


class Table(BaseModel):
    """A table of ``bff.toml``: frozen, and a key it does not know is an error, because a typo must not be silence."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


def refuse(*causes: str) -> None:
    """Report every cause of a table at once."""
    if causes:
        raise PydanticCustomError("setting", "{causes}", {"causes": "\n".join(causes)})


def is_loopback(url: str) -> bool:
    """Say whether a URL names this very machine, where plain http reveals nothing."""
    return (urlsplit(url).hostname or "") in LOOPBACK_HOSTS


def url_fault(key: str, url: str) -> list[str]:
    """Return the fault of a URL that must be https, or http on loopback; an empty list when it has none."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        return [f"{key} is no absolute URL. Cure: write it like https://app.example.com"]
    if parts.scheme == "http" and not is_loopback(url):
        return [f"{key} is plain http to another machine. Cure: use https; http is for loopback only"]
    return []


def causes(error: ValidationError) -> list[str]:
    """One line a violation: the key, what is wrong, the cure."""
    lines = []
    for fault in error.errors(include_input=False, include_url=False):
        key = ".".join(str(part) for part in fault["loc"]) or "settings"
        if fault["type"] == "setting":
            lines += [f"{key}: {line}" for line in fault["ctx"]["causes"].splitlines()]
        elif fault["type"] == "extra_forbidden":
            lines.append(
                f"{key}: unknown key. Cure: correct the spelling, or remove it (docs/settings.md lists every key)"
            )
        elif fault["type"] == "missing":
            lines.append(
                f"{key}: missing. Cure: set it in bff.toml or as BFF_{'__'.join(str(p) for p in fault['loc']).upper()}"
            )
        elif fault["type"] == "duration":
            lines.append(f"{key}: {fault['msg']}")
        else:
            lines.append(f"{key}: {fault['msg']}. Cure: see docs/settings.md for the values it takes")
    return lines
