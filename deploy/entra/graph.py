"""Microsoft Graph v1.0 over httpx: one call, its patience, and its refusals in words. The only door to the network."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import httpx

GRAPH: Final = "https://graph.microsoft.com"
PATIENCE: Final = 8
LONGEST_WAIT: Final = 60.0
_BUSY: Final = frozenset({429, 503, 504})
_CURES: Final = {
    401: "the access token is not accepted. Cure: sign in again; it must be for https://graph.microsoft.com",
    403: "a permission or a role is missing. Cure: an account with the roles Application Developer (or Cloud "
    "Application Administrator, for the consent) and External ID User Flow Administrator, and a token with {scopes}",
}
SCOPES: Final = (
    "Application.ReadWrite.All",
    "DelegatedPermissionGrant.ReadWrite.All",
    "AppRoleAssignment.ReadWrite.All",
    "EventListener.ReadWrite.All",
    "Organization.Read.All",
)


class GraphRefused(Exception):
    """Graph said no: the status, its code, its words, and the cure where one is known. Never a body of ours."""

    def __init__(self, what: str, status: int, code: str, message: str) -> None:
        cure = _CURES.get(status, "").format(scopes=", ".join(SCOPES))
        super().__init__(f"{what}: {status} {code}: {message}" + (f"\n  {cure}" if cure else ""))
        self.status, self.code = status, code


class GraphUnreachable(Exception):
    """No answer came; apply can simply be run again."""


class Graph:
    """Calls with one token. ``sleep`` is what a test replaces; a wait is told to ``tell`` before it is taken."""

    def __init__(
        self,
        token: str,
        *,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
        tell: Callable[[str], None] = lambda _: None,
        base_url: str = GRAPH,
    ) -> None:
        self._http = httpx.Client(
            base_url=f"{base_url}/v1.0",
            headers={"Authorization": f"Bearer {token}", "Accept": "application/json"},
            transport=transport,
            trust_env=False,
            timeout=30,
        )
        self._sleep, self._tell = sleep, tell

    def find(self, path: str) -> dict[str, Any] | None:
        """The object at ``path``, or None where there is none."""
        try:
            return self._call("GET", path)
        except GraphRefused as refusal:
            if refusal.status == httpx.codes.NOT_FOUND:
                return None
            raise

    def listed(self, path: str) -> Iterator[dict[str, Any]]:
        """Every member of a collection, over all its pages."""
        page: dict[str, Any] | None = self._call("GET", path)
        while page:
            yield from page.get("value", [])
            following = page.get("@odata.nextLink")
            page = self._call("GET", following) if following else None

    def write(
        self, method: str, path: str, body: dict[str, Any], *, new_parts: bool = True, upsert: bool = False
    ) -> dict[str, Any]:
        """Create or change. Where the body names something made a moment ago, Graph's copies may not know it yet:
        ``new_parts`` says to wait for them.
        """
        headers = {"Prefer": "create-if-missing"} if upsert else {}
        return self._call(method, path, body=body, headers=headers, patient=new_parts)

    def delete(self, path: str) -> bool:
        """Delete; whether there was something to delete."""
        try:
            self._call("DELETE", path)
        except GraphRefused as refusal:
            if refusal.status == httpx.codes.NOT_FOUND:
                return False
            raise
        return True

    def wait_for(self, path: str) -> dict[str, Any]:
        """The object at ``path``, once the copy that answers us knows it."""
        return self._call("GET", path, patient=True)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _call(
        self,
        method: str,
        path: str,
        *,
        body: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
        patient: bool = False,
    ) -> dict[str, Any]:
        for attempt in range(PATIENCE):
            try:
                answer = self._http.request(method, path, json=body, headers=headers)
            except httpx.TransportError as failure:
                # Without the cause: its request carries the token.
                raise GraphUnreachable(f"{method} {path}: {type(failure).__name__}. Cure: run it again") from None
            wait = _wait(answer, attempt, patient=patient)
            if wait is None or attempt == PATIENCE - 1:
                break
            self._tell(f"Graph asks for {wait:g} s of patience ({answer.status_code})")
            self._sleep(wait)
        if answer.is_success:
            return answer.json() if answer.content else {}
        code, message = _said(answer)
        raise GraphRefused(f"{method} {path}", answer.status_code, code, message)


def _wait(answer: httpx.Response, attempt: int, *, patient: bool) -> float | None:
    """Seconds until the same call may be tried again; None where another try would hear the same."""
    if answer.status_code in _BUSY:
        asked = answer.headers.get("Retry-After", "")
        return min(float(asked) if asked.isdigit() else 2.0**attempt, LONGEST_WAIT)
    not_yet = answer.status_code == httpx.codes.NOT_FOUND or (
        answer.status_code == httpx.codes.BAD_REQUEST
        and _said(answer)[0] in {"NoBackingApplicationObject", "Request_ResourceNotFound"}
    )
    return min(2.0**attempt, LONGEST_WAIT) if patient and not_yet else None


def _said(answer: httpx.Response) -> tuple[str, str]:
    try:
        error = answer.json()["error"]
        return str(error["code"]), str(error["message"])[:400]
    except (ValueError, KeyError, TypeError):
        return "unknown", "no words of Graph's own"
