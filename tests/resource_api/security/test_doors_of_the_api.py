"""Dangerous libraries enter at one door each, and what must stay away stays away."""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[3] / "src" / "resource_api"
FORBIDDEN_NAMES = {"get_unverified_claims", "get_unverified_header", "get_unverified_headers", "jwt", "jwe"}


def _imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def _users(library: str) -> dict[str, set[str]]:
    """The files that import a library, with the names they take."""
    taken = {path: {one for one in _imports(path) if one.split(".")[0] == library} for path in SOURCE.rglob("*.py")}
    return {path.name: names for path, names in taken.items() if names}


@pytest.mark.req("RS-2")
def test_jose_has_one_door() -> None:
    """python-jose is imported by one file, which takes jwk and never jwt, jwe or what reads unverified."""
    users = _users("jose")
    assert users.keys() == {"signature.py"}
    tree = ast.parse((SOURCE / "security/signature.py").read_text(encoding="utf-8"))
    used = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert not (used | {name.rsplit(".", 1)[-1] for name in users["signature.py"]}) & FORBIDDEN_NAMES


@pytest.mark.parametrize(
    ("library", "doors"),
    [
        (
            "sqlalchemy",
            {"database.py", "repository.py", "schema.py", "migration.py", "0001_todos.py", "0002_versions.py"},
        ),
        ("alembic", {"migration.py", "env.py", "0001_todos.py", "0002_versions.py"}),
        ("uvicorn", {"server.py", "cli.py"}),
        (
            "httpx",
            {"app.py", "fetching.py", "introspection.py", "issuers.py", "key_set.py", "resource_server.py"}
            | {"testing.py"},
        ),
        ("os", {"settings.py"}),
        ("random", {"key_set.py"}),
        ("secrets", {"problems.py", "requests.py"}),
        ("time", {"clock.py", "requests.py", "testing.py"}),
    ],
)
def test_other_doors(library: str, doors: set[str]) -> None:
    """The database, the server, outgoing HTTP, the environment, chance and the time each enter where they are named."""
    assert _users(library).keys() == doors


@pytest.mark.req("RS-2")
def test_the_backends_with_open_cves_are_not_loaded() -> None:
    """Neither ``ecdsa`` nor ``rsa`` is imported, and keys are those of ``cryptography`` (CVE-2024-23342)."""
    program = (
        "import sys, resource_api.security, jose.jwk as jwk;"
        "assert jwk.RSAKey.__name__ == 'CryptographyRSAKey', jwk.RSAKey;"
        "assert jwk.ECKey.__name__ == 'CryptographyECKey', jwk.ECKey;"
        "strangers = {'ecdsa', 'rsa', 'structlog', 'sqlalchemy', 'pydantic_settings', 'uvicorn'};"
        "print(sorted(strangers & sys.modules.keys()))"
    )
    environment = {"PYTHONPATH": str(SOURCE.parent)}
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment)
    assert run.stdout.strip() == "[]"


def test_nothing_bypasses_the_fakes() -> None:
    """With httpx2 installed, respx and the transports of these tests would intercept nothing in some libraries."""
    assert importlib.util.find_spec("httpx2") is None
