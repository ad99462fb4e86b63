"""Userinfo (OIDC Core 5.3): for access tokens that were asked for without an API, as at Entra."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from local_authority.errors import BearerRefused
from local_authority.metadata import Paths
from local_authority.options import Options
from local_authority.problems import NO_STORE
from local_authority.routes.dependencies import Wired
from local_authority.tokens import identity_claims


def userinfo_routes(options: Options) -> APIRouter:
    """GET and POST (OIDC Core 5.3.1)."""
    router = APIRouter()
    path = Paths(options.tenant_id).userinfo
    router.add_api_route(path, userinfo, methods=["GET", "POST"], response_model=None)
    return router


async def userinfo(request: Request, services: Wired) -> Response:
    """The claims that the token's scopes open, under the ``sub`` of the client's ID tokens."""
    services.record.requests["userinfo"] += 1
    claims = services.bearer_tokens.verify(request.headers.getlist("authorization"))
    person = services.people.find(claims["oid"])
    if person is None:
        raise BearerRefused("invalid_token", "The person's account is gone.")
    told = {**person.claims, **identity_claims(person, tuple(claims["scp"].split())), "sub": claims["sub"]}
    return JSONResponse(told, headers=NO_STORE)
