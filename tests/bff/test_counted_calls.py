"""What is counted of relayed calls reads like any other series, and adds up."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from bff.telemetry.relayed_calls import RelayedCalls


def samples(calls: RelayedCalls) -> dict[tuple[str, ...], float]:
    """Every sample as Prometheus reads it: its name and its labels' values, in order."""
    registry = CollectorRegistry()
    registry.register(calls)
    families = text_string_to_metric_families(generate_latest(registry).decode())
    return {(one.name, *one.labels.values()): one.value for family in families for one in family.samples}


def test_calls_are_counted_by_route_and_status_class() -> None:
    """Each class of each route has a count of its own."""
    calls = RelayedCalls()
    for route, status in (("/api/", 200), ("/api/", 204), ("/api/", 404), ("/files/", 200)):
        calls.observe(route, status, 0.01)
    told = samples(calls)
    assert told["bff_relay_requests_total", "/api/", "2xx"] == 2
    assert told["bff_relay_requests_total", "/api/", "4xx"] == 1
    assert told["bff_relay_requests_total", "/files/", "2xx"] == 1


def test_seconds_fall_where_the_librarys_own_histogram_puts_them() -> None:
    """A bound belongs to its bucket, buckets are cumulative, and the sum is the sum: as prometheus_client's are."""
    calls, registry = RelayedCalls(), CollectorRegistry()
    theirs = Histogram("bff_relay_seconds", "-", ["route"], registry=registry)
    for seconds in (0.0, 0.005, 0.0051, 0.1, 1.0, 9.9, 10.0, 11.0):
        calls.observe("/api/", 200, seconds)
        theirs.labels("/api/").observe(seconds)
    families = text_string_to_metric_families(generate_latest(registry).decode())
    expected = {(one.name, *one.labels.values()): one.value for family in families for one in family.samples}
    expected = {key: value for key, value in expected.items() if not key[0].endswith("_created")}
    told = {key: value for key, value in samples(calls).items() if key[0].startswith("bff_relay_seconds")}
    assert told == expected
