"""``make forget``: remove what ``make run`` keeps for a port. The standard library is enough for it."""

from __future__ import annotations

import argparse
import shutil
import socket
import sys
from pathlib import Path


def main() -> int:
    """Remove the folder, unless something still works in it."""
    parser = argparse.ArgumentParser(prog="make forget", description=__doc__)
    parser.add_argument("--port", type=int, default=3000)
    port = parser.parse_args().port
    folder = Path(".run") / str(port)
    if not folder.exists():
        print(f"Nothing is kept in {folder}.")
        return 0
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", port)) == 0:
            print(f"Something runs at port {port}. Cure: stop 'make run PORT={port}' first (Ctrl-C)", file=sys.stderr)
            return 1
    shutil.rmtree(folder)
    print(f"Removed {folder}: people, to-dos and keys.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
