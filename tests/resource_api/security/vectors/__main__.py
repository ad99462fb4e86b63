"""``python -m tests.resource_api.security.vectors FILE…``: judge files of vectors, such as Project Wycheproof's.

One line for each vector that was judged otherwise than its file expects, and one for each file. The exit status is 0
where there was none, 1 where there was one, 2 where a file cannot be judged.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.resource_api.security.vectors.judging import NotJudgedError, judged, read


def main(arguments: list[str]) -> int:
    """Judge each file; the number of wrong ones decides the exit status."""
    wrong = 0
    for name in arguments:
        try:
            found = list(judged(read(Path(name))))
        except (NotJudgedError, OSError, ValueError, LookupError) as error:
            print(f"{name}: {error}", file=sys.stderr)
            return 2
        for one in found:
            if one.wrong:
                print(f"{name}: {one.number} {one.comment}: {one.expected}, refused at: {one.refused_at or 'nothing'}")
        wrong += sum(one.wrong for one in found)
        beyond = sum(one.expected == "valid" and one.refused_at is not None and not one.wrong for one in found)
        print(f"{name}: {len(found)} vectors, {sum(one.wrong for one in found)} wrong, {beyond} valid ones not offered")
    return 1 if wrong or not arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
