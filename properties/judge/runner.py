"""The runner: a program is performed on a subject, and its transcript is judged. Search, corpus and replay all use it."""

from __future__ import annotations

from dataclasses import replace

from rmspec.impl.arithmetic.formats import FORMATS
from rmspec.impl.arithmetic.policy import STRICT, Policy
from rmspec.impl.spec.clauses import CLAUSES
from rmspec.impl.spec.dialect import Dialect
from rmspec.oracles.host.perform import Driven, Transcript, perform
from rmspec.oracles.program.program import Program
from rmspec.properties.judge.conformance import Enough, Run, judge_calls
from rmspec.properties.judge.differential import differences
from rmspec.properties.judge.findings import Tally

__all__ = ["Run", "judge", "retarget", "run", "without_options"]


def run(
    program: Program, subject: Driven, dialect: Dialect, *, policy: Policy = STRICT, tally: Tally | None = None
) -> Run:
    """Execute ``program`` on ``subject`` and compare it with the specification in ``dialect``.

    Findings are in the order of the calls. Raises ``SubjectFailed`` where the subject cannot be driven.
    """
    return judge(perform(program, subject), dialect, policy=policy, tally=tally)


def judge(
    transcript: Transcript,
    dialect: Dialect,
    *,
    policy: Policy = STRICT,
    tally: Tally | None = None,
    enough: Enough | None = None,
    live: bool = False,
) -> Run:
    """Compare a transcript with the specification in ``dialect``, and count the checks in ``tally``.

    A function of its arguments alone: one transcript can be judged under many dialects. Findings are in the order of the
    calls. ``enough`` is asked after each call whether to stop there, and nothing is said of the program as a whole then.
    ``live`` amends the specification by a habit: hidden state moves on in a state dict, and in what has loaded it. Raises the
    transcript's failure where nothing ended the run before it.
    """
    tally = Tally() if tally is None else tally
    tally.programs += 1
    dialect = without_options(dialect, transcript.options)
    judged = judge_calls(transcript, dialect, policy, tally, enough, live=live)
    clause = CLAUSES.get(transcript.program.clause)
    if clause is None or clause.kind != "differential" or enough is not None:
        return judged
    return Run((*judged.findings, *differences(transcript, dialect, policy, tally)), judged.calls)


def without_options(dialect: Dialect, options: frozenset[str]) -> Dialect:
    """Switch off the branches of a dialect without an option on the subject, unless the dialect documents a default."""
    defaults = dialect.defaults
    if "weight_decay" not in options and defaults.weight_decay is None:
        defaults = replace(defaults, weight_decay=0.0)
    if "momentum" not in options and defaults.momentum is None:
        defaults = replace(defaults, momentum=0.0)
    if "centered" not in options and defaults.centered is None:
        defaults = replace(defaults, centered=False)
    return replace(dialect, defaults=defaults)


def retarget(program: Program, formats: tuple[str, ...]) -> Program:
    """Replace every number format of the program outside ``formats`` by one of ``formats``.

    A real format becomes the first real one there is, a complex one the first complex one, or else the first format.
    """
    if all(param.dtype in formats for param in program.params):
        return program
    real = [name for name in formats if FORMATS[name].parts == 1]
    pairs = [name for name in formats if FORMATS[name].parts == 2]

    def choose(dtype: str) -> str:
        if dtype in formats:
            return dtype
        same = pairs if FORMATS[dtype].parts == 2 else real
        return (same or list(formats))[0]

    return replace(program, params=tuple(replace(param, dtype=choose(param.dtype)) for param in program.params))
