"""Judges files in the shape of Project Wycheproof's by what the API does with a signature, a header and a key.

Four kinds of test groups are understood: JsonWebSignature, JsonWebKey, RsassaPkcs1Verify and EcdsaP1363Verify. What is
judged is the JWS alone (RFC 7515 5.2) and the key it is verified with: what these payloads claim is nothing to an API.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from resource_api.errors import InvalidToken
from resource_api.security.access_token import _header, _kid, _segments, _signing_key
from resource_api.security.key_set import _by_name
from resource_api.security.signature import ALGORITHMS, UnusableKeyError, read_key, read_key_set

POLICY: Final = frozenset({"2 header", "4 algorithm", "6 key"})
"""Steps that may refuse what another library takes: an algorithm, a header or a key that this API has no use for."""
_CURVES: Final = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}
_SIZES: Final = {"P-256": 32, "P-384": 48, "P-521": 66}


class NotJudgedError(ValueError):
    """The file holds a kind of test that does not concern a resource server."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """One vector: what its file expects (valid, invalid, acceptable), and the step that refused it, if one did."""

    number: int
    comment: str
    expected: str
    refused_at: str | None

    @property
    def wrong(self) -> bool:
        """An invalid one that was taken, or a valid one that was refused for another reason than a policy's."""
        if self.expected == "invalid":
            return self.refused_at is None
        return self.expected == "valid" and self.refused_at is not None and self.refused_at not in POLICY


def read(path: Path) -> dict[str, Any]:
    """A file of vectors."""
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return document


def judged(document: Mapping[str, Any]) -> Iterator[Judgement]:
    """Every vector of a file, judged. Raises NotJudgedError for a kind that is not known here."""
    for group in document["testGroups"]:
        kind = group.get("type")
        if kind not in _JUDGES:
            raise NotJudgedError(f"test groups of type {kind} are not judged here, only: {', '.join(_JUDGES)}")
        for test in group["tests"]:
            yield Judgement(test["tcId"], test["comment"], test["result"], _refusal(_JUDGES[kind], group, test))


def _refusal(judge: Callable[..., None], group: Mapping[str, Any], test: Mapping[str, Any]) -> str | None:
    try:
        judge(group, test)
    except InvalidToken as error:
        return error.step
    except UnusableKeyError:
        return "6 key"
    return None


def _web_signature(group: Mapping[str, Any], test: Mapping[str, Any]) -> None:
    """Steps 1, 2, 4, 6 and 7 of the verification of an access token."""
    token = test["jws"].encode("utf-8", "surrogatepass")
    encoded, _, signature = _segments(token)
    header = _header(encoded)
    alg, kid = header.get("alg"), _kid(header)
    if not isinstance(alg, str) or alg not in ALGORITHMS:
        raise InvalidToken("4 algorithm", "not one that can be verified")
    published = group.get("public") or group.get("private") or {}
    keys = _by_name(read_key_set(published if "keys" in published else {"keys": [published]}, frozenset(ALGORITHMS)))
    _signing_key(token.rpartition(b".")[0], signature, keys.get((kid, alg)) or keys.get((None, alg), ()))


def _rsa(group: Mapping[str, Any], test: Mapping[str, Any]) -> None:
    numbers = group.get("publicKey") or {"modulus": group["n"], "publicExponent": group["e"]}
    jwk = {"kty": "RSA", "n": _number(numbers["modulus"]), "e": _number(numbers["publicExponent"])}
    _made(jwk, f"RS{group['sha'].removeprefix('SHA-')}", test)


def _ecdsa(group: Mapping[str, Any], test: Mapping[str, Any]) -> None:
    curve = _CURVES.get(group["publicKey"]["curve"])
    if curve is None:
        raise InvalidToken("4 algorithm", "no algorithm of ours has this curve")
    x, y = (int(group["publicKey"][name], 16).to_bytes(_SIZES[curve], "big") for name in ("wx", "wy"))
    _made({"kty": "EC", "crv": curve, "x": _b64url(x), "y": _b64url(y)}, f"ES{group['sha'].removeprefix('SHA-')}", test)


def _made(jwk: Mapping[str, Any], alg: str, test: Mapping[str, Any]) -> None:
    keys = read_key(jwk, [alg]) if alg in ALGORITHMS else []
    if not keys:
        raise InvalidToken("4 algorithm", f"{alg} is not for this key")
    if not any(key.made(bytes.fromhex(test["sig"]), bytes.fromhex(test["msg"])) for key in keys):
        raise InvalidToken("7 signature", "not this key's")


def _number(hexadecimal: str) -> str:
    value = int(hexadecimal, 16)
    return _b64url(value.to_bytes((value.bit_length() + 7) // 8, "big"))


def _b64url(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode("ascii")


_JUDGES: Final[Mapping[str, Callable[..., None]]] = {
    "JsonWebSignature": _web_signature,
    "JsonWebKey": _web_signature,
    "RsassaPkcs1Verify": _rsa,
    "EcdsaP1363Verify": _ecdsa,
}
