"""What a person or a CI reads: the command line, the gate, and the reporters that listen to a run's events."""

from rmspec.reports.gate import ExitCode, exit_code
from rmspec.reports.reporter import Record, Reporter

__all__ = ["ExitCode", "Record", "Reporter", "exit_code"]
