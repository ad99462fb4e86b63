"""Whose is it? asked once, as a dependency, and answered alike for what is not there and for what is another's.

Mine = Annotated[Document, owned(find_document)]

@app.get("/documents/{document_id}", dependencies=[requires(scopes={"Documents.Read"})])
async def read(document: Mine) -> Document: ...
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any

from fastapi import Depends

from resource_api.errors import UnknownResource
from resource_api.security.dependencies import CurrentPrincipal


def owned(find: Callable[..., Any], *, owner: Callable[[Any], str] = attrgetter("owner")) -> Any:  # noqa: ANN401 — as Depends() itself
    """A dependency: what ``find`` returns, if it is the caller's own; an application that a rule let pass has them all.

    ``find`` is itself a dependency, which returns None for what is not there; ``owner`` tells whose a found one is, in
    the form of ``Principal.owner``. Raises UnknownResource.
    """

    async def of_the_caller(principal: CurrentPrincipal, found: Any = Depends(find)) -> Any:  # noqa: ANN401, B008 — because what is found is the application's, and its name is known here only
        if found is None or not (principal.is_app or owner(found) == principal.owner):
            raise UnknownResource
        return found

    return Depends(of_the_caller)
