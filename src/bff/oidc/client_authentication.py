"""How the relying party proves who it is at the token and revocation endpoints (RFC 6749 2.3); no client is public.

Each way yields an Authlib authentication method: a function that adds the proof to the headers or body of one call.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol, Self
from urllib.parse import quote_plus, urlencode

from authlib.oauth2.auth import ClientAuth
from authlib.oauth2.rfc7523 import PrivateKeyJWT, private_key_jwt_sign
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from joserfc.jwk import ECKey, RSAKey

from bff.clock import Clock
from bff.errors import ConfigurationError

ASSERTION_SECONDS = 60
MIN_RSA_BITS = 2048
_RSA_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
_EC_ALGORITHMS = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}

Headers = dict[str, str]
Attach = Callable[[ClientAuth, str, str, Headers, str], tuple[str, Headers, str]]
"""(client, HTTP method, URL, headers, body) -> (URL, headers, body): Authlib's authentication method."""


class ClientAuthentication(Protocol):
    """A way of authentication, ready to be used for any number of calls."""

    def attach(self, *, issuer: str, clock: Clock) -> Attach:
        """The method for calls to the server that ``issuer`` names."""
        ...


@dataclass(frozen=True, slots=True)
class ClientSecret:
    """A shared secret, in the Authorization header or in the form (RFC 6749 2.3.1). Never empty."""

    secret: str = field(repr=False)
    method: Literal["client_secret_basic", "client_secret_post"] = "client_secret_basic"

    def __post_init__(self) -> None:
        if not self.secret:
            raise ConfigurationError(["authority.client_secret is missing. Cure: give it, or a private_key_file"])

    def attach(self, *, issuer: str, clock: Clock) -> Attach:  # noqa: ARG002 — a secret is the same for every server
        """The method for every call."""
        return self._basic if self.method == "client_secret_basic" else self._post

    def _basic(self, client: ClientAuth, _: str, url: str, headers: Headers, body: str) -> tuple[str, Headers, str]:
        # Form-encoded before they are joined (RFC 6749 2.3.1), or `:` and `%` would break; Authlib's method omits it.
        pair = f"{quote_plus(client.client_id)}:{quote_plus(self.secret)}"
        authorization = "Basic " + base64.b64encode(pair.encode("ascii")).decode("ascii")
        return url, {**headers, "Authorization": authorization}, body

    def _post(self, client: ClientAuth, _: str, url: str, headers: Headers, body: str) -> tuple[str, Headers, str]:
        return url, headers, f"{body}&{urlencode({'client_id': client.client_id, 'client_secret': self.secret})}"


@dataclass(frozen=True, slots=True)
class PrivateKey:
    """A key of ours that signs a short assertion for every single call (``private_key_jwt``, RFC 7523 2.2).

    ``header`` names the key: ``kid``, or the certificate's ``x5t#S256`` (RFC 7515 4.1.8), by which Entra finds it.
    """

    key: RSAKey | ECKey = field(repr=False)
    alg: str
    header: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def load(
        cls, key_file: Path, certificate_file: Path | None = None, *, kid: str | None = None, alg: str | None = None
    ) -> Self:
        """The key in PEM files; raises ConfigurationError where they cannot be read or do not belong together."""
        key = _read(key_file, "authority.private_key_file")
        certificate = None if certificate_file is None else _read(certificate_file, "authority.certificate_file")
        return cls.from_pem(key, certificate, kid=kid, alg=alg)

    @classmethod
    def from_pem(
        cls, key_pem: bytes, certificate_pem: bytes | None = None, *, kid: str | None = None, alg: str | None = None
    ) -> Self:
        """The key, and the certificate that is registered for it; raises ConfigurationError.

        Without ``alg``: PS256 beside a certificate, as Entra asks for, else RS256; an EC key's curve decides for it.
        """
        native = _private_key(key_pem)
        header = {} if kid is None else {"kid": kid}
        if certificate_pem is not None:
            header["x5t#S256"] = _thumbprint(certificate_pem, native)
        if isinstance(native, RSAPrivateKey):
            usable: tuple[str, ...] = _RSA_ALGORITHMS
            chosen = alg or ("RS256" if certificate_pem is None else "PS256")
        else:
            usable = (_EC_ALGORITHMS[native.curve.name],)
            chosen = alg or usable[0]
        if chosen not in usable:
            raise _refused_key(f"its key cannot sign {chosen}. Cure: choose one of {', '.join(usable)}")
        key_type = RSAKey if isinstance(native, RSAPrivateKey) else ECKey
        return cls(key=key_type.import_key(key_pem), alg=chosen, header=header)

    def attach(self, *, issuer: str, clock: Clock) -> Attach:
        """The method for every call: a new ``jti`` each, and the issuer as the only audience (FAPI 2.0 5.3.3.1)."""
        return _Assertion(self, issuer, clock)


class _Assertion(PrivateKeyJWT):
    """Authlib's private_key_jwt with a 60-second life, our clock, and no dict that two assertions would share."""

    def __init__(self, private_key: PrivateKey, issuer: str, clock: Clock) -> None:
        super().__init__(token_endpoint=issuer)
        self._private_key = private_key
        self._clock = clock

    def sign(self, auth: ClientAuth, token_endpoint: str) -> str:
        now = int(self._clock.now())
        return private_key_jwt_sign(
            self._private_key.key,
            client_id=auth.client_id,
            token_endpoint=token_endpoint,
            alg=self._private_key.alg,
            header=dict(self._private_key.header),
            claims={"jti": secrets.token_urlsafe(16), "nbf": now},
            issued_at=now,
            expires_in=ASSERTION_SECONDS,
        )


def _read(file: Path, setting: str) -> bytes:
    try:
        return file.read_bytes()
    except OSError as unreadable:
        raise ConfigurationError([f"{setting}: {file} cannot be read ({unreadable.strerror})"]) from unreadable


def _private_key(pem: bytes) -> RSAPrivateKey | EllipticCurvePrivateKey:
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except TypeError:
        raise _refused_key("it is encrypted. Cure: give the key without a passphrase") from None
    except (ValueError, UnsupportedAlgorithm):
        # Without the cause: its text may quote the file.
        raise _refused_key("it holds no private key. Cure: give one RSA or EC key in PEM form") from None
    if isinstance(key, RSAPrivateKey) and key.key_size >= MIN_RSA_BITS:
        return key
    if isinstance(key, EllipticCurvePrivateKey) and key.curve.name in _EC_ALGORITHMS:
        return key
    raise _refused_key(
        f"its key is of another kind. Cure: give RSA of {MIN_RSA_BITS} bits or more, or EC on a NIST curve"
    )


def _thumbprint(certificate_pem: bytes, key: RSAPrivateKey | EllipticCurvePrivateKey) -> str:
    try:
        certificate = x509.load_pem_x509_certificate(certificate_pem)
    except ValueError:
        raise ConfigurationError(
            ["authority.certificate_file holds no certificate. Cure: give it in PEM form"]
        ) from None
    if certificate.public_key() != key.public_key():
        raise ConfigurationError(["authority.certificate_file belongs to another key than authority.private_key_file"])
    return base64.urlsafe_b64encode(certificate.fingerprint(hashes.SHA256())).rstrip(b"=").decode("ascii")


def _refused_key(cause: str) -> ConfigurationError:
    return ConfigurationError([f"authority.private_key_file: {cause}"])
