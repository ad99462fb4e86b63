from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

import bff.oidc

FOLDER = Path(bff.oidc.__file__).parent


def importers(*libraries: str) -> set[str]:
    """The modules of bff.oidc that import one of these packages."""
    found = set()
    for file in FOLDER.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if any(name.partition(".")[0] in libraries for name in names):
                found.add(file.stem)
    return found


@pytest.mark.parametrize(
    ("library", "doors"),
    [
        ("authlib", {"token_client", "client_authentication", "id_token"}),
        ("joserfc", {"key_set", "id_token", "signed_token", "client_authentication"}),
        ("cryptography", {"client_authentication"}),
        ("jose", set()),
    ],
)
def test_each_library_has_its_doors(library: str, doors: set[str]) -> None:
    """Whoever reviews a library's advisory reads these files and no others."""
    assert importers(library) == doors


def test_httpx2_is_not_importable() -> None:
    """With it, Authlib's integrations would choose it silently, and respx would intercept nothing."""
    assert importlib.util.find_spec("httpx2") is None


def test_no_integration_and_no_deprecated_jose_is_loaded() -> None:
    """In a fresh process the relying party needs neither authlib.integrations nor authlib.jose nor a framework."""
    probe = (
        "import sys, bff.oidc.relying_party\n"
        "bad = ('authlib.integrations', 'authlib.jose', 'fastapi', 'starlette', 'requests')\n"
        "print([name for name in sys.modules if name.startswith(bad)])"
    )
    answer = subprocess.run(
        [sys.executable, "-W", "error", "-c", probe],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(FOLDER.parents[1])},
    )
    assert answer.stdout.strip() == "[]"
