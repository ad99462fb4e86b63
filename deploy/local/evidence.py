"""``make evidence``: merge what each test run noted into ``build/evidence.json``; refuse a promise without a test.

The ids that must be there are listed in ``docs/evidence.toml``; one is green when it has tests and none failed.
"""

from __future__ import annotations

import json
import sys
import tomllib
from pathlib import Path

PROMISED = Path("docs/evidence.toml")
PARTS = Path("build/evidence")


def main() -> int:
    """Merge, print the table's sums, and name what is missing or red."""
    table: dict[str, list[dict[str, str]]] = {}
    for part in sorted(PARTS.glob("*.json")):
        for one, tests in json.loads(part.read_text(encoding="utf-8")).items():
            table.setdefault(one, []).extend(tests)
    Path("build/evidence.json").write_text(json.dumps(dict(sorted(table.items())), indent=1), encoding="utf-8")
    promised = [one for ids in tomllib.loads(PROMISED.read_text(encoding="utf-8"))["promised"].values() for one in ids]
    missing = [one for one in promised if not table.get(one)]
    red = [one for one, tests in table.items() if any(test["outcome"] != "passed" for test in tests)]
    print(
        f"{len(table)} requirements have tests; of {len(promised)} promised, {len(missing)} have none; {len(red)} red"
    )
    for word, ids in (("no test", missing), ("red", red)):
        if ids:
            print(f"{word}: {', '.join(sorted(ids))}")
    return 1 if missing or red else 0


if __name__ == "__main__":
    sys.exit(main())
