"""``POST /bff/probe``: what the owner of the key ring asks to learn of the reverse proxy in front (``bff check``)."""

from __future__ import annotations

import asyncio
from typing import Final

from fastapi import APIRouter, Depends, Request
from starlette.responses import JSONResponse, Response

from bff.errors import RequestStalled, UnknownRoute
from bff.routes.dependencies import Cookies, ServicesOf, guarded
from bff.routes.login import with_cookies
from bff.session.probe import Probe

PATH: Final = "/bff/probe"
_SECONDS: Final = 5.0

router = APIRouter(include_in_schema=False)


@router.post(PATH, dependencies=[Depends(guarded("header"))])
async def probe(request: Request, services: ServicesOf, jar: Cookies) -> Response:
    """As many bytes of cookies as were asked for, and how long the body took to come: at once, if somebody held it.

    ``UnknownRoute`` for whoever does not hold a key of ours, before a byte of the body is read.
    """
    asking = Probe(services.vault.cipher, services.vault.policy)
    size = asking.asked(jar)
    if size is None:
        raise UnknownRoute
    answer = JSONResponse({"body_seconds": await _seconds_of_body(request)}, headers={"Cache-Control": "no-store"})
    return with_cookies(answer, asking.answer(size))


async def _seconds_of_body(request: Request) -> float:
    clock = asyncio.get_running_loop()
    began = clock.time()
    try:
        async with asyncio.timeout(_SECONDS):
            async for _ in request.stream():
                pass
    except TimeoutError as error:
        raise RequestStalled from error
    return round(clock.time() - began, 3)
