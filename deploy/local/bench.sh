#!/usr/bin/env bash
# What it costs to know who calls, beside PyJWT and fastapi-azure-auth: all of them in one environment of their own.
set -euo pipefail
cd "$(dirname "$0")/../.."
stamp=.venv-bench/.installed
if [ ! -e "$stamp" ] || [ requirements/bench.txt -nt "$stamp" ]; then
  python3 -m venv .venv-bench
  .venv-bench/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bench.txt
  touch "$stamp"
fi
PYTHONPATH=src exec .venv-bench/bin/python -m tests.benchmarks.api "$@"
