"""A head's fields by their names: read once where they arrive, and asked by everybody who judges a request.

A dozen fields are looked through by a dozen questions. One pass at the door answers all of them, and costs a call less
than any two of those questions did.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final

_BROWSERS = (
    *(b"accept", b"accept-encoding", b"accept-language", b"cache-control", b"connection", b"content-length"),
    *(b"content-type", b"cookie", b"host", b"if-match", b"if-none-match", b"origin", b"pragma", b"priority"),
    *(b"referer", b"sec-ch-ua", b"sec-ch-ua-mobile", b"sec-ch-ua-platform", b"sec-fetch-dest", b"sec-fetch-mode"),
    *(b"sec-fetch-site", b"traceparent", b"user-agent", b"x-bff-session", b"x-csrf"),
    *(b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto"),
)
_UPSTREAMS = (b"date", b"etag", b"last-modified", b"server", b"transfer-encoding", b"vary")
LOWER: Final[dict[bytes, bytes]] = {
    spelling: name for name in (*_BROWSERS, *_UPSTREAMS) for spelling in (name, name.title(), name.upper())
} | {b"ETag": b"etag", b"X-CSRF": b"x-csrf", b"X-BFF-Session": b"x-bff-session"}
"""Names as they are usually written, to lower case: one object a name, so that its hash is computed once for all."""


class Fields(dict[bytes, bytes]):
    """The value of each field, by its lower-case name.

    Of a name that is ``repeated`` it is the last one: whoever decides by such a field looks there first.
    """

    repeated: frozenset[bytes] = frozenset()

    @classmethod
    def read(cls, headers: list[tuple[bytes, bytes]]) -> Fields:
        """The fields of a head in which names are in lower case."""
        fields = cls(headers)
        if len(fields) != len(headers):
            counted = Counter(name for name, _ in headers)
            fields.repeated = frozenset(name for name, times in counted.items() if times > 1)
        return fields

    def only(self, name: bytes) -> bytes | None:
        """The value of a field that came exactly once, else None."""
        return None if name in self.repeated else self.get(name)


class Head(list[tuple[bytes, bytes]]):
    """A request's head as ASGI hands it on, in the order in which it came; our server gives it its ``fields``."""

    __slots__ = ("fields",)

    fields: Fields


def fields_of(headers: Iterable[tuple[bytes, bytes]]) -> Fields:
    """The fields of a head: those that our server read, or, of any other list, a reading of its own."""
    return headers.fields if type(headers) is Head else Fields.read(list(headers))
