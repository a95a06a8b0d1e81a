"""What every test shares: property tests that neither flake on a busy machine nor change from run to run."""

import os
import platform
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
settings.register_profile("suite", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")

# A shell that starts the tests in the background makes them ignore Ctrl-C, and `nohup` SIGHUP. Every process that they
# start would inherit this.
signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP"):  # not on Windows
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--summary", type=Path, help="Markdown file for the outcomes of tests marked full")


_FULL: set[str] = set()
"""Ids of the tests marked full; a report's keywords also name the folders that a test lies in."""


def pytest_itemcollected(item: pytest.Item) -> None:
    if item.get_closest_marker("full"):
        _FULL.add(item.nodeid)


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Writes the summary that `make test-full` leaves in docs/test-full.md."""
    path: Path | None = config.getoption("--summary")
    if path is None:
        return
    ended = {name: terminalreporter.stats.get(name, []) for name in ("passed", "failed", "error", "skipped")}
    counts = Counter({name: len(reports) for name, reports in ended.items()})
    full = [
        (r.nodeid, name, r.duration, "; ".join(f"{what}: {value}" for what, value in r.user_properties))
        for name, reports in ended.items()
        for r in reports
        if r.nodeid in _FULL
    ]
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    lines = [
        "# The full tests, as last run",
        "",
        f"`make test-full` on {time.strftime('%Y-%m-%d')}, commit {commit or 'unknown'}, {os.cpu_count()} cores, "
        f"{platform.system()}, Python {platform.python_version()}: "
        + ", ".join(f"{count} {name}" for name, count in counts.items() if count)
        + ". The table lists the tests of stated numbers, and leaves out the quick tests of `make test`.",
        "",
        "| test | outcome | seconds | measured |",
        "|---|---|---|---|",
        *(f"| {node} | {name} | {seconds:.0f} | {measured} |" for node, name, seconds, measured in sorted(full)),
    ]
    path.write_text("\n".join(lines) + "\n")


@pytest.fixture(scope="session", autouse=True)
def _own_configuration(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The key that signs run folders is kept in a folder of the tests' own, for child processes too."""
    os.environ["LUDO_CONFIG"] = str(tmp_path_factory.mktemp("configuration"))
    os.environ["LUDO_REFERENCES"] = ""  # no test depends on the random play of an earlier one
