"""``make bench ONLY=api``: what it costs to know who calls, in CPU of the API process, beside others in one run.

A load of ours sends one request on each of eight connections and reads the answers; every answer must be a 200. CPU is
what the kernel accounts to the API process, so a busy machine disturbs it least. Each number is the median of rounds,
and each round of each subject is a fresh process.
"""

from __future__ import annotations

import base64
import json
import os
import platform
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from tests.benchmarks.api_apps import AUDIENCE, ISSUER, SCOPE, TENANT

REQUESTS = int(os.environ.get("BENCH_REQUESTS", "1500"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
WARM_UP = 400
CONNECTIONS = 8
MANY = 20_000
FILE = Path("build/bench.json")
PLAN: tuple[tuple[str, str], ...] = (
    ("unprotected", "unprotected"),
    *(("warm", subject) for subject in ("ours", "pyjwt", "fastapi-azure-auth")),
    *(("cold-rs256", subject) for subject in ("ours", "pyjwt", "fastapi-azure-auth")),
    *(("cold-es256", subject) for subject in ("ours", "pyjwt")),  # fastapi-azure-auth takes RS256 only
)


class Issuer:
    """Two keys, and tokens as Entra's are, about 1,450 characters long under RS256."""

    def __init__(self) -> None:
        self._rsa = rsa.generate_private_key(65537, 2048)
        self._ec = ec.generate_private_key(ec.SECP256R1())
        self._made = 0

    def jwks(self) -> str:
        """The public keys."""
        rsa_numbers, point = self._rsa.public_key().public_numbers(), self._ec.public_key().public_numbers()
        keys = [
            {"kty": "RSA", "kid": "r", "alg": "RS256", "n": _number(rsa_numbers.n), "e": _number(rsa_numbers.e)},
            {"kty": "EC", "crv": "P-256", "kid": "e", "alg": "ES256", "x": _number(point.x), "y": _number(point.y)},
        ]
        return json.dumps({"keys": [{**key, "use": "sig"} for key in keys]})

    def token(self, alg: str) -> str:
        """A token that was never seen before."""
        self._made += 1
        now = int(time.time())
        claims = {
            "iss": ISSUER, "aud": AUDIENCE, "iat": now, "nbf": now, "exp": now + 3600, "tid": TENANT, "ver": "2.0",
            "sub": "pairwise-subject-of-alice", "oid": "a11ce000-0000-4000-8000-000000000001", "scp": SCOPE,
            "azp": "b4e7a9d2-6c13-4d85-9f20-3a5e8c7d1b94", "azpacr": "1", "name": "Alice Example", "acct": 0,
            "preferred_username": "alice@example.com", "uti": f"{self._made:022d}", "aio": "x" * 240, "rh": "y" * 40,
        }  # fmt: skip
        header = {"typ": "JWT", "alg": alg, "kid": alg[0].lower()}
        signed = ".".join(_b64url(json.dumps(part).encode()) for part in (header, claims)).encode()
        return f"{signed.decode()}.{_b64url(self._signature(signed, alg))}"

    def _signature(self, signed: bytes, alg: str) -> bytes:
        if alg == "RS256":
            return self._rsa.sign(signed, padding.PKCS1v15(), hashes.SHA256())
        r, s = decode_dss_signature(self._ec.sign(signed, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def main() -> None:
    """Measure everybody in turn, round by round; keep the rows and print the table."""
    issuer = Issuer()
    seen: dict[tuple[str, str], list[dict[str, float]]] = {one: [] for one in PLAN}
    for number in range(ROUNDS):
        for scenario, subject in PLAN:
            seen[scenario, subject].append(_measured(issuer, scenario, subject))
            sys.stderr.write(f"round {number + 1}: {scenario} {subject} {seen[scenario, subject][-1]['cpu_us']:.0f}\n")
    rows = [
        _row(scenario, subject, {name: median(one[name] for one in found) for name in found[0]})
        for (scenario, subject), found in seen.items()
    ]
    rows += _memory(issuer)
    _keep(rows)
    sys.stdout.write(_table(rows))


def _measured(issuer: Issuer, scenario: str, subject: str) -> dict[str, float]:
    """One round of one subject."""
    with _serving(issuer, subject) as (pid, sockets):
        _ask(sockets, _tokens(issuer, scenario, WARM_UP))
        tokens = _tokens(issuer, scenario, REQUESTS)
        cpu, began = _cpu_us(pid), time.perf_counter()
        waits = _ask(sockets, tokens)
        wall = time.perf_counter() - began
        return {
            "cpu_us": (_cpu_us(pid) - cpu) / len(tokens),
            "rps": len(tokens) / wall,
            "p50_ms": median(waits) * 1000,
            "p99_ms": quantiles(waits, n=100)[98] * 1000,
            "rss_mb": _rss_mb(pid),
        }


def _memory(issuer: Issuer) -> list[dict[str, Any]]:
    """What many different tokens leave behind: after the memory of verified tokens is full, nothing more."""
    rows: list[dict[str, Any]] = []
    with _serving(issuer, "ours") as (pid, sockets):
        for upto in (MANY // 4, MANY):
            cpu, count = _cpu_us(pid), upto - sum(row["requests"] for row in rows)
            began = time.perf_counter()
            waits = _ask(sockets, _tokens(issuer, "cold-es256", count))
            numbers = {"cpu_us": (_cpu_us(pid) - cpu) / count, "rps": count / (time.perf_counter() - began)}
            numbers |= {"p50_ms": median(waits) * 1000, "p99_ms": quantiles(waits, n=100)[98] * 1000}
            rows.append(_row(f"distinct-{upto}", "ours", {**numbers, "rss_mb": _rss_mb(pid)}) | {"requests": count})
    return [{name: value for name, value in row.items() if name != "requests"} for row in rows]


def _tokens(issuer: Issuer, scenario: str, count: int) -> list[str]:
    if scenario.startswith("cold"):
        return [issuer.token(scenario.removeprefix("cold-").upper()) for _ in range(count)]
    if not hasattr(issuer, "warm"):
        issuer.warm = issuer.token("RS256")  # type: ignore[attr-defined]  # because one token is seen again and again
    return [issuer.warm] * count  # type: ignore[attr-defined]  # because of the same


@contextmanager
def _serving(issuer: Issuer, subject: str) -> Iterator[tuple[int, list[socket.socket]]]:
    """A subject's process and connections to it; it is ended by its id."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "tests.benchmarks.api_apps", subject, str(port)]
    process = subprocess.Popen(command, env={**os.environ, "BENCH_JWKS": issuer.jwks()})
    try:
        sockets = [_connected(port, process) for _ in range(CONNECTIONS)]
        yield process.pid, sockets
        for one in sockets:
            one.close()
    finally:
        process.terminate()
        process.wait(20)


def _connected(port: int, process: subprocess.Popen[bytes]) -> socket.socket:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=10)
        except ConnectionRefusedError:
            time.sleep(0.05)
    raise RuntimeError(f"{process.args!r} does not listen")


def _ask(sockets: Sequence[socket.socket], tokens: Sequence[str]) -> list[float]:
    """Send each token once, eight at a time; how long each answer took, in seconds."""
    waits = []
    for start in range(0, len(tokens), len(sockets)):
        batch = tokens[start : start + len(sockets)]
        began = time.perf_counter()
        for one, token in zip(sockets, batch, strict=False):
            one.sendall(
                f"GET /things HTTP/1.1\r\nHost: api\r\nAccept: application/json\r\n"
                f"Authorization: Bearer {token}\r\n\r\n".encode()
            )
        for one, _ in zip(sockets, batch, strict=False):
            answer = b""
            while not answer.endswith(b'{"ok":true}'):
                received = one.recv(4096)
                answer += received
                if not received or not answer.startswith(b"HTTP/1.1 200"):
                    raise RuntimeError(f"no success: {answer[:200]!r}")
            waits.append(time.perf_counter() - began)
    return waits


def _cpu_us(pid: int) -> float:
    """The CPU time of all threads of a process so far, in µs."""
    spent = (path.read_text().split()[0] for path in Path(f"/proc/{pid}/task").glob("*/schedstat"))
    return sum(map(int, spent)) / 1000


def _rss_mb(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def _row(scenario: str, subject: str, numbers: dict[str, float]) -> dict[str, Any]:
    subject = "ours" if subject == "unprotected" else subject
    rounded = {name: round(value, 2) for name, value in numbers.items()}
    return {"bench": "api", "scenario": scenario, "subject": subject, **rounded, "machine": _machine()}


def _machine() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")
    return f"{model or platform.processor()}, {os.cpu_count()} CPUs, Python {platform.python_version()}"


def _keep(rows: list[dict[str, Any]]) -> None:
    """Replace this bench's rows, and keep everybody else's."""
    kept = json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else []
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(json.dumps([row for row in kept if row["bench"] != "api"] + rows, indent=1), encoding="utf-8")


def _table(rows: list[dict[str, Any]]) -> str:
    free = next(row["cpu_us"] for row in rows if row["scenario"] == "unprotected")
    lines = ["| scenario | subject | CPU µs per request | above unprotected | RSS MB |", "|---|---|---|---|---|"]
    lines += [
        f"| {row['scenario']} | {row['subject']} | {row['cpu_us']:.0f} | {row['cpu_us'] - free:+.0f} "
        f"| {row['rss_mb']:.0f} |"
        for row in rows
    ]
    return "\n".join(lines) + "\n"


def _number(value: int) -> str:
    return _b64url(value.to_bytes((value.bit_length() + 7) // 8, "big"))


def _b64url(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode("ascii")


if __name__ == "__main__":
    main()
