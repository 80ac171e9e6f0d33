"""What the benchmarks found, in one table at the end: figures, their goals, and what they were measured on."""

import os
import platform
from collections.abc import Callable

import pytest

Figure = Callable[[str, str, str], None]

_FIGURES = pytest.StashKey[list[tuple[str, str, str]]]()


@pytest.fixture
def figure(request: pytest.FixtureRequest) -> Figure:
    """Takes a line of the table: what was measured, the figure, and the goal (or nothing)."""

    def take(what: str, measured: str, goal: str = "") -> None:
        request.config.stash.setdefault(_FIGURES, []).append((what, measured, goal))

    return take


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    rows = config.stash.get(_FIGURES, [])
    if not rows:
        return
    terminalreporter.section("rmspec figures")
    load = f", load {os.getloadavg()[0]:.1f} at the end" if hasattr(os, "getloadavg") else ""
    terminalreporter.line(f"{platform.machine()}, {os.cpu_count()} cores{load}; ratios are within this run")
    table = [("measured", "figure", "goal"), *rows]
    widths = [max(len(row[i]) for row in table) for i in range(2)]
    for what, measured, goal in table:
        terminalreporter.line(f"  {what.ljust(widths[0])}  {measured.rjust(widths[1])}  {goal}".rstrip())
