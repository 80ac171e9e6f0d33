"""The corpus: stored programs, each with its class of faults, replayed before any search.

Every fault that was ever caught adds one. They are stored as ``rmspec.program/1`` beside this module, one file each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from importlib.resources import files

from rmspec.impl.arithmetic.formats import FORMATS
from rmspec.oracles.program.program import Program, parse

__all__ = ["corpus", "in_format"]


@cache
def corpus() -> tuple[Program, ...]:
    """Every stored program, in the order of their names."""
    folder = files("rmspec.properties") / "corpus"
    stored = sorted((file for file in folder.iterdir() if file.name.endswith(".json")), key=lambda file: file.name)
    return tuple(parse(file.read_text("utf-8"), where=file.name, trusted=True) for file in stored)


def in_format(program: Program, name: str) -> Program | None:
    """Translate a stored program from float32 into another format; ``None`` if it has no float32 or names formats itself.

    Real values serve as real and imaginary parts in turn.
    """
    if name == "float32":
        return program
    if any(param.dtype != "float32" for param in program.params) or name not in FORMATS:
        return None
    return replace(program, params=tuple(replace(param, dtype=name) for param in program.params))


def ordered(programs: Sequence[Program], formats: tuple[str, ...], *, every: int = 1) -> list[Program]:
    """List the programs in every supported format: all in float32 first, then the others.

    With ``every`` above 1, each other format gets one in so many of the programs, another share each.
    """
    programs_in_order: list[Program] = []
    names = [name for name in FORMATS if name in formats]
    if "float32" not in names:
        names = ["float32", *names]
    for turn, name in enumerate(names):
        share = [program for index, program in enumerate(programs) if not turn or (index + turn) % every == 0]
        translated = (in_format(program, name) for program in share)
        programs_in_order += [program for program in translated if program is not None]
    return programs_in_order
