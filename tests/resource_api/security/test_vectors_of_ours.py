"""Vectors in Project Wycheproof's shape, sent as a caller sends them, and the runner that takes anybody's."""

from __future__ import annotations

import json
import logging
from base64 import b64decode
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from resource_api.security import Issuer, ResourceServer, TokenRules, protect, requires
from tests.resource_api.conftest import caller
from tests.resource_api.security.vectors.__main__ import main
from tests.resource_api.security.vectors.judging import judged, read
from tests.world.clock import MovableClock
from tests.world.key_host import KeyHost
from tests.world.tokens import API_CLIENT_ID, ISSUER, METADATA_URL

FOLDER = Path(__file__).parent / "vectors"
SIGNATURES, CLAIMS, KEYS = (read(FOLDER / f"{name}.json") for name in ("signatures", "claims", "keys"))
EXPECTED = {"valid": {200}, "invalid": {401}, "acceptable": {200, 401}}
KINDS = {
    "RS256": ("ATK-45", "ATK-56"),
    "RS256 with an exponent of 3": ("ATK-56",),
    "ES256": ("ATK-56",),
    "headers": ("ATK-45", "ATK-46", "ATK-47", "ATK-48", "ATK-50", "ATK-52"),
    "spellings": ("ATK-50", "ATK-56"),
    "claims": ("RS-1", "ATK-51", "ATK-52"),
}


def _guarded(host: KeyHost, clock: MovableClock) -> FastAPI:
    app = FastAPI()
    issuer = Issuer(ISSUER, METADATA_URL)
    rules = TokenRules(audience=API_CLIENT_ID)
    protect(app, ResourceServer(issuers=[issuer], rules=rules, transport=host.transport, clock=clock))

    @app.get("/x", dependencies=[requires(scopes=["ToDoList.Read"])])
    async def answered() -> str:
        return "x"

    return app


async def _wrong(group: dict[str, Any], clock: MovableClock) -> list[str]:
    """The vectors of a group that were answered otherwise than their file expects."""
    app, found = _guarded(KeyHost(group["public"]), clock), []
    async with caller(app) as client:
        for test in group["tests"]:
            token = b"Bearer " + test["jws"].encode("utf-8", "surrogatepass")
            response = await client.get("/x", headers=httpx.Headers([(b"Authorization", token)]))
            if response.status_code not in EXPECTED[test["result"]]:
                found.append(f"{test['tcId']} {test['comment']}: {test['result']}, answered {response.status_code}")
            if response.status_code == 401:
                assert 'error="invalid_token"' in response.headers["WWW-Authenticate"], test["comment"]
    await app.state.resource_server.aclose()
    return found


def _quiet(caplog: pytest.LogCaptureFixture) -> bool:
    return not [record for record in caplog.records if record.exc_info or record.levelno >= logging.ERROR]


@pytest.mark.req("RS-2", "RS-3", "A-06")
@pytest.mark.parametrize(
    "group",
    [
        pytest.param(group, id=group["comment"], marks=pytest.mark.req(*KINDS[group["comment"]]))
        for group in [*SIGNATURES["testGroups"], *CLAIMS["testGroups"]]
    ],
)
async def test_every_vector_of_a_token(
    group: dict[str, Any], clock: MovableClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Each is answered as its file says, 401 or 200, and no exception reaches any log."""
    caplog.set_level(logging.DEBUG)
    assert await _wrong(group, clock) == []
    assert _quiet(caplog)


@pytest.mark.req("RS-2", "K-30", "K-34", "ATK-45")
async def test_every_vector_of_a_key(clock: MovableClock, caplog: pytest.LogCaptureFixture) -> None:
    """A key that must verify nothing verifies nothing, not even what it has signed itself."""
    caplog.set_level(logging.DEBUG)
    assert [line for group in KEYS["testGroups"] for line in await _wrong(group, clock)] == []
    assert _quiet(caplog)


@pytest.mark.parametrize("document", [SIGNATURES, CLAIMS, KEYS], ids=["signatures", "claims", "keys"])
def test_the_files_are_whole(document: dict[str, Any]) -> None:
    """Every vector has a number of its own, a comment of its own in its group, and flags that the notes explain."""
    tests = [test for group in document["testGroups"] for test in group["tests"]]
    assert [test["tcId"] for test in tests] == list(range(1, document["numberOfTests"] + 1))
    assert {flag for test in tests for flag in test["flags"]} <= document["notes"].keys()
    for group in document["testGroups"]:
        comments = [test["comment"] for test in group["tests"]]
        assert len(set(comments)) == len(comments), group["comment"]
    assert '"d":' not in json.dumps([group for group in document["testGroups"] if group["type"] != "JsonWebKey"])


def test_the_runner_judges_our_own_files(capsys: pytest.CaptureFixture[str]) -> None:
    """The runner finds nothing wrong with our signatures and keys; what a payload claims is not its business."""
    assert main([str(FOLDER / f"{name}.json") for name in ("signatures", "keys")]) == 0
    assert all(line.endswith(" 0 wrong, 0 valid ones not offered") for line in capsys.readouterr().out.splitlines())
    assert all(one.refused_at is None for one in judged(CLAIMS) if one.expected == "valid")
    assert main([]) == 1
    assert main([str(FOLDER / "none.json")]) == 2
    assert "none.json" in capsys.readouterr().err


def _primitives(kind: str, comment: str, key: dict[str, str]) -> dict[str, Any]:
    """Our vectors of one algorithm as message and signature: the shape of the files about primitives."""
    (group,) = [one for one in SIGNATURES["testGroups"] if one["comment"] == comment]
    tests = [
        {**test, "msg": signed.encode().hex(), "sig": b64decode(f"{signature}===", b"-_").hex()}
        for test in group["tests"]
        if "WrongPrimitive" not in test["flags"]
        for signed, _, signature in [test["jws"].rpartition(".")]
    ]
    return {"testGroups": [{"type": kind, "sha": "SHA-256", "publicKey": key, "tests": tests}]}


def _hexadecimal(value: str) -> str:
    return b64decode(f"{value}===", b"-_").hex()


def test_the_runner_takes_files_about_primitives(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """RSA and ECDSA files are judged by the same keys and the same door; what is wrong with one is said by number."""
    rsa, point = SIGNATURES["testGroups"][0]["public"]["keys"][:2]
    files = {
        "rsa": _primitives(
            "RsassaPkcs1Verify",
            "RS256",
            {"modulus": _hexadecimal(rsa["n"]), "publicExponent": _hexadecimal(rsa["e"])},
        ),
        "ecdsa": _primitives(
            "EcdsaP1363Verify",
            "ES256",
            {"curve": "secp256r1", "wx": _hexadecimal(point["x"]), "wy": _hexadecimal(point["y"])},
        ),
    }
    for name, document in files.items():
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps(document), encoding="utf-8")
        assert main([str(path)]) == 0
        assert " 0 wrong" in capsys.readouterr().out
        document["testGroups"][0]["tests"][0]["result"] = "invalid"
        path.write_text(json.dumps(document), encoding="utf-8")
        assert main([str(path)]) == 1
        assert "refused at: nothing" in capsys.readouterr().out
    path.write_text(json.dumps({"testGroups": [{"type": "XdhComp", "tests": []}]}), encoding="utf-8")
    assert main([str(path)]) == 2
    assert "XdhComp" in capsys.readouterr().err
