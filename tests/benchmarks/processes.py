"""Processes of a benchmark: started on a CPU of their own, accounted for by the kernel, ended by their id."""

from __future__ import annotations

import os
import re
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

START_SECONDS = 60.0
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_PLENTY = 65_536
_UNITS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}


@dataclass(frozen=True, slots=True)
class Group:
    """A process and all that it started."""

    leader: int

    def cpu_seconds(self) -> float:
        """User and system time so far, of every process of the group."""
        return sum(sum(map(int, fields[11:13])) for _, fields in self._members()) / _TICKS

    def memory_mb(self) -> float:
        """Resident memory of the group; what its processes share is counted for each."""
        return sum(int(fields[21]) for _, fields in self._members()) * _PAGE / 1e6

    def _members(self) -> Iterator[tuple[int, list[str]]]:
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                fields = (folder / "stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            if int(fields[2]) == self.leader:
                yield int(folder.name), fields


@contextmanager
def running(
    command: list[str], port: int, *, cpu: int | None = None, env: Mapping[str, str] | None = None, log: Path
) -> Iterator[Group]:
    """Run a server until the block ends; it is ready when its port takes connections."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env=env, start_new_session=True)
    try:
        if cpu is not None and (os.cpu_count() or 1) > 1:
            os.sched_setaffinity(process.pid, {cpu})
        _await_port(process, port, log)
        yield Group(process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _await_port(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError(f"nothing listens at {port}: {log.read_text(errors='replace')[-800:]}")


def many_files() -> int:
    """Let this process, and what it starts, open as many files as an administrator permits; answer how many."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = _PLENTY if hard == resource.RLIM_INFINITY else hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))
    return files


def on_cpu(cpu: int) -> None:
    """Keep this process, and what it starts and does not put elsewhere, on one CPU, where there are several."""
    if (os.cpu_count() or 1) > 1:
        os.sched_setaffinity(0, {cpu})


def free_port() -> int:
    """A port that is free at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass(frozen=True, slots=True)
class Load:
    """What wrk saw."""

    requests: int
    rps: float
    p50_ms: float
    p99_ms: float


def load(
    wrk: str, url: str, headers: Mapping[str, str], *, connections: int, seconds: float, script: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> Load:  # fmt: skip
    """Ask as fast as answers come, on so many connections; raise RuntimeError where any answer is no success."""
    command = [wrk, "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--latency", "--timeout", "10s"]
    command += [word for name, value in headers.items() for word in ("-H", f"{name}: {value}")]
    command += ["-s", str(script)] if script else []
    last = max((os.cpu_count() or 1) - 1, 0)
    done = subprocess.run(
        ["taskset", "-c", str(last), *command, url], check=True, capture_output=True, text=True, env=env
    )
    if re.search(r"Non-2xx|Socket errors", done.stdout):
        raise RuntimeError(f"{url}: not every answer was a success\n{done.stdout}")
    requests = re.search(r"(\d+) requests in", done.stdout)
    rate = re.search(r"Requests/sec:\s*([\d.]+)", done.stdout)
    if requests is None or rate is None:
        raise RuntimeError(done.stdout)
    return Load(int(requests[1]), float(rate[1]), _quantile(done.stdout, 50), _quantile(done.stdout, 99))


def _quantile(told: str, percent: int) -> float:
    found = re.search(rf"^\s*{percent}%\s+([\d.]+)(us|ms|s|m)", told, re.MULTILINE)
    return float(found[1]) * _UNITS[found[2]] if found else float("nan")


def note(line: str) -> None:
    """Tell how far we are."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()
