"""The folder of counterexamples (``--repro-dir``): a file for the program of each deviation and hazard of a run."""

from __future__ import annotations

from pathlib import Path

from rmspec.properties.events import Event, RunStarted, SubjectFinished
from rmspec.reports.outputs import make_folder, write
from rmspec.reports.stored import counterexample_text, program_file

__all__ = ["Programs", "reporter"]


class Programs:
    """Writes the program of every deviation and hazard into a folder."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._subjects: tuple[str, ...] = ()

    def handle(self, event: Event) -> None:
        """Make the folder at the start, and write a subject's programs when it is done."""
        match event:
            case RunStarted():
                self._subjects = event.subjects
                make_folder(self._folder)
            case SubjectFinished(result=result):
                for deviation in (*result.deviations, *result.hazards):
                    file = Path(program_file(self._folder, self._subjects, result.name, deviation))
                    make_folder(str(file.parent))
                    write(str(file), counterexample_text(deviation))


reporter = Programs
"""Makes the reporter of this format: see ``rmspec.reports.files.formats``."""
