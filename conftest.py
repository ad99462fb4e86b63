"""What holds for every test: the evidence table is built from the marks, and CI counts a skip as a failure."""

from __future__ import annotations

import json
import logging
import os
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

EVIDENCE = Path("build/evidence")


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    """A command that a test runs in this process configures logging for good; the next test must not inherit that."""
    root, configured = logging.getLogger(), structlog.get_config()
    level, handlers = root.level, list(root.handlers)
    yield
    structlog.configure(**configured)
    root.setLevel(level)
    root.handlers[:] = handlers


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--evidence NAME``: write ``build/evidence/NAME.json`` with the outcome of every requirement's tests."""
    parser.addoption("--evidence", default=None, help="write build/evidence/NAME.json")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Carry the ids of a test's marks on its report, so that they survive the way back from a worker process."""
    outcome = yield
    report: pytest.TestReport = outcome.get_result()  # type: ignore[attr-defined]  # because a hook wrapper is sent a pluggy result
    ids = [str(one) for mark in item.iter_markers("req") for one in mark.args]
    report.user_properties.append(("req", ids))


class _Evidence:
    """Collects ``{requirement id: [{test, outcome}]}`` and the skips."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.rows: dict[str, dict[str, str]] = defaultdict(dict)
        self.skipped: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.outcome == "skipped":
            self.skipped.append(report.nodeid)
        if report.when != "call" and report.outcome == "passed":
            return
        for one in dict(report.user_properties).get("req", []):
            if self.rows[one].get(report.nodeid) != "failed":
                self.rows[one][report.nodeid] = report.outcome

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.skipped and os.environ.get("CI"):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        name = self.config.getoption("--evidence")
        if name:
            EVIDENCE.mkdir(parents=True, exist_ok=True)
            table = {
                one: [{"test": test, "outcome": outcome} for test, outcome in sorted(tests.items())]
                for one, tests in sorted(self.rows.items())
            }
            (EVIDENCE / f"{name}.json").write_text(json.dumps(table, indent=1), encoding="utf-8")

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.skipped and os.environ.get("CI"):
            terminalreporter.write_line(f"{len(self.skipped)} skipped: CI counts a skip as a failure", red=True)


def pytest_configure(config: pytest.Config) -> None:
    """Register the collector where reports arrive: in the controlling process, not in its workers."""
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Evidence(config), "evidence")
