"""Signatures that are none: PKCS #1 blocks (RFC 8017 9.2) and ECDSA numbers (RFC 7518 3.4) as forgers bend them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from tests.resource_api.security.vectors import forging
from tests.resource_api.security.vectors.forging import EITHER, INVALID, ORDER, VALID, Keys, Vector, compact, p1363

_SHA256: Final = bytes.fromhex("3031300d060960864801650304020105000420")
"""The DigestInfo before a SHA-256 (RFC 8017 9.2, note 1)."""
_OTHERS: Final = {
    "MD5": "3020300c06082a864886f70d020505000410",
    "SHA1": "3021300906052b0e03021a05000414",
    "SHA384": "3041300d060960864801650304020205000430",
    "SHA512": "3051300d060960864801650304020305000440",
}
_BENT_INFO: Final = {
    "without NULL": "302f300b06096086480165030402010420",
    "a length in long form": "308131300d060960864801650304020105000420",
    "an inner length in long form": "303230810d060960864801650304020105000420",
    "NULL with content": "3033300f0609608648016503040201050201020420",
    "another OID": "3031300d060960864801650304020305000420",
    "a SET for the SEQUENCE": "3131300d060960864801650304020105000420",
    "a BIT STRING for the hash": "3031300d060960864801650304020105000320",
    "an indefinite length": "3080300d060960864801650304020105000420",
}


def _block(
    info: bytes, *, size: int = 256, kind: bytes = b"\0\x01", fill: bytes = b"\xff", after: bytes = b""
) -> bytes:
    """EMSA-PKCS1-v1_5 with whatever is asked for in place of what belongs there."""
    room = size - len(kind) - 1 - len(info) - len(after)
    return kind + fill * room + b"\0" + info + after


def _blocks(digest: bytes, signed: bytes) -> Iterator[tuple[str, bytes]]:
    good = _SHA256 + digest
    for name, info in _BENT_INFO.items():
        yield f"DigestInfo: {name}", _block(bytes.fromhex(info) + digest)
    for name, info in _OTHERS.items():
        hashed = hashlib.new(name.lower(), signed, usedforsecurity=False).digest()
        yield f"a good signature of a {name}", _block(bytes.fromhex(info) + hashed)
    yield "the hash alone, without DigestInfo", _block(digest)
    yield "DigestInfo without the hash", _block(_SHA256)
    yield "the hash cut by a byte", _block(good[:-1])
    yield "the hash of another message", _block(_SHA256 + hashlib.sha256(b"another").digest())
    yield "garbage after the hash", _block(good, after=b"\x01" * 8)
    yield "zeros after the hash", _block(good, after=bytes(8))
    yield (
        "eight bytes of padding, the rest garbage",
        b"\0\x01" + b"\xff" * 8 + b"\0" + good + bytes(256 - 11 - len(good)),
    )
    yield "no padding at all", b"\0\x01\0" + good + b"\x01" * (256 - 3 - len(good))
    yield "block type 2", _block(good, kind=b"\0\x02")
    yield "block type 0", _block(good, kind=b"\0\0", fill=b"\0")
    yield "one more zero in front", _block(good, kind=b"\0\0\x01")
    yield "padding of 0xfe", _block(good, fill=b"\xfe")
    whole = bytearray(_block(good))
    whole[20] = 0xFE
    yield "one byte of padding changed", bytes(whole)
    whole[20] = 0
    yield "a zero within the padding", bytes(whole)
    whole = bytearray(_block(good))
    whole[-len(good) - 1] = 1
    yield "no zero before DigestInfo", bytes(whole)
    yield "the hash twice", _block(good + digest)
    yield "nothing but zeros", bytes(256)
    yield "the number one", bytes(255) + b"\x01"


def rsa_vectors(keys: Keys) -> list[Vector]:
    """What RS256 must tell apart, under a key of 2,048 bits."""
    signed = forging.signing_input(forging.head())
    digest, good = hashlib.sha256(signed).digest(), forging.rs256(keys.rsa, signed)
    modulus = keys.rsa.public_key().public_numbers().n
    found = [Vector("a good signature", compact(signed, good), VALID)]
    found += [
        Vector(name, compact(signed, forging.raw_rsa(keys.rsa, block)), INVALID, ("ModifiedPadding",))
        for name, block in _blocks(digest, signed)
    ]
    for length in (0, 20, 32, 222):
        salted = keys.rsa.sign(signed, padding.PSS(padding.MGF1(hashes.SHA256()), length), hashes.SHA256())
        found.append(Vector(f"PSS with a salt of {length}", compact(signed, salted), INVALID, ("WrongPrimitive",)))
        pss = forging.signing_input(forging.head("PS256"))
        salted = keys.rsa.sign(pss, padding.PSS(padding.MGF1(hashes.SHA256()), length), hashes.SHA256())
        found.append(Vector(f"PS256 with a salt of {length}", compact(pss, salted), INVALID, ("WrongPrimitive",)))
    for name, signature in {
        "a zero byte in front": b"\0" + good,
        "a zero byte behind": good + b"\0",
        "a byte short": good[:-1],
        "one byte": b"\x01",
        "zeros": bytes(256),
        "the number one": bytes(255) + b"\x01",
        "the modulus": modulus.to_bytes(256, "big"),
        "the modulus less one": (modulus - 1).to_bytes(256, "big"),
        "all ones": b"\xff" * 256,
        "reversed": good[::-1],
        "twice": good * 2,
        "hexadecimal": good.hex().encode(),
        "a stranger's": forging.rs256(keys.stranger, signed),
    }.items():
        found.append(Vector(f"signature: {name}", compact(signed, signature), INVALID, ("ModifiedSignature",)))
    return found + list(_rare_rsa(keys, modulus))


def _rare_rsa(keys: Keys, modulus: int) -> Iterator[Vector]:
    def made(signed: bytes) -> bytes:
        return forging.rs256(keys.rsa, signed)

    signed, signature = forging.until(made, lambda one: one[0] == 0)
    yield Vector("a signature that begins with zero", compact(signed, signature), VALID)
    yield Vector("the zero in front left out", compact(signed, signature[1:]), INVALID, ("ModifiedSignature",))
    limit = 1 << 2048
    signed, signature = forging.until(made, lambda one: int.from_bytes(one, "big") + modulus < limit)
    more = (int.from_bytes(signature, "big") + modulus).to_bytes(256, "big")
    yield Vector("the modulus added to the signature", compact(signed, more), INVALID, ("ModifiedSignature",))


def cube_vectors(keys: Keys) -> list[Vector]:
    """Under an exponent of 3: forgeries that need no private key, only a verifier that does not read to the end."""
    signed = forging.signing_input(forging.head(kid="cube"))
    good = _SHA256 + hashlib.sha256(signed).digest()
    start = b"\0\x01" + b"\xff" * 8 + b"\0" + good
    room = 8 * (256 - len(start))
    forged = _cube_root((int.from_bytes(start, "big") + 1 << room) - 1).to_bytes(256, "big")
    short = _cube_root((int.from_bytes(b"\0\x01\0" + good, "big") + 1 << 8 * (253 - len(good))) - 1)
    return [
        Vector("a good signature", compact(signed, forging.rs256(keys.cube, signed)), VALID),
        Vector("a cube root, garbage behind the hash", compact(signed, forged), INVALID, ("ModifiedPadding",)),
        Vector(
            "a cube root without padding", compact(signed, short.to_bytes(256, "big")), INVALID, ("ModifiedPadding",)
        ),
    ]


def _cube_root(value: int) -> int:
    """The greatest number whose cube is no greater."""
    low, high = 0, 1 << (value.bit_length() // 3 + 2)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if middle**3 <= value else (low, middle - 1)
    return low


def ecdsa_vectors(keys: Keys) -> list[Vector]:
    """What ES256 must tell apart, under a key of P-256."""
    signed = forging.signing_input(forging.head("ES256", "ec"))
    r, s = forging.es256(keys.ec, signed)
    good = p1363(r, s)
    most = (1 << 256) - 1
    pairs = {
        f"r = {left}, s = {right}": (values[left], values[right])
        for values in [{"0": 0, "1": 1, "n": ORDER, "n - 1": ORDER - 1, "n + 1": ORDER + 1, "2^256 - 1": most}]
        for left in values
        for right in values
    }
    pairs |= {f"r kept, s = {name}": (r, value) for name, value in {"0": 0, "n": ORDER, "2^256 - 1": most}.items()}
    pairs |= {f"s kept, r = {name}": (value, s) for name, value in {"0": 0, "n": ORDER, "2^256 - 1": most}.items()}
    pairs |= {"r and s exchanged": (s, r), "r replaced by n - r": (ORDER - r, s)}
    found = [
        Vector("a good signature", compact(signed, good), VALID),
        Vector("s replaced by n - s, which is as good", compact(signed, p1363(r, ORDER - s)), EITHER),
    ]
    found += [
        Vector(name, compact(signed, p1363(*pair)), INVALID, ("PsychicSignature",)) for name, pair in pairs.items()
    ]
    for name, signature in {
        "DER": encode_dss_signature(r, s),
        "DER of zeros": bytes.fromhex("3006020100020100"),
        "a zero byte before each": b"\0" + good[:32] + b"\0" + good[32:],
        "a zero byte in front": b"\0" + good,
        "a zero byte behind": good + b"\0",
        "a byte short": good[:-1],
        "r alone": good[:32],
        "s left out by half": good[:48],
        "twice": good * 2,
        "hexadecimal": good.hex().encode(),
        "little endian": good[:32][::-1] + good[32:][::-1],
        "over SHA-384": p1363(*forging.es256(keys.ec, signed, hashes.SHA384())),
        "over SHA-512": p1363(*forging.es256(keys.ec, signed, hashes.SHA512())),
        "a key's of P-384": p1363(*forging.es256(keys.p384, signed), 48),
        "in the length of P-384": p1363(r, s, 48),
    }.items():
        found.append(Vector(f"signature: {name}", compact(signed, signature), INVALID, ("SignatureSize",)))
    return found + list(_rare_ecdsa(lambda text: p1363(*forging.es256(keys.ec, text))))


def _rare_ecdsa(made: Callable[[bytes], bytes]) -> Iterator[Vector]:
    for attempt in range(1 << 16):
        signed = forging.signing_input(forging.head("ES256", "ec"), forging.payload(uti=f"vector-{attempt}"))
        signature = made(signed)
        if signature[0] == 0 and signature[1] < 0x80:
            yield Vector("an r that begins with zero", compact(signed, signature), VALID)
            yield Vector("the zero of r left out", compact(signed, signature[1:]), INVALID, ("SignatureSize",))
            return
