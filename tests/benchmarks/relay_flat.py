"""Whether a call costs the same behind 500 routes as behind one, and after 10,000 sessions as after ten.

The sessions are sealed with the subject's own keys by its own vault: ten thousand sign-ins would take an hour, and
leave the same cookies. They are asked for one after the other, so that each call is another session's.

Few and many are told apart by a few microseconds, and a shared machine drifts by more within a minute. So they take
turns in many short rounds, and the least disturbed one of each counts: nothing makes a call cheaper than it is.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from bff.check.sessions import usual_session
from bff.clock import SystemClock
from bff.session.cookies import Jar
from bff.settings import load_settings
from bff.telemetry.logs import configure_logging
from bff.wiring import ledger_of, vault_of
from tests.benchmarks.paced import each_once
from tests.benchmarks.relay_bench import ROUNDS, SECONDS, Bench
from tests.benchmarks.relay_ours import ours, ours_with
from tests.benchmarks.results import Row

ROUTES = (1, 500)
SESSIONS = (10, 10_000)
_SHORT_ROUNDS, _SHORT = 2, SECONDS / 2
_ONE_AFTER_THE_OTHER = """
local requests, at = {{}}, 0
function init()
  for cookie in io.lines("{cookies}") do
    wrk.headers["Cookie"] = cookie
    requests[#requests + 1] = wrk.format()
  end
end
function request()
  at = at % #requests + 1
  return requests[at]
end
"""


def measured(bench: Bench) -> list[Row]:
    """Few and many of each in turn, several times; the least disturbed round of each."""
    return _by_routes(bench) + _by_sessions(bench)


def _by_routes(bench: Bench) -> list[Row]:
    port, upstream = bench.ports["ours"], f"http://127.0.0.1:{bench.town.upstream}"
    rounds: dict[int, list[Row]] = {count: [] for count in ROUTES}
    for _ in range(_SHORT_ROUNDS * ROUNDS):
        for count in ROUTES:
            others = range(count - 1)
            routes = "".join(f'[[route]]\npath = "/api-{at:03}/"\nupstream = "{upstream}"\n' for at in others)
            subject = ours_with(bench.town, port, kind="routes", routes=routes)
            with bench.subject(subject, port) as (group, headers):
                scenario = f"small/c32/routes{count}"
                rounds[count].append(bench.measure(subject, group, headers, scenario=scenario, seconds=_SHORT))
    return [_least_disturbed(rows) for rows in rounds.values()]


def _by_sessions(bench: Bench) -> list[Row]:
    """A process that has seen so many, each of them once before the first is asked for again."""
    port = bench.ports["ours"]
    subject = ours(bench.town, port)
    cookies = asyncio.run(_sealed(bench.town.folder / "ours/bff.toml", max(SESSIONS)))
    rounds: dict[int, list[Row]] = {count: [] for count in SESSIONS}
    for _ in range(_SHORT_ROUNDS * ROUNDS):
        for count in SESSIONS:
            with bench.subject(subject, port) as (group, headers):
                anonymous = {name: value for name, value in headers.items() if name != "Cookie"}
                each_once(("127.0.0.1", port), urlsplit(subject.origin).netloc, anonymous, cookies[:count])
                script, scenario = _script(bench, cookies[:count]), f"small/c32/sessions{count}"
                row = bench.measure(subject, group, anonymous, scenario=scenario, script=script, seconds=_SHORT)
                rounds[count].append(row)
    return [_least_disturbed(rows) for rows in rounds.values()]


def _least_disturbed(rows: Sequence[Row]) -> Row:
    return min(rows, key=lambda row: row.cpu_us)


def _script(bench: Bench, cookies: Sequence[str]) -> Path:
    path = bench.folder / f"cookies-{len(cookies)}"
    path.write_text("\n".join(cookies) + "\n", encoding="utf-8")
    return bench.script(f"sessions-{len(cookies)}", _ONE_AFTER_THE_OTHER.format(cookies=path))


async def _sealed(config: Path, count: int) -> list[str]:
    """So many browsers' Cookie headers, each of another session."""
    configure_logging("ERROR")
    settings, clock = load_settings(config), SystemClock()
    ledger = ledger_of(settings, clock)
    vault = vault_of(settings, ledger, clock)
    template, headers = usual_session(settings, clock), []
    for _ in range(count):
        session = replace(template, sid=secrets.token_urlsafe(16))
        kept = await vault.keep_session(session, Jar({}))
        headers.append("; ".join(f"{cookie.name}={cookie.value.decode()}" for cookie in kept if cookie.value))
    await vault.aclose()
    await ledger.aclose()
    return headers
