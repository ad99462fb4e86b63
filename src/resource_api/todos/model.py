"""A to-do, as the seed has it: a number, an owner and a description (A-15…A-17); and which version of it is meant."""

from __future__ import annotations

from typing import Final

import msgspec

MAX_DESCRIPTION = 500
MAX_OWNER = 255
MAX_ID = 2**63 - 1


class Todo(msgspec.Struct, frozen=True):
    """``id`` counts from 1 and is never given twice; ``owner`` is a principal's owner.

    ``version`` counts from 1 and grows with every change of this to-do, whatever the change is.
    """

    id: int
    owner: str
    description: str
    version: int = 1


class Condition(msgspec.Struct, frozen=True):
    """Which versions a change is meant for: one of ``matching`` (None: any), and none of ``differing``."""

    matching: frozenset[int] | None = None
    differing: frozenset[int] = frozenset()


UNCONDITIONAL: Final = Condition()
