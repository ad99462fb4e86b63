"""What we send to Microsoft Graph, read by Microsoft's own models; and the device code, asked for by msal itself."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from deploy.entra import sign_in
from deploy.entra.graph import SCOPES
from tests.entra.fake_graph import FakeGraph
from tests.entra.test_entra_preparation import Desk

pytestmark = pytest.mark.interop


def model_of(path: str) -> Any:
    """The msgraph-sdk model that the body of a request to this path is."""
    from msgraph.generated.applications.item.add_password import add_password_post_request_body as password
    from msgraph.generated.models import (
        app_role_assignment,
        application,
        authentication_condition_application,
        authentication_events_flow,
        o_auth2_permission_grant,
        service_principal,
    )

    models = {
        r"/applications[^/]*(/[^/]+)?": application.Application,
        r"/applications/[^/]+/addPassword": password.AddPasswordPostRequestBody,
        r"/servicePrincipals": service_principal.ServicePrincipal,
        r"/servicePrincipals/[^/]+/appRoleAssignedTo": app_role_assignment.AppRoleAssignment,
        r"/oauth2PermissionGrants(/[^/]+)?": o_auth2_permission_grant.OAuth2PermissionGrant,
        r"/identity/authenticationEventsFlows": authentication_events_flow.AuthenticationEventsFlow,
        r".*/includeApplications": authentication_condition_application.AuthenticationConditionApplication,
    }
    return next(model for pattern, model in models.items() if re.fullmatch(pattern, path))


def unknown_members(model: Any, where: str = "") -> list[str]:
    """The members that no property of Microsoft's model took, at any depth."""
    found = [f"{where}.{key}" for key in getattr(model, "additional_data", {})]
    for key, value in model.backing_store.enumerate_():
        for one in value if isinstance(value, list) else [value]:
            if key != "additional_data" and hasattr(one, "get_field_deserializers"):
                found += unknown_members(one, f"{where}.{key}")
    return found


def parsed(model: Any, body: dict[str, Any]) -> Any:
    """The body as the model reads it."""
    from kiota_serialization_json.json_parse_node_factory import JsonParseNodeFactory

    node = JsonParseNodeFactory().get_root_parse_node("application/json", json.dumps(body).encode())
    return node.get_object_value(model)


@pytest.mark.req("T-02", "T-10", "T-17", "T-18", "T-19")
@pytest.mark.parametrize("options", [(), ("--certificate",)])
def test_every_body_is_what_microsofts_models_say(tmp_path: Path, options: tuple[str, ...]) -> None:
    """No request holds a property that msgraph-sdk does not know, and none loses a value on the way through it."""
    desk = Desk(tmp_path, FakeGraph())
    assert desk.runs("apply", *options) == 0
    bodies = [(path, body) for _, path, body in desk.graph.requests if body]
    assert len(bodies) == len(desk.graph.requests)
    for path, body in bodies:
        model = parsed(model_of(path), body)
        assert unknown_members(model) == [], path
        assert written(model) == normal(body), path


def test_a_property_that_is_misspelt_is_found() -> None:
    """The judge itself: a typo, at the top or deep inside, does not pass for a property."""
    body = {"api": {"requestedAccesTokenVersion": 2}, "identifierUri": "api://x"}
    found = unknown_members(parsed(model_of("/applications/x"), body))
    assert sorted(name.rpartition(".")[2] for name in found) == ["identifierUri", "requestedAccesTokenVersion"]


def written(model: Any) -> Any:
    """What Microsoft's own writer makes of the model."""
    from kiota_serialization_json.json_serialization_writer import JsonSerializationWriter

    writer = JsonSerializationWriter()
    model.serialize(writer)
    return normal(json.loads(writer.get_serialized_content()))


def normal(value: Any) -> Any:
    """JSON without nulls, empty members and spellings of an instant."""
    if isinstance(value, dict):
        # The writer names every type; the body does where Graph needs it, and unknown_members judges those.
        kept = {key: normal(one) for key, one in value.items() if key != "@odata.type"}
        return {key: one for key, one in kept.items() if one not in (None, [], {})}
    if isinstance(value, list):
        return [normal(one) for one in value]
    if isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:]+(Z|\+00:00)", value):
        return value.replace("+00:00", "Z")
    return value


def test_msal_asks_for_a_device_code_with_our_scopes() -> None:
    """Msal takes our scopes and our client, asks for a code, and its answer becomes the token we use."""
    from msal import PublicClientApplication

    http = DeviceEndpoint()
    client = PublicClientApplication(
        sign_in.GRAPH_COMMAND_LINE_TOOLS,
        authority="https://login.microsoftonline.com/organizations",
        http_client=http,
        instance_discovery=False,
    )
    told: list[str] = []
    assert sign_in.by_device_code(client, told.append) == "a-token"
    assert told == ["Type ABCD-EFGH at https://microsoft.com/devicelogin"]
    asked = next(form for url, form in http.posts if url.endswith("/devicecode"))
    assert asked["client_id"] == sign_in.GRAPH_COMMAND_LINE_TOOLS
    assert {f"https://graph.microsoft.com/{scope}" for scope in SCOPES} <= set(asked["scope"].split())


class Reply:
    def __init__(self, body: dict[str, Any]) -> None:
        self.status_code, self.headers, self.text = 200, dict[str, str](), json.dumps(body)

    def raise_for_status(self) -> None:
        """It is a 200."""


class DeviceEndpoint:
    """The few addresses of an authorization server that a device code needs, as msal's own http client."""

    def __init__(self) -> None:
        self.posts: list[tuple[str, dict[str, str]]] = []

    def get(self, url: str, **_: Any) -> Reply:
        base = "https://login.microsoftonline.com/organizations"
        endpoints = {"authorization_endpoint": f"{base}/authorize", "token_endpoint": f"{base}/token"}
        return Reply({**endpoints, "device_authorization_endpoint": f"{base}/devicecode", "issuer": f"{base}/v2.0"})

    def post(self, url: str, data: dict[str, str] | None = None, **_: Any) -> Reply:
        self.posts.append((url, dict(data or {})))
        if url.endswith("/devicecode"):
            code = {"device_code": "d", "user_code": "ABCD-EFGH", "expires_in": 900, "interval": 0}
            uri = "https://microsoft.com/devicelogin"
            return Reply({**code, "verification_uri": uri, "message": f"Type ABCD-EFGH at {uri}"})
        return Reply({"access_token": "a-token", "token_type": "Bearer", "expires_in": 3600})

    def close(self) -> None:
        """Nothing is open."""
