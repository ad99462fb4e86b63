"""A Microsoft Graph that keeps state and refuses what Graph refuses; its copies lag, it throttles, it checks roles."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

TENANT = "3b1c9d60-8a51-4f0e-9d6f-0f7f3a2d9c11"
ALL_SCOPES = frozenset({"Application", "DelegatedPermissionGrant", "AppRoleAssignment", "EventListener"})
# Per type, what Graph v1.0 knows; anything else is a 400, as it is there.
KNOWN: dict[str, set[str]] = {
    "applications": {
        "displayName", "signInAudience", "tags", "api", "appRoles", "optionalClaims", "identifierUris", "web",
        "requiredResourceAccess", "keyCredentials",
    },
    "servicePrincipals": {"appId", "tags"},
    "oauth2PermissionGrants": {"clientId", "consentType", "scope", "resourceId"},
    "appRoleAssignedTo": {"principalId", "resourceId", "appRoleId"},
    "authenticationEventsFlows": {
        "@odata.type", "displayName", "description", "onInteractiveAuthFlowStart", "onAuthenticationMethodLoadStart",
        "onAttributeCollection", "onUserCreateStart",
    },
    "includeApplications": {"@odata.type", "appId"},
    "addPassword": {"passwordCredential"},
}  # fmt: skip


class Refusal(Exception):
    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


@dataclass
class FakeGraph(httpx.BaseTransport):
    """``lag``: how often a new object is denied before it is known. ``busy``: how many calls are throttled first.

    ``roles``: which parts the signed-in administrator may write. ``breaks_at``: the n-th write is carried out, and its
    answer lost. ``requests`` keeps every write.
    """

    lag: int = 0
    busy: int = 0
    roles: frozenset[str] = ALL_SCOPES
    breaks_at: int | None = None
    applications: dict[str, dict[str, Any]] = field(default_factory=dict)
    principals: dict[str, dict[str, Any]] = field(default_factory=dict)
    grants: dict[str, dict[str, Any]] = field(default_factory=dict)
    assignments: list[dict[str, Any]] = field(default_factory=list)
    flows: dict[str, dict[str, Any]] = field(default_factory=dict)
    included: dict[str, list[str]] = field(default_factory=dict)
    bin: dict[str, dict[str, Any]] = field(default_factory=dict)
    unseen: dict[str, int] = field(default_factory=dict)
    requests: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    asked: list[tuple[str, str]] = field(default_factory=list)
    secrets: list[str] = field(default_factory=list)
    prefers: str = ""

    def __post_init__(self) -> None:
        scopes = [{"id": str(uuid.uuid4()), "value": value} for value in ("openid", "offline_access", "User.Read")]
        self.add_principal("00000003-0000-0000-c000-000000000000", oauth2PermissionScopes=scopes)
        self.unseen.clear()

    # -- the wire ------------------------------------------------------------------------------------------------

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/v1.0")
        self.asked.append((request.method, path))
        if request.headers.get("Authorization") != "Bearer a-token":
            return _error(Refusal(401, "InvalidAuthenticationToken", "Access token is empty."))
        if self.busy > 0:
            self.busy -= 1
            return httpx.Response(
                429, headers={"Retry-After": "7"}, json={"error": {"code": "TooManyRequests", "message": "slow"}}
            )
        body = json.loads(request.content) if request.content else {}
        try:
            answer = self._route(request.method, path, body, request.headers.get("Prefer", ""))
        except Refusal as refusal:
            return _error(refusal)
        if request.method != "GET":
            self.requests.append((request.method, path, body))
            if self.breaks_at is not None and len(self.requests) == self.breaks_at:
                self.breaks_at = None
                raise httpx.ReadError("the connection was lost", request=request)
        return httpx.Response(204) if answer is None else httpx.Response(200, json=answer)

    def _route(self, method: str, path: str, body: dict[str, Any], prefer: str) -> Any:
        for pattern, verb, handler in self._routes():
            match = re.fullmatch(pattern, path)
            if match and verb == method:
                self.prefers = prefer
                return handler(*match.groups(), body)
        raise Refusal(400, "BadRequest", f"Resource not found for the segment {path!r}.")

    def _routes(self) -> list[tuple[str, str, Callable[..., Any]]]:
        flows = "/identity/authenticationEventsFlows"
        return [
            ("/organization", "GET", self._organization),
            (r"/applications\(uniqueName='([^']+)'\)", "GET", lambda name, _: self._seen(self._by_name(name))),
            (r"/applications\(uniqueName='([^']+)'\)", "PATCH", self._upsert),
            (r"/applications/([^/]+)", "PATCH", self._change_application),
            (r"/applications/([^/]+)", "DELETE", self._delete_application),
            (r"/applications/([^/]+)/addPassword", "POST", self._add_password),
            (r"/directory/deletedItems/([^/]+)", "DELETE", self._purge),
            (r"/servicePrincipals\(appId='([^']+)'\)", "GET", lambda app, _: self._seen(self._principal_of(app))),
            ("/servicePrincipals", "POST", self._make_principal),
            (r"/servicePrincipals/([^/]+)/oauth2PermissionGrants", "GET", self._grants_of),
            (r"/servicePrincipals/([^/]+)/appRoleAssignments", "GET", self._assignments_of),
            (r"/servicePrincipals/([^/]+)/appRoleAssignedTo", "POST", self._assign),
            ("/oauth2PermissionGrants", "POST", self._grant),
            (r"/oauth2PermissionGrants/([^/]+)", "PATCH", self._change_grant),
            (flows, "GET", lambda _: {"value": list(self.flows.values())}),
            (flows, "POST", self._make_flow),
            (rf"{flows}/([^/]+)", "DELETE", self._delete_flow),
            (rf"{flows}/([^/]+)/conditions/applications/includeApplications", "GET", self._included_in),
            (rf"{flows}/([^/]+)/conditions/applications/includeApplications", "POST", self._include),
            (rf"{flows}/([^/]+)/conditions/applications/includeApplications/([^/]+)", "DELETE", self._exclude),
        ]

    # -- applications and principals -----------------------------------------------------------------------------

    def _organization(self, _: Any) -> Any:
        domains = [
            {"name": "shop.example.com", "isInitial": False},
            {"name": "contoso.onmicrosoft.com", "isInitial": True},
        ]
        return {"value": [{"id": TENANT, "verifiedDomains": domains}]}

    def _by_name(self, name: str) -> dict[str, Any] | None:
        return next((one for one in self.applications.values() if one.get("uniqueName") == name), None)

    def _principal_of(self, app_id: str) -> dict[str, Any] | None:
        return next((one for one in self.principals.values() if one["appId"] == app_id), None)

    def _seen(self, found: dict[str, Any] | None) -> dict[str, Any]:
        """What a copy of the directory answers: 404 until the new object has arrived there."""
        if found is None or self.unseen.get(found["id"], 0) > 0:
            if found is not None:
                self.unseen[found["id"]] -= 1
            raise Refusal(404, "Request_ResourceNotFound", "Resource does not exist.")
        return found

    def _upsert(self, name: str, body: dict[str, Any]) -> Any:
        self._may("Application")
        found = self._by_name(name)
        if found is None and "create-if-missing" not in self.prefers:
            raise Refusal(404, "Request_ResourceNotFound", "Resource does not exist.")
        if found is not None:
            return self._change_application(found["id"], body)
        if any(one.get("uniqueName") == name for one in self.bin.values()):
            raise Refusal(400, "Request_BadRequest", "uniqueName is used by a deleted object.")
        made = self._checked("applications", body)
        made |= {"id": str(uuid.uuid4()), "appId": str(uuid.uuid4()), "uniqueName": name, "passwordCredentials": []}
        self.applications[made["id"]] = made
        self.unseen[made["id"]] = self.lag
        return made

    def _change_application(self, identifier: str, body: dict[str, Any]) -> None:
        self._may("Application")
        application = self._seen(self.applications.get(identifier))
        self._checked("applications", body)
        for uri in body.get("identifierUris", []):
            if uri.startswith("api://") and application["appId"] not in uri:
                raise Refusal(400, "Request_BadRequest", "identifierUris must use the tenant's domain or the appId.")
        values = [one["value"] for key in ("appRoles",) for one in body.get(key, [])]
        values += [one["value"] for one in body.get("api", {}).get("oauth2PermissionScopes", [])]
        if len(values) != len(set(values)):
            raise Refusal(400, "DuplicateValue", "Property value is used twice.")
        application.update(body)

    def _add_password(self, identifier: str, body: dict[str, Any]) -> Any:
        self._may("Application")
        application = self._seen(self.applications.get(identifier))
        self._checked("addPassword", body)
        secret = f"q{len(self.secrets)}~{uuid.uuid4().hex}"
        self.secrets.append(secret)
        kept = {**body["passwordCredential"], "keyId": str(uuid.uuid4()), "hint": secret[:3]}
        application["passwordCredentials"].append(kept)
        return {**kept, "secretText": secret}

    def _delete_application(self, identifier: str, _: Any) -> None:
        self._may("Application")
        application = self.applications.pop(self._seen(self.applications.get(identifier))["id"])
        self.bin[identifier] = application
        principal = self._principal_of(application["appId"])
        if principal is not None:
            del self.principals[principal["id"]]
            gone = principal["id"]
            self.grants = {
                key: one for key, one in self.grants.items() if gone not in (one["clientId"], one["resourceId"])
            }
            self.assignments = [one for one in self.assignments if gone not in (one["principalId"], one["resourceId"])]
        for apps in self.included.values():
            if application["appId"] in apps:
                apps.remove(application["appId"])

    def _purge(self, identifier: str, _: Any) -> None:
        if self.bin.pop(identifier, None) is None:
            raise Refusal(404, "Request_ResourceNotFound", "not in the bin")

    def add_principal(self, app_id: str, **more: Any) -> dict[str, Any]:
        made = {"id": str(uuid.uuid4()), "appId": app_id, **more}
        self.principals[made["id"]] = made
        self.unseen[made["id"]] = self.lag
        return made

    def _make_principal(self, body: dict[str, Any]) -> Any:
        self._may("Application")
        self._checked("servicePrincipals", body)
        application = next((one for one in self.applications.values() if one["appId"] == body["appId"]), None)
        if application is None or self.unseen.get(application["id"], 0) > 0:
            if application is not None:
                self.unseen[application["id"]] -= 1
            raise Refusal(400, "NoBackingApplicationObject", "The appId does not reference a valid application object.")
        if self._principal_of(body["appId"]):
            raise Refusal(409, "Request_MultipleObjectsWithSameKeyValue", "The service principal exists already.")
        return self.add_principal(body["appId"], tags=body["tags"])

    # -- consent ---------------------------------------------------------------------------------------------------

    def _grants_of(self, principal: str, _: Any) -> Any:
        return {"value": [one for one in self.grants.values() if one["clientId"] == principal]}

    def _grant(self, body: dict[str, Any]) -> Any:
        self._may("DelegatedPermissionGrant")
        self._checked("oauth2PermissionGrants", body)
        for key in ("clientId", "resourceId"):
            self._seen(self.principals.get(body[key]))
        if any(
            one["clientId"] == body["clientId"] and one["resourceId"] == body["resourceId"]
            for one in self.grants.values()
        ):
            raise Refusal(409, "Request_MultipleObjectsWithSameKeyValue", "Permission entry already exists.")
        made = {**body, "id": str(uuid.uuid4())}
        self.grants[made["id"]] = made
        return made

    def _change_grant(self, identifier: str, body: dict[str, Any]) -> None:
        self._may("DelegatedPermissionGrant")
        self.grants[identifier]["scope"] = body["scope"]

    def _assignments_of(self, principal: str, _: Any) -> Any:
        return {"value": [one for one in self.assignments if one["principalId"] == principal]}

    def _assign(self, resource: str, body: dict[str, Any]) -> Any:
        self._may("AppRoleAssignment")
        self._checked("appRoleAssignedTo", body)
        app_id = self._seen(self.principals.get(resource))["appId"]
        application = next(one for one in self.applications.values() if one["appId"] == app_id)
        if body["appRoleId"] not in {role["id"] for role in application["appRoles"]}:
            raise Refusal(400, "Request_BadRequest", "Permission being assigned was not found on application.")
        self.assignments.append(body)
        return body

    # -- user flows ------------------------------------------------------------------------------------------------

    def _make_flow(self, body: dict[str, Any]) -> Any:
        self._may("EventListener")
        self._checked("authenticationEventsFlows", body)
        if any(one["displayName"] == body["displayName"] for one in self.flows.values()):
            raise Refusal(400, "BadRequest", "A user flow of this name exists.")
        made = {**body, "id": str(uuid.uuid4())}
        self.flows[made["id"]] = made
        self.included[made["id"]] = []
        return made

    def _delete_flow(self, identifier: str, _: Any) -> None:
        self._may("EventListener")
        del self.flows[identifier]

    def _included_in(self, flow: str, _: Any) -> Any:
        return {"value": [{"appId": one} for one in self.included[flow]]}

    def _include(self, flow: str, body: dict[str, Any]) -> Any:
        self._may("EventListener")
        self._checked("includeApplications", body)
        if any(body["appId"] in apps for apps in self.included.values()):
            raise Refusal(400, "BadRequest", "The application is associated with a user flow already.")
        self._seen(self._principal_of(body["appId"]))
        self.included[flow].append(body["appId"])
        return body

    def _exclude(self, flow: str, app_id: str, _: Any) -> None:
        self._may("EventListener")
        self.included[flow].remove(app_id)

    # -- refusals ----------------------------------------------------------------------------------------------------

    def _may(self, role: str) -> None:
        if role not in self.roles:
            raise Refusal(403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.")

    def _checked(self, kind: str, body: dict[str, Any]) -> dict[str, Any]:
        for key in body:
            if key not in KNOWN[kind]:
                raise Refusal(400, "Request_BadRequest", f"Invalid property '{key}'.")
        return dict(body)


def _error(refusal: Refusal) -> httpx.Response:
    return httpx.Response(refusal.status, json={"error": {"code": refusal.code, "message": refusal.message}})
