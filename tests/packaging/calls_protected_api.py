"""Run where nothing but the extra ``resource-server`` is installed: examples/protected_api.py, started and called.

python calls_protected_api.py FOLDER-OF-THE-EXAMPLE
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import sys
import time

import httpx
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from jose import jws

ISSUER, AUDIENCE = "https://issuer.example", "things"
key = rsa.generate_private_key(65537, 2048)
pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def token(**overrides: object) -> str:
    """An access token of RFC 9068."""
    now = int(time.time())
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "client_id": "c", "jti": "1", "iat": now, "exp": now + 60}
    return jws.sign({**claims, **overrides}, pem, {"kid": "k", "typ": "at+jwt"}, "RS256")


def published(request: httpx.Request) -> httpx.Response:
    """The issuer's metadata and its key."""
    if request.url.path.startswith("/.well-known/"):
        return httpx.Response(200, json={"issuer": ISSUER, "jwks_uri": f"{ISSUER}/keys"})
    numbers = key.public_key().public_numbers()
    n, e = (
        base64.urlsafe_b64encode(value.to_bytes((value.bit_length() + 7) // 8, "big")).rstrip(b"=").decode()
        for value in (numbers.n, numbers.e)
    )
    return httpx.Response(200, content=json.dumps({"keys": [{"kty": "RSA", "kid": "k", "n": n, "e": e}]}))


async def main() -> None:
    """Start the example and call it as five callers."""
    os.environ |= {"ISSUER": ISSUER, "AUDIENCE": AUDIENCE}
    sys.path.insert(0, sys.argv[1])
    from protected_api import app  # type: ignore[import-not-found]  # because its folder is an argument

    app.state.resource_server = app.state.resource_server.replica(httpx.MockTransport(published))
    transport = httpx.ASGITransport(app)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://api") as api:
        seen = [
            (await api.get("/things", headers={"Authorization": f"Bearer {one}"} if one else {})).status_code
            for one in (
                token(scope="Things.Read"),
                token(scope="Other"),
                token(scope="Things.Read", aud="other"),
                token(scope="Things.Read", exp=1),
                None,
            )
        ]
    assert seen == [200, 403, 401, 401, 401], seen


asyncio.run(main())
