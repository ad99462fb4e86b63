"""What ``bff check`` says: one line a finding, with the cure and the page to read."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum


class Level(StrEnum):
    """``fail`` will not work, ``warn`` may surprise somebody, ``pass`` was seen to work."""

    PASS = "pass"  # noqa: S105 — a verdict, no password
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One verdict. ``name`` is also the heading in docs/check.md; nothing secret is ever in ``message``."""

    name: str
    level: Level
    message: str
    cure: str = ""

    @property
    def page(self) -> str:
        """Where this check is explained."""
        return f"docs/check.md#{self.name.replace(' ', '-')}"

    def line(self) -> str:
        """One line for a terminal."""
        way_on = f" Cure: {self.cure} ({self.page})" if self.cure else ""
        return f"{self.level:<4}  {self.name}: {self.message}{way_on}"

    def members(self) -> dict[str, str]:
        """The same, for ``--json``."""
        return {**asdict(self), "level": str(self.level), "page": self.page}


def passed(name: str, message: str) -> Finding:
    """It was seen to work."""
    return Finding(name=name, level=Level.PASS, message=message)


def warned(name: str, message: str, cure: str) -> Finding:
    """It works, but may surprise somebody."""
    return Finding(name=name, level=Level.WARN, message=message, cure=cure)


def failed(name: str, message: str, cure: str) -> Finding:
    """It will not work."""
    return Finding(name=name, level=Level.FAIL, message=message, cure=cure)
