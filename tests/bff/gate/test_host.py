"""The one name that the BFF answers to."""

from __future__ import annotations

import pytest

from bff.errors import MalformedRequest, MisdirectedRequest
from bff.gate.host import PublicName

GATE = PublicName("http://localhost:3000")


def passes(headers: list[tuple[bytes, bytes]], path: bytes = b"/api/todolist") -> bool:
    """Say whether a request with these fields is for us."""
    try:
        GATE.check({"headers": headers, "raw_path": path})
    except (MalformedRequest, MisdirectedRequest):
        return False
    return True


def test_the_public_name_passes() -> None:
    """The authority of ``public_url`` passes, among any other fields."""
    assert passes([(b"accept", b"*/*"), (b"host", b"localhost:3000")])


@pytest.mark.req("ATK-38", "F24")
@pytest.mark.parametrize(
    "host", [b"evil", b"localhost", b"localhost:3001", b"LOCALHOST:3000", b"localhost:3000.", b"", b"127.0.0.1:3000"]
)
def test_any_other_name_is_misdirected(host: bytes) -> None:
    """Another host, port, spelling or address of the same machine is 421: cookies and redirects know one name."""
    with pytest.raises(MisdirectedRequest, match="localhost:3000"):
        GATE.check({"headers": [(b"host", host)], "raw_path": b"/"})


@pytest.mark.req("ATK-38")
@pytest.mark.parametrize("count", [0, 2])
def test_there_is_exactly_one_host(count: int) -> None:
    """No Host, or two, is malformed, even where the two agree."""
    with pytest.raises(MalformedRequest):
        GATE.check({"headers": [(b"host", b"localhost:3000")] * count, "raw_path": b"/livez"})


@pytest.mark.parametrize("path", [b"/livez", b"/readyz", b"/metrics"])
def test_a_probe_may_use_any_name(path: bytes) -> None:
    """An orchestrator asks by address; only the very paths of the probes are excepted."""
    assert passes([(b"host", b"10.0.0.7:3000")], path)
    assert not passes([(b"host", b"10.0.0.7:3000")], path + b"/")
