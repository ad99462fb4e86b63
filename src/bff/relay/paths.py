"""One canonical path for matching, authorising and forwarding, or a refusal (ATK-31, RFC 3986 2.3, 3.3).

A path that two parsers could read differently is never repaired: repairing is how a proxy and an API come to
disagree about which resource was asked for. What passes is forwarded byte for byte.
"""

from __future__ import annotations

import re
from typing import Final

from bff.errors import MalformedRequest

_PLAIN: Final = b"/ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$&'()*+,=:@"
_WITH_TRIPLETS: Final = re.compile(rb"(?:/(?:[A-Za-z0-9\-._~!$&'()*+,=:@]|%[0-9A-Fa-f]{2})+)*/?")
_TRIPLET: Final = re.compile(rb"%([0-9A-Fa-f]{2})")
_QUERY: Final = re.compile(rb"[!\"$-~]*")

# As triplets these are a second spelling of a plain character, a hidden separator, or a control character.
_DOTS: Final = frozenset({b".", b".."})
_SEPARATOR: Final = re.compile(rb"/|%2[Ff]")
_SLASH: Final = b"/"[0]
_NEVER_ENCODED: Final = frozenset(
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~" + b"/\\%?#;" + bytes(range(0x20)) + b"\x7f"
)


def canonical(raw_path: bytes, *, encoded_slash: bool = False) -> bytes:
    """Return ``raw_path`` itself, proven to have one reading; raise MalformedRequest otherwise.

    ``/`` and non-empty segments joined by single slashes; one slash may end it, and makes it another path. Bytes are
    unreserved, ``!$&'()*+,=:@``, or ``%HH`` of anything else but a control character, a separator or ``%`` itself; the
    decoded path is UTF-8 and no segment is ``.`` or ``..``. With ``encoded_slash`` a segment may hold ``%2F``, which
    separates nothing here; what an upstream would find between two of them is no dot segment either.
    """
    if not raw_path.startswith(b"/"):
        raise MalformedRequest("path does not begin with a slash")
    # find, not in: "bytes in bytes" first tries the needle as a number, and its TypeError costs more than the search.
    if raw_path.find(b"%") >= 0:
        _refuse_deceptive_triplets(raw_path, encoded_slash=encoded_slash)
    elif raw_path.translate(None, _PLAIN) or raw_path.find(b"//") >= 0:
        raise MalformedRequest("path has an empty segment or a byte that no path has")
    if raw_path.find(b"/.") >= 0 and not _DOTS.isdisjoint(raw_path.split(b"/")):
        raise MalformedRequest("path has a dot segment")
    return raw_path


def canonical_query(query: bytes) -> bytes:
    """Return ``query`` itself: printable ASCII without ``#``; raise MalformedRequest otherwise."""
    if query and not _QUERY.fullmatch(query):
        raise MalformedRequest("query has a byte that no query has")
    return query


def without_encoded_slashes(path: bytes) -> bytes:
    """Return a canonical path as a reader sees it to whom ``%2F`` is a slash."""
    return path.replace(b"%2F", b"/").replace(b"%2f", b"/")


def _refuse_deceptive_triplets(raw_path: bytes, *, encoded_slash: bool) -> None:
    if not _WITH_TRIPLETS.fullmatch(raw_path):
        raise MalformedRequest("path has an empty segment, a broken triplet or a byte that no path has")
    for match in _TRIPLET.finditer(raw_path):
        byte = int(match[1], 16)
        if byte in _NEVER_ENCODED and not (encoded_slash and byte == _SLASH):
            raise MalformedRequest("path spells a plain character, a separator or a control character as a triplet")
    if encoded_slash and not _DOTS.isdisjoint(_SEPARATOR.split(raw_path)):
        raise MalformedRequest("path has a dot segment behind an encoded slash")
    try:
        _TRIPLET.sub(lambda match: bytes([int(match[1], 16)]), raw_path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise MalformedRequest("path is not UTF-8") from error
