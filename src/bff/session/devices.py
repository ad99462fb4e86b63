"""What kind of device a browser says it runs on: enough to tell one's own sessions apart, too little to follow anybody.

A browser's family and a system's family, no version and no model; whatever is unknown is "a browser".
"""

from __future__ import annotations

from typing import Final

_LONGEST: Final = 512
# The first that fits counts: most browsers also name the ones that they descend from.
_BROWSERS: Final = (
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
)
_SYSTEMS: Final = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("CrOS", "ChromeOS"),
    ("Macintosh", "Mac"),
    ("Linux", "Linux"),
)


def device_of(user_agent: str) -> str:
    """``Firefox on Linux``, and no more than that, from a ``User-Agent`` (RFC 9110 10.1.5)."""
    said = user_agent[:_LONGEST]
    browser = next((name for sign, name in _BROWSERS if sign in said), "A browser")
    system = next((name for sign, name in _SYSTEMS if sign in said), None)
    return browser if system is None else f"{browser} on {system}"
