#!/usr/bin/env bash
# The whole story in a real Chromium, from Debian's package; no browser is ever downloaded from anywhere else.
set -euo pipefail
cd "$(dirname "$0")/../.."
if ! command -v chromium >/dev/null; then
  if [ "$(id -u)" = 0 ]; then
    apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core >/dev/null
  else
    echo "chromium is missing. Cure: apt-get install chromium"; exit 1
  fi
fi
stamp=.venv-browser/.installed
if [ ! -e "$stamp" ] || [ requirements/browser.txt -nt "$stamp" ] || [ pyproject.toml -nt "$stamp" ]; then
  python3 -m venv .venv-browser
  .venv-browser/bin/pip install --quiet --disable-pip-version-check --no-compile --require-hashes -r requirements/browser.txt
  .venv-browser/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
  touch "$stamp"
fi
PATH="$PWD/.venv-browser/bin:$PATH" exec .venv-browser/bin/python -m pytest -n 2 --dist loadfile -m browser tests/browser "$@"
