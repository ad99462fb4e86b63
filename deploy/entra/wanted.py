"""What a tenant should hold: pure data, as Microsoft Graph v1.0 spells it. Nothing here calls anything."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

JSON = dict[str, Any]

READ: Final = "ToDoList.Read"
READ_WRITE: Final = "ToDoList.ReadWrite"
READ_ALL: Final = "ToDoList.Read.All"
READ_WRITE_ALL: Final = "ToDoList.ReadWrite.All"
GRAPH_APP_ID: Final = "00000003-0000-0000-c000-000000000000"
GRAPH_SCOPES: Final = ("openid", "offline_access")
_NAMESPACE: Final = uuid.UUID("5f6c7f0a-90d4-4a53-9a0b-6f0c2f6d6a11")
_FLOW: Final = "#microsoft.graph.externalUsersSelfServiceSignUpEventsFlow"
_ON: Final = "#microsoft.graph.on{}ExternalUsersSelfServiceSignUp"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One set of registrations. ``label`` tells several sets in one tenant apart, and marks what is ours."""

    label: str = "todo"
    public_url: str = "http://localhost:3000"
    daemon: bool = True
    flow_name: str = "SignInSignUpSample"

    @property
    def mark(self) -> str:
        """The tag and the note that say: made by this command, under this label."""
        return f"sealed-bff:{self.label}"

    @property
    def redirect_uris(self) -> list[str]:
        """Sign-in comes back to the first, sign-out to the second; both must be registered (T-11)."""
        return [f"{self.public_url}/bff/callback", f"{self.public_url}/bff/logged-out"]

    def unique_name(self, role: str) -> str:
        """The alternate key of a registration: what it is found by, whatever somebody renames it to."""
        return f"sealed-bff-{self.label}-{role}"

    def permission_id(self, value: str) -> str:
        """The id of a scope or role: the same at every run, so that a repeated request makes nothing twice."""
        return str(uuid.uuid5(_NAMESPACE, f"{self.label}/{value}"))

    def api(self, found: Mapping[str, Any]) -> JSON:
        """The API's registration (T-02 to T-09); what others added to ``found`` is kept."""
        exposed: JSON = found.get("api") or {}
        scopes = merged(exposed.get("oauth2PermissionScopes"), self._scopes(), "value")
        roles = merged(found.get("appRoles"), self._roles(), "value")
        claims: JSON = found.get("optionalClaims") or {}
        idtyp = [{"name": "idtyp", "essential": False, "additionalProperties": []}]
        wanted = {
            "displayName": found.get("displayName", "ciam-ToDoList-api"),
            "signInAudience": "AzureADMyOrg",
            "tags": _with(found.get("tags"), [self.mark]),
            "api": {"requestedAccessTokenVersion": 2, "oauth2PermissionScopes": scopes},
            "appRoles": roles,
            "optionalClaims": {"accessToken": merged(claims.get("accessToken"), idtyp, "name")},
        }
        if "appId" in found:  # the URI names the id, which exists only once the registration does
            wanted["identifierUris"] = _with(found.get("identifierUris"), [f"api://{found['appId']}"])
        return wanted

    def client(self, found: Mapping[str, Any], access: list[JSON]) -> JSON:
        """The BFF's registration (T-10, T-11, T-13, T-14): web platform only, no implicit grant."""
        web: JSON = found.get("web") or {}
        claims: JSON = found.get("optionalClaims") or {}
        # sid lets a sign-out elsewhere end the session here; login_hint spares a person the question whom to sign out.
        told: list[JSON] = [
            {"name": name, "essential": False, "additionalProperties": []} for name in ("sid", "login_hint")
        ]
        return {
            "displayName": found.get("displayName", "ciam-client-app"),
            "signInAudience": "AzureADMyOrg",
            "tags": _with(found.get("tags"), [self.mark]),
            "web": {
                "redirectUris": _with(web.get("redirectUris"), self.redirect_uris),
                "logoutUrl": f"{self.public_url}/bff/frontchannel-logout",
                "implicitGrantSettings": {"enableAccessTokenIssuance": False, "enableIdTokenIssuance": False},
            },
            "optionalClaims": {"idToken": merged(claims.get("idToken"), told, "name")},
            "requiredResourceAccess": merged(found.get("requiredResourceAccess"), access, "resourceAppId"),
        }

    def daemon_client(self, found: Mapping[str, Any], access: list[JSON]) -> JSON:
        """The daemon's registration (T-19): no redirect URI, application permissions only."""
        return {
            "displayName": found.get("displayName", "ciam-daemon-app"),
            "signInAudience": "AzureADMyOrg",
            "tags": _with(found.get("tags"), [self.mark]),
            "requiredResourceAccess": merged(found.get("requiredResourceAccess"), access, "resourceAppId"),
        }

    def flow(self) -> JSON:
        """The user flow (T-17): sign-up with email and password, and three attributes asked at the first sign-up."""
        attributes = [_EMAIL, _NAME, _COUNTRY, _POSTAL_CODE]
        view = {"title": None, "description": None, "inputs": [_input(attribute) for attribute in attributes]}
        return {
            "@odata.type": _FLOW,
            "displayName": self.flow_name,
            "description": self.mark,
            "onInteractiveAuthFlowStart": {
                "@odata.type": _ON.format("InteractiveAuthFlowStart"),
                "isSignUpAllowed": True,
            },
            "onAuthenticationMethodLoadStart": {
                "@odata.type": _ON.format("AuthenticationMethodLoadStart"),
                "identityProviders": [
                    {
                        "@odata.type": "#microsoft.graph.builtInIdentityProvider",
                        "id": "EmailPassword-OAUTH",
                    }
                ],
            },
            "onAttributeCollection": {
                "@odata.type": _ON.format("AttributeCollection"),
                "attributes": [_attribute(attribute) for attribute in attributes],
                "attributeCollectionPage": {"views": [view]},
            },
            "onUserCreateStart": {"@odata.type": _ON.format("UserCreateStart"), "userTypeToCreate": "member"},
        }

    def _scopes(self) -> list[JSON]:
        return [
            self._scope(
                READ,
                "Read users ToDo list using the 'TodoListApi'",
                "Allow the app to read the user's ToDo list using the 'TodoListApi'.",
            ),
            self._scope(
                READ_WRITE,
                "Read and write users ToDo list using the 'ToDoListApi'",
                "Allow the app to read and write the user's ToDo list using the 'ToDoListApi'",
            ),
        ]

    def _scope(self, value: str, name: str, description: str) -> JSON:
        return {
            "id": self.permission_id(value),
            "value": value,
            "type": "Admin",  # consumers cannot consent in an external tenant (T-15)
            "adminConsentDisplayName": name,
            "adminConsentDescription": description,
            "isEnabled": True,
        }

    def _roles(self) -> list[JSON]:
        texts = {
            READ_ALL: "Allow the app to read every user's ToDo list using the 'TodoListApi'",
            READ_WRITE_ALL: "Allow the app to read and write every user's ToDo list using the 'ToDoListApi'",
        }
        return [
            {
                "id": self.permission_id(value),
                "value": value,
                "displayName": value,
                "description": description,
                "allowedMemberTypes": ["Application"],
                "isEnabled": True,
            }
            for value, description in texts.items()
        ]


def access_to(app_id: str, permissions: Iterable[str], kind: str) -> JSON:
    """One resource of ``requiredResourceAccess``; ``kind`` is Scope (delegated) or Role (application)."""
    wanted = [{"id": permission, "type": kind} for permission in permissions]
    return {"resourceAppId": app_id, "resourceAccess": wanted}


def merged(found: list[JSON] | None, wanted: list[JSON], key: str) -> list[JSON]:
    """``found`` with every wanted member as wanted; an id that is there already stays, because tokens name it."""
    by_key = {one[key]: one for one in found or []}
    for one in wanted:
        there = by_key.get(one[key], {})
        joined = {**there, **one, **({"id": there["id"]} if "id" in there else {})}
        if "resourceAccess" in one:
            joined["resourceAccess"] = merged(there.get("resourceAccess"), one["resourceAccess"], "id")
        by_key[one[key]] = joined
    return list(by_key.values())


def covers(found: Any, wanted: Any) -> bool:  # noqa: ANN401 — because JSON has no narrower type
    """Whether ``found`` holds all that is wanted; what Graph adds of its own is no difference."""
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(covers(found.get(key), value) for key, value in wanted.items())
    if isinstance(wanted, list):
        return isinstance(found, list) and all(any(covers(there, one) for there in found) for one in wanted)
    return bool(found == wanted)


def _with(found: list[str] | None, wanted: list[str]) -> list[str]:
    return [*(found or []), *(one for one in wanted if one not in (found or []))]


_EMAIL: Final[JSON] = {"id": "email", "displayName": "Email Address", "required": True, "hidden": True}
_NAME: Final[JSON] = {"id": "displayName", "displayName": "Display Name", "required": True}
_COUNTRY: Final[JSON] = {"id": "country", "displayName": "Country/Region"}
_POSTAL_CODE: Final[JSON] = {"id": "postalCode", "displayName": "Postal Code"}
_EMAIL_PATTERN: Final = r"^[a-zA-Z0-9.!#$%&'*+/=?^_`{|}~-]+@[a-zA-Z0-9-]+(?:\.[a-zA-Z0-9-]+)*$"


def _attribute(attribute: JSON) -> JSON:
    return {
        "id": attribute["id"],
        "displayName": attribute["displayName"],
        "description": attribute["displayName"],
        "userFlowAttributeType": "builtIn",
        "dataType": "string",
    }


def _input(attribute: JSON) -> JSON:
    hidden = attribute.get("hidden", False)
    return {
        "attribute": attribute["id"],
        "label": attribute["displayName"],
        "inputType": "text",
        "hidden": hidden,
        "editable": not hidden,  # the email was proven a step earlier
        "writeToDirectory": True,
        "required": attribute.get("required", False),
        "validationRegEx": _EMAIL_PATTERN if hidden else "^.*",
    }
