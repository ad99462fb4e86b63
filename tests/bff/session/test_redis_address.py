from __future__ import annotations

from pathlib import Path

import pytest

from bff.errors import ConfigurationError
from bff.session.redis_address import RedisAddress
from bff.session.redis_facts import StoreFacts
from tests.world.certificates import PrivateAuthority

PASSWORD = "p%40ss:word"


@pytest.mark.parametrize(
    ("url", "hosts", "service", "database", "tls"),
    [
        ("redis://localhost", (("localhost", 6379),), None, 0, False),
        ("redis://10.0.0.1:7000/3", (("10.0.0.1", 7000),), None, 3, False),
        ("rediss://cache.example", (("cache.example", 6379),), None, 0, True),
        ("redis://[::1]:7000", (("::1", 7000),), None, 0, False),
        ("redis+sentinel://a,b:7000/main", (("a", 26379), ("b", 7000)), "main", 0, False),
        ("rediss+sentinel://a/main/2", (("a", 26379),), "main", 2, True),
    ],
)
def test_an_address_is_read(
    url: str, hosts: tuple[tuple[str, int], ...], service: str | None, database: int, *, tls: bool
) -> None:
    """A single server, or the Sentinels and the name of the primary they watch."""
    address = RedisAddress.parse(url)
    assert (address.hosts, address.service, address.database, address.tls) == (hosts, service, database, tls)


def test_credentials_are_read_and_never_shown() -> None:
    """Neither a repr nor a log line tells the password; processes with other credentials are the same instance."""
    address = RedisAddress.parse(f"redis://app:{PASSWORD}@localhost/0")
    assert (address.username, address.password) == ("app", "p@ss:word")
    assert "word" not in repr(address) + str(address)
    assert address.instance == RedisAddress.parse("redis://localhost").instance
    assert address.instance != RedisAddress.parse("redis://localhost/1").instance


def test_a_private_authority_is_named_by_its_file(tmp_path: Path) -> None:
    """``ca_file`` is the one option: nothing in a URL can turn verification off."""
    authority = PrivateAuthority(tmp_path)
    assert RedisAddress.parse(f"rediss://h?ca_file={authority.file}").ca_file == str(authority.file)


@pytest.mark.req("BBA-8", "C-45")
@pytest.mark.parametrize(
    ("scheme", "written", "why"),
    [("rediss", b"", "unreadable"), ("rediss", b"-----", "unreadable"), ("redis", None, "no TLS")],
)
def test_an_authority_that_nobody_could_ask_is_refused(
    tmp_path: Path, scheme: str, written: bytes | None, why: str
) -> None:
    """A file without a certificate, and one beside an address that is asked in the clear."""
    authority = PrivateAuthority(tmp_path)
    if written is not None:
        authority.file.write_bytes(written)
    with pytest.raises(ConfigurationError, match=f"{why}.*Cure"):
        RedisAddress.parse(f"{scheme}://h?ca_file={authority.file}")


@pytest.mark.req("BBA-8")
@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost:6379",
        "http://localhost",
        "redis://",
        f"redis://app:{PASSWORD}@",
        f"redis://app:{PASSWORD}@localhost:port",
        f"redis://app:{PASSWORD}@localhost/zero",
        f"redis://app:{PASSWORD}@localhost/0/1",
        f"redis://app:{PASSWORD}@a,b",
        f"redis://app:{PASSWORD}@localhost#x",
        f"rediss://app:{PASSWORD}@localhost?ssl_cert_reqs=none",
        f"rediss://app:{PASSWORD}@localhost?ca_file=/missing",
        f"redis+sentinel://app:{PASSWORD}@a,b",
        f"redis+sentinel://app:{PASSWORD}@a,b/main/x",
    ],
)
def test_what_is_no_address_is_refused_without_quoting_it(url: str) -> None:
    """The message names the setting and the cure, and no secret."""
    with pytest.raises(ConfigurationError, match=r"session\.redis_url .*Cure") as refused:
        RedisAddress.parse(url)
    assert "word" not in str(refused.value.causes)
    assert refused.value.__cause__ is None


@pytest.mark.req("F12")
@pytest.mark.parametrize(
    ("info", "faults"),
    [
        ("valkey_version:9.1.2\r\nredis_version:7.2.4\r\nmaxmemory_policy:noeviction", 0),
        ("redis_version:6.2.0\r\nmaxmemory_policy:noeviction", 0),
        ("redis_version:6.0.16\r\nmaxmemory_policy:noeviction", 1),
        ("redis_version:7.0.15\r\nmaxmemory_policy:volatile-lru", 1),
        ("redis_version:5.0.7\r\nmaxmemory_policy:allkeys-lfu", 2),
    ],
)
def test_a_store_is_judged_by_what_it_says_of_itself(info: str, faults: int) -> None:
    """Too old, or one that may forget: each with its cure."""
    found = StoreFacts.read(info).faults()
    assert len(found) == faults
    assert all("Cure" in fault for fault in found)
