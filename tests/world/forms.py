"""HTML forms as a browser sees them: found in a page, filled in, encoded."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser


@dataclass
class Form:
    """One form: where it goes, how, and what it would send."""

    action: str
    method: str
    fields: dict[str, str] = field(default_factory=dict)
    buttons: list[tuple[str, str]] = field(default_factory=list)

    def filled(self, **values: str) -> dict[str, str]:
        """What is sent when these fields are typed over; a field that the form does not have is the test's mistake."""
        unknown = values.keys() - self.fields.keys() - {name for name, _ in self.buttons}
        assert not unknown, f"no such field: {unknown}"
        return {**self.fields, **values}


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self.links: dict[str, str] = {}
        self.frames: list[str] = []
        self.described: dict[str, dict[str, str | None]] = {}
        self._href: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        if tag == "form":
            self.forms.append(Form(named.get("action") or "", (named.get("method") or "get").upper()))
        elif tag == "input" and self.forms and named.get("name"):
            self.forms[-1].fields[str(named["name"])] = named.get("value") or ""
            self.described[str(named["name"])] = named
        elif tag == "button" and self.forms and named.get("name"):
            self.forms[-1].buttons.append((str(named["name"]), named.get("value") or ""))
        elif tag == "iframe":
            self.frames.append(named.get("src") or "")
        elif tag == "a":
            self._href = named.get("href")

    def handle_data(self, data: str) -> None:
        if self._href is not None:
            self.links[data.strip()] = self._href

    def handle_endtag(self, tag: str) -> None:
        if tag == "a":
            self._href = None


@dataclass(frozen=True)
class Page:
    """What a page offers: forms, links by their text, frames by their address, inputs by name with their attributes."""

    forms: list[Form]
    links: dict[str, str]
    frames: list[str]
    inputs: dict[str, dict[str, str | None]]

    @classmethod
    def of(cls, html: str) -> Page:
        """The page that this HTML describes."""
        reader = _Reader()
        reader.feed(html)
        return cls(reader.forms, reader.links, reader.frames, reader.described)

    @property
    def form(self) -> Form:
        """The only form of the page."""
        assert len(self.forms) == 1, f"{len(self.forms)} forms"
        return self.forms[0]
