"""The verdicts: one row each, with its consequences for the gate, every report and a test.

The rows stand in the order of precedence (DESIGN 2.4): of several verdicts on one thing, the first in the table counts.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

__all__ = ["CLAUSE_VERDICTS", "READING_ORDER", "VERDICTS", "Case", "Tone", "VerdictRow", "first_verdict"]

Tone = Literal["good", "bad", "fair", "calm", "mute"]
"""How a verdict looks: ``good`` needs nobody, ``bad`` fails, ``fair`` wants a look, ``calm`` informs, ``mute`` is empty."""

Case = Literal["pass", "fail", "known", "skip", "error"]
"""What a test case is that has this verdict: ``known`` is a failure that is expected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictRow:
    """A verdict: its ``word`` in JSON, its looks, its words in a report, and its consequences.

    ``mark`` stands beside the colour for those who cannot tell colours apart; ``label`` names a count of it, ``tally``
    follows a number in a sum, ``one`` and ``many`` in a sentence on clauses. ``exit_code`` is what the gate makes of a
    subject with it (0: nothing); ``optional`` says that it makes nothing of it where another subject was checked, and that
    pytest skips it. ``checked`` tells whether anything was verified.
    """

    word: str
    tone: Tone
    mark: str
    label: str
    tally: str
    one: str
    many: str
    case: Case
    exit_code: int
    checked: bool
    optional: bool = False
    of: tuple[Literal["clause", "subject"], ...]


_ROWS = (
    VerdictRow(
        word="deviates",
        tone="bad",
        mark="✗",
        label="deviating",
        tally="deviate",
        one="deviates",
        many="deviate",
        case="fail",
        exit_code=1,
        checked=True,
        of=("clause", "subject"),
    ),
    VerdictRow(
        word="errored",
        tone="bad",
        mark="!",
        label="could not be checked",
        tally="could not be checked",
        one="could not be checked",
        many="could not be checked",
        case="error",
        exit_code=4,
        checked=False,
        of=("subject",),
    ),
    VerdictRow(
        word="known",
        tone="fair",
        mark="≈",
        label="known",
        tally="known",
        one="has deviations that a list names, and no new one",
        many="have deviations that a list names, and no new one",
        case="known",
        exit_code=0,
        checked=True,
        of=("clause", "subject"),
    ),
    VerdictRow(
        word="inherited",
        tone="fair",
        mark="≈",
        label="inherited from the baseline",
        tally="inherited",
        one="has deviations of the baseline's alone",
        many="have deviations of the baseline's alone",
        case="known",
        exit_code=0,
        checked=True,
        of=("clause",),
    ),
    VerdictRow(
        word="hidden",
        tone="fair",
        mark="⊘",
        label="hidden behind another deviation: neither passed nor failed",
        tally="hidden",
        one="is hidden behind another deviation: it neither passed nor failed",
        many="are hidden behind other deviations: they neither passed nor failed",
        case="skip",
        exit_code=0,
        checked=False,
        of=("clause",),
    ),
    VerdictRow(
        word="inconclusive",
        tone="fair",
        mark="?",
        label="inconclusive",
        tally="inconclusive",
        one="is inconclusive",
        many="are inconclusive",
        case="skip",
        exit_code=5,
        checked=False,
        of=("clause", "subject"),
    ),
    VerdictRow(
        word="conforms",
        tone="good",
        mark="✓",
        label="verified: checked, and no deviation found",
        tally="conform",
        one="is verified: it was checked and no deviation was found",
        many="are verified: they were checked and no deviation was found",
        case="pass",
        exit_code=0,
        checked=True,
        of=("clause", "subject"),
    ),
    VerdictRow(
        word="unsupported",
        tone="fair",
        mark="-",
        label="unsupported here",
        tally="unsupported",
        one="is not supported here",
        many="are not supported here",
        case="skip",
        exit_code=5,
        checked=False,
        optional=True,
        of=("subject",),
    ),
    VerdictRow(
        word="not-checked",
        tone="mute",
        mark="-",
        label="not checked",
        tally="not checked",
        one="was not checked",
        many="were not checked",
        case="skip",
        exit_code=0,
        checked=False,
        of=("clause",),
    ),
    VerdictRow(
        word="observed",
        tone="calm",
        mark="○",
        label="observed only",
        tally="observed only",
        one="was only observed, since the page promises nothing about it",
        many="were only observed, since the page promises nothing about them",
        case="pass",
        exit_code=0,
        checked=False,
        of=("clause",),
    ),
)

VERDICTS: dict[str, VerdictRow] = {row.word: row for row in _ROWS}
"""Every verdict by its word, the first in precedence first."""

CLAUSE_VERDICTS: tuple[str, ...] = tuple(row.word for row in _ROWS if "clause" in row.of)
"""The verdicts on a clause, in the order of precedence."""

READING_ORDER: tuple[str, ...] = (
    "conforms",
    "deviates",
    "known",
    "inherited",
    "hidden",
    "inconclusive",
    "observed",
    "not-checked",
)
"""The verdicts on a clause in the order of a sentence that counts them."""


def first_verdict(words: Iterable[str], default: str = "not-checked") -> str:
    """Choose the verdict of highest precedence; ``default`` without any."""
    order = list(VERDICTS)
    return min(words, key=order.index, default=default)
