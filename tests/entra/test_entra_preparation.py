from __future__ import annotations

import json
import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from bff.oidc.client_authentication import PrivateKey
from bff.settings import load_settings
from deploy.entra.__main__ import main
from resource_api.settings import load_settings as load_api_settings
from tests.entra.fake_graph import ALL_SCOPES, TENANT, FakeGraph

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


class Desk:
    """An administrator's desk: a folder, a token, and a Graph to run commands against."""

    def __init__(self, folder: Path, graph: FakeGraph) -> None:
        self.folder, self.graph, self.now, self.waits = folder, graph, NOW, list[float]()
        (folder / "token").write_text("a-token\n")

    def runs(self, command: str, *options: str) -> int:
        arguments = [command, "--access-token-file", str(self.folder / "token"), "--out", str(self.folder), *options]
        return main(arguments, transport=self.graph, sleep=self.waits.append, now=lambda: self.now)

    def registration(self, role: str) -> dict[str, Any]:
        name = f"sealed-bff-todo-{role}"
        return next(one for one in self.graph.applications.values() if one["uniqueName"] == name)

    def writes(self) -> list[tuple[str, str]]:
        return [(method, path) for method, path, _ in self.graph.requests]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A desk with nothing on it but a token."""
    return Desk(tmp_path, FakeGraph())


@pytest.mark.req("T-02", "T-03", "T-04", "T-05", "T-06", "T-07", "T-08", "T-09")
def test_the_api_is_registered_as_the_article_says(desk: Desk) -> None:
    """URI, version 2, both scopes word by word and for admins only, both roles for applications, and idtyp."""
    assert desk.runs("apply") == 0
    api = desk.registration("api")
    assert api["signInAudience"] == "AzureADMyOrg"
    assert api["identifierUris"] == [f"api://{api['appId']}"]
    assert api["api"]["requestedAccessTokenVersion"] == 2
    scopes = {one["value"]: one for one in api["api"]["oauth2PermissionScopes"]}
    assert set(scopes) == {"ToDoList.Read", "ToDoList.ReadWrite"}
    read, write = scopes["ToDoList.Read"], scopes["ToDoList.ReadWrite"]
    assert read["adminConsentDisplayName"] == "Read users ToDo list using the 'TodoListApi'"
    assert read["adminConsentDescription"] == "Allow the app to read the user's ToDo list using the 'TodoListApi'."
    assert write["adminConsentDisplayName"] == "Read and write users ToDo list using the 'ToDoListApi'"
    assert (
        write["adminConsentDescription"]
        == "Allow the app to read and write the user's ToDo list using the 'ToDoListApi'"
    )
    assert all(one["type"] == "Admin" and one["isEnabled"] for one in scopes.values())
    roles = {one["value"]: one for one in api["appRoles"]}
    assert set(roles) == {"ToDoList.Read.All", "ToDoList.ReadWrite.All"}
    assert all(one["allowedMemberTypes"] == ["Application"] for one in roles.values())
    assert all(one["displayName"] == value for value, one in roles.items())
    assert [one["name"] for one in api["optionalClaims"]["accessToken"]] == ["idtyp"]


@pytest.mark.req("T-10", "T-11", "T-13", "T-14", "F34")
def test_the_client_comes_back_to_both_addresses_and_asks_for_four_permissions(desk: Desk) -> None:
    """The redirect URIs are the callback and the end of sign-out; no implicit grant; a front-channel logout URL."""
    assert desk.runs("apply", "--public-url", "https://todo.example.com/") == 0
    client, api = desk.registration("client"), desk.registration("api")
    assert client["web"] == {
        "redirectUris": ["https://todo.example.com/bff/callback", "https://todo.example.com/bff/logged-out"],
        "logoutUrl": "https://todo.example.com/bff/frontchannel-logout",
        "implicitGrantSettings": {"enableAccessTokenIssuance": False, "enableIdTokenIssuance": False},
    }
    assert [one["name"] for one in client["optionalClaims"]["idToken"]] == ["sid", "login_hint"]
    access = {one["resourceAppId"]: one["resourceAccess"] for one in client["requiredResourceAccess"]}
    ours = {one["id"] for one in api["api"]["oauth2PermissionScopes"]}
    assert {one["id"] for one in access[api["appId"]]} == ours
    assert len(access["00000003-0000-0000-c000-000000000000"]) == 2
    assert {one["type"] for group in access.values() for one in group} == {"Scope"}


@pytest.mark.req("T-20", "T-23")
def test_nothing_is_asked_for_that_an_external_tenant_does_not_have(desk: Desk) -> None:
    """Single-tenant registrations, Graph's two scopes for people, no implicit grant, and no public client for ROPC."""
    assert desk.runs("apply") == 0
    for role in ("api", "client", "daemon"):
        registration = desk.registration(role)
        assert registration["signInAudience"] == "AzureADMyOrg"
        assert not registration.get("isFallbackPublicClient")
        assert not registration.get("publicClient", {}).get("redirectUris")
        assert not any(registration.get("web", {}).get("implicitGrantSettings", {}).values())
    delegated = {scope for one in desk.graph.grants.values() for scope in one["scope"].split()}
    assert delegated <= {"offline_access", "openid", "User.Read", "ToDoList.Read", "ToDoList.ReadWrite"}


@pytest.mark.req("T-15", "T-19", "T-21")
def test_consent_is_given_for_everybody_and_for_the_daemon(desk: Desk) -> None:
    """Both delegated grants are for all principals, and the daemon is assigned both roles of the API."""
    assert desk.runs("apply") == 0
    assert sorted(one["scope"] for one in desk.graph.grants.values()) == [
        "ToDoList.Read ToDoList.ReadWrite",
        "openid offline_access",
    ]
    assert {one["consentType"] for one in desk.graph.grants.values()} == {"AllPrincipals"}
    roles = {one["id"] for one in desk.registration("api")["appRoles"]}
    assert {one["appRoleId"] for one in desk.graph.assignments} == roles
    assert "web" not in desk.registration("daemon")


@pytest.mark.req("T-17", "T-18")
def test_the_user_flow_asks_for_three_attributes_and_serves_the_client_only(desk: Desk) -> None:
    """Email with password, country, name and postal code at sign-up; the API is not added to the flow."""
    assert desk.runs("apply") == 0
    (flow,) = desk.graph.flows.values()
    assert flow["displayName"] == "SignInSignUpSample"
    assert [one["id"] for one in flow["onAuthenticationMethodLoadStart"]["identityProviders"]] == [
        "EmailPassword-OAUTH"
    ]
    attributes = [one["id"] for one in flow["onAttributeCollection"]["attributes"]]
    assert attributes == ["email", "displayName", "country", "postalCode"]
    assert desk.graph.included[flow["id"]] == [desk.registration("client")["appId"]]


@pytest.mark.req("T-12", "T-16", "T-22")
def test_what_is_written_starts_both_services_and_holds_no_secret(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both files are read by the services themselves; the secret is in a file of mode 0600 and nowhere else."""
    assert desk.runs("apply") == 0
    (secret_file,) = desk.folder.glob(".entra/todo/client-secret")
    assert secret_file.stat().st_mode & 0o777 == 0o600
    assert secret_file.parent.stat().st_mode & 0o777 == 0o700
    said = capsys.readouterr()
    for secret in desk.graph.secrets:
        assert secret not in said.out + said.err
        assert secret not in (desk.folder / "bff.toml").read_text() + (desk.folder / "resource_api.toml").read_text()
    assert "ends on 2026-11-28" in said.out
    text = (desk.folder / "bff.toml").read_text()
    assert "ends on 2026-11-28" in text
    keys = tomllib.loads(text)["session"]["keys_file"]
    Path(keys).write_text("{}")
    settings = load_settings(desk.folder / "bff.toml")
    api = load_api_settings(desk.folder / "resource_api.toml")
    assert settings.authority.secret == desk.graph.secrets[0]
    assert settings.authority.issuer == f"https://{TENANT}.ciamlogin.com/{TENANT}/v2.0" == api.issuers[0]
    assert settings.authority.effective_metadata_url == api.metadata_url
    assert settings.authority.client_id == desk.registration("client")["appId"]
    assert api.audience == desk.registration("api")["appId"]
    assert f"api://{api.audience}/ToDoList.ReadWrite" in settings.authority.scopes


def test_plan_writes_nothing(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    """Plan only reads, on an empty tenant and on a prepared one."""
    assert desk.runs("plan") == 0
    assert "14 of 14 steps would change something" in capsys.readouterr().out
    assert {method for method, _ in desk.graph.asked} == {"GET"}
    assert not list(desk.folder.glob("*.toml"))
    desk.runs("apply")
    before = len(desk.graph.requests)
    capsys.readouterr()
    assert desk.runs("plan") == 0
    assert "0 of 14 steps would change something" in capsys.readouterr().out
    assert len(desk.graph.requests) == before


def test_apply_again_changes_nothing(desk: Desk) -> None:
    """What is so already is not written again: no second secret, no second anything."""
    desk.runs("apply")
    before, text = len(desk.graph.requests), (desk.folder / "bff.toml").read_text()
    assert desk.runs("apply") == 0
    assert len(desk.graph.requests) == before
    assert (desk.folder / "bff.toml").read_text() == text


WRITES = 15


@pytest.mark.parametrize("write", range(1, WRITES + 1))
def test_apply_ends_the_same_after_a_loss_at_any_write(desk: Desk, write: int) -> None:
    """An answer that is lost at the n-th write stops the run; the next one finishes it, with everything there once."""
    desk.graph.breaks_at = write
    assert desk.runs("apply") == 1
    assert desk.runs("apply") == 0
    assert len(desk.graph.applications) == 3
    assert len(desk.graph.principals) == 4
    assert len(desk.graph.grants) == 2
    assert len(desk.graph.assignments) == 2
    assert len(desk.graph.flows) == 1
    assert desk.runs("plan") == 0


def test_the_loss_test_covers_every_write(desk: Desk) -> None:
    """The number of writes above is the number of writes there are."""
    desk.runs("apply")
    assert len(desk.graph.requests) == WRITES


def test_apply_waits_for_copies_that_lag(tmp_path: Path) -> None:
    """An object that was just made may be unknown for a while; that is waited out, not failed on."""
    desk = Desk(tmp_path, FakeGraph(lag=3))
    assert desk.runs("apply") == 0
    assert desk.waits
    assert len(desk.graph.applications) == 3


def test_apply_waits_as_long_as_it_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A 429 is tried again after its Retry-After, and the person is told why nothing moves."""
    desk = Desk(tmp_path, FakeGraph(busy=2))
    assert desk.runs("plan") == 0
    assert desk.waits == [7.0, 7.0]
    assert "7 s of patience (429)" in capsys.readouterr().out


@pytest.mark.req("T-01")
@pytest.mark.parametrize("missing", sorted(ALL_SCOPES))
def test_a_missing_role_is_named_with_its_cure(
    tmp_path: Path, missing: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A 403 ends the run with the roles to ask for; with them the same command goes on where it stopped."""
    desk = Desk(tmp_path, FakeGraph(roles=ALL_SCOPES - {missing}))
    assert desk.runs("apply") == 1
    assert "External ID User Flow Administrator" in capsys.readouterr().err
    desk.graph.roles = ALL_SCOPES
    assert desk.runs("apply") == 0
    assert desk.graph.included


def test_a_refused_token_is_said_so(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    """A token that Graph does not accept is a refusal with a cure, and is not printed."""
    (desk.folder / "token").write_text("another-token")
    assert desk.runs("plan") == 1
    said = capsys.readouterr()
    assert "sign in again" in said.err
    assert "another-token" not in said.err + said.out


def test_what_others_added_stays(desk: Desk) -> None:
    """A scope, a redirect URI or a name that a person gave is kept by the next apply."""
    desk.runs("apply")
    api, client = desk.registration("api"), desk.registration("client")
    api["api"]["oauth2PermissionScopes"].append({"id": "x", "value": "Other.Read", "type": "Admin"})
    api["api"]["requestedAccessTokenVersion"] = None
    api["displayName"] = "Renamed"
    client["web"]["redirectUris"].insert(0, "https://elsewhere.example/cb")
    assert desk.runs("apply", "--public-url", "https://new.example.com") == 0
    assert "Other.Read" in {one["value"] for one in desk.registration("api")["api"]["oauth2PermissionScopes"]}
    assert desk.registration("api")["api"]["requestedAccessTokenVersion"] == 2
    assert desk.registration("api")["displayName"] == "Renamed"
    uris = desk.registration("client")["web"]["redirectUris"]
    assert uris[0] == "https://elsewhere.example/cb"
    assert uris[-1] == "https://new.example.com/bff/logged-out"


def test_a_scope_that_has_another_id_keeps_it(desk: Desk) -> None:
    """An id that tokens and grants name already is never replaced by one of ours."""
    desk.runs("apply")
    scope = desk.registration("api")["api"]["oauth2PermissionScopes"][0]
    scope["id"], scope["isEnabled"] = "77777777-0000-4000-8000-000000000000", False
    assert desk.runs("apply") == 0
    now = desk.registration("api")["api"]["oauth2PermissionScopes"][0]
    assert now["id"] == "77777777-0000-4000-8000-000000000000"
    assert now["isEnabled"] is True
    wanted = json.dumps(desk.registration("client")["requiredResourceAccess"])
    assert "77777777-0000-4000-8000-000000000000" in wanted


def test_destroy_removes_what_it_made_and_nothing_else(desk: Desk) -> None:
    """Applications, principals, grants and flows of others stay; ours are gone for good, so that apply can follow."""
    stranger = {"id": "s", "appId": "s", "uniqueName": "somebody-elses", "tags": ["sealed-bff:other"]}
    desk.graph.applications["s"] = stranger
    desk.graph.flows["f"] = {"id": "f", "displayName": "Other flow"}
    desk.graph.included["f"] = ["s"]
    desk.runs("apply")
    assert desk.runs("destroy") == 0
    assert list(desk.graph.applications) == ["s"]
    assert list(desk.graph.flows) == ["f"]
    assert desk.graph.included["f"] == ["s"]
    assert not desk.graph.grants
    assert not desk.graph.assignments
    assert len(desk.graph.principals) == 1
    assert desk.runs("destroy") == 0
    assert desk.runs("apply") == 0


def test_destroy_leaves_a_registration_without_our_mark(desk: Desk) -> None:
    """A registration that somebody made their own by removing our tag is not ours to remove."""
    desk.runs("apply")
    desk.registration("client")["tags"] = []
    desk.runs("destroy")
    assert desk.registration("client")["tags"] == []
    assert len(desk.graph.applications) == 1


def test_a_user_flow_of_that_name_is_joined_and_left_again(desk: Desk) -> None:
    """A flow that was there before is used as it is, and survives destroy without our client."""
    theirs = {"id": "f", "displayName": "SignInSignUpSample", "description": "the shop's"}
    desk.graph.flows["f"], desk.graph.included["f"] = dict(theirs), []
    desk.runs("apply")
    assert desk.graph.included["f"] == [desk.registration("client")["appId"]]
    assert desk.runs("destroy") == 0
    assert desk.graph.flows["f"] == theirs
    assert desk.graph.included["f"] == []


def test_a_secret_is_renewed_before_it_ends(desk: Desk) -> None:
    """Thirty days before the end, apply makes a new secret; before that it keeps the one in the file."""
    desk.runs("apply")
    desk.now = NOW + timedelta(days=149)
    desk.runs("apply")
    assert len(desk.graph.secrets) == 2
    desk.now = NOW + timedelta(days=151)
    desk.runs("apply")
    assert len(desk.graph.secrets) == 4
    assert (desk.folder / ".entra/todo/client-secret").read_text() == desk.graph.secrets[2]


@pytest.mark.req("C-61", "T-12")
def test_a_certificates_key_never_leaves_this_machine(desk: Desk) -> None:
    """With --certificate the tenant gets a certificate, no secret is made, and the key is here with mode 0600."""
    assert desk.runs("apply", "--certificate") == 0
    assert desk.graph.secrets == []
    folder = desk.folder / ".entra/todo/client-certificate"
    key = (folder / "private-key.pem").read_text()
    assert (folder / "private-key.pem").stat().st_mode & 0o777 == 0o600
    assert key.splitlines()[1] not in json.dumps(desk.graph.requests)
    certificate = x509.load_pem_x509_certificate((folder / "certificate.pem").read_bytes())
    assert certificate.not_valid_after_utc == NOW + timedelta(days=365)
    before = len(desk.graph.requests)
    assert desk.runs("apply", "--certificate") == 0
    assert len(desk.graph.requests) == before
    text = (desk.folder / "bff.toml").read_text()
    Path(tomllib.loads(text)["session"]["keys_file"]).write_text("{}")
    assert load_settings(desk.folder / "bff.toml").authority.certificate_file == folder / "certificate.pem"


def test_a_secret_whose_answer_was_lost_is_not_forgotten(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    """A secret that the tenant made and nobody received can still be used: the next run says that it is there."""
    desk.graph.breaks_at = 6
    assert desk.runs("apply") == 1
    assert len(desk.graph.secrets) == 1
    assert desk.runs("apply") == 0
    assert "1 more of the client's secrets can be used" in capsys.readouterr().out


@pytest.mark.parametrize("write", [1, 2, 3])
def test_key_and_certificate_belong_together_after_any_loss(desk: Desk, write: int) -> None:
    """Whatever write is lost while a certificate is renewed, the files that lie there are one pair."""
    assert desk.runs("apply", "--certificate") == 0
    desk.now = NOW + timedelta(days=340)
    desk.graph.breaks_at = len(desk.graph.requests) + write
    desk.runs("apply", "--certificate")
    folder = desk.folder / ".entra/todo/client-certificate"
    PrivateKey.load(folder / "private-key.pem", folder / "certificate.pem")


def test_unknown_properties_are_refused_by_the_fake(desk: Desk) -> None:
    """The fake is as strict as Graph: a property it does not know is a 400, so a typo of ours cannot pass."""
    from deploy.entra.graph import Graph, GraphRefused

    graph = Graph("a-token", transport=desk.graph)
    with pytest.raises(GraphRefused, match="Invalid property 'identifierUri'"):
        graph.write("PATCH", "/applications(uniqueName='x')", {"identifierUri": "api://x"}, upsert=True)
    graph.close()
