"""What must be kept: the client's secret or certificate, and the key ring; how strong, who may read it, how long."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509

from bff.check.finding import Finding, failed, passed, warned
from bff.clock import Clock
from bff.session.cipher import read_keys
from bff.settings import BFFSettings

DAY = 86_400.0
SOON = 30 * DAY
OLD = 180 * DAY
MIN_DIFFERENT = 10
_OTHERS_MAY_READ = 0o077


def check_secrets(settings: BFFSettings, clock: Clock) -> Iterator[Finding]:
    """The client's proof, then the key ring."""
    authority = settings.authority
    if authority.private_key_file is not None:
        yield from _readable("client secret", authority.private_key_file)
        if authority.certificate_file is not None:
            yield _end("client secret", _certificate_end(authority.certificate_file), clock, "make entra, apply again")
    elif (secret := authority.secret) is not None:
        if len(set(secret)) < MIN_DIFFERENT:
            message = f"it is made of {len(set(secret))} different characters only."
            yield warned("client secret", message, "have the authorization server make one")
        if authority.client_secret_file is None:
            yield warned("client secret", "it lies in the settings themselves.", "use client_secret_file, mode 0600")
        else:
            yield from _readable("client secret", authority.client_secret_file)
            yield from _secret_end(authority.client_secret_file, clock)
    yield from _key_ring(settings, clock)


def _readable(name: str, path: Path) -> Iterator[Finding]:
    if path.stat().st_mode & _OTHERS_MAY_READ:
        yield failed(name, f"others on this machine may read {path}.", f"chmod 600 {path}")


def _secret_end(path: Path, clock: Clock) -> Iterator[Finding]:
    """The end that ``make entra`` wrote beside the secret: the server shows it to administrators only."""
    beside = path.with_name(f"{path.name}.ends")
    try:
        ends = datetime.fromisoformat(beside.read_text(encoding="utf-8").strip()).timestamp()
    except (OSError, ValueError):
        yield passed("client secret", f"in a file; its end is not known here (write it to {beside.name}).")
        return
    yield _end("client secret", ends, clock, "make a new one at the authorization server")


def _end(name: str, ends: float, clock: Clock, cure: str) -> Finding:
    left, day = ends - clock.now(), datetime.fromtimestamp(ends, UTC).date()
    if left <= 0:
        return failed(name, f"it ended on {day}.", cure)
    if left < SOON:
        return warned(name, f"it ends on {day}, in {left / DAY:.0f} days.", cure)
    return passed(name, f"it ends on {day}.")


def _certificate_end(path: Path) -> float:
    return x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc.timestamp()


def _key_ring(settings: BFFSettings, clock: Clock) -> Iterator[Finding]:
    path = settings.session.keys_file
    if path is None:
        message = "keys live in this process only: a restart signs everybody out."
        yield warned("cookie keys", message, "bff keys new --file keys.json, and session.keys_file")
        return
    now = clock.now()
    due = [key for key in read_keys(path) if key.use_from <= now]
    age = now - max((key.use_from for key in due), default=now)
    if age > OLD:
        cure = f"bff keys rotate --file {path}"
        yield warned("cookie keys", f"the newest key is {age / DAY:.0f} days old.", cure)
    else:
        yield passed("cookie keys", f"{len(due)} in use, the newest {age / DAY:.0f} days old.")
