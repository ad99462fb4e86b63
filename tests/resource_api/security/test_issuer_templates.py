"""One issuer for several tenants: a template, an allow-list, and keys that say for whom they sign."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from resource_api.security import ConfigurationError, InvalidToken, Issuer, ResourceServer, TokenRules
from tests.resource_api.security.conftest import verifier
from tests.world.clock import MovableClock
from tests.world.key_host import KeyHost
from tests.world.tokens import API_CLIENT_ID, TENANT_ID, access_token, jwks, rsa_key

OTHER = "00000000-aaaa-4bbb-8ccc-000000000000"
STRANGER = "99999999-aaaa-4bbb-8ccc-000000000000"
TEMPLATE = "https://login.example/{tenantid}/v2.0"
SHARED = "https://login.example/organizations/v2.0/.well-known/openid-configuration"
BOTH = frozenset({TENANT_ID, OTHER})
Make = Callable[..., ResourceServer]


@pytest.fixture
def shared_host() -> KeyHost:
    """Metadata as Entra's ``organizations`` has it: its issuer is the template, letter by letter."""
    return KeyHost(issuer=TEMPLATE, metadata_url=SHARED, jwks_uri="https://login.example/keys")


@pytest.fixture
async def templated(shared_host: KeyHost, clock: MovableClock) -> AsyncIterator[Make]:
    """Makes resource servers that trust a template."""
    made: list[ResourceServer] = []

    def make(*issuers: Issuer, transport: httpx.AsyncBaseTransport | None = None, **rules: Any) -> ResourceServer:
        server = ResourceServer(
            issuers=issuers or [Issuer(TEMPLATE, SHARED)],
            rules=TokenRules(**{"audience": API_CLIENT_ID, "tenants": BOTH, **rules}),
            transport=transport or shared_host.transport,
            clock=clock,
        )
        made.append(server)
        return server

    yield make
    for server in made:
        await server.aclose()


def of(tenant: str, **overrides: Any) -> str:
    """A token of one tenant."""
    return access_token(**{"iss": TEMPLATE.replace("{tenantid}", tenant), "tid": tenant, **overrides})


@pytest.mark.req("K-33", "K-41")
async def test_tenants_of_the_list_share_one_key_set(templated: Make, shared_host: KeyHost) -> None:
    """Each listed tenant's tokens are taken, and the keys are fetched once for all of them."""
    verify = verifier(templated())
    assert [(await verify(of(tenant))).tenant for tenant in sorted(BOTH)] == sorted(BOTH)
    assert shared_host.asked() == 1


@pytest.mark.req("K-33", "K-04")
@pytest.mark.parametrize(
    "overrides",
    [
        {"iss": TEMPLATE},
        {"iss": TEMPLATE.replace("{tenantid}", STRANGER), "tid": STRANGER},
        {"iss": TEMPLATE.replace("{tenantid}", STRANGER)},
        {"iss": TEMPLATE.replace("{tenantid}", TENANT_ID.upper())},
        {"iss": TEMPLATE.replace("{tenantid}", TENANT_ID) + "/"},
        {"iss": TEMPLATE.replace("{tenantid}", f"{TENANT_ID}/x")},
        {"iss": TEMPLATE.replace("{tenantid}", "")},
        {"tid": OTHER},
        {"tid": "{tenantid}", "iss": TEMPLATE},
        {"tid": None},
        {"tid": [TENANT_ID]},
    ],
)
async def test_a_tenant_that_is_not_its_issuers(templated: Make, overrides: dict[str, Any]) -> None:
    """The issuer is the template filled with a listed tenant, exactly, and ``tid`` is that tenant."""
    with pytest.raises(InvalidToken):
        await verifier(templated())(of(TENANT_ID, **overrides))


@pytest.mark.req("K-34")
@pytest.mark.parametrize(
    ("own_issuer", "taken"),
    [
        (TEMPLATE, {TENANT_ID, OTHER}),
        (TEMPLATE.replace("{tenantid}", OTHER), {OTHER}),
        (TEMPLATE.replace("{tenantid}", STRANGER), set()),
        ("https://sts.example/{tenantid}/", set()),
    ],
)
async def test_a_shared_key_signs_for_its_own_issuer(
    templated: Make, shared_host: KeyHost, own_issuer: str, taken: set[str]
) -> None:
    """Among shared keys, one that names a tenant's issuer signs for that tenant only."""
    shared_host.document = {"keys": [rsa_key().public_jwk(issuer=own_issuer)]}
    verify, found = verifier(templated()), set[str | None]()
    for tenant in BOTH:
        try:
            found.add((await verify(of(tenant))).tenant)
        except InvalidToken as refusal:
            assert refusal.step == "8 key issuer"  # noqa: PT017 — because the refusal is expected of some tenants only
    assert found == taken


class _Hosts(httpx.AsyncBaseTransport):
    """One host of metadata and keys per tenant."""

    def __init__(self) -> None:
        self.by_tenant = {tenant: self._host(tenant) for tenant in BOTH}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        tenant = request.url.path.split("/")[1]
        return await self.by_tenant[tenant].transport.handle_async_request(request)

    def _host(self, tenant: str) -> KeyHost:
        issuer = TEMPLATE.replace("{tenantid}", tenant)
        metadata_url = f"{issuer}/.well-known/openid-configuration"
        keys = jwks(rsa_key(f"of-{tenant}"))
        return KeyHost(keys, issuer=issuer, metadata_url=metadata_url, jwks_uri=f"https://login.example/{tenant}/keys")


@pytest.mark.req("K-33", "RS-2")
async def test_without_a_document_of_its_own_each_tenant_has_its_keys(templated: Make) -> None:
    """A template without metadata of its own is each tenant's metadata and keys, and none signs for another."""
    verify = verifier(templated(Issuer(TEMPLATE), transport=_Hosts()))
    for tenant, other in ((TENANT_ID, OTHER), (OTHER, TENANT_ID)):
        assert (await verify(of(tenant, key=rsa_key(f"of-{tenant}")))).tenant == tenant
        with pytest.raises(InvalidToken, match="6 key"):
            await verify(of(tenant, key=rsa_key(f"of-{other}")))


@pytest.mark.req("K-33", "P-01")
@pytest.mark.parametrize(
    ("issuer", "rules", "because"),
    [
        (TEMPLATE, {"tenants": frozenset()}, "every tenant"),
        (TEMPLATE, {"profile": "jwt", "tenants": frozenset()}, "only profile entra-v2"),
        ("http://{tenantid}.example", {}, "may not be fetched"),
        (TEMPLATE, {"tenants": frozenset({"contoso.onmicrosoft.com"})}, "no tenant's GUID"),
        (TEMPLATE, {"tenants": frozenset({TENANT_ID.upper()})}, "lower case"),
    ],
)
def test_a_template_that_would_not_protect(templated: Make, issuer: str, rules: dict[str, Any], because: str) -> None:
    """A template without a list of tenants, or in a profile that does not check them, stops the start."""
    with pytest.raises(ConfigurationError, match=because):
        templated(Issuer(issuer), **rules)
