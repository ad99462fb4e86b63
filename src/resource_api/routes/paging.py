"""A list in pages (RFC 8288): how many items a caller wants, after which one, and where the next page is.

A cursor names the last item of the page before it, by its id, so that nothing is shown twice or left out because of
what is added or removed meanwhile. It grants nothing: whose items are listed is asked anew for every page.
"""

from __future__ import annotations

import base64
from typing import Annotated, Final

from fastapi import Query
from pydantic import BeforeValidator

from resource_api.routes.numbers import one_spelling
from resource_api.todos.model import Todo

DEFAULT_LIMIT: Final = 200
MAX_LIMIT: Final = 1000
BEGINNING: Final = "AAAAAAAAAAA"
# Eight bytes in base64url (RFC 4648 5): the first bit is 0, and so are the last two that the letters have room for.
_CURSOR: Final = r"^[A-Za-f][A-Za-z0-9_-]{9}[AEIMQUYcgkosw048]$"


Limit = Annotated[
    int,
    Query(ge=1, le=MAX_LIMIT, description="How many to-dos one answer holds at most", examples=[50]),
    BeforeValidator(one_spelling),
]
Cursor = Annotated[
    str,
    Query(
        pattern=_CURSOR, description="Where the page begins: as the Link of the page before says", examples=[BEGINNING]
    ),
]


def id_in(cursor: str) -> int:
    """The id after which a page begins."""
    return int.from_bytes(base64.urlsafe_b64decode(cursor + "="))


def cut(todos: list[Todo], limit: int, path: str) -> tuple[list[Todo], str | None]:
    """The page, and the Link to the next one where ``todos``, read one further than ``limit``, shows that there is."""
    if len(todos) <= limit:
        return todos, None
    page = todos[:limit]
    cursor = base64.urlsafe_b64encode(page[-1].id.to_bytes(8)).rstrip(b"=").decode("ascii")
    return page, f'<{path}?limit={limit}&cursor={cursor}>; rel="next"'
