"""An authorization server whose tokens have Keycloak's shape, as a process: ``keycloak_shaped.py PORT BFF``.

It knows one client and lets everybody in under the name they type. It is no model of anything: it exists so that a BFF
and an API of ours meet tokens whose claims are somebody else's idea.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
import sys
import time
from html import escape
from typing import Any
from urllib.parse import parse_qsl, urlencode

import uvicorn
from fastapi import FastAPI, Request
from joserfc import jwt
from joserfc.jwk import RSAKey
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

CLIENT, SECRET, API = "todo-bff", "k7Qw-2Zt9_bXr4Vn8Lm3", "todo-api"
KEY = RSAKey.generate_key(2048, {"kid": "k1", "use": "sig", "alg": "RS256"}, private=True)


def make_app(port: int, bff: str) -> FastAPI:
    """The realm ``todo`` at 127.0.0.1."""
    app = FastAPI(openapi_url=None)
    issuer = f"http://127.0.0.1:{port}/realms/todo"
    base = f"{issuer}/protocol/openid-connect"
    grants: dict[str, dict[str, Any]] = {}

    @app.get("/realms/todo/.well-known/openid-configuration")
    def metadata() -> dict[str, Any]:
        return {
            "issuer": issuer,
            "authorization_endpoint": f"{base}/auth",
            "token_endpoint": f"{base}/token",
            "jwks_uri": f"{base}/certs",
            "end_session_endpoint": f"{base}/logout",
            "code_challenge_methods_supported": ["plain", "S256"],
            "authorization_response_iss_parameter_supported": True,
            "backchannel_logout_supported": True,
        }

    @app.get("/realms/todo/protocol/openid-connect/certs")
    def certs() -> dict[str, Any]:
        return {"keys": [KEY.as_dict(private=False)]}

    @app.get("/realms/todo/protocol/openid-connect/auth")
    def ask(request: Request) -> Response:
        asked = request.query_params
        if asked.get("client_id") != CLIENT or asked.get("redirect_uri") != f"{bff}/bff/callback":
            return HTMLResponse("Invalid parameter: redirect_uri", 400)
        if asked.get("prompt") == "none":
            return _back(asked["redirect_uri"], error="login_required", state=asked["state"], iss=issuer)
        hidden = "".join(
            f'<input type="hidden" name="{name}" value="{escape(value)}">' for name, value in asked.items()
        )
        fields = f'{hidden}<label>Name <input name="name"></label><button>Sign In</button>'
        return HTMLResponse(f'<h1>Realm todo</h1><form method="post">{fields}</form>')

    @app.post("/realms/todo/protocol/openid-connect/auth")
    async def answer(request: Request) -> Response:
        said = dict(parse_qsl((await request.body()).decode()))
        code = secrets.token_urlsafe(24)
        grants[code] = said
        return _back(said["redirect_uri"], code=code, state=said["state"], iss=issuer, session_state="s1")

    @app.post("/realms/todo/protocol/openid-connect/token")
    async def token(request: Request) -> Response:
        expected = "Basic " + base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        if request.headers.get("authorization") != expected:
            return JSONResponse({"error": "unauthorized_client"}, 401)
        form = dict(parse_qsl((await request.body()).decode()))
        grant = grants.pop(form.get("code") or form.get("refresh_token") or "", None)
        if grant is None or ("code" in form and _s256(form["code_verifier"]) != grant["code_challenge"]):
            return JSONResponse({"error": "invalid_grant"}, 400)
        refresh = secrets.token_urlsafe(24)
        grants[refresh] = grant
        return JSONResponse(_tokens(issuer, grant) | {"refresh_token": refresh, "not-before-policy": 0})

    @app.get("/realms/todo/protocol/openid-connect/logout")
    def logout(request: Request) -> Response:
        asked = request.query_params
        if asked.get("post_logout_redirect_uri") != f"{bff}/bff/logged-out" or "id_token_hint" not in asked:
            return HTMLResponse("Invalid redirect uri", 400)
        return _back(asked["post_logout_redirect_uri"], state=asked["state"])

    return app


def _tokens(issuer: str, grant: dict[str, Any]) -> dict[str, Any]:
    now, name = int(time.time()), grant["name"]
    person = {"iss": issuer, "sub": f"f:{name.lower()}", "sid": "s1", "iat": now, "exp": now + 300, "azp": CLIENT}
    person |= {"name": name, "preferred_username": name.lower(), "acr": "1", "auth_time": now}
    access = person | {"jti": secrets.token_hex(8), "typ": "Bearer", "aud": [API, "account"], "scope": grant["scope"]}
    access |= {"realm_access": {"roles": ["offline_access"]}, "resource_access": {API: {"roles": ["user"]}}}
    identity = person | {"aud": CLIENT, "typ": "ID", "nonce": grant["nonce"], "jti": secrets.token_hex(8)}
    header = {"alg": "RS256", "typ": "JWT", "kid": "k1"}
    signed = {"access_token": jwt.encode(header, access, KEY), "id_token": jwt.encode(header, identity, KEY)}
    return {**signed, "token_type": "Bearer", "expires_in": 300, "refresh_expires_in": 1800, "scope": grant["scope"]}


def _back(uri: str, **parameters: str) -> Response:
    return RedirectResponse(f"{uri}?{urlencode(parameters)}", 302)


def _s256(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")


if __name__ == "__main__":
    uvicorn.run(make_app(int(sys.argv[1]), sys.argv[2]), host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
