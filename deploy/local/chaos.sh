#!/usr/bin/env bash
# Every fault in every mode it can happen in, then the race at a certified server, then the table of docs/chaos.md.
# Arguments go to pytest (-k kill): then it is a part alone, and the page stays as it is.
set -euo pipefail
cd "$(dirname "$0")/../.."
export CHAOS_ROUNDS=${ROUNDS:-50} CHAOS_DOWN_SECONDS=${DOWN_SECONDS:-60} CHAOS_FILE=build/chaos.json
.venv/bin/python -m pytest -q tests/live/chaos "$@"
if [ $# -eq 0 ]; then
  deploy/local/interop.sh -q -k the_race
  .venv/bin/python -m tests.live.chaos.table
fi
