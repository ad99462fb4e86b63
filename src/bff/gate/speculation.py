"""A guess of the browser must not sign anybody in or out: below /bff/ it has no effect at all (rule F27)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from bff.errors import SpeculativeRequest

_OURS = b"/bff/"
PURPOSES: Final = frozenset({b"sec-purpose", b"purpose"})


def is_speculative(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether a browser only guesses that a person will want this: a prefetch, or a prerender, which says so too."""
    return any(name in PURPOSES and b"prefetch" in value for name, value in headers)


def refuse_speculative(scope: Mapping[str, Any]) -> None:
    """Pass, or raise SpeculativeRequest for a prefetch or prerender of one of our own paths, whoever may call it."""
    if scope["raw_path"].startswith(_OURS) and is_speculative(scope["headers"]):
        raise SpeculativeRequest
