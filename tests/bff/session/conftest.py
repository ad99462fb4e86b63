from __future__ import annotations

import pytest
from structlog.testing import CapturingLogger

from bff.session import access_tokens, cipher, cookie_vault, login_cookies, refresher, session_cookies, sign_out_cookies

pytest.register_assert_rewrite("tests.bff.session.ledger_suite")


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> CapturingLogger:
    """What the session's modules say, however logging is configured."""
    capturing = CapturingLogger()
    for module in (access_tokens, cipher, cookie_vault, login_cookies, refresher, session_cookies, sign_out_cookies):
        monkeypatch.setattr(module, "_log", capturing)
    return capturing
