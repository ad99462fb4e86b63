"""The public keys clients prove themselves with (RFC 7523), read from PEM. The only door to certificates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import Certificate, load_pem_x509_certificate
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from local_authority.errors import ConfigurationError
from local_authority.secret_values import base64url

ClientKey = RSAKey | ECKey
CERTIFICATE_MARK: Final = b"-----BEGIN CERTIFICATE-----"


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """A client's public key; ``thumbprints`` are its certificate's ``x5t`` and ``x5t#S256``, where it came as one."""

    key: ClientKey
    thumbprints: frozenset[str] = frozenset()


def read_credential(pem: bytes) -> Credential:
    """The key of a PEM certificate or public key; ConfigurationError for anything else, a private key included."""
    if b"PRIVATE KEY" in pem:
        raise ConfigurationError(["it holds a private key; register the certificate or the public key only."])
    try:
        if CERTIFICATE_MARK not in pem:
            return Credential(key=_import_key(pem))
        certificate = load_pem_x509_certificate(pem)
        return Credential(key=_import_key(_public_pem(certificate)), thumbprints=_thumbprints(certificate))
    except (ValueError, TypeError, JoseError) as error:
        raise ConfigurationError(["it holds no PEM certificate and no RSA or EC public key."]) from error


def _import_key(pem: bytes) -> ClientKey:
    try:
        return RSAKey.import_key(pem)
    except (ValueError, TypeError, JoseError):
        return ECKey.import_key(pem)


def _public_pem(certificate: Certificate) -> bytes:
    return certificate.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def _thumbprints(certificate: Certificate) -> frozenset[str]:
    sha1 = certificate.fingerprint(hashes.SHA1())  # noqa: S303 — x5t is defined as SHA-1 (RFC 7515 4.1.7); it selects, the key proves
    return frozenset({base64url(sha1), base64url(certificate.fingerprint(hashes.SHA256()))})
