"""``clients/js`` as npm packs it and as TypeScript reads it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

pytestmark = [pytest.mark.interop, pytest.mark.timeout(240)]

ROOT = Path(__file__).parents[2]
CLIENT = ROOT / "clients/js"


@pytest.fixture(scope="module")
def tarball(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What npm would publish."""
    folder = tmp_path_factory.mktemp("packed")
    subprocess.run([str(CLIENT / "pack.sh"), str(folder)], check=True, capture_output=True)
    return next(folder.glob("*.tgz"))


@pytest.fixture(scope="module")
def project(tarball: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A strict TypeScript project with React and the packed client in it."""
    folder = tmp_path_factory.mktemp("project") / "page"
    shutil.copytree(ROOT / "examples/your_own_page", folder, ignore=shutil.ignore_patterns("node_modules"))
    install = ["npm", "install", "--silent", "--ignore-scripts", "--no-audit", "--no-fund", str(tarball)]
    subprocess.run(install, cwd=folder, check=True, capture_output=True)
    return folder


def compiled(project: Path) -> tuple[int, str]:
    """What a strict compile says."""
    result = subprocess.run(["npx", "tsc"], cwd=project, check=False, capture_output=True, text=True)
    return result.returncode, result.stdout


def test_the_package_holds_what_it_promises_and_nothing_else(tarball: Path) -> None:
    """Both entry points with their types, the licence; bff.js is byte for byte the one that the BFF serves."""
    with tarfile.open(tarball) as packed:
        content = {member.name.removeprefix("package/"): packed.extractfile(member) for member in packed.getmembers()}
        names = {"package.json", "README.md", "LICENSE", "bff.js", "bff.d.ts", "react.js", "react.d.ts"}
        assert set(content) == names
        for name in ("bff.js", "bff.d.ts"):
            file = content[name]
            assert file is not None
            assert file.read() == (ROOT / "src/bff/pages" / name).read_bytes()


def test_the_package_and_the_project_have_one_version() -> None:
    """The page's side and the server's side are released together."""
    declared = json.loads((CLIENT / "package.json").read_text())["version"]
    assert f'version = "{declared}"' in (ROOT / "pyproject.toml").read_text()


def test_the_hook_stays_small() -> None:
    """The React hook has about thirty lines of code."""
    lines = (CLIENT / "react.js").read_text().splitlines()
    assert len([line for line in lines if line.strip() and not line.lstrip().startswith(("/**", "*", "//"))]) <= 30


def test_the_example_compiles_strictly(project: Path) -> None:
    """The page of the documentation, under strict, noUncheckedIndexedAccess and exactOptionalPropertyTypes."""
    assert compiled(project) == (0, "")


def test_the_page_after_the_move_compiles_strictly(project: Path) -> None:
    """What the pages about moving over end with is taken by the compiler."""
    shutil.copy(ROOT / "examples/migration/after.ts", project / "src/after.ts")
    assert compiled(project) == (0, "")


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (
            'import { user } from "sealed-bff"; export const name = (await user()).claims.name;',
            "'claims' does not exist",
        ),
        ('import { login } from "sealed-bff"; login({ prompt: "loggin" });', "is not assignable"),
        ('import { useSession } from "sealed-bff/react"; export const s = useSession().user.sub;', "possibly 'null'"),
        ('import { token } from "sealed-bff"; export const t = token;', "no exported member"),
    ],
)
def test_a_mistake_is_found_by_the_compiler(project: Path, code: str, words: str) -> None:
    """Types that permit everything would be none: a claim of nobody, a misspelt prompt, a token to read."""
    wrong = project / "src/wrong.ts"
    wrong.write_text(code)
    status, said = compiled(project)
    wrong.unlink()
    assert status != 0
    assert words in said, said


@pytest.mark.parametrize("page", ["moving-from-msal-browser.md", "moving-from-oidc-client-ts.md"])
def test_a_page_about_moving_names_only_what_exists(page: str) -> None:
    """Each function of ours that the table names is exported by bff.d.ts."""
    types = (ROOT / "src/bff/pages/bff.d.ts").read_text()
    text = (ROOT / "docs" / page).read_text()
    ours = set(
        re.findall(
            r"^import \{ ([^}]+) \} from \"sealed-bff\"",
            (ROOT / "examples/migration/after.ts").read_text(),
            re.MULTILINE,
        )[0].split(", ")
    )
    right = " ".join(line.rpartition(" | ")[2] for line in text.splitlines() if line.startswith("| `"))
    named = {name for name in ours if f"`{name}" in right or f"{name}()" in right}
    assert named
    assert [name for name in ours if f"function {name}(" not in types] == []
