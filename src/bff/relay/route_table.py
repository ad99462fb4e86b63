"""From a path and a method to the one route that permits them; what no route permits is not relayed (BBA-12..15)."""

from __future__ import annotations

from collections.abc import Iterable

from bff.errors import ConfigurationError, MalformedRequest, MethodNotAllowed, UnknownRoute
from bff.relay.paths import canonical, without_encoded_slashes
from bff.relay.route import Route

__all__ = ["Route", "RouteTable"]


class RouteTable:
    """The longest path wins, then the method is asked of that path alone: a call never falls back to a shorter path.

    Looking up costs a few dictionary reads, bounded by the deepest declared path, whatever the number of routes.
    Raises ConfigurationError, all causes at once, where a route could never be chosen.
    """

    def __init__(self, routes: Iterable[Route]) -> None:
        self._exact: dict[bytes, dict[str, Route]] = {}
        self._below: dict[bytes, dict[str, Route]] = {}
        causes: list[str] = []
        for route in routes:
            causes += route.causes()
            causes += self._add(route)
        if causes:
            raise ConfigurationError(causes)
        self._roots = frozenset(_first_segment(path) for path in (*self._exact, *self._below))
        self._depth = max((path.count(b"/") for path in self._below), default=0)

    def _add(self, route: Route) -> list[str]:
        path = route.path.encode("utf-8", "surrogateescape")
        taken = (self._below if path.endswith(b"/") else self._exact).setdefault(path, {})
        causes = [
            f"route {route.path}: {method} is declared twice, so one of them is never asked. Cure: declare it once"
            for method in sorted(route.methods)
            if method in taken and taken[method].methods >= {method}
        ]
        for method in route.answered_methods:
            if method in route.methods or method not in taken:
                taken[method] = route
        return causes

    def owns(self, raw_path: bytes) -> bool:
        """Say whether a path, well-formed or not, begins with a route's first segment: then the relay answers it."""
        return _first_segment(raw_path) in self._roots

    def methods_of(self, path: bytes) -> frozenset[str]:
        """The methods that ``path`` answers; raise UnknownRoute."""
        return frozenset(self._find(path))

    def takes_websockets(self, raw_path: bytes) -> bool:
        """Say whether a path, well-formed or not, is that of a route with ``websocket``."""
        try:
            route = self._find(self.path_of(raw_path, "GET")).get("GET")
        except (MalformedRequest, UnknownRoute):
            return False
        return route is not None and route.websocket

    def path_of(self, raw_path: bytes, method: str) -> bytes:
        """The path itself, proven to have one reading on its route (rule F37); raise MalformedRequest otherwise."""
        try:
            return canonical(raw_path)
        except MalformedRequest:
            path = canonical(raw_path, encoded_slash=True)
            if self._admits_encoded_slash(path, method):
                return path
            raise

    def _admits_encoded_slash(self, path: bytes, method: str) -> bool:
        """Say whether its route does, and would be the same one where an upstream takes ``%2F`` for a slash."""
        try:
            found = self._find(path)
            if self._find(without_encoded_slashes(path)) is not found:
                return False
        except UnknownRoute:
            return False
        asked = [found[method]] if method in found else found.values()
        return any(route.encoded_slash for route in asked)

    def match(self, path: bytes, method: str) -> tuple[Route, bytes]:
        """The route of a canonical path, and the path to ask its upstream for; raise UnknownRoute or MethodNotAllowed.

        HEAD is answered wherever GET is (RFC 9110 9.3.2).
        """
        found = self._find(path)
        route = found.get(method)
        if route is None:
            raise MethodNotAllowed(frozenset(found))
        return route, route.address.prefix + path

    def _find(self, path: bytes) -> dict[str, Route]:
        found = self._exact.get(path)
        if found is not None:
            return found
        end = len(path)
        for rest in reversed(path.split(b"/", self._depth)):
            end -= len(rest)  # what is left ends with a slash
            found = self._below.get(path[:end])
            if found is not None:
                return found
            end -= 1
        raise UnknownRoute


def _first_segment(path: bytes) -> bytes:
    end = path.find(b"/", 1)
    return path if end < 0 else path[:end]
