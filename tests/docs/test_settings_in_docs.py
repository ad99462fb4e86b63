from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from bff.settings import load_settings
from resource_api.settings import load_settings as load_api_settings

DOCS = Path(__file__).parents[2] / "docs"
FENCE = re.compile(r"^```toml\n# (bff|resource_api)\.toml\n(.*?)^```", re.MULTILINE | re.DOTALL)


def written() -> list[tuple[str, str, str]]:
    """Every settings file that a page of the documentation shows: the page, the file, its text."""
    return [
        (page.relative_to(DOCS).as_posix(), name, text)
        for page in sorted(DOCS.rglob("*.md"))
        for name, text in FENCE.findall(page.read_text(encoding="utf-8"))
    ]


@pytest.mark.req("ADV-10")
@pytest.mark.parametrize(("page", "name", "text"), written(), ids=lambda value: value if len(value) < 40 else "")
def test_the_settings_in_the_documentation_are_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, page: str, name: str, text: str
) -> None:
    """A settings file that a page shows is accepted by the service it is for, key by key."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "client-secret").write_text("k7Qw-2Zt9_bXr4Vn8Lm3")
    (tmp_path / "private-key.pem").write_text("a key")
    (tmp_path / "certificate.pem").write_text("a certificate")
    (tmp_path / "dist").mkdir()
    (tmp_path / "dist/index.html").write_text("<!doctype html>")
    path = tmp_path / f"{name}.toml"
    path.write_text(text, encoding="utf-8")
    assert tomllib.loads(text), page
    loaded: object = load_settings(path) if name == "bff" else load_api_settings(path)
    assert loaded is not None


@pytest.mark.parametrize("page", ["entra-by-hand.md", "keycloak.md", "auth0.md", "okta.md"])
def test_each_guide_ends_with_both_files(page: str) -> None:
    """A guide for an authorization server shows the settings of both services."""
    assert [name for where, name, _ in written() if where == page] == ["bff", "resource_api"]


@pytest.mark.parametrize("page", ["entra-by-hand.md", "keycloak.md", "auth0.md", "okta.md"])
def test_each_guide_registers_both_addresses(page: str) -> None:
    """Sign-in and sign-out come back to two addresses, and a guide names both."""
    text = (DOCS / page).read_text(encoding="utf-8")
    assert "/bff/callback" in text
    assert "/bff/logged-out" in text
