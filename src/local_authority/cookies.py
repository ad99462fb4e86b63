"""The authority's own two cookies: who is signed in, and which browser a form was given to."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from local_authority.options import Options


@dataclass(frozen=True, slots=True)
class Cookies:
    """Named after the port, because cookies do not know ports; under the tenant's path; Lax: clients redirect here."""

    session_name: str
    browser_name: str
    path: str
    secure: bool

    @classmethod
    def of(cls, options: Options) -> Cookies:
        """The cookies of an authority at ``options.origin``."""
        parts = urlsplit(options.origin)
        prefix = f"local-authority-{parts.port or parts.scheme}"
        return cls(f"{prefix}-session", f"{prefix}-browser", f"/{options.tenant_id}/", parts.scheme == "https")

    def session(self, request: Request) -> str | None:
        """The sign-in session's cookie value."""
        return request.cookies.get(self.session_name)

    def browser(self, request: Request) -> str | None:
        """The browser's random name."""
        return request.cookies.get(self.browser_name)

    def keep_session(self, response: Response, value: str) -> None:
        """Sign this browser in."""
        self._set(response, self.session_name, value)

    def drop_session(self, response: Response) -> None:
        """Deleting is setting, with the same attributes."""
        self._set(response, self.session_name, "", max_age=0)

    def keep_browser(self, response: Response, value: str) -> None:
        """Name this browser, until it is closed."""
        self._set(response, self.browser_name, value)

    def _set(self, response: Response, name: str, value: str, *, max_age: int | None = None) -> None:
        response.set_cookie(
            name, value, max_age=max_age, path=self.path, secure=self.secure, httponly=True, samesite="lax"
        )
