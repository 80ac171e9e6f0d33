"""A deviation as printed: the broken rule, observed and allowed, the shortest program, two ways to reproduce it.

``docs/how-to/read-a-report.md`` explains it. Plain lines, for the terminal, for JUnit and for whoever reads a log.
"""

from __future__ import annotations

import textwrap

from rmspec.oracles.dialects import statement
from rmspec.oracles.scripting.standalone import standalone_script
from rmspec.properties.events import Deviation
from rmspec.reports.text import explanation_lines, measured_lines, plain, program_lines, script_note, spot

__all__ = ["WIDTH", "back_reference", "block", "count", "wrapped"]

WIDTH = 80


def count(number: int, word: str, plural: str = "") -> str:
    """A number with its noun: ``1 call``, ``2,000 calls``."""
    return f"{number:,} {word if number == 1 else plural or word + 's'}"


def wrapped(text: str, *, width: int = WIDTH, indent: int = 0, hang: int | None = None) -> list[str]:
    """Wrap prose at spaces; never break a word without one, such as a path or a number."""
    following = " " * (indent if hang is None else hang)
    lines: list[str] = []
    for paragraph in text.splitlines():
        lines += textwrap.wrap(
            paragraph,
            width,
            initial_indent=following if lines else " " * indent,
            subsequent_indent=following,
            break_long_words=False,
            break_on_hyphens=False,
        )
    return lines


def block(deviation: Deviation, commands: list[str]) -> list[str]:
    """Format a deviation in full, from its clause to the ways to reproduce it.

    ``commands`` are those of ``repro_commands``; the last, which prints the script, is left out: the script stands here. What was
    seen in a first step alone has no script, and its one command asks again.
    """
    program = deviation.program
    once = deviation.sighting is not None
    replay = commands if once else commands[:-1]
    formats = ", ".join(dict.fromkeys(param.dtype for param in program.params))
    lines = wrapped(f"{deviation.clause}: {statement(deviation.clause, program.dialect)}", indent=2)
    lines += ["", *wrapped(plain(deviation.summary), indent=2), *wrapped(f"({spot(deviation)})", indent=2), ""]
    if deviation.known is None and deviation.reason:
        lines += [*wrapped(plain(deviation.reason), indent=2), ""]
    if explained := explanation_lines(deviation):
        lines += [*(part for line in explained for part in wrapped(plain(line), indent=2, hang=4)), ""]
    measured = measured_lines(deviation)
    lines += [f"  {line}" for line in (measured[1:] if deviation.observed is None else measured)]
    if lines[-1]:
        lines.append("")
    lines.append(f"  program ({formats}; {count(len(program.calls), 'call')}):")
    lines += [line for call in program_lines(program, mark=deviation.call) for line in _code(call)]
    heading = "ask more first steps with:" if once else "reproduce it with:"
    lines += ["", f"  {heading}", *(f"    {command}" for command in replay)]
    lines += [
        "",
        *([] if once else [*_script(deviation), ""]),
        f"  what the clause says, and what mends it: rmspec clauses {deviation.clause}",
    ]
    return lines


def back_reference(deviation: Deviation, owner: str, commands: list[str]) -> list[str]:
    """Format a deviation shared with the subject ``owner``, in the same program and with the same numbers."""
    title = f"{deviation.clause}: {statement(deviation.clause, deviation.program.dialect)}"
    same = f"(the same program and the same numbers as of {owner}, above)"
    return [
        *wrapped(title, indent=2),
        *wrapped(same, indent=2),
        "",
        "  ask more first steps with:" if deviation.sighting is not None else "  reproduce it with:",
        *(f"    {command}" for command in commands),
    ]


def _code(line: str) -> list[str]:
    return textwrap.wrap(line, WIDTH, initial_indent="    ", subsequent_indent="        ", break_long_words=False) or [
        ""
    ]


def _script(deviation: Deviation) -> list[str]:
    script = standalone_script(deviation)
    if script is None:
        return ["  (no standalone script: the subject is part of rmspec, or not Python)"]
    heading = wrapped(plain(f"or with this script{script_note(deviation)}:"), indent=2)
    return [*heading, *(f"    {line}".rstrip() for line in script.splitlines())]
