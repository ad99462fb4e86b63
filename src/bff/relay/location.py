"""Where an upstream sends the browser, and where it says that a list goes on: to a path of ours, or nowhere (ATK-33).

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
_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]++"
_PARAMETER = re.compile(rb"[ \t]*+;[ \t]*+(?:(%b)(?:=(?:\"([^\"\\]*+)\"|(%b)))?+)?+" % (_TOKEN, _TOKEN))
_LINK = re.compile(rb"[ \t]*+<([^<>]*+)>((?:%b)*+)[ \t]*+(?:,|\Z)" % _PARAMETER.pattern)
# A page's way through a list. A browser acts by itself on many others: preload, stylesheet, dns-prefetch.
_PAGING = frozenset({b"next", b"prev", b"first", b"last"})


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


def paging_links(link: bytes, route: Route, target: bytes) -> bytes:
    """Return what of a Link field the browser may see: the ways to other pages of a list (RFC 8288), as paths of ours.

    Only a relative one that stays below the route's first segment, without an anchor; all else is left out, and so is
    the whole field where it cannot be read. ``target`` is as in ``rewritten``.
    """
    found, position = list[bytes](), 0
    while position < len(link):
        one = _LINK.match(link, position)
        if one is None:
            return b""
        relations, path = _paging_relations(one[2]), _relative_path(one[1], route, target)
        if relations and path is not None:
            found.append(b'<%b>; rel="%b"' % (path, b" ".join(relations)))
        position = one.end()
    return b", ".join(found)


def _paging_relations(parameters: bytes) -> list[bytes]:
    """The relation types of a link that a page needs; those of the first ``rel`` (RFC 8288 3.3)."""
    named: dict[bytes, bytes] = {}
    for one in _PARAMETER.finditer(parameters):
        named.setdefault((one[1] or b"").lower(), (one[2] or one[3] or b"").lower())
    return [] if b"anchor" in named else [one for one in named.get(b"rel", b"").split() if one in _PAGING]


def _relative_path(reference: bytes, route: Route, target: bytes) -> bytes | None:
    if not _PRINTABLE.fullmatch(reference):
        return None
    text = reference.decode("ascii")
    try:
        given = urlsplit(text)
        if given.scheme or given.netloc:
            return None
        return _public_path(urlsplit(urljoin((route.address.origin + target).decode("ascii"), text)), route)
    except ValueError:
        return None


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
        path = canonical(path[len(address.prefix) :], encoded_slash=route.encoded_slash)
    except MalformedRequest:
        return None
    if path.split(b"/")[1] != route.path.encode().split(b"/")[1]:
        return None
    query = f"?{resolved.query}" if resolved.query else ""
    fragment = f"#{resolved.fragment}" if resolved.fragment else ""
    return path + (query + fragment).encode("ascii")
