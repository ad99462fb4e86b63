"""The token endpoint (RFC 6749 3.2) and revocation (RFC 7009)."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from local_authority.clients.authentication import AuthenticatedClient
from local_authority.errors import InvalidClient, UnsupportedGrantType
from local_authority.metadata import Paths
from local_authority.options import Options
from local_authority.parameters import Parameters
from local_authority.problems import NO_STORE
from local_authority.routes.dependencies import Services, Wired
from local_authority.routes.requests import read_body

GRANT_TYPES = ("authorization_code", "refresh_token", "client_credentials")


def token_routes(options: Options) -> APIRouter:
    """POST only. Entra has no revocation endpoint, so its shape has none."""
    router, paths = APIRouter(), Paths(options.tenant_id)
    router.add_api_route(paths.oauth2("token"), token, methods=["POST"], response_model=None)
    if options.shape == "full":
        router.add_api_route(paths.oauth2("revoke"), revoke, methods=["POST"], response_model=None)
    return router


async def token(request: Request, services: Wired) -> Response:
    """Tokens for a code, a refresh token or a client's own name."""
    services.record.requests["token"] += 1
    parameters = await read_body(request)
    grant_type = parameters.get("grant_type") or ""
    services.record.token_calls[grant_type if grant_type in GRANT_TYPES else "unknown"] += 1
    caller = _caller(request, services, parameters)
    if parameters.require("grant_type") == "authorization_code":
        answer = services.answers.authorization_code(parameters, caller)
    elif grant_type == "refresh_token":
        answer = services.answers.refresh_token(parameters, caller)
    elif grant_type == "client_credentials":
        answer = services.answers.client_credentials(parameters, caller)
    else:
        raise UnsupportedGrantType(f"There are {', '.join(GRANT_TYPES)}.")
    return JSONResponse(answer, headers=NO_STORE)


async def revoke(request: Request, services: Wired) -> Response:
    """200 for an unknown token, too: it does not work, which is what was asked for (RFC 7009 2.2)."""
    services.record.requests["revoke"] += 1
    parameters = await read_body(request)
    caller = _caller(request, services, parameters)
    revoked = services.bearer_tokens.revoke(parameters.require("token"), caller.client)
    services.record.revocations[revoked or "unknown"] += 1
    return Response(headers=NO_STORE)


def _caller(request: Request, services: Services, parameters: Parameters) -> AuthenticatedClient:
    parameters.refuse_repeated()
    authorization = request.headers.getlist("authorization")
    if len(authorization) > 1:
        raise InvalidClient("More than one Authorization header.")
    return services.client_authentication.authenticate(next(iter(authorization), None), parameters)
