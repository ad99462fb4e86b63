"""What it costs where a session lies: in three cookies, or in Valkey behind a ticket."""

from __future__ import annotations

from local_authority import seeds
from tests.benchmarks.relay_bench import ROUNDS, Bench, median
from tests.benchmarks.relay_ours import ours_with
from tests.benchmarks.results import Row
from tests.world.valkey import running_valkey

_THREE_CHUNKS = 3 * 4096 + 2048


def measured(bench: Bench) -> list[Row]:
    """Both, several times in turn; the median round of each."""
    rounds = [(_in_three_cookies(bench), _in_valkey(bench)) for _ in range(ROUNDS)]
    return [median([both[0] for both in rounds]), median([both[1] for both in rounds])]


def _in_three_cookies(bench: Bench) -> Row:
    """Grace is in some hundreds of groups, all of which her ID token names; the default budget would refuse that."""
    port = bench.ports["ours"]
    folder = bench.town.folder / "cookie3"
    session = f'ledger = "file:{folder}/ledger.sqlite"\nmax_cookie_bytes = {_THREE_CHUNKS}'
    subject = ours_with(bench.town, port, kind="cookie3", session=session)
    with bench.subject(subject, port, seeds.GRACE) as (group, headers):
        further = headers["Cookie"].count(f"bff-{port}.")
        if further != 2:
            raise RuntimeError(f"the session came in {further + 1} cookies")
        return bench.measure(subject, group, headers, scenario="small/c32/cookie3")


def _in_valkey(bench: Bench) -> Row:
    port = bench.ports["ours"]
    with running_valkey() as server:
        session = f'store = "redis"\nredis_url = "{server.url}"'
        subject = ours_with(bench.town, port, kind="redis", session=session)
        with bench.subject(subject, port) as (group, headers):
            return bench.measure(subject, group, headers, scenario="small/c32/redis")
