"""The preparation, step by step: each looks first, says what differs, and writes only that.

``plan`` asks every step what it would do; ``apply`` has each do it, and may be run again after any failure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from deploy.entra import credentials
from deploy.entra.graph import Graph
from deploy.entra.registrations import Registration, application_difference, make_application, make_principal
from deploy.entra.wanted import (
    GRAPH_APP_ID,
    GRAPH_SCOPES,
    JSON,
    READ,
    READ_ALL,
    READ_WRITE,
    READ_WRITE_ALL,
    Wanted,
    access_to,
)

FLOWS = "/identity/authenticationEventsFlows"


@dataclass(frozen=True, slots=True)
class Step:
    """``difference`` says what would change, or nothing; ``make`` changes it."""

    title: str
    difference: Callable[[], str]
    make: Callable[[], object]


@dataclass(slots=True, kw_only=True)
class Preparation:
    """Everything known about one tenant while it is prepared. ``folder`` is where credentials are written."""

    graph: Graph
    wanted: Wanted
    folder: Path
    now: datetime
    certificate: bool = False
    tenant_id: str = ""
    subdomain: str = ""
    flow: dict[str, Any] = field(default_factory=dict, repr=False)
    graph_principal: dict[str, Any] = field(default_factory=dict, repr=False)
    api: Registration = field(init=False)
    client: Registration = field(init=False)
    daemon: Registration = field(init=False)

    def __post_init__(self) -> None:
        self.api, self.client, self.daemon = (
            Registration(role, self.wanted.unique_name(role)) for role in ("api", "client", "daemon")
        )

    def look(self) -> None:
        """Read what the tenant holds of ours; nothing is written."""
        organization = next(self.graph.listed("/organization"))
        self.tenant_id = organization["id"]
        initial = next(one["name"] for one in organization["verifiedDomains"] if one["isInitial"])
        self.subdomain = initial.partition(".")[0]
        self.graph_principal = self.graph.find(f"/servicePrincipals(appId='{GRAPH_APP_ID}')") or {}
        for registration in self.registrations():
            registration.look(self.graph)
        named = [one for one in self.graph.listed(FLOWS) if one["displayName"] == self.wanted.flow_name]
        self.flow = named[0] if named else {}

    def registrations(self) -> list[Registration]:
        """What is to be registered; the API first, because the others name it."""
        return [self.api, self.client, *([self.daemon] if self.wanted.daemon else [])]

    def steps(self) -> Iterator[Step]:
        """All of it, in the order in which it must be made."""
        yield self._application(self.api, self.wanted.api, "API registration: URI, two scopes, two roles, idtyp, v2")
        yield self._principal(self.api)
        yield self._application(self.client, self._client, "client registration: redirect URIs, permissions")
        yield self._principal(self.client)
        yield self._credential(self.client)
        yield self._grant("openid offline_access", "Microsoft Graph", lambda: self.graph_principal)
        yield self._grant(f"{READ} {READ_WRITE}", "the API", lambda: self.api.principal)
        if self.wanted.daemon:
            yield self._application(self.daemon, self._daemon, "daemon registration: application permissions")
            yield self._principal(self.daemon)
            yield self._credential(self.daemon)
            for role in (READ_ALL, READ_WRITE_ALL):
                yield self._assignment(role)
        yield Step(f"user flow {self.wanted.flow_name}", lambda: "" if self.flow else "create", self._make_flow)
        yield Step("the client uses the user flow", self._association_difference, self._associate)

    def secret_path(self, registration: Registration) -> Path:
        """Where a registration's secret lies."""
        return self.folder / f"{registration.role}-secret"

    def certificate_folder(self, registration: Registration) -> Path:
        """Where a registration's key and certificate lie."""
        return self.folder / f"{registration.role}-certificate"

    def kept(self, registration: Registration) -> credentials.Kept | None:
        """The registration's credential, where there is a good one."""
        if self.certificate:
            return credentials.kept_certificate(registration, self.certificate_folder(registration), self.now)
        return credentials.kept_secret(registration, self.secret_path(registration), self.now)

    def other_secrets(self, registration: Registration) -> int:
        """How many secrets of a registration are good beside the one that lies here."""
        return credentials.other_secrets(registration, self.secret_path(registration), self.now)

    # -- what the steps do ---------------------------------------------------------------------------------------

    def _application(self, registration: Registration, wanted: Callable[[JSON], JSON], title: str) -> Step:
        def difference() -> str:
            if not registration.application:
                return "create"
            changes = application_difference(registration, wanted)
            return f"change {', '.join(changes)}" if changes else ""

        return Step(title, difference, lambda: make_application(self.graph, registration, wanted))

    def _principal(self, registration: Registration) -> Step:
        return Step(
            f"service principal of the {registration.role}",
            lambda: "" if registration.principal else "create",
            lambda: make_principal(self.graph, registration, self.wanted.mark),
        )

    def _credential(self, registration: Registration) -> Step:
        kind = "certificate" if self.certificate else "secret"

        def make() -> credentials.Kept:
            if self.certificate:
                folder = self.certificate_folder(registration)
                return credentials.make_certificate(self.graph, registration, folder, self.now)
            return credentials.make_secret(self.graph, registration, self.secret_path(registration), self.now)

        return Step(f"{kind} of the {registration.role}", lambda: "" if self.kept(registration) else "create", make)

    def _client(self, found: JSON) -> JSON:
        known = {one["value"]: one["id"] for one in self.graph_principal.get("oauth2PermissionScopes", [])}
        ours = [self._permission(value) for value in (READ, READ_WRITE)]
        return self.wanted.client(
            found,
            [
                access_to(self.api.app_id, ours, "Scope"),
                access_to(GRAPH_APP_ID, [known[value] for value in GRAPH_SCOPES if value in known], "Scope"),
            ],
        )

    def _daemon(self, found: JSON) -> JSON:
        ours = [self._permission(value) for value in (READ_ALL, READ_WRITE_ALL)]
        return self.wanted.daemon_client(found, [access_to(self.api.app_id, ours, "Role")])

    def _permission(self, value: str) -> str:
        """The id under which the API has this scope or role, which may be one that somebody else gave it."""
        exposed = self.api.application.get("api", {}).get("oauth2PermissionScopes", [])
        for one in [*exposed, *self.api.application.get("appRoles", [])]:
            if one["value"] == value:
                return str(one["id"])
        return self.wanted.permission_id(value)

    def _grant(self, scope: str, whose: str, resource: Callable[[], JSON]) -> Step:
        """Admin consent for everybody in the tenant (T-15)."""

        def found() -> JSON | None:
            if not self.client.principal or not resource():
                return None
            path = f"/servicePrincipals/{self.client.principal['id']}/oauth2PermissionGrants"
            ours = (one for one in self.graph.listed(path) if one["resourceId"] == resource()["id"])
            return next((one for one in ours if one["consentType"] == "AllPrincipals"), None)

        def difference() -> str:
            missing = set(scope.split()) - set((found() or {}).get("scope", "").split())
            return f"consent to {', '.join(sorted(missing))}" if missing else ""

        def make() -> None:
            there = found()
            if there is None:
                body = {"clientId": self.client.principal["id"], "consentType": "AllPrincipals", "scope": scope}
                body |= {"resourceId": resource()["id"]}
                self.graph.write("POST", "/oauth2PermissionGrants", body)
            else:
                joined = " ".join(dict.fromkeys([*there["scope"].split(), *scope.split()]))
                self.graph.write("PATCH", f"/oauth2PermissionGrants/{there['id']}", {"scope": joined})

        return Step(f"admin consent: {whose}", difference, make)

    def _assignment(self, role: str) -> Step:
        """Admin consent for an application permission: an assignment of the API's role (T-19)."""

        def difference() -> str:
            if not self.daemon.principal:
                return "assign"
            path = f"/servicePrincipals/{self.daemon.principal['id']}/appRoleAssignments"
            there = {one["appRoleId"] for one in self.graph.listed(path)}
            return "" if self._permission(role) in there else "assign"

        def make() -> None:
            path = f"/servicePrincipals/{self.api.principal['id']}/appRoleAssignedTo"
            body = {"principalId": self.daemon.principal["id"], "resourceId": self.api.principal["id"]}
            self.graph.write("POST", path, {**body, "appRoleId": self._permission(role)})

        return Step(f"admin consent: the daemon's {role}", difference, make)

    def _make_flow(self) -> None:
        self.flow = self.graph.write("POST", FLOWS, self.wanted.flow())

    def _included(self) -> str:
        return f"{FLOWS}/{self.flow['id']}/conditions/applications/includeApplications"

    def _association_difference(self) -> str:
        if not self.flow or not self.client.application:
            return "associate"
        there = {one["appId"] for one in self.graph.listed(self._included())}
        return "" if self.client.app_id in there else "associate"

    def _associate(self) -> None:
        body = {"@odata.type": "#microsoft.graph.authenticationConditionApplication", "appId": self.client.app_id}
        self.graph.write("POST", self._included(), body)

    def removals(self) -> Iterator[Step]:
        """What ``destroy`` does: only what carries our unique names and our mark, the newest first."""
        flow_is_ours = self.flow.get("description") == self.wanted.mark
        if self.flow and self.client.application and not flow_is_ours:
            path = f"{self._included()}/{self.client.app_id}"
            yield Step("the client leaves the user flow", lambda: "remove", lambda: self.graph.delete(path))
        for registration in reversed(self.registrations()):
            if self.wanted.mark in registration.application.get("tags", []):
                yield Step(
                    f"{registration.role} registration, with its service principal, consents and credentials",
                    lambda: "remove for good",
                    lambda registration=registration: self._remove(registration),  # type: ignore[misc]  # mypy infers no type for a default
                )
        if flow_is_ours:
            flow = f"{FLOWS}/{self.flow['id']}"
            yield Step(f"user flow {self.wanted.flow_name}", lambda: "remove", lambda: self.graph.delete(flow))

    def _remove(self, registration: Registration) -> None:
        """Delete, and delete from the bin as well: a unique name in the bin would stop the next apply."""
        identifier = registration.application["id"]
        self.graph.delete(registration.object_path)
        self.graph.delete(f"/directory/deletedItems/{identifier}")
