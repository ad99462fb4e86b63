#!/usr/bin/env bash
# Compile the hashed locks. No index address is written into them: which index serves a package is the machine's business.
set -euo pipefail
cd "$(dirname "$0")/../.."
command -v uv >/dev/null || { echo "uv is missing. Cure: pip install uv"; exit 1; }
compile() { uv pip compile pyproject.toml --universal --generate-hashes --python-version 3.11 --no-emit-index-url \
  --no-emit-find-links --no-header --no-annotate --quiet "$@"; }
services=(--extra bff --extra todo --extra dev --group build)
compile "${services[@]}" -o requirements/run.txt
compile "${services[@]}" --extra redis --extra postgres --group test --group lint -c requirements/run.txt -o requirements/dev.txt
compile "${services[@]}" --group test --group browser -c requirements/dev.txt -o requirements/browser.txt
compile "${services[@]}" --extra redis --group test --group interop -c requirements/dev.txt -o requirements/interop.txt
compile --extra bff --group build --group entra -c requirements/run.txt -o requirements/entra.txt
compile --extra resource-server --group bench -c requirements/run.txt -o requirements/bench.txt
(cd tests/interop/node && npm install --package-lock-only --omit-lockfile-registry-resolved --silent --no-audit --no-fund)
