"""A guess of the browser must not sign anybody in or out: below /bff/ it has no effect at all (rule F27)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bff.errors import SpeculativeRequest

_OURS = b"/bff/"
_PURPOSES = frozenset({b"sec-purpose", b"purpose"})


def refuse_speculative(scope: Mapping[str, Any]) -> None:
    """Pass, or raise SpeculativeRequest for a prefetch or prerender of one of our own paths, whoever may call it."""
    if scope["raw_path"].startswith(_OURS) and any(
        name in _PURPOSES and b"prefetch" in value for name, value in scope["headers"]
    ):
        raise SpeculativeRequest
