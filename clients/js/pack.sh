#!/usr/bin/env bash
# Pack the npm package: pack.sh FOLDER. bff.js has one source, the BFF's own page; it is copied in only while packing.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
into=$(cd "$1" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp "$here"/{package.json,README.md,react.js,react.d.ts} "$here"/../../src/bff/pages/bff.{js,d.ts} "$here"/../../LICENSE "$work"
cd "$work" && npm pack --silent --pack-destination "$into"
