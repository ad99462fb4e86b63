"""The page and its parts, and the pages that say what happened when a sign-in did not become a session.

Every file is read once, at the start: what is served is one build, and no request ever names a file on disk.
"""

from __future__ import annotations

import hashlib
import mimetypes
import re
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from bff.errors import UnknownRoute
from bff.routes.dependencies import public

PAGE_CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
# The built-in page builds its document from nodes alone, so no string of it can ever become markup.
BUILT_IN_CSP = f"{PAGE_CSP}; require-trusted-types-for 'script'; trusted-types 'none'"
BUILT_IN_PATHS = frozenset({"/todos", "/account"})
OURS = ("/api", "/bff", "/docs")
# A file whose name holds a hash of its content never changes under that name.
_HASHED = re.compile(r"[.-][0-9A-Za-z_-]{8,}\.[a-z0-9]+$")
_EXTRA_TYPES = {".js": "text/javascript", ".mjs": "text/javascript", ".ts": "text/plain", ".woff2": "font/woff2"}

router = APIRouter(dependencies=[Depends(public)], include_in_schema=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """A file as it is served: bytes, media type, validator, and how long a browser may keep it."""

    content: bytes
    media_type: str
    etag: str
    cache_control: str

    @classmethod
    def of(cls, name: str, content: bytes, *, immutable: bool = False) -> Asset:
        """Describe a file by its name and bytes."""
        suffix = Path(name).suffix
        media_type = _EXTRA_TYPES.get(suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
        etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
        kept = "public, max-age=31536000, immutable" if immutable and _HASHED.search(name) else "no-cache"
        return cls(content=content, media_type=media_type, etag=etag, cache_control=kept)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """The page: its document, its files by URL path, and the policy it runs under.

    ``paths`` are those that the document is known to answer by itself, besides ``/``.
    """

    document: Asset
    assets: dict[str, Asset]
    csp: str
    paths: frozenset[str] = frozenset()

    @classmethod
    def load(cls, directory: Path | None, csp: str | None) -> Page:
        """Read the built-in page, or a team's own build; ``/assets/bff.js`` is there for both."""
        built_in = files("bff") / "pages"
        assets = {f"/assets/{name}": Asset.of(name, content) for name, content in _read(built_in)}
        document = assets["/assets/index.html"]
        if directory is not None:
            own = {f"/{name}": Asset.of(name, content, immutable=True) for name, content in _read(directory)}
            document = own["/index.html"]
            assets |= own
            return cls(document=document, assets=assets, csp=csp or PAGE_CSP)
        return cls(document=document, assets=assets, csp=csp or BUILT_IN_CSP, paths=BUILT_IN_PATHS)


def _read(folder: Traversable, prefix: str = "") -> list[tuple[str, bytes]]:
    """Every file below a folder, by its relative path; hidden ones stay out."""
    found: list[tuple[str, bytes]] = []
    for entry in folder.iterdir():
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            found += _read(entry, f"{prefix}{entry.name}/")
        else:
            found.append((prefix + entry.name, entry.read_bytes()))
    return found


def page_headers(csp: str) -> dict[str, str]:
    """The headers of every document of ours (OWASP ASVS 3.4)."""
    return {
        "Content-Security-Policy": csp,
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    }


def asset_response(request: Request, asset: Asset, csp: str) -> Response:
    """Answer with a file, or 304 where the browser already has it."""
    headers = {**page_headers(csp), "ETag": asset.etag, "Cache-Control": asset.cache_control}
    if request.headers.get("if-none-match") == asset.etag:
        return Response(status_code=304, headers=headers)
    return Response(asset.content, media_type=asset.media_type, headers=headers)


@router.api_route("/{path:path}", methods=["GET", "HEAD"])
def page(request: Request) -> Response:
    """A file of the page by its path; a document anywhere else is the page itself, which knows its own paths."""
    served: Page = request.app.state.page
    asset = served.assets.get(request.url.path)
    if asset is not None and asset is not served.document:
        return asset_response(request, asset, served.csp)
    if _wants_document(request):
        headers = {**page_headers(served.csp), "Cache-Control": "no-store"}
        return Response(served.document.content, media_type="text/html", headers=headers)
    raise UnknownRoute


def _wants_document(request: Request) -> bool:
    """Say whether a browser navigates here (Fetch Metadata; ``Accept`` where an old browser sends none)."""
    path = request.url.path
    if any(path == prefix or path.startswith(f"{prefix}/") for prefix in OURS):
        return False
    destination = request.headers.get("sec-fetch-dest")
    return destination == "document" or (destination is None and "text/html" in request.headers.get("accept", ""))
