"""Numbers in paths and queries: one number has one spelling."""

from __future__ import annotations

import re

_DECIMAL = re.compile(r"[1-9][0-9]{0,18}", re.ASCII).fullmatch


def one_spelling(value: str) -> str:
    """Decimal digits without a leading zero: pydantic would also take ``1.0``, ``+1`` and a space behind it.

    Raises ValueError, as pydantic wants it of a validator.
    """
    if _DECIMAL(value) is None:
        raise ValueError
    return value
