"""What is wrong with a store's TLS, in words that an operator can act on: the library says that it cannot connect."""

from __future__ import annotations

import socket
import ssl
from typing import Any, Final

from redis.asyncio import SSLConnection
from redis.asyncio.sentinel import SentinelManagedSSLConnection

from bff.session.redis_address import RedisAddress

_SECONDS: Final = 1.0
_OUT_OF_TIME: Final = {9, 10}  # X509_V_ERR_CERT_NOT_YET_VALID, …_HAS_EXPIRED
_OTHER_NAME: Final = {62, 64}  # X509_V_ERR_HOSTNAME_MISMATCH, …_IP_ADDRESS_MISMATCH


def context_of(address: RedisAddress) -> ssl.SSLContext:
    """Whom we trust: the authorities of ``ca_file`` and no other, or without one this system's."""
    return ssl.create_default_context(cafile=address.ca_file)


class VerifiedConnection(SSLConnection):
    """One context for all connections of a store.

    The library would make one a connection, which reads this system's authorities anew each time (tens of milliseconds
    of everybody's event loop), and would trust them beside ``ca_file``.
    """

    def __init__(self, *, context: ssl.SSLContext, **options: Any) -> None:  # noqa: ANN401 — the library's, all of them
        super().__init__(**options)
        self.ssl_context.context = context


class VerifiedManagedConnection(SentinelManagedSSLConnection):
    """The same, to the primary that a Sentinel names."""

    def __init__(self, *, context: ssl.SSLContext, **options: Any) -> None:  # noqa: ANN401 — the same
        super().__init__(**options)  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
        self.ssl_context.context = context


def tls_faults(address: RedisAddress) -> list[str]:
    """One fault, with its cure, for each host whose TLS we refuse; who does not answer at all has none.

    A handshake of our own: behind a Sentinel the library keeps the cause to itself. No time mends any of these.
    """
    if not address.tls:
        return []
    context, found = context_of(address), []
    for host, port in address.hosts:
        try:
            with socket.create_connection((host, port), _SECONDS) as plain:
                context.wrap_socket(plain, server_hostname=host).close()
        except ssl.SSLError as error:
            found.append(f"session.redis_url: {host}:{port} {_words(error)}")
        except OSError:
            continue
    return found


def tls_fault_in(error: BaseException | None) -> str | None:
    """The same for what a library's error hides, or None where TLS is not the cause."""
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return _words(error)
        error = error.__cause__ or error.__context__
    return None


def _words(error: ssl.SSLError) -> str:
    if not isinstance(error, ssl.SSLCertVerificationError):
        return "speaks no TLS that we do. Cure: redis://, or the port where it speaks TLS 1.2 or later"
    told = f"shows a certificate that we refuse: {error.verify_message.rstrip('.')}"
    if error.verify_code in _OTHER_NAME:
        return f"{told}. Cure: the name that it is for as HOST, or a certificate for this name"
    if error.verify_code in _OUT_OF_TIME:
        return f"{told}. Cure: renew it, or set the clock of this machine"
    return f"{told}. Cure: rediss://…?ca_file=PATH, the PEM file of the authority that signed it"
