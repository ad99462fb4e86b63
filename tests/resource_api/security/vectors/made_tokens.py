"""Headers and spellings: what a good signature of the right key does not make good (RFC 8725 2 and 3)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.resource_api.security.vectors import forging
from tests.resource_api.security.vectors.forging import INVALID, VALID, Keys, Vector, b64url, compact, head

_ALGORITHMS: tuple[Any, ...] = (
    "none", "None", "NONE", "nOnE", "", " RS256", "RS256 ", "rs256", "RS384", "RS512", "PS256", "ES256", "ES384",
    "ES512",
    "ES256K", "EdDSA", "HS256", "RS256,none", "RS256\x00", "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256",
    "RSA-OAEP",
    "dir", None, 0, 256, True, [], ["RS256"], {"alg": "RS256"},
)  # fmt: skip
_KIDS: tuple[Any, ...] = (
    "", " rsa", "rsa ", "RSA", "rsa\x00", "rsa\n", "unknown", "../../dev/null", "/etc/passwd", "' OR 1=1 --", "rsa;id",
    "http://evil.example/key", "k" * 257, "*", "r?a", "rs\u0430", "ec", None, 0, True, ["rsa"], {"kid": "rsa"},
)  # fmt: skip
_DOCUMENTS: dict[str, bytes] = {
    "alg twice, none first": b'{"typ":"JWT","alg":"none","alg":"RS256","kid":"rsa"}',
    "alg twice, none last": b'{"typ":"JWT","alg":"RS256","kid":"rsa","alg":"none"}',
    "alg twice, once by escapes": b'{"typ":"JWT","alg":"RS256","kid":"rsa","\\u0061lg":"none"}',
    "kid twice": b'{"typ":"JWT","alg":"RS256","kid":"evil","kid":"rsa"}',
    "typ twice": b'{"typ":"JWT","typ":"at+jwt","alg":"RS256","kid":"rsa"}',
    "an array": b'["JWT","RS256","rsa"]',
    "null": b"null",
    "a string": b'"RS256"',
    "an empty object": b"{}",
    "a byte order mark": b'\xef\xbb\xbf{"typ":"JWT","alg":"RS256","kid":"rsa"}',
    "a comma too many": b'{"typ":"JWT","alg":"RS256","kid":"rsa",}',
    "single quotes": b"{'typ':'JWT','alg':'RS256','kid':'rsa'}",
    "a comment": b'{"typ":"JWT",/* */"alg":"RS256","kid":"rsa"}',
    "names without quotes": b'{typ:"JWT",alg:"RS256",kid:"rsa"}',
    "two documents": b'{"typ":"JWT","alg":"RS256","kid":"rsa"}{"alg":"none"}',
    "something behind it": b'{"typ":"JWT","alg":"RS256","kid":"rsa"}\x00',
    "no end": b'{"typ":"JWT","alg":"RS256","kid":"rsa"',
    "UTF-16": '{"typ":"JWT","alg":"RS256","kid":"rsa"}'.encode("utf-16"),
    "a byte that is no UTF-8": b'{"typ":"JWT","alg":"RS256","kid":"rsa","x":"\xff"}',
    "overlong UTF-8": b'{"typ":"JWT","alg":"RS256","kid":"rsa","x":"\xc0\xaf"}',
    "a lone surrogate": b'{"typ":"JWT","alg":"RS256","kid":"rsa","x":"\\ud800"}',
    "a control character": b'{"typ":"JWT","alg":"RS256","kid":"rsa","x":"\x01"}',
    "NaN": b'{"typ":"JWT","alg":"RS256","kid":"rsa","x":NaN}',
    "a number of 5,000 digits": b'{"typ":"JWT","alg":"RS256","kid":"rsa","x":' + b"9" * 5000 + b"}",
    "thirty levels": b'{"typ":"JWT","alg":"RS256","kid":"rsa","x":' + b"[" * 30 + b"]" * 30 + b"}",
}
_GOOD_DOCUMENTS: dict[str, bytes] = {
    "white space": b' {\r\n\t"typ" : "JWT", "alg": "RS256",\n"kid" :"rsa" }\n',
    "escapes": b'{"\\u0074yp":"J\\u0057T","alg":"RS\\u0032\\u0035\\u0036","kid":"r\\u0073a"}',
    "another order": b'{"kid":"rsa","alg":"RS256","typ":"JWT"}',
    "a member that nobody knows": b'{"typ":"JWT","alg":"RS256","kid":"rsa","x-unknown":{"a":[1,2]}}',
    "typ in lower case": b'{"typ":"jwt","alg":"RS256","kid":"rsa"}',
    "a thumbprint": b'{"typ":"JWT","alg":"RS256","kid":"rsa","x5t":"AAAA"}',
}


def header_vectors(keys: Keys) -> list[Vector]:
    """Headers under the RSA key's own good signature, each of them refused or taken for what it says."""

    def under(header: dict[str, object] | bytes) -> str:
        signed = forging.signing_input(header)
        return compact(signed, forging.rs256(keys.rsa, signed))

    found = [Vector(f"alg {one!a:.60}", under(head() | {"alg": one}), INVALID, ("WrongAlg",)) for one in _ALGORITHMS]
    found += [Vector(f"kid {one!a:.60}", under(head() | {"kid": one}), INVALID, ("KeyId",)) for one in _KIDS]
    for name in ("alg", "kid"):
        left = {key: value for key, value in head().items() if key != name}
        found.append(Vector(f"without {name}", under(left), INVALID, ("WrongAlg",)))
    found += [
        Vector(f"header: {name}", under(document), INVALID, ("UnclearJson",)) for name, document in _DOCUMENTS.items()
    ]
    found += [Vector(f"header: {name}", under(document), VALID) for name, document in _GOOD_DOCUMENTS.items()]
    found += list(_processing(keys))
    return found + list(_confusion(keys))


def _processing(keys: Keys) -> Iterator[Vector]:
    """Members that bring a key along, or ask for another way to read the rest."""
    stranger = forging.jwk(keys.stranger, "rsa")
    members: dict[str, dict[str, Any]] = {
        "an embedded jwk": {"jwk": stranger},
        "the published key as an embedded jwk": {"jwk": forging.jwk(keys.rsa, "rsa")},
        "jku": {"jku": "https://evil.example/keys"},
        "jku on the loopback": {"jku": "http://127.0.0.1:8/keys"},
        "x5u": {"x5u": "https://evil.example/cert"},
        "x5c": {"x5c": ["MIIB"]},
        "crit: exp": {"crit": ["exp"]},
        "crit: nothing": {"crit": []},
        "crit: null": {"crit": None},
        "crit: a string": {"crit": "exp"},
        "crit: an extension that nobody knows": {"crit": ["x-unknown"], "x-unknown": True},
        "b64 true": {"b64": True, "crit": ["b64"]},
        "b64 false": {"b64": False, "crit": ["b64"]},
        "b64 false, not critical": {"b64": False},
        "zip": {"zip": "DEF"},
        "enc": {"enc": "A256GCM"},
        "PBES2": {"alg": "PBES2-HS256+A128KW", "p2c": 2_000_000_000, "p2s": "AAAA", "enc": "A128GCM"},
    }
    for name, added in members.items():
        signed = forging.signing_input(head() | added)
        for key, whose in ((keys.rsa, "the issuer's"), (keys.stranger, "a stranger's")):
            token = compact(signed, forging.rs256(key, signed))
            yield Vector(f"{name}, {whose} signature", token, INVALID, ("HeaderAttack",))
    encoded = b64url(json.dumps(head() | {"b64": False, "crit": ["b64"]}).encode())
    signed = f"{encoded}.".encode() + forging.payload()
    detached = f"{encoded}..{b64url(forging.rs256(keys.rsa, signed))}"
    yield Vector("b64 false, with a detached payload", detached, INVALID, ("HeaderAttack",))


def _confusion(keys: Keys) -> Iterator[Vector]:
    """HMAC with what everybody knows for a secret, and one key's name over another key's signature."""
    public = keys.rsa.public_key()
    numbers = public.public_numbers()
    secrets = {
        "the PEM": public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        "the PEM without its last line break": public.public_bytes(
            Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
        ).rstrip(),
        "the PKCS #1 PEM": public.public_bytes(Encoding.PEM, PublicFormat.PKCS1),
        "the DER": public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        "the JWK": json.dumps(forging.jwk(keys.rsa, "rsa")).encode(),
        "the modulus": numbers.n.to_bytes(256, "big"),
        "the modulus as base64url": forging.number(numbers.n).encode(),
        "the kid": b"rsa",
        "nothing": b"",
    }
    for name, secret in secrets.items():
        for alg in ("HS256", "HS384", "HS512"):
            signed = forging.signing_input(head(alg))
            made = hmac.new(secret, signed, f"sha{alg[2:]}").digest()
            yield Vector(f"{alg} with {name}", compact(signed, made), INVALID, ("AlgConfusion",))
    for alg, kid in (("ES256", "rsa"), ("RS256", "ec"), ("ES384", "ec"), ("ES256", "p384")):
        signed = forging.signing_input(head(alg, kid))
        for name, made in (
            ("RSA", forging.rs256(keys.rsa, signed)),
            ("ECDSA", forging.p1363(*forging.es256(keys.ec, signed))),
        ):
            yield Vector(f"{alg} with kid {kid}, signed by {name}", compact(signed, made), INVALID, ("AlgConfusion",))
    signed = forging.signing_input(head("ES256", "ec"))
    yield Vector("ES256", compact(signed, forging.p1363(*forging.es256(keys.ec, signed))), VALID)
    signed = forging.signing_input(head("none"))
    for name, made in (("nothing", b""), ("a hash", hashlib.sha256(signed).digest())):
        yield Vector(f"alg none, signed by {name}", compact(signed, made), INVALID, ("AlgConfusion",))


def spelling_vectors(keys: Keys) -> list[Vector]:
    """Other ways to write a good token; it has one spelling only (RFC 7515 2, RFC 4648 3.5)."""
    signed = forging.signing_input(head())
    good = compact(signed, forging.rs256(keys.rsa, signed))
    return [Vector(name, token, INVALID, ("Spelling",)) for name, token in _spellings(good)] + [
        Vector("good", good, VALID)
    ]


def _spellings(good: str) -> Iterator[tuple[str, str]]:
    parts = good.split(".")
    for at, name in enumerate(("header", "payload", "signature")):
        part = parts[at]
        raw = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
        changes = {
            "padded": part + "=" * (-len(part) % 4 or 4),
            "padded with one": part + "=",
            "with a line break in it": part[:20] + "\n" + part[20:],
            "with a space in it": part[:20] + " " + part[20:],
            "with a tab behind it": part + "\t",
            "with a point in it": part[:20] + "." + part[20:],
            "with a null byte behind it": part + "\0",
            "with a letter of another alphabet": part[:20] + "\uff21" + part[21:],
            "per cent encoded": part[:20] + "%2D" + part[20:],
            "a letter short": part[:-1],
            "a letter longer": part + "A",
            "empty": "",
            "in upper case": part.upper(),
            "as hexadecimal": raw.hex(),
            "encoded twice": b64url(part.encode()),
        }
        if set("-_") & set(part):
            changes["in the standard alphabet"] = part.replace("-", "+").replace("_", "/")
        if len(part) % 4 and (other := _other_bits(part)) != part:
            changes["with spare bits set"] = other
        for what, changed in changes.items():
            yield f"{name} {what}", ".".join([*parts[:at], changed, *parts[at + 1 :]])
    header, payload, signature = parts
    flattened = {"protected": header, "payload": payload, "signature": signature}
    general = {"payload": payload, "signatures": [{"protected": header, "signature": signature}]}
    shapes = {
        "nothing": "", "one part": header, "two parts": f"{header}.{payload}",
        "two parts and a point": f"{header}.{payload}.",
        "four parts": f"{good}.{signature}", "five parts": f"{good}.AA.AA", "a point behind it": f"{good}.",
        "a point before it": f".{good}", "points alone": "..", "the parts exchanged": f"{payload}.{header}.{signature}",
        "the JSON serialization, flattened": json.dumps(flattened), "the JSON serialization": json.dumps(general),
        "a line break behind it": f"{good}\n", "white space before it": f" \t{good}", "quoted": f'"{good}"',
        "a comma and another": f"{good},{good}", "twice": f"{good} {good}", "larger than 16 KB": f"{good}{'A' * 16384}",
        "a JWE of five parts": f"{header}.AA.AA.AA.AA", "a nested token": _nested(good),
    }  # fmt: skip
    yield from shapes.items()


def _nested(good: str) -> str:
    header, _, signature = good.split(".")
    return f"{header}.{b64url(good.encode())}.{signature}"


def _other_bits(part: str) -> str:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return part[:-1] + alphabet[alphabet.index(part[-1]) | 1]
