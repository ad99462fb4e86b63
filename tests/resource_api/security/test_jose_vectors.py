"""Vectors and forgeries as somebody outside sends them: over HTTP, judged by the status and by what reaches the log."""

from __future__ import annotations

import base64
import logging
from typing import Any

import pytest
from fastapi import FastAPI

from resource_api.security import ResourceServer, protect, requires
from resource_api.security.signature import read_key_set
from tests.resource_api.conftest import bearing, caller
from tests.resource_api.security.conftest import ServerWith
from tests.resource_api.security.test_forged_tokens import FORGED
from tests.world import tokens
from tests.world.key_host import KeyHost
from tests.world.tokens import access_claims, access_token, ec_key, jwks, rsa_key

CURVES: dict[str, Any] = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}
ALL = ("RS256", "RS384", "RS512", *CURVES)
RFC_PAYLOAD = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
# RFC 7515, appendices A.2 and A.3
_N = (
    "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yR"
    "T-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXB"
    "dQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9ia"
    "GNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"
)
_RSA_SIGNATURE = (
    "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9"
    "uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB"
    "_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rq"
    "Vt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"
)
_EC_SIGNATURE = "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
_POINT = {"x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}
RFC_7515: dict[str, tuple[dict[str, str], str]] = {
    "RS256": ({"kty": "RSA", "n": _N, "e": "AQAB"}, _RSA_SIGNATURE),
    "ES256": ({"kty": "EC", "crv": "P-256", **_POINT}, _EC_SIGNATURE),
}
HEADERS = {"RS256": "eyJhbGciOiJSUzI1NiJ9", "ES256": "eyJhbGciOiJFUzI1NiJ9"}


def guarded(server: ResourceServer) -> FastAPI:
    """An application with one route."""
    app = FastAPI()
    protect(app, server)

    @app.get("/x", dependencies=[requires(scopes=["ToDoList.Read"])])
    async def answered() -> str:
        return "x"

    return app


@pytest.mark.req("A-06", "RS-2", "RS-3")
async def test_forgeries_from_outside(server: ResourceServer, caplog: pytest.LogCaptureFixture) -> None:
    """Each forged token that a header can carry is 401 with a challenge, and no exception reaches any log."""
    caplog.set_level(logging.DEBUG)
    made = {name: make() for name, (_, make) in FORGED.items()}
    carried = {name: token for name, token in made.items() if token.isascii() and "\n" not in token}
    assert len(carried) > 100
    async with caller(guarded(server)) as client:
        for name, token in carried.items():
            response = await client.get("/x", headers=bearing(token))
            assert response.status_code == 401, name
            assert 'error="invalid_token"' in response.headers["WWW-Authenticate"]
            assert len(token) < 20 or token not in response.text
    assert [record.getMessage() for record in caplog.records if record.exc_info] == []
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


@pytest.mark.req("RS-2")
@pytest.mark.parametrize("alg", ALL)
async def test_good_ones_of_every_algorithm(server_with: ServerWith, key_host: KeyHost, alg: str) -> None:
    """A well-made token of each algorithm that was allowed is taken; under every other algorithm's name it is not."""
    base = ec_key(f"{alg}-vector", CURVES[alg]) if alg in CURVES else rsa_key(f"{alg}-vector")
    key = tokens.SigningKey(base.kid, alg, base.key)
    key_host.document = jwks(key)
    async with caller(guarded(server_with(algorithms=frozenset(ALL)))) as client:
        assert (await client.get("/x", headers=bearing(access_token(key=key)))).status_code == 200
        for other in {*ALL, "PS256", "HS256", "EdDSA", "ES256K", "none"} - {alg}:
            renamed = tokens.sign(access_claims(), key=key, header={"alg": other})
            assert (await client.get("/x", headers=bearing(renamed))).status_code == 401


@pytest.mark.req("RS-2")
@pytest.mark.parametrize("alg", RFC_7515)
def test_the_standards_own_examples(alg: str) -> None:
    """The signatures of RFC 7515's appendices verify, and with one bit changed anywhere they do not."""
    jwk, signature = RFC_7515[alg]
    (key,) = read_key_set({"keys": [jwk]}, frozenset({alg}))
    signed, made = f"{HEADERS[alg]}.{RFC_PAYLOAD}".encode(), base64.urlsafe_b64decode(signature + "==")
    assert key.made(made, signed)
    for at in range(0, len(made), 7):
        assert not key.made(made[:at] + bytes([made[at] ^ 1]) + made[at + 1 :], signed)
    for at in range(0, len(signed), 7):
        assert not key.made(made, signed[:at] + bytes([signed[at] ^ 1]) + signed[at + 1 :])
    for bent in (b"", made[:-1], made + b"\0", bytes(len(made)), made[::-1]):
        assert not key.made(bent, signed)
