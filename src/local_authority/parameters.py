"""Query strings and form bodies, read strictly: a parameter that comes twice is known to (RFC 6749 3.1, 3.2)."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable
from typing import Final
from urllib.parse import parse_qsl

from local_authority.errors import InvalidRequest

MAX_BYTES: Final = 65_536
MAX_PARAMETERS: Final = 100
FORM: Final = "application/x-www-form-urlencoded"


class Parameters:
    """Decoded parameters. An empty value counts as absent (RFC 6749 3.1); its repr shows names only."""

    def __init__(self, pairs: Iterable[tuple[str, str]] = ()) -> None:
        self._values: dict[str, str] = {}
        repeated: set[str] = set()
        for name, value in pairs:
            if name in self._values:
                repeated.add(name)
            self._values.setdefault(name, value)
        self.repeated = frozenset(repeated)

    def __repr__(self) -> str:
        return f"Parameters({', '.join(sorted(self._values))})"

    def get(self, name: str) -> str | None:
        """The first value of ``name``, or None where it is absent or empty."""
        return self._values.get(name) or None

    def text(self, name: str) -> str:
        """The first value of ``name``, or an empty string: for what a person typed."""
        return self._values.get(name, "")

    def require(self, name: str) -> str:
        """The value of ``name``; InvalidRequest where it is absent or empty."""
        value = self.get(name)
        if value is None:
            raise InvalidRequest(f"The parameter {name} is missing.")
        return value

    def refuse_repeated(self) -> None:
        """InvalidRequest where any parameter came more than once."""
        if self.repeated:
            raise InvalidRequest(f"Sent more than once: {', '.join(sorted(self.repeated))}.")


def parse(encoded: bytes) -> Parameters:
    """The parameters of a query string or form body; InvalidRequest for too many, or bytes that are no UTF-8."""
    if len(encoded) > MAX_BYTES:
        raise InvalidRequest("The parameters are too long.")
    try:
        text = encoded.decode("ascii")
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=MAX_PARAMETERS)
    except ValueError as error:
        raise InvalidRequest("The parameters are not form-encoded UTF-8.") from error
    return Parameters(pairs)


async def parse_form(content_type: str, chunks: AsyncIterable[bytes]) -> Parameters:
    """The parameters of a form body, of at most 64 KiB; InvalidRequest for any other content type."""
    if content_type.partition(";")[0].strip().lower() != FORM:
        raise InvalidRequest(f"The body must be {FORM}.")
    body = bytearray()
    async for chunk in chunks:
        body += chunk
        if len(body) > MAX_BYTES:
            raise InvalidRequest("The body is too long.")
    return parse(bytes(body))
