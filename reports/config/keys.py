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
        Key("subjects", "names", "What to check, where the command line names no subject."),
        Key("profile", "text", "How much: smoke, ci or deep.", default="ci", plugin=True),
        Key("seed", "integer", "Which programs are searched.", default=0, plugin=True),
        Key("time-budget", "number", "Search each subject no longer than this.", metavar="SECONDS", plugin=True),
        Key("dialect", "text", "Compare with this dialect, not the subject's own.", metavar="NAME", plugin=True),
        Key("device", "text", "Where the parameters live.", default="cpu"),
        Key("dtype", "names", "Check these formats alone.", metavar="NAME,...", plugin=True),
        Key("policy", "text", "What the hardware may do.", default="strict"),
        Key("framework", "text", "What your class is built on, if not detected.", metavar="NAME"),
        Key("without", "names", "Do not exercise these.", metavar="FEATURE,...", plugin=True),
        Key("fail-fast", "switch", "Stop a subject at its first new deviation.", off=True),
        Key("known", "path", "More known deviations (TOML), beside rmspec's own.", metavar="FILE", plugin=True),
        Key("no-known", "switch", "Let no deviation count as known."),
        Key("baseline", "text", "Whose habits count as inherited.", metavar="SUBJECT|none", plugin=True),
        Key("fail-on", "text", "Fail on hazards of the formula as well.", metavar="hazards"),
        Key(
            "call-timeout",
            "number",
            "End a call that takes longer than this; loading may take 120 s.",
            default=60.0,
            metavar="SECONDS",
        ),
        Key("reports", "path", "Write every report into this folder.", metavar="DIR"),
        *(Key(row.option, "path", row.help, metavar=row.place) for row in FORMATS.values()),
        Key("quiet", "switch", "Print the verdicts alone.", short="-q"),
        Key("verbose", "switch", "Print known deviations, hazards and observations whole.", short="-v"),
    )
}
"""Every option by its name, in the order of ``rmspec check --help``."""
