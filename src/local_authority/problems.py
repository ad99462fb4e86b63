"""From a refusal to its answer: the one table of who is told what, and how."""

from __future__ import annotations

from typing import Final

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from local_authority.errors import BearerRefused, InvalidClient, ProtocolRefusal, UnknownPage, UnsafeRequest
from local_authority.pages import Pages
from local_authority.record import Record

NO_STORE: Final = {"Cache-Control": "no-store", "Pragma": "no-cache"}
REALM: Final = 'realm="local authority"'


def install(app: FastAPI, pages: Pages, record: Record) -> None:
    """Answer every refusal: JSON to programs (RFC 6749 5.2, RFC 6750 3), a page to people."""

    async def protocol(request: Request, refusal: Exception) -> Response:
        assert isinstance(refusal, ProtocolRefusal)  # noqa: S101 — registered for this class below
        record.refusals[refusal.code] += 1
        headers = dict(NO_STORE)
        if isinstance(refusal, InvalidClient) and "authorization" in request.headers:
            headers["WWW-Authenticate"] = f"Basic {REALM}"
        content = {"error": refusal.code, "error_description": refusal.description}
        return JSONResponse(content, status_code=refusal.status, headers=headers)

    async def bearer(_: Request, refusal: Exception) -> Response:
        assert isinstance(refusal, BearerRefused)  # noqa: S101 — as above
        error = f', error="{refusal.code}", error_description="{refusal.description}"' if refusal.code else ""
        status = {"invalid_request": 400, "insufficient_scope": 403}.get(refusal.code or "", 401)
        return Response(status_code=status, headers={**NO_STORE, "WWW-Authenticate": f"Bearer {REALM}{error}"})

    async def unsafe(_: Request, refusal: Exception) -> Response:
        assert isinstance(refusal, UnsafeRequest)  # noqa: S101 — as above
        return pages.render("refused.html", status=refusal.status, title=refusal.title, reason=str(refusal))

    async def framework(request: Request, refusal: Exception) -> Response:
        assert isinstance(refusal, HTTPException)  # noqa: S101 — as above
        if refusal.status_code == UnknownPage.status:
            return await unsafe(request, UnknownPage("No page has this address."))
        return Response(status_code=refusal.status_code, headers=refusal.headers)

    app.add_exception_handler(ProtocolRefusal, protocol)
    app.add_exception_handler(BearerRefused, bearer)
    app.add_exception_handler(UnsafeRequest, unsafe)
    app.add_exception_handler(HTTPException, framework)
