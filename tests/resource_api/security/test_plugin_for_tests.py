"""What an application's own tests are given: tokens that are really verified, callers whom the rules still judge."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI

from resource_api import testing
from resource_api.security import CurrentPrincipal, Issuer, Principal, ResourceServer, TokenRules, protect, requires
from tests.resource_api.conftest import bearing, caller
from tests.world.tokens import TENANT_ID

access_token = testing.access_token
as_principal = testing.as_principal
SERVERS: dict[str, tuple[Issuer, dict[str, Any]]] = {
    "entra-v2": (Issuer(f"https://{TENANT_ID}.ciamlogin.com/{TENANT_ID}/v2.0", "https://contoso.example/metadata"), {}),
    "entra-v2 of tenants": (Issuer("https://login.example/{tenantid}/v2.0"), {"tenants": frozenset({TENANT_ID})}),
    "rfc9068": (Issuer("https://issuer.example"), {}),
    "jwt": (Issuer("https://issuer.example", jwks_uri="https://issuer.example/k"), {"clients": frozenset({"web"})}),
}


@pytest.fixture(params=SERVERS)
def protected_app(request: pytest.FixtureRequest) -> FastAPI:
    """Somebody's application, of each profile."""
    issuer, more = SERVERS[request.param]
    rules = TokenRules(audience="things", profile=request.param.split()[0], **more)
    app = FastAPI()
    protect(app, ResourceServer(issuers=[issuer], rules=rules))

    @app.get("/things", dependencies=[requires(scopes={"Things.Read"}, app_roles={"Things.Read.All"})])
    async def things(principal: CurrentPrincipal) -> str:
        return principal.owner

    return app


async def test_tokens_are_really_verified(protected_app: FastAPI, access_token: Callable[..., str]) -> None:
    """A token of the plugin passes as a real one would, and any override that makes it wrong makes it refused."""
    scope = "scp" if protected_app.state.resource_server.rules.profile == "entra-v2" else "scope"
    good: dict[str, Any] = {scope: "Things.Read"}
    async with protected_app.router.lifespan_context(protected_app), caller(protected_app) as client:
        for changed, status in (
            ({}, 200),
            ({scope: "Other"}, 403),
            ({"exp": 1}, 401),
            ({"aud": "other"}, 401),
            ({"iss": "https://other.example"}, 401),
            ({"sub": None}, 401),
            ({"cnf": {"jkt": "x"}}, 401),
        ):
            token = access_token(**{**good, **changed})
            assert (await client.get("/things", headers=bearing(token))).status_code == status


async def test_a_principal_is_judged_by_the_rules(
    protected_app: FastAPI, as_principal: Callable[..., AbstractContextManager[Principal]]
) -> None:
    """Within the block the caller is given and the rules hold; after it a token is needed again."""
    async with caller(protected_app) as client:
        for given, status in (
            ({"scopes": ["Things.Read"], "owner": "bob"}, 200),
            ({"scopes": ["Other"]}, 403),
            ({"kind": "app", "app_roles": ["Things.Read.All"]}, 200),
            ({"kind": "app", "scopes": ["Things.Read"]}, 403),
        ):
            with as_principal(**given) as principal:
                answer = await client.get("/things")
            assert answer.status_code == status
            assert status == 403 or answer.json() == principal.owner
        assert (await client.get("/things")).status_code == 401


def test_nothing_that_is_served_knows_the_plugin() -> None:
    """The plugin can let anybody in: no served module imports it, and pytest loads it only where it is named."""
    root = Path(__file__).parents[3]
    users = [path.name for path in (root / "src").rglob("*.py") if "resource_api.testing import" in path.read_text()]
    assert users == []
    assert "pytest11" not in (root / "pyproject.toml").read_text()
