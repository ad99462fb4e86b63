"""The "before" of the pages about moving over is real code: it compiles against the real libraries, as locked."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

pytestmark = [pytest.mark.interop, pytest.mark.timeout(240)]

MIGRATION = Path(__file__).parents[2] / "examples/migration"
BEFORE = ("msal-browser.before.ts", "oidc-client-ts.before.ts")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages' folder with what its lock names in it: exactly those versions, by their hashes."""
    folder = tmp_path_factory.mktemp("before") / "migration"
    shutil.copytree(MIGRATION, folder, ignore=shutil.ignore_patterns("node_modules"))
    install = ["npm", "ci", "--silent", "--ignore-scripts", "--no-audit", "--no-fund"]
    subprocess.run(install, cwd=folder, check=True, capture_output=True)
    return folder


def compiled(project: Path) -> tuple[int, str]:
    """What a strict compile says."""
    result = subprocess.run(["npx", "tsc"], cwd=project, check=False, capture_output=True, text=True)
    return result.returncode, result.stdout


def test_the_pages_before_the_move_compile_strictly(project: Path) -> None:
    """msal-browser's page and oidc-client-ts's, each against its own library, without an error."""
    assert compiled(project) == (0, "")


@pytest.mark.parametrize(
    ("file", "right", "wrong"),
    [
        (BEFORE[0], "msal.acquireTokenSilent(", "msal.acquireTokenQuietly("),
        (BEFORE[1], "user.access_token", "user.accessToken"),
    ],
)
def test_a_page_of_another_library_would_not(project: Path, file: str, right: str, wrong: str) -> None:
    """The compiler knows the real library: a name that it does not have is an error at that file."""
    source = project / file
    text = source.read_text(encoding="utf-8")
    assert right in text
    source.write_text(text.replace(right, wrong), encoding="utf-8")
    status, said = compiled(project)
    source.write_text(text, encoding="utf-8")
    assert status != 0
    assert said.startswith(file)


def test_the_lock_names_hashes_and_no_addresses() -> None:
    """Whoever installs asks their own registry, and gets these bytes or none."""
    packages = json.loads((MIGRATION / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    assert all("resolved" not in one for one in packages.values())
    assert all("integrity" in one for name, one in packages.items() if name)
    compiled_files = json.loads((MIGRATION / "tsconfig.json").read_text(encoding="utf-8"))["files"]
    assert compiled_files == list(BEFORE)
