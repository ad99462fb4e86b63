"""Settings of a BFF that reaches nobody, for what is judged before anything is reached."""

from __future__ import annotations

from typing import Any

from bff.settings import BFFSettings


def settings_with_session(**session: Any) -> BFFSettings:
    """Settings with this table for sessions."""
    authority = {"issuer": "https://login.example", "client_id": "c", "client_secret": "k7Qw-2Zt9_bXr4Vn8Lm3"}
    return BFFSettings.model_validate(
        {"public_url": "http://localhost:3000", "authority": authority, "session": session}
    )
