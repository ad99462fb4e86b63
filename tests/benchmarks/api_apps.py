"""The same route, unprotected and protected by each subject: ``python -m tests.benchmarks.api_apps SUBJECT PORT``.

``BENCH_JWKS`` is the issuer's key set; nobody fetches anything while being measured. Annotations are not deferred here:
FastAPI could not resolve what only a function imports.
"""

import json
import os
import sys
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any

import httpx
import uvicorn
from fastapi import Depends, FastAPI, HTTPException, Request, Security

TENANT = "7f1d8c5e-3b0a-4b7e-9a52-1c7d0e6f4a21"
ISSUER = f"https://login.example/{TENANT}/v2.0"
AUDIENCE = "2c9b6f4d-58e1-4f0b-8d3a-9e7c5a1b3d60"
SCOPE = "Things.Read"


def jwks() -> dict[str, Any]:
    """The issuer's keys."""
    document: dict[str, Any] = json.loads(os.environ["BENCH_JWKS"])
    return document


def unprotected() -> FastAPI:
    """Nobody asks who calls."""
    app = FastAPI()

    @app.get("/things")
    async def things() -> dict[str, bool]:
        return {"ok": True}

    return app


def ours() -> FastAPI:
    """The kit, as docs/resource-server.md shows it."""
    from resource_api.security import CurrentPrincipal, Issuer, ResourceServer, TokenRules, protect, requires

    app = FastAPI()
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json=jwks()))
    issuer = Issuer(ISSUER, jwks_uri="https://login.example/keys")
    protect(app, ResourceServer(issuers=[issuer], rules=TokenRules(audience=AUDIENCE), transport=transport))

    @app.get("/things", dependencies=[requires(scopes={SCOPE})])
    async def things(principal: CurrentPrincipal) -> dict[str, bool]:
        return {"ok": bool(principal.subject)}

    return app


def pyjwt() -> FastAPI:
    """PyJWT in our place, with its keys built beforehand, as its documentation shows it for FastAPI."""
    import jwt

    keys = {key["kid"]: jwt.PyJWK(key) for key in jwks()["keys"]}
    app = FastAPI()

    async def claims(request: Request) -> dict[str, Any]:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        try:
            key = keys[jwt.get_unverified_header(token)["kid"]]
            found: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=["RS256", "ES256"],
                audience=AUDIENCE,
                issuer=ISSUER,
                leeway=30,
                options={"require": ["exp", "iat", "sub", "aud", "iss"]},
            )
        except (jwt.InvalidTokenError, KeyError) as error:
            raise HTTPException(401, headers={"WWW-Authenticate": "Bearer"}) from error
        if scheme.lower() != "bearer" or SCOPE not in found.get("scp", "").split():
            raise HTTPException(403)
        return found

    @app.get("/things")
    async def things(caller: Annotated[dict[str, Any], Depends(claims)]) -> dict[str, bool]:
        return {"ok": bool(caller["sub"])}

    return app


def fastapi_azure_auth() -> FastAPI:
    """fastapi-azure-auth for one tenant, its configuration loaded beforehand."""
    import jwt
    from fastapi_azure_auth import SingleTenantAzureAuthorizationCodeBearer
    from fastapi_azure_auth.user import User

    scheme = SingleTenantAzureAuthorizationCodeBearer(
        app_client_id=AUDIENCE, tenant_id=TENANT, scopes={SCOPE: "read"}, allow_guest_users=True
    )
    scheme.openid_config.signing_keys = {key["kid"]: jwt.PyJWK(key).key for key in jwks()["keys"]}
    scheme.openid_config.issuer = ISSUER
    scheme.openid_config._config_timestamp = datetime.now()  # noqa: DTZ005 — because it compares with a naive one
    app = FastAPI()

    @app.get("/things")
    async def things(user: Annotated[User, Security(scheme, scopes=[SCOPE])]) -> dict[str, bool]:
        return {"ok": bool(user.sub)}

    return app


SUBJECTS: dict[str, Callable[[], FastAPI]] = {
    "unprotected": unprotected,
    "ours": ours,
    "pyjwt": pyjwt,
    "fastapi-azure-auth": fastapi_azure_auth,
}


def main() -> None:
    """Serve one subject; the server is the same for all."""
    name, port = sys.argv[1:]
    quiet = uvicorn.Config(
        SUBJECTS[name](),
        port=int(port),
        http="httptools",
        loop="uvloop",
        access_log=False,
        log_level="error",
        timeout_keep_alive=600,  # tokens are made in between, which may take a while
    )
    uvicorn.Server(quiet).run()


if __name__ == "__main__":
    main()
