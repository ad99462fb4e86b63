"""What every endpoint reads the same way."""

from __future__ import annotations

from fastapi import Request

from local_authority.errors import ForeignPost, InvalidRequest, UnsafeRequest
from local_authority.options import Options
from local_authority.parameters import Parameters, parse, parse_form


async def read_body(request: Request) -> Parameters:
    """The form in the body; InvalidRequest where it is none."""
    return await parse_form(request.headers.get("content-type", ""), request.stream())


async def read_navigation(request: Request) -> Parameters:
    """The query of a GET or the form of a POST that a person's browser makes; UnsafeRequest where it cannot be read."""
    try:
        return await read_body(request) if request.method == "POST" else parse(request.scope["query_string"])
    except InvalidRequest as refusal:
        raise UnsafeRequest(refusal.description) from refusal


async def read_own_form(request: Request, options: Options) -> Parameters:
    """A form of our own pages; ForeignPost where another site posted it, whatever it carries."""
    site, sender = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site not in {None, "same-origin"} or sender not in {None, options.origin}:
        raise ForeignPost("Another site sent this form.")
    return await read_navigation(request)
