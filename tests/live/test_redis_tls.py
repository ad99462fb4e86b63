"""Sessions over ``rediss://``: a real Valkey behind real TLS, certified by a private authority, or not trusted."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bff.check.store import check_redis
from bff.clock import SystemClock
from bff.errors import ConfigurationError, SessionStoreUnavailable
from bff.session.endings import Reason
from bff.session.key_ring import KeyRing
from bff.session.redis_address import RedisAddress
from bff.session.redis_connection import RedisStore
from bff.session.redis_ledger import RedisLedger
from tests.bff.session.redis_house import several
from tests.bff.session.session_world import NOW, Browser
from tests.world.certificates import PrivateAuthority
from tests.world.clock import MovableClock
from tests.world.settings import settings_with_session
from tests.world.tls_front import TLSFront, tls_in_front_of
from tests.world.valkey import Valkey, running_sentinel

pytestmark = [pytest.mark.live, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> PrivateAuthority:
    """The one that is trusted."""
    return PrivateAuthority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> PrivateAuthority:
    """Another one, of the same name."""
    return PrivateAuthority(tmp_path_factory.mktemp("stranger"))


@pytest.fixture(scope="module")
def front(valkey_server: Valkey, authority: PrivateAuthority) -> Iterator[TLSFront]:
    """The store as clients see it, certified for ``localhost`` only."""
    with tls_in_front_of(valkey_server.port, authority.server("localhost")) as running:
        yield running


def url_of(port: int, ca_file: Path | None, host: str = "localhost") -> str:
    """What ``session.redis_url`` says."""
    return f"rediss://{host}:{port}/0" + (f"?ca_file={ca_file}" if ca_file else "")


class Rude(socketserver.ThreadingTCPServer):
    """A store without TLS that has no place left: it says so at once, in the clear."""

    class Refusal(socketserver.BaseRequestHandler):
        """One connection."""

        def handle(self) -> None:
            """Say it, and hang up."""
            self.request.sendall(b"-ERR max number of clients reached\r\n")

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.server_address[1])


@contextmanager
def running_rude() -> Iterator[Rude]:
    """One until the block ends."""
    with Rude(("127.0.0.1", 0), Rude.Refusal) as server:
        listening = threading.Thread(target=server.serve_forever, args=(0.01,))
        listening.start()
        try:
            yield server
        finally:
            server.shutdown()
            listening.join(10)


async def found(url: str) -> tuple[str, str, str]:
    """What ``bff check`` says of it: level, message and cure."""
    one, *_ = await check_redis(settings_with_session(store="redis", redis_url=url), SystemClock())
    return str(one.level), one.message, one.cure


@pytest.mark.req("F9", "F10", "C-45")
async def test_sessions_live_and_end_over_tls(valkey: Valkey, front: TLSFront, authority: PrivateAuthority) -> None:
    """Kept, found, refreshed and ended by two processes; nothing of it went another way."""
    ring, browser, url = KeyRing.generate(), Browser(), url_of(front.port, authority.file)
    before = front.carried
    async with several(valkey, MovableClock(NOW), url=url) as start:
        here, there = start(ring=ring), start(ring=ring)
        await here.keep(browser)
        session = (await there.present(browser)).require()
        await here.vault.end_session(session, Reason.SIGNED_OUT)
        there.clock.advance(1)
        assert await there.reason(browser) == "signed_out"
    assert front.carried > before + 1000
    assert (await found(url))[0] == "pass"


@pytest.mark.req("C-45", "ADV-10")
@pytest.mark.parametrize(
    ("case", "why", "cure"),
    [
        ("no authority", "unable to get local issuer certificate", "?ca_file=PATH"),
        ("another authority", "certificate", "?ca_file=PATH"),
        ("another name", "not valid for '127.0.0.1'", "a certificate for this name"),
        ("expired", "certificate has expired", "renew it"),
        ("no TLS", "speaks no TLS", "redis://"),
    ],
)
async def test_whoever_is_not_trusted_stops_the_start(
    valkey: Valkey,
    front: TLSFront,
    authority: PrivateAuthority,
    stranger: PrivateAuthority,
    case: str,
    why: str,
    cure: str,
) -> None:
    """With what is wrong and its cure, by ``bff check`` in the same words, and before any password is sent."""
    with tls_in_front_of(valkey.port, authority.server("localhost", expired=True)) as expired, running_rude() as rude:
        url = {
            "no authority": url_of(front.port, None),
            "another authority": url_of(front.port, stranger.file),
            "another name": url_of(front.port, authority.file, "127.0.0.1"),
            "expired": url_of(expired.port, authority.file),
            "no TLS": url_of(rude.port, authority.file),
        }[case].replace("rediss://", "rediss://app:the-password@")
        before = front.carried + expired.carried
        with pytest.raises(ConfigurationError) as refused:
            RedisLedger(RedisAddress.parse(url), MovableClock(NOW))
        (cause,) = refused.value.causes
        level, message, way_on = await found(url)
        assert front.carried + expired.carried == before
    assert why in cause
    assert cure in cause.partition("Cure: ")[2]
    assert (level, f"{message} Cure: {way_on}") == ("fail", cause)
    assert "the-password" not in cause


@pytest.mark.req("F10", "C-45")
async def test_a_certificate_that_is_replaced_by_a_strangers_is_an_outage(
    valkey: Valkey, authority: PrivateAuthority, stranger: PrivateAuthority
) -> None:
    """A process that runs keeps every cookie, and says what is wrong."""
    with tls_in_front_of(valkey.port, stranger.server("localhost")) as front:
        store = RedisStore(RedisAddress.parse(url_of(front.port, authority.file)), SystemClock(), patience=2.0)
        with pytest.raises(SessionStoreUnavailable, match="a certificate that we refuse"):
            await store.ask("PING")
        await store.aclose()


@pytest.mark.req("C-45", "F12")
async def test_sentinels_are_trusted_as_the_primary_is(
    valkey: Valkey, tmp_path: Path, authority: PrivateAuthority, stranger: PrivateAuthority
) -> None:
    """``rediss+sentinel``: one that a stranger certifies stops the start, whatever the library says of it."""
    with (
        running_sentinel(tmp_path, "main", valkey) as sentinel,
        tls_in_front_of(sentinel.port, stranger.server("localhost")) as front,
    ):
        url = f"rediss+sentinel://localhost:{front.port}/main?ca_file={authority.file}"
        with pytest.raises(ConfigurationError, match=r"refuse.*ca_file=PATH"):
            RedisLedger(RedisAddress.parse(url), MovableClock(NOW))


@pytest.mark.req("C-45", "F12")
async def test_the_primary_that_a_sentinel_names_is_asked_over_tls(
    valkey: Valkey, tmp_path: Path, authority: PrivateAuthority, stranger: PrivateAuthority
) -> None:
    """It must show a certificate for the address that the Sentinel tells; a stranger's is refused, with the reason."""
    for signer, trusted in ((authority, True), (stranger, False)):
        with (
            tls_in_front_of(valkey.port, signer.server("127.0.0.1")) as primary,
            # It has no TLS of its own: it never sees this primary, and must not call it down for that.
            running_sentinel(tmp_path / str(trusted), "main", primary, down_after_ms=600_000) as sentinel,
            tls_in_front_of(sentinel.port, authority.server("localhost")) as front,
        ):
            url = f"rediss+sentinel://localhost:{front.port}/main?ca_file={authority.file}"
            store = RedisStore(RedisAddress.parse(url), SystemClock(), patience=2.0)
            if trusted:
                assert await store.ask("PING")
            else:
                with pytest.raises(SessionStoreUnavailable, match="a certificate that we refuse"):
                    await store.ask("PING")
            await store.aclose()


@pytest.mark.req("C-45")
async def test_beside_a_private_authority_nobody_is_trusted(
    valkey: Valkey, authority: PrivateAuthority, stranger: PrivateAuthority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even those of this system: whoever names a ``ca_file`` means it alone."""
    monkeypatch.setenv("SSL_CERT_FILE", str(stranger.file))
    with tls_in_front_of(valkey.port, stranger.server("localhost")) as front:
        believing = RedisStore(RedisAddress.parse(url_of(front.port, None)), SystemClock(), patience=2.0)
        assert await believing.ask("PING")
        strict = RedisStore(RedisAddress.parse(url_of(front.port, authority.file)), SystemClock(), patience=2.0)
        with pytest.raises(SessionStoreUnavailable, match="a certificate that we refuse"):
            await strict.ask("PING")
        for store in (believing, strict):
            await store.aclose()
