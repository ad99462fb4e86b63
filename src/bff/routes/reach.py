"""Whether what is served here can be reached: the relay takes every path below a route's first segment (rule F37)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from urllib.parse import quote

from bff.routes.pages import Page

Owns = Callable[[bytes], bool]


def shadowed_pages(page: Page, owns: Owns) -> list[str]:
    """Why paths and files of the page would never be asked for, one line each with its cure; empty where all are."""
    return [
        f"route {_first_segment(path)}: the page's own {path} would be asked of its upstream. "
        "Cure: another first segment for the route, or for the page"
        for path in sorted({*page.paths, *page.assets})
        if owns(_raw(path))
    ]


def shadowed_routes(paths: Iterable[str], owns: Owns) -> list[str]:
    """The same for a team's own routes; one that begins with a parameter stands for what nobody else takes."""
    return [
        f"{path}: the relay takes everything below {_first_segment(path)}, so this route would never be asked. "
        "Cure: another first segment for it, or for the [[route]]"
        for path in sorted(paths)
        if "{" not in _first_segment(path) and owns(_raw(path))
    ]


def _first_segment(path: str) -> str:
    return "/" + path.split("/")[1]


def _raw(path: str) -> bytes:
    """The path as a browser sends it."""
    return quote(path, safe="/!$&'()*+,=:@{}").encode("ascii")
