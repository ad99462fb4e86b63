"""Where an upstream sends the browser: to a path of ours, or nowhere (ATK-33).

Redirects are passed on and never followed, so the token never travels to their target; and an upstream's own host name
means nothing to a browser.
"""

from __future__ import annotations

import re
from urllib.parse import SplitResult, urljoin, urlsplit

from bff.errors import MalformedRequest, ResourceAPIUnavailable
from bff.relay.paths import canonical
from bff.relay.route import Route

_PRINTABLE = re.compile(rb"[!-\[\]-~]+")


def rewritten(location: bytes, route: Route, target: bytes) -> bytes:
    """Return Location as the browser may see it; ``target`` is the path that the upstream was asked for.

    What resolves to the upstream's origin, below its prefix and below the route's first segment, becomes that path on
    our origin. Anything else raises ResourceAPIUnavailable, unless the route says ``redirects = "pass"``.
    """
    if not _PRINTABLE.fullmatch(location):
        raise ResourceAPIUnavailable("Location has a byte that no URL has")
    base = (route.address.origin + target).decode("ascii")
    try:
        resolved = urlsplit(urljoin(base, location.decode("ascii")))
        path = _public_path(resolved, route)
    except ValueError:
        raise ResourceAPIUnavailable("Location is no URL") from None
    if path is not None:
        return path
    if route.redirects == "pass" and resolved.scheme in {"http", "https"}:
        return location
    raise ResourceAPIUnavailable("Location leads off this site")


def _public_path(resolved: SplitResult, route: Route) -> bytes | None:
    address = route.address
    if (resolved.scheme, resolved.port or address.default_port, "@" in resolved.netloc) != (
        address.scheme,
        address.port,
        False,
    ):
        return None
    path = resolved.path.encode("ascii")
    if resolved.hostname != address.host.strip("[]") or not path.startswith(address.prefix + b"/"):
        return None
    try:
        path = canonical(path[len(address.prefix) :])
    except MalformedRequest:
        return None
    if path.split(b"/")[1] != route.path.encode().split(b"/")[1]:
        return None
    query = f"?{resolved.query}" if resolved.query else ""
    fragment = f"#{resolved.fragment}" if resolved.fragment else ""
    return path + (query + fragment).encode("ascii")
