"""TLS towards an upstream: verified always, by the authority that the route names."""

from __future__ import annotations

import datetime as dt
import ipaddress
import ssl
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from bff import errors
from bff.clock import SystemClock
from bff.relay.httptools_upstream import HttptoolsUpstream
from bff.relay.httpx_upstream import HttpxUpstream
from bff.relay.route_table import Route
from bff.relay.websocket_upstream import WebSocketUpstream
from tests.world.relaying import World
from tests.world.upstream import RawUpstream, echo
from tests.world.websocket_upstream import accepts


def certificate(folder: Path, address: str) -> tuple[Path, ssl.SSLContext]:
    """Return a self-signed certificate for an address, as a file, and a server that shows it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "upstream")])
    now = dt.datetime.now(dt.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    public, private = folder / f"{address}.pem", folder / f"{address}.key"
    public.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(public, private)
    return public, context


async def status_of(url: str, ca_file: Path | None, implementation: type[HttpxUpstream | HttptoolsUpstream]) -> int:
    """Call an upstream that is to be certified by this authority."""
    upstream = implementation()
    try:
        relayed = World(Route(path="/api/", upstream=url, ca_file=ca_file), upstream=upstream)
        return (await relayed.call(b"/api/x", headers=await relayed.sign_in())).status
    finally:
        await upstream.aclose()


@pytest.mark.req("C8", "C-45")
@pytest.mark.parametrize("implementation", [HttpxUpstream, HttptoolsUpstream])
async def test_an_upstream_is_certified_by_the_routes_own_authority(
    tmp_path: Path, implementation: type[HttpxUpstream | HttptoolsUpstream]
) -> None:
    """With its ``ca_file`` the upstream is believed; without, or under another name or authority, it is not reached."""
    ca_file, tls = certificate(tmp_path, "127.0.0.1")
    other_name, other_tls = certificate(tmp_path, "192.0.2.1")
    async with RawUpstream(echo, tls=tls) as upstream, RawUpstream(echo, tls=other_tls) as misnamed:
        assert await status_of(upstream.url, ca_file, implementation) == 200
        for url, trusted in [(upstream.url, None), (upstream.url, other_name), (misnamed.url, other_name)]:
            with pytest.raises(errors.ResourceAPIUnavailable):
                await status_of(url, trusted, implementation)
        assert len(upstream.received) == 1
        assert misnamed.received == []


@pytest.mark.req("C8", "C11", "C-45")
async def test_a_websockets_upstream_is_certified_alike(tmp_path: Path) -> None:
    """No handshake, and so no token, goes to whom the route's own authority does not vouch for."""
    ca_file, tls = certificate(tmp_path, "127.0.0.1")
    other_name, _ = certificate(tmp_path, "192.0.2.1")
    sockets = WebSocketUpstream(SystemClock())
    async with RawUpstream(accepts(), tls=tls) as upstream:
        route = Route(path="/live/", upstream=upstream.url, websocket=True, ca_file=ca_file)
        async with sockets.open(route, b"/live/x", [(b"authorization", b"Bearer x")], offer=()) as opened:
            assert opened.subprotocol is None
        for trusted in (None, other_name):
            with pytest.raises(errors.ResourceAPIUnavailable):
                async with sockets.open(replace(route, ca_file=trusted), b"/live/x", [], offer=()):
                    pass
        assert len(upstream.received) == 1
