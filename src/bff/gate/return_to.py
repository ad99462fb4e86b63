"""Where the browser goes after sign-in: a path of this site, or "/" (ATK-5).

A value that two URL parsers could read differently is not repaired: it is "/". What is accepted is written in the one
spelling that a browser's own parser would give it (WHATWG URL 4.4), so that nobody downstream can read it otherwise.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote

MAX_CHARACTERS: Final = 2048
OUR_OWN: Final = frozenset({"bff", "api"})

# Printable ASCII without the backslash, which browsers read as a slash; the second byte is no slash either.
_LOCAL = re.compile(r"/(?![/\\])[!-\[\]-~]*")
_HIDDEN_SEPARATOR = re.compile(r"%(?:5c|2f|09|0a|0d|00)", re.IGNORECASE)
_DOT_SEGMENT = re.compile(r"(?:\.|%2e){1,2}", re.IGNORECASE)

_IN_PATH = str.maketrans({c: f"%{ord(c):02X}" for c in '"<>^`{}'})
_IN_QUERY = str.maketrans({c: f"%{ord(c):02X}" for c in "\"<>'"})
_IN_FRAGMENT = str.maketrans({c: f"%{ord(c):02X}" for c in '"<>`'})


def local_path(value: str | None) -> str:
    """Return a path of this site with its query and fragment, percent-encoded as a browser would; "/" for any doubt.

    ``value`` is the decoded query parameter. Paths of the BFF itself and of the relay are no pages: "/" too.
    """
    if value is None or len(value) > MAX_CHARACTERS or not _LOCAL.fullmatch(value):
        return "/"
    before, hash_mark, fragment = value.partition("#")
    path, question_mark, query = before.partition("?")
    segments = path[1:].split("/")
    if _HIDDEN_SEPARATOR.search(segments[0]) or unquote(segments[0]).casefold() in OUR_OWN:
        return "/"
    if any(_DOT_SEGMENT.fullmatch(segment) for segment in segments):
        return "/"
    return (
        path.translate(_IN_PATH)
        + (question_mark + query.translate(_IN_QUERY))
        + (hash_mark + fragment.translate(_IN_FRAGMENT))
    )
