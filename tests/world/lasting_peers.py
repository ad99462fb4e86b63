"""``peers``, whose authority keeps what it knows in a folder, and lets its access tokens' life be changed.

``python -m tests.world.lasting_peers PORT BFF_URL SECRET_FILE SECONDS FOLDER [OVERLAP]``;
``POST /world/lifetime/SECONDS``.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import uvicorn

from local_authority.app import create_app
from local_authority.options import Lifetimes, Options
from tests.world.peers import Peers, Send


@dataclass
class ChangingLifetimes:
    """As ``Lifetimes``, but of one's own choice at any time."""

    access_token: int
    id_token: int = 3_600
    refresh_token: int = 86_400
    session: int = 86_400


class LastingPeers(Peers):
    """One more word: ``lifetime``."""

    def __init__(self, authority: Any, lifetimes: ChangingLifetimes) -> None:
        super().__init__(authority)
        self._lifetimes = lifetimes

    async def _control(self, words: list[str], send: Send) -> None:
        if words[0] == "lifetime":
            self._lifetimes.access_token = int(words[1])
        await super()._control(words, send)


def main(
    port: str, bff_url: str, secret_file: str, access_token_seconds: str, folder: str, overlap_seconds: str = "0"
) -> None:
    """Serve until SIGTERM."""
    lifetimes = ChangingLifetimes(int(access_token_seconds))
    options = Options(
        port=int(port),
        bff_url=bff_url,
        client_secret_file=Path(secret_file),
        lifetimes=cast("Lifetimes", lifetimes),
        refresh_overlap=int(overlap_seconds),
        password_cost=2,
        data=Path(folder),
    )
    peers: Any = LastingPeers(create_app(options), lifetimes)
    uvicorn.run(peers, port=int(port), http="httptools", ws="none", lifespan="off", log_level="warning")


if __name__ == "__main__":
    main(*sys.argv[1:])
