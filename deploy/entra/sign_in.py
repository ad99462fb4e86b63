"""Who runs the command: an administrator, by device code (RFC 8628) with msal, or a token from a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Protocol

from deploy.entra.graph import GRAPH, SCOPES

GRAPH_COMMAND_LINE_TOOLS: Final = "14d82eec-204b-4c2f-b7e8-296a70dab67e"
LOGIN: Final = "https://login.microsoftonline.com"


class SignInFailed(Exception):
    """No token; the text is the authorization server's own."""


class PublicClient(Protocol):
    """The two calls of ``msal.PublicClientApplication`` that are used."""

    def initiate_device_flow(self, scopes: list[str]) -> dict[str, Any]:
        """Ask for a code that a person types elsewhere."""
        ...

    def acquire_token_by_device_flow(self, flow: dict[str, Any]) -> dict[str, Any]:
        """Wait until that person is done, or the code is too old."""
        ...


def by_device_code(client: PublicClient, tell: Callable[[str], None]) -> str:
    """A token for Graph; the person signs in in any browser. Raises SignInFailed."""
    flow = client.initiate_device_flow([f"{GRAPH}/{scope}" for scope in SCOPES])
    if "message" not in flow:
        raise SignInFailed(f"no device code: {flow.get('error_description', 'the server said nothing')}")
    tell(flow["message"])
    answer = client.acquire_token_by_device_flow(flow)
    if "access_token" not in answer:
        raise SignInFailed(f"{answer.get('error')}: {answer.get('error_description', 'the server said nothing')}")
    return str(answer["access_token"])


def public_client(tenant: str, client_id: str | None) -> PublicClient:
    """The client of msal, which is imported here so that a token from a file needs no msal."""
    try:
        import msal
    except ImportError as missing:
        raise SignInFailed(
            "msal is not installed. Cure: make entra, which does it, or --access-token-file"
        ) from missing
    made: PublicClient = msal.PublicClientApplication(
        client_id or GRAPH_COMMAND_LINE_TOOLS, authority=f"{LOGIN}/{tenant}"
    )
    return made


def from_file(path: Path) -> str:
    """A token that somebody else got, for example ``az account get-access-token --resource-type ms-graph``."""
    token = path.read_text(encoding="utf-8").strip()
    if not token or any(character.isspace() for character in token):
        raise SignInFailed(f"{path} holds no access token")
    return token
