"""A to-do, as the seed has it: a number, an owner and a description (A-15…A-17)."""

from __future__ import annotations

import msgspec

MAX_DESCRIPTION = 500
MAX_OWNER = 255
MAX_ID = 2**63 - 1


class Todo(msgspec.Struct, frozen=True):
    """``id`` counts from 1 and is never given twice; ``owner`` is a principal's owner."""

    id: int
    owner: str
    description: str
