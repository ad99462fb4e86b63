#!/usr/bin/env bash
# Sign-in, call, refresh and sign-out against authorization servers written by others, each started by its test.
set -euo pipefail
cd "$(dirname "$0")/../.."
stamp=.venv-interop/.installed
if [ ! -e "$stamp" ] || [ requirements/interop.txt -nt "$stamp" ] || [ pyproject.toml -nt "$stamp" ]; then
  python3 -m venv .venv-interop
  .venv-interop/bin/pip install --quiet --disable-pip-version-check --no-compile --require-hashes -r requirements/interop.txt
  .venv-interop/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
  # Node comes as a wheel: Debian 12's own is too old for the certified server.
  PATH="$PWD/.venv-interop/bin:$PATH" npm ci --loglevel=error --no-audit --no-fund --prefix tests/interop/node
  touch "$stamp"
fi
PATH="$PWD/.venv-interop/bin:$PATH" exec .venv-interop/bin/python -m pytest -m interop tests/interop "$@"
