"""One sealed value in one to five cookies. How many is written in front of the first, and again inside the seal."""

from __future__ import annotations

import re

from bff.session.cookies import CookiePolicy, Jar

MOST = 5
PART = 3990  # with "5." before it, a name of ours and all attributes, less than 4,096 bytes

_HEAD = re.compile(rb"([2-5])\.")


def count_of(length: int) -> int:
    """How many cookies a sealed value of so many characters takes."""
    return max(1, -(-length // PART))


def split(value: bytes) -> list[bytes]:
    """The values of the cookies, in order; all but the last are full, so that a value can be cut in one way only."""
    parts = [value[at : at + PART] for at in range(0, len(value), PART)]
    if len(parts) > 1:
        parts[0] = b"%d.%b" % (len(parts), parts[0])
    return parts


def join(policy: CookiePolicy, jar: Jar) -> tuple[bytes, int] | None:
    """The sealed value and the number of its cookies, or None: absent, incomplete, or cut in a way that is not ours."""
    first = jar.get(policy.session)
    if first is None or first[1:2] != b".":
        return None if first is None else (first, 1)
    head = _HEAD.match(first)
    if head is None:
        return None
    count = int(head[1])
    parts = [first[2:], *(jar.get(policy.chunk(index)) for index in range(1, count))]
    found = [part for part in parts if part is not None]
    if len(found) != count or any(len(part) != PART for part in found[:-1]) or not 0 < len(found[-1]) <= PART:
        return None
    return b"".join(found), count
