from __future__ import annotations

import asyncio
import gzip
import ssl
from pathlib import Path

import httpx
import pytest
import respx

from bff.errors import AuthorizationServerUnavailable, ConfigurationError
from bff.oidc.back_channel import MAX_BYTES, BackChannel, open_back_channel
from tests.bff.oidc.real_peer import peer
from tests.world.clock import MovableClock

URL = "https://as.example/doc"


async def failure_of(url: str, clock: MovableClock, *, total_seconds: float = 2.0) -> AuthorizationServerUnavailable:
    """How a form sent to ``url`` failed."""
    async with open_back_channel() as http:
        channel = BackChannel(http, clock, total_seconds=total_seconds)
        with pytest.raises(AuthorizationServerUnavailable) as failure:
            await channel.post_form(url, body="refresh_token=canary", headers={"Authorization": "Basic canary"})
    return failure.value


async def test_a_document_is_fetched(network: respx.MockRouter, back_channel: BackChannel) -> None:
    """A 2xx JSON object arrives with its headers."""
    network.get(URL).respond(200, json={"a": 1}, headers={"Cache-Control": "max-age=600"})
    document, headers = await back_channel.fetch_json(URL)
    assert document == {"a": 1}
    assert headers["cache-control"] == "max-age=600"


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(302, headers={"Location": "https://as.example/other"}),
        httpx.Response(304),
        httpx.Response(404, json={}),
        httpx.Response(429, json={}),
        httpx.Response(500, json={}),
        httpx.Response(200, text="<html>"),
        httpx.Response(200, json=[1]),
        httpx.Response(200, text='{"issuer": "a", "issuer": "b"}'),
        httpx.Response(200, content=b'{"a": "' + b"x" * MAX_BYTES + b'"}'),
    ],
)
async def test_anything_else_is_an_outage(
    network: respx.MockRouter, back_channel: BackChannel, answer: httpx.Response
) -> None:
    """Redirects, refusals, non-JSON, ambiguity and excess are one type; a document may always be asked for again."""
    network.get(URL).mock(return_value=answer)
    elsewhere = network.get("https://as.example/other").respond(200, json={})
    with pytest.raises(AuthorizationServerUnavailable) as failure:
        await back_channel.fetch_json(URL)
    assert not failure.value.sent
    assert not elsewhere.called


@pytest.mark.req("ATK-50")
async def test_a_compressed_answer_is_refused_before_it_is_inflated(
    network: respx.MockRouter, back_channel: BackChannel
) -> None:
    """No compression was asked for; a bomb is not opened to see how large it is."""
    bomb = gzip.compress(b'{"a": "' + b"x" * 5_000_000 + b'"}')
    route = network.get(URL).respond(200, content=bomb, headers={"Content-Encoding": "gzip"})
    with pytest.raises(AuthorizationServerUnavailable, match="content encoding"):
        await back_channel.fetch_json(URL)
    assert route.calls.last.request.headers["Accept-Encoding"] == "identity"


async def test_no_cookie_of_one_answer_travels_with_the_next_request(
    network: respx.MockRouter, back_channel: BackChannel
) -> None:
    """One client serves all people, so what one answer sets is forgotten."""
    route = network.get(URL).respond(200, json={}, headers={"Set-Cookie": "sid=alice; Path=/"})
    await back_channel.fetch_json(URL)
    await back_channel.fetch_json(URL)
    assert "cookie" not in route.calls.last.request.headers


@pytest.mark.req("ATK-62")
async def test_the_environment_chooses_neither_proxy_nor_roots(
    network: respx.MockRouter, clock: MovableClock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Proxy and CA variables of the process change nothing, and no .netrc lends a password."""
    (tmp_path / "netrc").write_text("machine as.example login eve password pw")
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "no-such-file"))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    route = network.get(URL).respond(200, json={})
    async with open_back_channel() as http:
        assert not http._mounts
        await BackChannel(http, clock).fetch_json(URL)
    assert "authorization" not in route.calls.last.request.headers


async def test_the_skew_is_measured_from_the_date_header(network: respx.MockRouter, http: httpx.AsyncClient) -> None:
    """The server's clock minus ours, from the latest answer that had a readable date."""
    back_channel = BackChannel(http, MovableClock(1_700_000_000.0))
    network.get(URL).respond(200, json={}, headers={"Date": "Tue, 14 Nov 2023 22:14:54 GMT"})
    assert back_channel.skew is None
    await back_channel.fetch_json(URL)
    assert back_channel.skew == 94.5


@pytest.mark.parametrize("date", ["yesterday", "", "Tue, 99 Nov 2023 22:14:54 GMT", "Tue, 14 Nov 999999 22:14:54 GMT"])
async def test_an_unreadable_date_says_nothing(network: respx.MockRouter, back_channel: BackChannel, date: str) -> None:
    """A broken Date header breaks no answer."""
    network.get(URL).respond(200, json={"a": 1}, headers={"Date": date})
    assert (await back_channel.fetch_json(URL))[0] == {"a": 1}
    assert back_channel.skew is None


@pytest.mark.req("F8")
@pytest.mark.parametrize(
    ("failure", "sent"),
    [
        (httpx.ConnectError("dns, tcp or tls"), False),
        (httpx.ConnectTimeout("slow"), False),
        (httpx.PoolTimeout("busy"), False),
        (httpx.ProxyError("403"), False),
        (httpx.ReadTimeout("silent"), True),
        (httpx.WriteTimeout("stuck"), True),
        (httpx.WriteError("reset"), True),
        (httpx.ReadError("reset"), True),
        (httpx.RemoteProtocolError("closed"), True),
        (httpx.CloseError("closed"), True),
    ],
)
async def test_a_failure_says_whether_the_request_may_have_arrived(
    network: respx.MockRouter, clock: MovableClock, failure: httpx.HTTPError, sent: bool
) -> None:
    """Only what fails before the first byte may be repeated without a second thought."""
    network.post("https://as.example/token").mock(side_effect=failure)
    outage = await failure_of("https://as.example/token", clock)
    assert outage.sent is sent
    assert "canary" not in str(outage)
    assert outage.__suppress_context__


@pytest.mark.req("F8")
async def test_a_refused_connection_was_not_sent(clock: MovableClock) -> None:
    """On real sockets: nobody listens, so nothing left us."""

    async def never(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0)

    async with peer(never) as url:
        pass
    assert not (await failure_of(url, clock)).sent


@pytest.mark.req("F8")
async def test_a_failed_handshake_was_not_sent(clock: MovableClock) -> None:
    """On real sockets: a peer that speaks no TLS never sees the form."""
    seen = bytearray()

    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.extend(await reader.read(100))
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with peer(plain) as url:
        outage = await failure_of(url.replace("http://", "https://"), clock)
    assert not outage.sent
    assert b"canary" not in seen


@pytest.mark.req("F8")
async def test_a_closed_connection_counts_as_sent(clock: MovableClock) -> None:
    """On real sockets: the peer read the form and hung up, so it may have acted on it."""

    async def hang_up(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"canary")

    async with peer(hang_up) as url:
        assert (await failure_of(url, clock)).sent


@pytest.mark.req("F8")
async def test_a_drip_of_bytes_ends_at_the_total_time(clock: MovableClock) -> None:
    """On real sockets: a peer that keeps every single read alive still meets the bound on the whole."""

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"canary")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        for _ in range(100):
            writer.write(b" ")
            await asyncio.sleep(0.02)

    async with peer(drip) as url:
        outage = await failure_of(url, clock, total_seconds=0.2)
    assert outage.sent
    assert "0.2 s" in outage.detail


def test_a_ca_file_that_is_none_stops_the_start(tmp_path: Path) -> None:
    """A missing and a garbled CA file are named as such."""
    garbled = tmp_path / "ca.pem"
    garbled.write_text("not a certificate")
    for file in (garbled, tmp_path / "absent.pem"):
        with pytest.raises(ConfigurationError, match=file.name):
            open_back_channel(ca_file=file)


@pytest.mark.parametrize("proxy_url", ["ftp://user:hunter2@proxy", "http://user:hunter2@proxy:port"])
def test_a_proxy_that_is_none_stops_the_start_without_its_password(proxy_url: str) -> None:
    """A proxy address that cannot work is refused, and its password is not repeated."""
    with pytest.raises(ConfigurationError, match="proxy_url") as refusal:
        open_back_channel(proxy_url=proxy_url)
    assert "hunter2" not in str(refusal.value)


async def test_certificates_are_always_verified() -> None:
    """The context of the one client checks names and chains; no setting says otherwise."""
    async with open_back_channel() as http:
        transport = http._transport
        assert isinstance(transport, httpx.AsyncHTTPTransport)
        context = transport._pool._ssl_context
        assert isinstance(context, ssl.SSLContext)
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert context.check_hostname
