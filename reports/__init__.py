"""The output for people and CIs: the command line, the gate, and the reporters of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rmspec.reports.exit_codes import ExitCode
    from rmspec.reports.gate import exit_code
    from rmspec.reports.record import Record, Reporter

__all__ = ["ExitCode", "Record", "Reporter", "exit_code"]

_PLACES = {
    "ExitCode": "exit_codes",
    "exit_code": "gate",
    "Record": "record",
    "Reporter": "record",
}


def __getattr__(name: str) -> Any:
    """Import a public name on demand: the entry point must be there before anything slow."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
