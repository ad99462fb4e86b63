"""Each claim, in each profile: absent, null, of a wrong type, of a wrong value; and whom the right ones make."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from resource_api.security import InvalidToken, Issuer, ResourceServer, TokenRules
from resource_api.security.rules import ProfileName
from tests.resource_api.security.conftest import ServerWith, Verify, verifier
from tests.world.clock import MovableClock
from tests.world.key_host import KeyHost
from tests.world.tokens import (
    ABSENT,
    ALICE,
    API_CLIENT_ID,
    CLIENT_ID,
    DAEMON,
    DAEMON_CLIENT_ID,
    ISSUER,
    METADATA_URL,
    TENANT_ID,
    Profile,
    access_token,
    app_token,
    id_token,
    jwks,
    logout_token,
    pairwise,
    rsa_key,
)

ROLES = frozenset({"ToDoList.Read.All", "ToDoList.ReadWrite.All"})
OTHER_TENANT = "00000000-aaaa-4bbb-8ccc-000000000000"

# claim -> values that are never taken, besides null; ABSENT where the claim is required.
COMMON: dict[str, list[Any]] = {
    "iss": [ABSENT, 7, [ISSUER], "", ISSUER + "/", ISSUER.upper(), ISSUER.replace("https", "http"), f" {ISSUER}"],
    "aud": [
        ABSENT,
        7,
        "",
        [],
        [7],
        [API_CLIENT_ID, 7],
        f"api://{API_CLIENT_ID}",
        API_CLIENT_ID.upper(),
        [CLIENT_ID],
        {},
    ],
    "exp": [ABSENT, "1999999999", True, [], {}, -1, 0, 2**60, 1e300],
    "iat": [ABSENT, "0", True, [], -1, 2**60],
    "nbf": ["0", True, [], -1, 2**60],
    "sub": [ABSENT, 7, "", "x" * 256, "a\nb", ["x"]],
    "cnf": [{"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}, {}, "x"],
    "nonce": ["n-0S6_WzA2Mj", "", 7],
    "at_hash": ["MTIzNDU2Nzg5MDEyMzQ1Ng"],
    "c_hash": ["MTIzNDU2Nzg5MDEyMzQ1Ng"],
    "events": [{"http://schemas.openid.net/event/backchannel-logout": {}}],
    "typ": ["ID", "Refresh", "Logout", 7],
    "token_use": ["id", 7],
}
OWN: dict[Profile, dict[str, list[Any]]] = {
    "entra-v2": {
        "ver": [ABSENT, "1.0", "2", 2.0, 2, ["2.0"]],
        "tid": [ABSENT, 7, "", "contoso", OTHER_TENANT, [TENANT_ID]],
        "oid": [ABSENT, 7, "", "alice", ALICE[:-1], [ALICE]],
        "azp": [ABSENT, 7, "", [CLIENT_ID]],
        "scp": [ABSENT, "", 7, ["ToDoList.Read"], " ToDoList.Read", "A  B", "A\tB", 'A"B', "A\\B"],
        "roles": ["ToDoList.Read.All", [7], [""], {}, 7],
        "idtyp": ["device", "App", "USER", "", 7, ["app"], "app"],
    },
    "rfc9068": {
        "client_id": [ABSENT, 7, "", [CLIENT_ID]],
        "jti": [ABSENT, 7, ""],
        "scope": [ABSENT, "", 7, ["ToDoList.Read"], " ToDoList.Read", "A  B"],
        "roles": ["ToDoList.Read.All", [7], {}, 7],
    },
    "jwt": {
        "azp": [ABSENT, 7, "", [CLIENT_ID]],
        "scope": [ABSENT, "", 7, ["ToDoList.Read"], "A  B"],
        "roles": ["ToDoList.Read.All", [7], {}, 7],
    },
}
MARKS = {"rfc9068": "RS-1", "entra-v2": "RS-2", "jwt": "RS-2"}


def _bad_claims() -> Iterator[Any]:
    for profile, own in OWN.items():
        for claim, values in (COMMON | own).items():
            for value in [None, *values]:
                shown = "ABSENT" if value is ABSENT else repr(value)[:24]
                yield pytest.param(
                    profile,
                    claim,
                    value,
                    id=f"{profile}-{claim}-{shown}",
                    marks=pytest.mark.req(MARKS[profile], "ATK-51"),
                )


@pytest.mark.req("K-01", "K-02", "K-04", "K-05", "K-12", "K-35", "K-36", "A-06", "A-07", "A-12", "A-26")
@pytest.mark.parametrize(("profile", "claim", "value"), list(_bad_claims()))
async def test_a_claim_that_is_not_right(server_with: ServerWith, profile: Profile, claim: str, value: object) -> None:
    """A token whose claim is missing, null, of another type or of another value is refused."""
    changed: dict[str, Any] = {claim: value}
    with pytest.raises(InvalidToken):
        await verifier(server_with(profile=profile))(access_token(profile=profile, **changed))


GOOD: list[tuple[Profile, dict[str, Any]]] = [
    ("entra-v2", {}),
    ("entra-v2", {"aud": [API_CLIENT_ID, "other"]}),
    ("entra-v2", {"nbf": ABSENT}),
    ("entra-v2", {"name": ABSENT, "preferred_username": ABSENT, "uti": ABSENT, "azpacr": ABSENT}),
    ("entra-v2", {"idtyp": "user"}),
    ("entra-v2", {"aio": "x", "rh": "y", "xms_cc": ["cp1"], "groups": ["g"]}),
    ("entra-v2", {"exp": 1999999999.5}),
    ("rfc9068", {}),
    ("rfc9068", {"aud": [API_CLIENT_ID]}),
    ("rfc9068", {"auth_time": 1, "acr": "1", "amr": ["pwd"]}),
    ("jwt", {}),
    ("jwt", {"azp": ABSENT, "client_id": CLIENT_ID}),
    ("jwt", {"typ": "Bearer"}),
    ("jwt", {"token_use": "access"}),
    ("jwt", {"scope": ABSENT, "scp": ["ToDoList.Read"]}),
    ("jwt", {"scope": ABSENT, "scp": "ToDoList.Read"}),
]


@pytest.mark.req("RS-1", "RS-2", "K-15", "K-19")
@pytest.mark.parametrize(("profile", "overrides"), GOOD)
async def test_a_token_that_is_right(server_with: ServerWith, profile: Profile, overrides: dict[str, Any]) -> None:
    """What a profile leaves open is taken as it comes, and claims that nobody needs change nothing."""
    principal = await verifier(server_with(profile=profile))(access_token(profile=profile, **overrides))
    assert (principal.kind, principal.client_id, principal.issuer) == ("user", CLIENT_ID, ISSUER)
    assert "ToDoList.Read" in principal.scopes


@pytest.mark.req("A-22", "K-05", "K-06")
async def test_whom_an_entra_token_makes(server_with: ServerWith) -> None:
    """A person is owner by oid, with scopes and no app roles; an application has app roles and no scopes."""
    verify = verifier(server_with())
    person = await verify(access_token(oid=ALICE.upper(), roles=["ToDoList.ReadWrite.All"]))
    assert (person.owner, person.object_id, person.tenant, person.subject) == (ALICE, ALICE, TENANT_ID, pairwise(ALICE))
    assert (person.is_app, person.app_roles) == (False, frozenset())
    daemon = await verify(app_token())
    assert (daemon.owner, daemon.client_id, daemon.is_app) == (DAEMON, DAEMON_CLIENT_ID, True)
    assert (daemon.scopes, daemon.app_roles) == (frozenset(), ROLES)


@pytest.mark.parametrize("profile", ["rfc9068", "jwt"])
async def test_whom_another_token_makes(server_with: ServerWith, profile: Profile) -> None:
    """Outside Entra the owner is the subject, and an application is who is its own subject: roles alone make none."""
    verify = verifier(server_with(profile=profile))
    person = await verify(access_token(profile=profile, roles=["ToDoList.Read.All"]))
    assert (person.owner, person.is_app, person.app_roles) == (pairwise(ALICE), False, frozenset())
    daemon = await verify(app_token(profile=profile, sub=DAEMON_CLIENT_ID))
    assert (daemon.is_app, daemon.app_roles) == (True, ROLES)
    roleful = await verify(app_token(profile=profile, sub=pairwise(ALICE)))
    assert (roleful.is_app, roleful.app_roles, roleful.scopes) == (False, frozenset(), frozenset())


@pytest.mark.parametrize("profile", ["rfc9068", "jwt"])
async def test_an_applications_scopes_are_nobodys(server_with: ServerWith, profile: Profile) -> None:
    """An application's token may carry scopes: no person delegated them, they open nothing and alone prove nothing."""
    verify = verifier(server_with(profile=profile))
    mixed = await verify(app_token(profile=profile, sub=DAEMON_CLIENT_ID, scope="ToDoList.ReadWrite"))
    assert (mixed.is_app, mixed.scopes, mixed.app_roles) == (True, frozenset(), ROLES)
    with pytest.raises(InvalidToken, match="14 caller"):
        await verify(app_token(profile=profile, sub=DAEMON_CLIENT_ID, scope="ToDoList.ReadWrite", roles=ABSENT))


@pytest.mark.parametrize(
    ("path", "claims"),
    [
        ("realm_access.roles", {"realm_access": {"roles": ["ToDoList.Read.All"]}}),
        ("https://api.example/roles", {"https://api.example/roles": ["ToDoList.Read.All"]}),
        ("roles", {"roles": ["ToDoList.Read.All"]}),
    ],
)
async def test_where_roles_are(server_with: ServerWith, path: str, claims: dict[str, Any]) -> None:
    """The roles claim is a name, with its dots, or else a path."""
    token = app_token(profile="jwt", sub=DAEMON_CLIENT_ID, **{"roles": ABSENT, **claims})
    principal = await verifier(server_with(profile="jwt", roles_claim=path))(token)
    assert principal.app_roles == {"ToDoList.Read.All"}


@pytest.mark.parametrize("claims", [{"realm_access": []}, {"realm_access": {"roles": "x"}}, {"realm_access": None}, {}])
async def test_roles_that_are_not_there(server_with: ServerWith, claims: dict[str, Any]) -> None:
    """A path that leads nowhere, or to something else, grants an application nothing."""
    token = app_token(profile="jwt", sub=DAEMON_CLIENT_ID, **{"roles": ABSENT, **claims})
    with pytest.raises(InvalidToken):
        await verifier(server_with(profile="jwt", roles_claim="realm_access.roles"))(token)


@pytest.mark.req("K-03", "RS-1")
@pytest.mark.parametrize(
    ("claim", "offset", "taken"),
    [
        ("exp", -29, True),
        ("exp", -30, False),
        ("iat", 30, True),
        ("iat", 31, False),
        ("nbf", 30, True),
        ("nbf", 31, False),
    ],
)
async def test_leeway(verify: Verify, clock: MovableClock, claim: str, offset: int, taken: bool) -> None:
    """Clocks may differ by the leeway, to the second and in both directions."""
    clock.advance(-clock.now() % 1)
    changed: dict[str, Any] = {claim: clock.now() + offset}
    token = access_token(now=clock.now(), **changed)
    if taken:
        assert (await verify(token)).issuer
    else:
        with pytest.raises(InvalidToken, match="10 times"):
            await verify(token)


TYPES: dict[ProfileName, tuple[list[Any], list[Any]]] = {
    "entra-v2": (["JWT", "jwt"], ["at+jwt", "logout+jwt", "dpop+jwt", "", None, 7, ["JWT"], ABSENT]),
    "rfc9068": (["at+jwt", "AT+JWT", "application/at+jwt"], ["JWT", "logout+jwt", "at+jwt ", None, 7, ABSENT]),
    "jwt": (["JWT", ABSENT], ["at+jwt", "logout+jwt", "dpop+jwt", "secevent+jwt", "", None, 7]),
}


@pytest.mark.req("RS-1", "RS-2", "ATK-51")
@pytest.mark.parametrize("profile", TYPES)
async def test_a_token_says_its_type(server_with: ServerWith, profile: Profile) -> None:
    """``typ`` is the profile's, in any case, and nothing else (RFC 8725 3.11, RFC 9068 2.1)."""
    verify = verifier(server_with(profile=profile))
    right, wrong = TYPES[profile]
    for typ in right:
        assert (await verify(access_token(profile=profile, header={"typ": typ}))).issuer
    for typ in wrong:
        with pytest.raises(InvalidToken, match="3 type"):
            await verify(access_token(profile=profile, header={"typ": typ}))


@pytest.mark.req("ATK-51")
@pytest.mark.parametrize("profile", OWN)
async def test_other_kinds_of_token(server_with: ServerWith, profile: Profile) -> None:
    """An ID token or a logout token is never an access token, even where it is meant for us."""
    verify = verifier(server_with(profile=profile))
    typ = "at+jwt" if profile == "rfc9068" else "JWT"
    for made in (id_token, logout_token):
        with pytest.raises(InvalidToken):
            await verify(made(aud=API_CLIENT_ID, azp=CLIENT_ID, header={"typ": typ}, scp="ToDoList.Read"))


@pytest.mark.req("K-07", "A-44")
async def test_only_the_clients_that_are_allowed(server_with: ServerWith) -> None:
    """With a client allow-list, a token of any other client is refused."""
    assert (await verifier(server_with(clients=frozenset({CLIENT_ID})))(access_token())).issuer
    with pytest.raises(InvalidToken, match="client_allow_list"):
        await verifier(server_with(clients=frozenset({DAEMON_CLIENT_ID})))(access_token())


@pytest.mark.req("K-04", "A-44")
async def test_only_the_tenants_that_are_allowed(server_with: ServerWith) -> None:
    """With a tenant allow-list, a token of any other tenant is refused."""
    assert (await verifier(server_with(tenants=frozenset({TENANT_ID})))(access_token())).issuer
    with pytest.raises(InvalidToken, match="tenant_allow_list"):
        await verifier(server_with(tenants=frozenset({OTHER_TENANT})))(access_token())


@pytest.mark.req("K-12", "K-31", "P-05")
@pytest.mark.parametrize(
    "overrides",
    [{}, {"iss": f"https://sts.windows.net/{TENANT_ID}/"}, {"aud": f"api://{API_CLIENT_ID}"}],
    ids=["version", "issuer", "audience"],
)
async def test_the_cure_for_a_v1_token(verify: Verify, overrides: dict[str, Any]) -> None:
    """A v1.0 token is refused, and the log says which switch makes it a v2.0 one."""
    with pytest.raises(InvalidToken, match="requestedAccessTokenVersion") as refusal:
        await verify(access_token(ver="1.0", **overrides))
    assert "requestedAccessTokenVersion" not in refusal.value.public


@pytest.mark.req("K-34")
@pytest.mark.parametrize(
    ("own_issuer", "taken"),
    [
        (ABSENT, True),
        (ISSUER, True),
        ("https://{tenantid}.ciamlogin.com/{tenantid}/v2.0", True),
        ("https://login.microsoftonline.com/{tenantid}/v2.0", False),
        (f"https://{OTHER_TENANT}.ciamlogin.com/{OTHER_TENANT}/v2.0", False),
        ("", False),
    ],
)
async def test_the_keys_own_issuer(verify: Verify, key_host: KeyHost, own_issuer: object, taken: bool) -> None:
    """A key that names an issuer signs for that one only, its template filled with the token's tenant."""
    key_host.document = {"keys": [rsa_key().public_jwk(issuer=own_issuer)]}
    if taken:
        assert (await verify(access_token())).issuer
    else:
        with pytest.raises(InvalidToken, match="8 key issuer"):
            await verify(access_token())


@pytest.mark.req("RS-2", "K-30")
async def test_several_issuers_keep_to_their_own_keys(clock: MovableClock) -> None:
    """A key of one trusted issuer does not sign for another (RFC 8725 3.8)."""
    second = f"https://{OTHER_TENANT}.ciamlogin.com/{OTHER_TENANT}/v2.0"
    hosts = KeyHost(jwks(rsa_key())), KeyHost(jwks(rsa_key("other")), issuer=second)
    hosts[1].metadata_url, hosts[1].jwks_uri = "https://second.example/metadata", "https://second.example/keys"
    server = ResourceServer(
        issuers=[Issuer(ISSUER, METADATA_URL), Issuer(second, hosts[1].metadata_url)],
        rules=TokenRules(audience=API_CLIENT_ID),
        transport=_Both(hosts),
        clock=clock,
    )
    verify = verifier(server)
    theirs: dict[str, Any] = {"iss": second, "tid": OTHER_TENANT}
    assert (await verify(access_token())).issuer == ISSUER
    assert (await verify(access_token(key=rsa_key("other"), **theirs))).issuer == second
    for token in (access_token(**theirs), access_token(key=rsa_key("other"))):
        with pytest.raises(InvalidToken):
            await verify(token)
    await server.aclose()


class _Both(httpx.AsyncBaseTransport):
    def __init__(self, hosts: tuple[KeyHost, KeyHost]) -> None:
        self._hosts = hosts

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self._hosts["second" in request.url.host].transport.handle_async_request(request)
