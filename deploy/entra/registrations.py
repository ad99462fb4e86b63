"""One registration: its application, its service principal, and what differs between found and wanted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from deploy.entra.graph import Graph
from deploy.entra.wanted import JSON, covers


@dataclass(slots=True)
class Registration:
    """What of a registration was found, looked up by its unique name; empty where there is none yet."""

    role: str
    unique_name: str
    application: dict[str, Any] = field(default_factory=dict, repr=False)
    principal: dict[str, Any] = field(default_factory=dict, repr=False)

    @property
    def app_id(self) -> str:
        """The application (client) id."""
        return str(self.application.get("appId", ""))

    @property
    def object_path(self) -> str:
        """The application's own path."""
        return f"/applications/{self.application['id']}"

    def look(self, graph: Graph) -> None:
        """Find the application and its service principal."""
        self.application = graph.find(f"/applications(uniqueName='{self.unique_name}')") or {}
        self.principal = {}
        if self.application:
            self.principal = graph.find(f"/servicePrincipals(appId='{self.app_id}')") or {}


def application_difference(registration: Registration, wanted: Callable[[JSON], JSON]) -> list[str]:
    """The properties that apply would write; all of them where nothing is there."""
    found = registration.application
    return [key for key, value in wanted(found).items() if not covers(found.get(key), value)]


def make_application(graph: Graph, registration: Registration, wanted: Callable[[JSON], JSON]) -> None:
    """Create the application, or write what differs. A lost answer does no harm: the unique name makes it one."""
    if not registration.application:
        path = f"/applications(uniqueName='{registration.unique_name}')"
        made = graph.write("PATCH", path, wanted({}), upsert=True)
        registration.application = made or graph.wait_for(path)
    changes = application_difference(registration, wanted)
    if changes:
        body = wanted(registration.application)
        graph.write("PATCH", registration.object_path, {key: body[key] for key in changes})
        registration.application |= {key: body[key] for key in changes}


def make_principal(graph: Graph, registration: Registration, mark: str) -> None:
    """The application's presence in this tenant: what consent is granted to, and where the user flow finds it."""
    tags = [mark, "WindowsAzureActiveDirectoryIntegratedApp"]  # the second lets the portal list it
    registration.principal = graph.write("POST", "/servicePrincipals", {"appId": registration.app_id, "tags": tags})
