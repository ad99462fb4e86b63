"""security/openvex.json says why open CVEs of python-jose do not reach us; each of its arguments is a test here."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from jose import jwt  # noqa: TID251 — because a test shows what the library does by itself
from joserfc.jwk import OctKey

from resource_api.security import ConfigurationError, InvalidToken, ResourceServer, TokenRules
from resource_api.security.signature import ALGORITHMS, read_key_set
from tests.resource_api.security.conftest import ServerWith, verifier
from tests.world.key_host import KeyHost
from tests.world.tokens import access_claims, ec_key, hmac_with_public_key, rsa_key

ROOT = Path(__file__).parents[3]
STATEMENTS = json.loads((ROOT / "security/openvex.json").read_text(encoding="utf-8"))["statements"]


@pytest.mark.parametrize("statement", STATEMENTS, ids=lambda one: str(one["vulnerability"]["name"]))
def test_each_argument_is_a_test(statement: dict[str, str]) -> None:
    """A statement that something does not affect us names a test of this file that exists."""
    named = re.search(r"Test: (\S+)::(\w+)$", statement["impact_statement"])
    assert statement["status"] == "not_affected"
    assert named is not None
    assert (ROOT / named[1]).samefile(__file__)
    assert callable(globals()[named[2]])


def test_the_version_that_was_judged() -> None:
    """The arguments are about the version that is installed; another one has to be judged anew."""
    judged = json.dumps(STATEMENTS)
    assert f"python-jose@{version('python-jose')}" in judged


@pytest.mark.req("ATK-45", "RS-2")
async def test_a_public_key_is_no_secret(server_with: ServerWith) -> None:
    """CVE-2026-85394: what python-jose takes by itself, a token signed with the public key's DER, is refused here."""
    claims = access_claims()
    forged = hmac_with_public_key(claims, "der")
    der = rsa_key().key.as_der(private=False)
    taken = jwt.decode(forged, der, algorithms=["RS256", "HS256"], audience=claims["aud"])
    assert taken["sub"] == claims["sub"]
    with pytest.raises(InvalidToken):
        await verifier(server_with())(forged)


@pytest.mark.req("ATK-45", "RS-2")
async def test_an_empty_secret_never_loads(server_with: ServerWith, key_host: KeyHost) -> None:
    """CVE-2026-120459: no symmetric key loads, empty or not, published or half hidden, and no setting allows HMAC."""
    symmetric = OctKey.import_key("x" * 32).as_dict(private=True)
    keys = [{"kty": "oct", "k": "", "kid": "rsa-1"}, {**symmetric, "kid": "s", "alg": "HS256"}]
    assert read_key_set({"keys": keys}, frozenset({*ALGORITHMS, "HS256"})) == ()
    with pytest.raises(ConfigurationError, match="HS256"):
        ResourceServer(issuers=["https://a.example"], rules=TokenRules(audience="a", algorithms=frozenset({"HS256"})))
    key_host.document["keys"].insert(0, {"kty": "oct", "k": "", "kid": "other"})
    with pytest.raises(InvalidToken):
        await verifier(server_with())(hmac_with_public_key(access_claims(), "empty"))


@pytest.mark.req("RS-2")
def test_ecdsa_is_never_imported() -> None:
    """CVE-2024-23342: the package with the leak is not loaded, not even while an EC key is built and used."""
    jwk = ec_key().public_jwk()
    program = (
        "import sys; from resource_api.security.signature import read_key_set;"
        f"(key,) = read_key_set({{'keys': [{jwk!r}]}}, frozenset({{'ES256'}}));"
        f"assert key.made({ec_key().signature(b'signed')!r}, b'signed');"
        "print(sorted({'ecdsa', 'rsa'} & sys.modules.keys()))"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
