"""What is counted. Labels are few and closed: a reason, an outcome, a route's own path; never a person, never a URL."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, generate_latest

from bff.telemetry.key_uses import KeyUses
from bff.telemetry.relayed_calls import RelayedCalls

registry = CollectorRegistry()

logins = Counter("bff_login_total", "Sign-ins by outcome.", ["outcome"], registry=registry)
sessions_started = Counter("bff_session_started_total", "Sessions begun.", registry=registry)
sessions_ended = Counter("bff_session_ended_total", "Sessions ended, by reason.", ["reason"], registry=registry)
refreshes = Counter("bff_refresh_total", "Token refreshes by outcome.", ["outcome"], registry=registry)
store_failures = Counter(
    "bff_store_failures_total", "Questions that Redis or Valkey did not answer.", registry=registry
)
store_unreplicated = Counter(
    "bff_store_unreplicated_total", "Writes that no replica confirmed within 100 ms.", registry=registry
)
refreshes_lost = Counter(
    "bff_refresh_lost_total", "Sessions that ended because an answer with rotated tokens got lost.", registry=registry
)
refusals = Counter("bff_refused_total", "Requests refused, by problem.", ["problem"], registry=registry)
relayed = RelayedCalls()
registry.register(relayed)
key_uses = KeyUses()
registry.register(key_uses)


def exposition() -> bytes:
    """The metrics in Prometheus' text format."""
    return generate_latest(registry)
