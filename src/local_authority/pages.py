"""The pages: rendered from templates, each under a content security policy that names what it needs, no more."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from importlib.resources import files
from typing import Final
from urllib.parse import urlsplit

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse, Response

HEADERS: Final = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "same-origin",  # with no-referrer, Chromium posts our own forms with "Origin: null"
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
}
MEDIA_TYPES: Final = {
    "style.css": "text/css; charset=utf-8",
    "continue.js": "text/javascript; charset=utf-8",
    "submit.js": "text/javascript; charset=utf-8",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What a page needs beyond its own style sheet. ``form_targets``: origins its form leads to, redirects included.

    Chromium checks ``form-action`` at every hop and drops a redirect to an origin that is not named, silently.
    """

    form_targets: tuple[str, ...] = ()
    frames: tuple[str, ...] = ()
    script: bool = False

    def header(self) -> str:
        """The Content-Security-Policy value."""
        directives = ["default-src 'none'", "style-src 'self'", "base-uri 'none'", "frame-ancestors 'none'"]
        directives.append(" ".join(["form-action 'self'", *self.form_targets]))
        if self.frames:
            directives.append(" ".join(["frame-src", *dict.fromkeys(origin(url) for url in self.frames)]))
        if self.script:
            directives.append("script-src 'self'")
        return "; ".join(directives)


@dataclass(frozen=True, slots=True)
class Pages:
    """Renders ``templates/*.html``; ``base`` is the path under which the forms are found."""

    base: str

    def render(
        self, template: str, *, policy: Policy | None = None, status: int = HTTPStatus.OK, **values: object
    ) -> Response:
        """The page, never cached."""
        content = _templates().get_template(template).render(base=self.base, **values)
        policy_header = {"Content-Security-Policy": (policy or Policy()).header()}
        return HTMLResponse(content, status_code=status, headers={**HEADERS, **policy_header})


@cache
def _templates() -> Environment:
    """Compiled once; a name that a template misses is an error, not a blank."""
    return Environment(
        loader=PackageLoader("local_authority"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def static_file(name: str) -> Response | None:
    """A style sheet or script of the pages; None where there is no such file."""
    if name not in MEDIA_TYPES:
        return None
    content = files("local_authority").joinpath("static", name).read_bytes()
    headers = {"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}
    return Response(content, media_type=MEDIA_TYPES[name], headers=headers)


def origin(url: str) -> str:
    """Scheme, host and port of a URL."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
