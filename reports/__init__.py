"""What a person or a CI reads: the command line, the gate, and the reporters that listen to a run's events."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rmspec.reports.gate import ExitCode, exit_code
    from rmspec.reports.reporter import Record, Reporter

__all__ = ["ExitCode", "Record", "Reporter", "exit_code"]


def __getattr__(name: str) -> object:
    """The public names, imported when they are asked for: the pytest plugin is part of this package, and of every pytest run."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from rmspec.reports import gate, reporter

    return getattr(gate if hasattr(gate, name) and name in gate.__all__ else reporter, name)
