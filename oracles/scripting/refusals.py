"""Calls to be refused by an optimizer: a script goes on after them, as its program does."""

from __future__ import annotations

from rmspec.impl.errors import RmspecError
from rmspec.oracles.dialects import dialect_named
from rmspec.oracles.host.perform import perform
from rmspec.oracles.numpy.subject import ReferenceSubject
from rmspec.oracles.program.program import Program

PREFIX = "with contextlib.suppress(Exception): "
"""What a statement begins with that is refused; it needs ``contextlib``."""

OR_REFUSED = "except ValueError as error: raise SystemExit(print('refused:', error))"
"""The line after the ``try`` of a call that may be refused with all that follows: the script passes."""


def refused_calls(program: Program, end: int) -> frozenset[int]:
    """List the indices of the calls before ``end`` with an exception of the reference; none if it cannot be asked."""
    subject = ReferenceSubject() if not program.dialect else ReferenceSubject(dialect_named(program.dialect))
    try:
        answers = perform(program, subject).answers
    except RmspecError:
        return frozenset()
    return frozenset(index for index, answer in enumerate(answers[:end]) if answer.outcome.raised is not None)
