"""The proof of who a client is: a secret or a certificate, in files of mode 0600, and never on the terminal."""

from __future__ import annotations

import base64
import os
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from deploy.entra.graph import Graph
from deploy.entra.registrations import Registration

SECRET_DAYS: Final = 180
CERTIFICATE_DAYS: Final = 365
RENEW_BEFORE: Final = timedelta(days=30)
_HINT: Final = 3  # Graph shows the first characters of a secret, and never more


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A credential that is in a file here and known to the tenant."""

    path: Path
    ends: datetime


def kept_secret(registration: Registration, path: Path, now: datetime) -> Kept | None:
    """The secret in ``path``, where the tenant knows it and it does not end within thirty days."""
    if not path.is_file():
        return None
    hint = path.read_text(encoding="utf-8")[:_HINT]
    ends = [
        _instant(one["endDateTime"])
        for one in registration.application.get("passwordCredentials", [])
        if one.get("hint") == hint
    ]
    return _usable(path, ends, now)


def make_secret(graph: Graph, registration: Registration, path: Path, now: datetime) -> Kept:
    """Have the tenant make a secret; it goes from the answer into the file."""
    ends = now + timedelta(days=SECRET_DAYS)
    asked = {"displayName": "ciam app client secret", "endDateTime": _written(ends)}
    made = graph.write("POST", f"{registration.object_path}/addPassword", {"passwordCredential": asked})
    write_secret(path, made["secretText"])
    write_secret(path.with_name(f"{path.name}.ends"), _written(ends))  # `bff check` warns by it
    registration.application.setdefault("passwordCredentials", []).append(
        {"hint": made["secretText"][:_HINT], "endDateTime": made.get("endDateTime", asked["endDateTime"])}
    )
    return Kept(path=path, ends=ends)


def other_secrets(registration: Registration, path: Path, now: datetime) -> int:
    """How many more secrets of this registration are good: another machine's, an older one, or one whose answer was
    lost on its way here.
    """
    hint = path.read_text(encoding="utf-8")[:_HINT] if path.is_file() else ""
    known: list[dict[str, Any]] = registration.application.get("passwordCredentials", [])
    return sum(one.get("hint") != hint and _instant(one["endDateTime"]) > now for one in known)


def kept_certificate(registration: Registration, folder: Path, now: datetime) -> Kept | None:
    """The certificate in ``folder``, where the tenant knows its thumbprint and it does not end within thirty days."""
    path = folder / "certificate.pem"
    if not path.is_file() or not (folder / "private-key.pem").is_file():
        return None
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    thumbprint = _thumbprint(certificate)
    known = [one.get("customKeyIdentifier") for one in registration.application.get("keyCredentials", [])]
    return _usable(path, [certificate.not_valid_after_utc] if thumbprint in known else [], now)


def make_certificate(graph: Graph, registration: Registration, folder: Path, now: datetime) -> Kept:
    """Make a key here, so that it never leaves this machine, and give its certificate to the tenant."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=3072)
    certificate = _self_signed(key, registration.unique_name, now)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    credential = {
        "type": "AsymmetricX509Cert",
        "usage": "Verify",
        "displayName": "sealed-bff",
        "key": base64.b64encode(certificate.public_bytes(serialization.Encoding.DER)).decode(),
        "customKeyIdentifier": _thumbprint(certificate),
        "startDateTime": _written(certificate.not_valid_before_utc),
        "endDateTime": _written(certificate.not_valid_after_utc),
    }
    others: list[dict[str, Any]] = registration.application.get("keyCredentials", [])
    graph.write("PATCH", registration.object_path, {"keyCredentials": [*others, credential]})
    registration.application["keyCredentials"] = [*others, credential]
    # After the tenant knows it: what runs now keeps a key and a certificate that belong together until then.
    write_secret(folder / "private-key.pem", private.decode())
    write_secret(folder / "certificate.pem", certificate.public_bytes(serialization.Encoding.PEM).decode())
    return Kept(path=folder / "certificate.pem", ends=certificate.not_valid_after_utc)


def write_secret(path: Path, content: str) -> None:
    """Write at once and whole, readable by its owner only."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def _usable(path: Path, ends: list[datetime], now: datetime) -> Kept | None:
    last = max(ends, default=None)
    return Kept(path=path, ends=last) if last is not None and last > now + RENEW_BEFORE else None


def _self_signed(key: rsa.RSAPrivateKey, name: str, now: datetime) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=CERTIFICATE_DAYS))
        .sign(key, hashes.SHA256())
    )


def _thumbprint(certificate: x509.Certificate) -> str:
    # Entra names a certificate by its SHA-1; a name, not a proof.
    return base64.b64encode(certificate.fingerprint(hashes.SHA1())).decode()  # noqa: S303 — because Entra's name is this


def _written(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text)
