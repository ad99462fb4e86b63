"""``python -m tests.resource_api.security.vectors.make``: make the vectors anew, with keys of this run.

Nobody needs to: they do not expire. Private keys are never written, so a file says nothing that an attacker could use.
"""

from __future__ import annotations

import json
from itertools import count
from pathlib import Path
from typing import Any, Final

from tests.resource_api.security.vectors import made_claims, made_keys, made_signatures, made_tokens
from tests.resource_api.security.vectors.forging import Keys, group, jwk

FOLDER: Final = Path(__file__).parent
NOTES: Final = {
    "AlgConfusion": "The token names another algorithm, or another key's, than the one that made its signature.",
    "Claim": "One claim cannot be believed; the signature is good.",
    "HeaderAttack": "The header brings a key along, or asks to be processed otherwise.",
    "KeyId": "The kid names no published key, or is no kid.",
    "ModifiedPadding": "What is under the RSA signature is not the block of RFC 8017 9.2.",
    "ModifiedSignature": "The signature is no signature of this length, or another's.",
    "PsychicSignature": "r or s is out of its range.",
    "SignatureSize": "The ECDSA signature is not r and s in 32 bytes each, over SHA-256.",
    "Spelling": "The same bytes, written in another way, or in another number of parts.",
    "UnclearJson": "A document that is no JSON object, or that two parsers read in two ways.",
    "WrongAlg": "The algorithm is not in the list.",
    "WrongPrimitive": "The signature is of another scheme than the algorithm's.",
    "WrongTyp": "The type is not an access token's in this profile.",
}


def _published(keys: Keys) -> dict[str, Any]:
    return {"keys": [jwk(keys.rsa, "rsa"), jwk(keys.ec, "ec"), jwk(keys.cube, "cube"), jwk(keys.p384, "p384")]}


def signature_file(keys: Keys) -> dict[str, Any]:
    """Signatures, headers and spellings under one set of published keys: what any verifier of a JWS tells apart."""
    parts = {
        "RS256": made_signatures.rsa_vectors(keys),
        "RS256 with an exponent of 3": made_signatures.cube_vectors(keys),
        "ES256": made_signatures.ecdsa_vectors(keys),
        "headers": made_tokens.header_vectors(keys),
        "spellings": made_tokens.spelling_vectors(keys),
    }
    groups = [group("JsonWebSignature", name, _published(keys), made) for name, made in parts.items()]
    return _file("json_web_signature", groups)


def claim_file(keys: Keys) -> dict[str, Any]:
    """Good signatures over what an API must not believe."""
    made = made_claims.claim_vectors(keys)
    return _file("json_web_signature", [group("JsonWebSignature", "claims", _published(keys), made)])


def key_file(keys: Keys) -> dict[str, Any]:
    """Published keys, a set of its own for each."""
    return _file("json_web_key", list(made_keys.key_groups(keys)))


def _file(kind: str, groups: list[dict[str, Any]]) -> dict[str, Any]:
    numbers = count(1)
    numbered = [{**one, "tests": [{"tcId": next(numbers), **test} for test in one["tests"]]} for one in groups]
    return {
        "header": [
            "Access tokens for an API of profile entra-v2, made by tests/resource_api/security/vectors/make.py."
        ],
        "notes": NOTES,
        "numberOfTests": next(numbers) - 1,
        "schema": f"{kind}_schema_v1.json",
        "testGroups": numbered,
    }


def main() -> None:
    """Write the files."""
    keys = Keys()
    for name, make in (("signatures", signature_file), ("claims", claim_file), ("keys", key_file)):
        document = make(keys)
        text = json.dumps(document, indent=1)
        (FOLDER / f"{name}.json").write_text(f"{text}\n", encoding="utf-8")
        print(f"{name}.json: {document['numberOfTests']} vectors")


if __name__ == "__main__":
    main()
