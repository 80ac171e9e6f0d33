"""The verdicts: one row each, with its consequences for the gate, every report and a test.

The rows stand in the order of precedence: of several verdicts on one thing, the first in the table counts.
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


@dataclass(frozen=True, slots=True)
class VerdictRow:
    """A verdict: its ``word`` in JSON, its looks, its consequences, and its words in a report on clauses.

    ``mark`` stands beside the colour for those who cannot tell colours apart. ``exit_code`` is what the gate makes of a
    subject with it (0: nothing); ``optional`` says that it makes nothing of it where another subject was checked, and that
    pytest skips it. ``checked`` tells whether anything was verified. ``label`` names a count of it, ``tally`` follows a
    number in a sum, ``one`` and ``many`` in a sentence.
    """

    word: str
    tone: Tone
    mark: str
    case: Case
    exit_code: int
    label: str = ""
    tally: str = ""
    one: str = ""
    many: str = ""
    checked: bool = False
    optional: bool = False
    of: tuple[Literal["clause", "subject"], ...] = ("clause", "subject")


_ROWS = (
    VerdictRow("deviates", "bad", "✗", "fail", 1, "deviating", "deviate", "deviates", "deviate", checked=True),
    VerdictRow("errored", "bad", "!", "error", 4, of=("subject",)),
    VerdictRow(
        "known",
        "fair",
        "≈",
        "known",
        0,
        label="known",
        tally="known",
        one="has deviations that a list names, and no new one",
        many="have deviations that a list names, and no new one",
        checked=True,
    ),
    VerdictRow(
        "inherited",
        "fair",
        "≈",
        "known",
        0,
        label="inherited from the baseline",
        tally="inherited",
        one="has deviations of the baseline's alone",
        many="have deviations of the baseline's alone",
        checked=True,
        of=("clause",),
    ),
    VerdictRow(
        "hidden",
        "fair",
        "⊘",
        "skip",
        0,
        label="hidden behind another deviation",
        tally="hidden",
        one="is hidden behind another deviation: it neither passed nor failed",
        many="are hidden behind other deviations: they neither passed nor failed",
        of=("clause",),
    ),
    VerdictRow(
        "inconclusive", "fair", "?", "skip", 5, "inconclusive", "inconclusive", "is inconclusive", "are inconclusive"
    ),
    VerdictRow(
        "conforms",
        "good",
        "✓",
        "pass",
        0,
        label="verified: checked, and no deviation found",
        tally="conform",
        one="is verified: it was checked and no deviation was found",
        many="are verified: they were checked and no deviation was found",
        checked=True,
    ),
    VerdictRow("unsupported", "fair", "-", "skip", 5, optional=True, of=("subject",)),
    VerdictRow(
        "not-checked",
        "mute",
        "-",
        "skip",
        0,
        "not checked",
        "not checked",
        "was not checked",
        "were not checked",
        of=("clause",),
    ),
    VerdictRow(
        "observed",
        "calm",
        "○",
        "pass",
        0,
        label="observed only",
        tally="observed only",
        one="was only observed, since the page promises nothing about it",
        many="were only observed, since the page promises nothing about them",
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
