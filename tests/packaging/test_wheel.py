"""One wheel; each extra brings what its part needs, and nothing of the others."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MIGRATING = """
import asyncio
from resource_api.todos.database import open_engine
from resource_api.todos.repository import TodoRepository
asyncio.run(TodoRepository(open_engine("sqlite+aiosqlite:///todos.sqlite")).migrate())
"""
# What each extra must let a program import, and what it must not bring.
EXTRAS = {
    "bff": ("import bff.app, bff.cli", ("sqlalchemy", "jose")),
    "resource-server": ("import resource_api.security", ("sqlalchemy", "pydantic_settings", "authlib", "uvicorn")),
    "todo": (f"import resource_api.app, resource_api.cli\n{MIGRATING}", ("authlib", "itsdangerous", "asyncpg")),
    "redis": ("import redis.asyncio", ("fastapi",)),
    "postgres": ("import asyncpg", ("fastapi",)),
    "otel": ("import opentelemetry.sdk", ("fastapi",)),
    "dev": ("import local_authority.app, local_authority.cli", ("authlib", "sqlalchemy")),
}


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from this tree."""
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    return next(out.glob("*.whl"))


@pytest.fixture(scope="session")
def constraints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The versions of the lock, so that what is installed here is what is tested elsewhere."""
    lock = (ROOT / "requirements/dev.txt").read_text(encoding="utf-8")
    pins = re.findall(r"^([\w.-]+==[^\\\n]+)", lock, re.MULTILINE)  # with their markers, without their hashes
    path = tmp_path_factory.mktemp("pins") / "constraints.txt"
    path.write_text("\n".join(pins))
    return path


def test_the_wheel_holds_the_page_and_the_types(wheel: Path) -> None:
    """The page's files, the authority's templates, the migrations and the typing markers travel with the code."""
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {"bff/pages/index.html", "bff/pages/bff.js", "bff/pages/bff.d.ts", "bff/py.typed"} <= names
    assert {"resource_api/py.typed", "local_authority/py.typed"} <= names
    migrations = (ROOT / "src/resource_api/todos/migrations").rglob("*.py")
    assert {path.relative_to(ROOT / "src").as_posix() for path in migrations} <= names
    assert not [name for name in names if name.startswith(("tests/", "deploy/"))]


@pytest.mark.live
@pytest.mark.timeout(300)
@pytest.mark.parametrize("extra", EXTRAS)
def test_each_extra_is_enough_for_its_part(extra: str, wheel: Path, constraints: Path, tmp_path: Path) -> None:
    """Alone in an empty environment, an extra lets its part be imported and brings no other part's needs."""
    program, foreign = EXTRAS[extra]
    venv.create(tmp_path / "env", with_pip=False)
    python = tmp_path / "env/bin/python"
    # Not byte-compiled: each package is imported once at most.
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-compile"]
    subprocess.run([*install, "-c", str(constraints), f"{wheel}[{extra}]"], check=True, capture_output=True)
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    subprocess.run([python, "-W", "error", "-c", program], check=True, cwd=tmp_path, env=environment)
    if extra == "resource-server":
        call: list[str | Path] = [
            python,
            "-W",
            "error",
            ROOT / "tests/packaging/calls_protected_api.py",
            ROOT / "examples",
        ]
        subprocess.run(call, check=True, cwd=tmp_path, env=environment)
    absent = "import importlib.util, sys; sys.exit(any(map(importlib.util.find_spec, sys.argv[1:])))"
    subprocess.run([python, "-c", absent, *foreign], check=True, cwd=tmp_path, env=environment)
