"""The options of a check: a row each, the source of the command line, the configuration and its schema.

The report formats have rows of their own: ``rmspec.reports.files.formats``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rmspec.reports.files.formats import FORMATS

__all__ = ["KEYS", "Key", "Kind"]

Kind = Literal["text", "path", "integer", "number", "switch", "names"]
"""What a value is: ``names`` are several, a ``switch`` is on or off."""


@dataclass(frozen=True, slots=True)
class Key:
    """An option of ``rmspec check``, named as in ``[tool.rmspec]`` of ``pyproject.toml``.

    ``default`` is printed where there is one, ``metavar`` stands for the value in the help, ``short`` is a second spelling,
    and ``off`` is there for a switch that the command line also turns off. ``plugin`` says that pytest takes it as well.
    """

    name: str
    kind: Kind
    help: str
    default: str | int | float | None = None
    metavar: str = ""
    short: str = ""
    off: bool = False
    plugin: bool = False

    @property
    def option(self) -> str:
        """Its name as an attribute of ``CheckOptions``."""
        return self.name.replace("-", "_")


KEYS: dict[str, Key] = {
    key.name: key
    for key in (
        Key("subjects", "names", "Subjects to check if the command line names none."),
        Key("profile", "text", "How much to check: smoke, ci or deep.", default="ci", plugin=True),
        Key("seed", "integer", "Seed of the search for failing programs.", default=0, plugin=True),
        Key("time-budget", "number", "Stop searching each subject after this time.", metavar="SECONDS", plugin=True),
        Key("dialect", "text", "Compare with this dialect, not the subject's own.", metavar="NAME", plugin=True),
        Key("device", "text", "Device to place the parameters on.", default="cpu"),
        Key("dtype", "names", "Check only these number formats.", metavar="NAME,...", plugin=True),
        Key("policy", "text", "Permitted hardware inaccuracy.", default="strict"),
        Key("framework", "text", "Framework of your class, if it is not detected.", metavar="NAME"),
        Key("without", "names", "Skip programs that use these features.", metavar="FEATURE,...", plugin=True),
        Key("paths", "names", "Execution paths of your class: default, all or names.", metavar="PATH,..."),
        Key("fail-fast", "switch", "Stop a subject at its first new deviation.", off=True),
        Key("known", "path", "List of known deviations (TOML), besides rmspec's own.", metavar="FILE", plugin=True),
        Key("no-known", "switch", "Ignore all lists of known deviations."),
        Key("baseline", "text", "Count deviations shared with it as inherited.", metavar="SUBJECT|none", plugin=True),
        Key("fail-on", "text", "Fail on hazards of the formula as well.", metavar="hazards"),
        Key(
            "call-timeout",
            "number",
            "End a call that takes longer than this; loading may take 120 s.",
            default=60.0,
            metavar="SECONDS",
        ),
        Key("memory-limit", "text", "End a subject that uses more memory, as 4G.", metavar="SIZE"),
        Key("reports", "path", "Write every report into this folder.", metavar="DIR"),
        *(Key(row.option, "path", row.help, metavar=row.place) for row in FORMATS.values()),
        Key("quiet", "switch", "Print only the verdicts.", short="-q"),
        Key("verbose", "switch", "Print known deviations, hazards and observations in full.", short="-v"),
    )
}
"""Every option by its name, in the order of ``rmspec check --help``."""
