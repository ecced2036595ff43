"""Runs Transformers' own tests where they are (see `transformers_tests`), and compares ours with Llava's.

A test that Llava of the same version fails too is no failure of ours: these are counted apart. With
`--results FILE`, the table is written as Markdown.
"""

import sys
from collections import defaultdict
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from transformers_tests import folders, origin

if not folders():
    collect_ignore_glob = ["test_*.py"]

LLAVA = {"LlavaTest", "LlavaProcessorTest", "LlavaImageProcessorTest", "LlavaPipelineTest"}
OUTCOMES = ("passed", "failed", "skipped")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--results", type=Path, help="write the table to this file")


class Comparison:
    """Collects the outcome of every test, by file, class and name."""

    def __init__(self) -> None:
        self.outcomes: dict[tuple[str, str], dict[str, str]] = defaultdict(dict)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        file, _, rest = report.nodeid.partition("::")
        group, _, name = rest.partition("::")
        known = self.outcomes[Path(file).name, group]
        is_skipped = report.when == "setup" and report.skipped
        if report.failed or is_skipped or (report.when == "call" and name not in known):
            known[name] = report.outcome

    def only_ours(self) -> list[str]:
        """The tests that ours fail and Llava passes or skips."""
        failed = []
        for (file, group), tests in self.outcomes.items():
            theirs = next((them for (f, g), them in self.outcomes.items() if f == file and g in LLAVA), {})
            if group not in LLAVA:
                bad = (name for name, outcome in tests.items() if outcome == "failed")
                failed += [f"{group}::{name}".removesuffix("::") for name in bad if theirs.get(name) != "failed"]
        return failed

    def rows(self) -> list[str]:
        """The table in Markdown."""
        rows = ["| tests | passed | failed | skipped |", "|---|---|---|---|"]
        for (_, group), tests in sorted(self.outcomes.items()):
            if "" in tests:  # a test of our own, without a class
                continue
            counts = [sum(outcome == wanted for outcome in tests.values()) for wanted in OUTCOMES]
            rows.append(f"| {group} | {' | '.join(map(str, counts))} |")
        return rows

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        failed = self.only_ours()
        if session.exitstatus == pytest.ExitCode.TESTS_FAILED and not failed:
            session.exitstatus = pytest.ExitCode.OK
        if (file := session.config.getoption("results")) is not None:
            theirs = sorted(
                f"{group}::{name}"
                for (_, group), tests in self.outcomes.items()
                for name, outcome in tests.items()
                if outcome == "failed"
            )
            lines = [origin(), "", *self.rows(), "", f"Failures that Llava does not have: {len(failed)}.", ""]
            lines += [f"- {name}" for name in failed]
            lines += ["", "All failures:", "", *(f"- {name}" for name in theirs)]
            file.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        terminalreporter.write_sep("=", "comparison with Llava")
        for line in [*self.rows(), f"failures that Llava does not have: {len(self.only_ours())}", *self.only_ours()]:
            terminalreporter.write_line(line)


def pytest_configure(config: pytest.Config) -> None:
    if folders() and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Comparison())
