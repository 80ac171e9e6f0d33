"""The progress of a whole run, with an estimate of the time left."""

from __future__ import annotations

from rich.console import Console
from rich.progress import (
    BarColumn,
    SpinnerColumn,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bar

from rmspec.properties.events import Progress
from rmspec.reports.text import plain

__all__ = ["ProgressDisplay"]


class ProgressDisplay:
    """A line under the output of a run, on a terminal alone: the share of the run already done, and the time left."""

    def __init__(self, out: Console) -> None:
        self._out = out
        self._bar: Bar | None = None

    def update(self, event: Progress) -> None:
        """Show how far the run is."""
        if not self._out.is_terminal:
            return
        if self._bar is None:
            self._bar = Bar(
                SpinnerColumn(),
                TextColumn("{task.description}"),
                BarColumn(20),
                TaskProgressColumn(),
                TimeElapsedColumn(),
                TextColumn("left"),
                TimeRemainingColumn(),
                console=self._out,
                transient=True,
            )
            self._bar.add_task("", total=1.0)
            self._bar.start()
        name = plain(event.name)[-30:]
        description = f"{name}: {event.phase}" if name else event.phase
        self._bar.update(self._bar.task_ids[0], description=description, completed=event.of_run)

    def stop(self) -> None:
        """Remove the line."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
