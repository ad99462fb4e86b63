"""``bff check``: everything that can be found out before the first person signs in, one line each."""

from __future__ import annotations

import httpx

from bff.check.authority import check_authority
from bff.check.finding import Finding, Level
from bff.check.front import check_proxy_settings, check_running, check_upstreams
from bff.check.registration import check_credentials, check_redirect_uris
from bff.check.secrets_at_rest import check_secrets
from bff.check.sessions import check_cookie_budget, check_replicas, check_store
from bff.check.store import check_redis
from bff.clock import Clock, SystemClock
from bff.oidc.back_channel import BackChannel, open_back_channel
from bff.settings import BFFSettings
from bff.wiring import registration_of

__all__ = ["Finding", "Level", "examine", "settings_findings"]


async def examine(
    settings: BFFSettings,
    *,
    running: bool = False,
    transport: httpx.AsyncBaseTransport | None = None,
    clock: Clock | None = None,
) -> list[Finding]:
    """Everything there is to say about these settings; ``running`` also asks the deployment at ``public_url``.

    ``transport`` and ``clock`` are what a test replaces.
    """
    clock = clock or SystemClock()
    authority = settings.authority
    registration = registration_of(settings)
    http = open_back_channel(transport=transport, ca_file=authority.ca_file, proxy_url=authority.proxy_url)
    try:
        back_channel = BackChannel(http, clock)
        server, findings = await check_authority(settings, back_channel)
        if server is not None:
            findings.append(await check_credentials(registration, server, back_channel, clock))
            findings += await check_redirect_uris(registration, server, http, clock)
    finally:
        await http.aclose()
    findings += [*check_secrets(settings, clock), *check_store(settings), *await check_redis(settings, clock)]
    findings += check_replicas(settings)
    findings.append(await check_cookie_budget(settings, clock))
    findings += [finding async for finding in check_upstreams(settings, transport)]
    findings += check_proxy_settings(settings, running=running)
    if running:
        findings += await check_running(settings, transport, clock)
    return findings


def settings_findings(causes: list[str]) -> list[Finding]:
    """The same shape for settings that cannot work at all: a cause holds its cure."""
    split = [cause.partition(" Cure: ") for cause in causes]
    return [Finding(name="settings", level=Level.FAIL, message=message, cure=cure) for message, _, cure in split]
