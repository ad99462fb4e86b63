"""What is counted. Labels are few and closed: a reason, an outcome, a route's own path; never a person, never a URL."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, generate_latest

from bff.telemetry.relayed_calls import RelayedCalls

registry = CollectorRegistry()

logins = Counter("bff_login_total", "Sign-ins by outcome.", ["outcome"], registry=registry)
sessions_started = Counter("bff_session_started_total", "Sessions begun.", registry=registry)
sessions_ended = Counter("bff_session_ended_total", "Sessions ended, by reason.", ["reason"], registry=registry)
refreshes = Counter("bff_refresh_total", "Token refreshes by outcome.", ["outcome"], registry=registry)
refusals = Counter("bff_refused_total", "Requests refused, by problem.", ["problem"], registry=registry)
relayed = RelayedCalls()
registry.register(relayed)


def exposition() -> bytes:
    """The metrics in Prometheus' text format."""
    return generate_latest(registry)
