"""What is counted. Labels are few and closed: a reason, an outcome, a route's own path; never a person, never a URL."""

from __future__ import annotations

from functools import cache

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

registry = CollectorRegistry()

logins = Counter("bff_login_total", "Sign-ins by outcome.", ["outcome"], registry=registry)
sessions_started = Counter("bff_session_started_total", "Sessions begun.", registry=registry)
sessions_ended = Counter("bff_session_ended_total", "Sessions ended, by reason.", ["reason"], registry=registry)
refreshes = Counter("bff_refresh_total", "Token refreshes by outcome.", ["outcome"], registry=registry)
refusals = Counter("bff_refused_total", "Requests refused, by problem.", ["problem"], registry=registry)
relayed = Counter("bff_relay_requests_total", "Relayed calls.", ["route", "status_class"], registry=registry)
relay_seconds = Histogram(
    "bff_relay_seconds", "Seconds from request to the end of the answer.", ["route"], registry=registry
)


@cache
def relayed_series(route: str, status_class: int) -> tuple[Counter, Histogram]:
    """The two series of a relayed call, looked up once: their labels are few and closed."""
    return relayed.labels(route, f"{status_class}xx"), relay_seconds.labels(route)


def exposition() -> bytes:
    """The metrics in Prometheus' text format."""
    return generate_latest(registry)
