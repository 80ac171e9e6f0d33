"""Events of a check for its reporters, as plain data. Reporters know nothing of each other, nor the check of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from rmspec.impl.arithmetic.accuracy import Accuracy, Operation
from rmspec.oracles.program.program import Program
from rmspec.properties.lines.usage import UseCounts, UsedElement
from rmspec.properties.trajectory import Trajectory

__all__ = [
    "ClauseResult",
    "Deviation",
    "DeviationFound",
    "DeviationPending",
    "DialectFound",
    "Event",
    "Evidence",
    "OperationEvidence",
    "OtherDialect",
    "PathEvidence",
    "Progress",
    "RunFinished",
    "RunStarted",
    "ScriptOutcome",
    "Sighting",
    "Standing",
    "SubjectFinished",
    "SubjectResult",
    "SubjectStarted",
    "Verdict",
]

Verdict = Literal["conforms", "deviates", "known", "inconclusive", "unsupported", "errored"]
ClauseVerdict = Literal[
    "conforms", "deviates", "known", "inherited", "hidden", "inconclusive", "not-checked", "observed"
]


@dataclass(frozen=True, slots=True)
class ScriptOutcome:
    """The outcome of running a deviation's script: ``shows`` the deviation or not, and the ``end`` of one without."""

    shows: bool
    end: str = ""


@dataclass(frozen=True, slots=True)
class Sighting:
    """In how many ``starts`` of a process its first step was asked, and in how many of them, ``times``, it was seen to deviate."""

    times: int
    starts: int


@dataclass(frozen=True, slots=True)
class Deviation:
    """A deviation, or a hazard, with the shortest program for it.

    ``known`` is ``None``, the id of a known deviation, or ``inherited:SUBJECT``. ``seconds_to_first`` counts from the
    subject's first call. ``element`` and ``role`` say which number ``observed`` and ``allowed`` speak of, ``call`` after
    which call it was seen. ``reason`` is why it is known, or what to know of one that is new. ``occurrences`` is in how many
    programs it was met;
    ``state_name`` what the subject calls the role in its own state. ``amendment`` is the difference from the specification that
    explains it, as TOML spells one (empty: none does), and ``given`` are the amendments, in words, under which it was found.
    ``plain`` is what the page itself allows of a value found so, as far as that is known. ``number`` counts the new
    deviations of its clause, from 1. ``script_run`` is what became of its script, ``None`` where that
    was not run. With a ``sighting`` it is one of the first step of a process, and was gone when the same process took the step
    again: its program has the numbers that were seen, and shows nothing for certain.
    """

    clause: str
    summary: str
    program: Program
    kind: str
    call: int
    optimizer: str = ""
    param: str = ""
    role: str = ""
    element: int = 0
    elements: int = 1
    observed: float | str | None = None
    allowed: tuple[float, float] | None = None
    known: str | None = None
    reason: str = ""
    hazard: bool = False
    seconds_to_first: float = 0.0
    occurrences: int = 1
    framework: str = ""
    state_name: str = ""
    amendment: Mapping[str, object] = field(default_factory=dict)
    given: tuple[str, ...] = ()
    plain: tuple[float, float] | None = None
    number: int = 1
    script_run: ScriptOutcome | None = None
    sighting: Sighting | None = None

    @property
    def passing(self) -> bool:
        """Whether it was seen in the first step of a process alone."""
        return self.sighting is not None

    @property
    def inherited(self) -> bool:
        """Whether a baseline of the subject deviates likewise."""
        return (self.known or "").startswith("inherited:")


@dataclass(frozen=True, slots=True)
class ClauseResult:
    """The result of a run on one clause. ``reason`` is set if it is not checked, only observed, hidden or inconclusive.

    ``checks`` were judged, ``telling`` of those that passed would have failed under the clause's usual violation (as far as
    that was asked), and ``blocked`` could not be judged, because of the clauses ``hidden_by``. ``given`` are the amendments,
    in words, under which it was checked. ``worst_fraction`` is the largest fraction of an envelope that was used (1 is its
    end), ``None`` without envelopes, and ``worst`` the element that used it.
    """

    id: str
    checks: int
    inconclusive: int
    verdict: ClauseVerdict
    worst_fraction: float | None = None
    reason: str = ""
    worst: UsedElement | None = None
    telling: int = 0
    blocked: int = 0
    hidden_by: tuple[str, ...] = ()
    given: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OtherDialect:
    """Another dialect than the one in question, spoken throughout: the ``switches`` of its own, in words.

    ``names`` are those of the named dialects that it may be; there may be none.
    """

    names: tuple[str, ...]
    switches: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PathEvidence:
    """The evidence for one execution path: so many ``steps`` took it, with so many ``entries``, in words the ``title``.

    ``required``: a step that does not take it is no check of the subject.
    """

    steps: int
    entries: int
    title: str = ""
    required: bool = False


@dataclass(frozen=True, slots=True)
class OperationEvidence:
    """The measured ``accuracy`` of an elementary operation in a format, and the ulps ``allowed`` it in the judgement.

    ``promise`` is the source that documents less than correct rounding; empty if none does.
    """

    operation: Operation
    format: str
    accuracy: Accuracy
    allowed: float
    promise: str = ""


@dataclass(frozen=True, slots=True)
class Evidence:
    """The execution ``paths`` taken by a subject, by name, as its framework counts them.

    ``astray`` are the steps that came to their end on another path than they should have taken: they are no checks.
    ``left_out`` are the programs not asked of a path on which each variant costs a compilation. ``operations`` is how exact the
    elementary operations of the path were.
    """

    paths: Mapping[str, PathEvidence]
    astray: int = 0
    left_out: int = 0
    operations: tuple[OperationEvidence, ...] = ()


@dataclass(frozen=True, slots=True)
class SubjectResult:
    """The verdict on one subject and everything behind it.

    ``inconclusive_reasons`` says why element checks could not be judged, and how many for each reason.
    ``envelope_use`` is a sample of how much of its envelopes it used, by format; ``trajectory`` what it made of one objective.
    ``speaks`` is the dialect that it speaks instead of ``dialect``, if one explains deviations throughout.
    ``devices`` are those of its arrays, as far as it tells; ``elsewhere`` the known deviations that do not apply here.
    ``evidence`` are the execution paths that it took, where its framework counts any.
    ``other_paths`` are the execution paths that it offers and that were not checked beside it, each with the reason.
    ``in_place``: it was an object, called in the process that judged it, and not a name with a process of its own.
    """

    name: str
    verdict: Verdict
    dialect: str = ""
    policy: str = "strict"
    framework: str = ""
    seconds: float = 0.0
    programs: int = 0
    steps: int = 0
    element_checks: int = 0
    inconclusive_checks: int = 0
    inconclusive_reasons: Mapping[str, int] = field(default_factory=dict)
    clauses: tuple[ClauseResult, ...] = ()
    deviations: tuple[Deviation, ...] = ()
    hazards: tuple[Deviation, ...] = ()
    formats: tuple[str, ...] = ()
    state_visible: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    stale: tuple[str, ...] = ()
    message: str = ""
    hint: str = ""
    complete: bool = True
    fingerprint: str = ""
    search: str = ""
    envelope_use: Mapping[str, UseCounts] = field(default_factory=dict)
    trajectory: Trajectory | None = None
    speaks: OtherDialect | None = None
    in_place: bool = False
    devices: tuple[str, ...] = ()
    elsewhere: tuple[str, ...] = ()
    evidence: Evidence | None = None
    other_paths: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RunStarted:
    """A run begins: its subjects, its settings, its environment, and facts for the reports.

    ``fail_on_hazards`` says that hazards fail the run, ``repro_dir`` where its programs are stored, if they are.
    """

    subjects: tuple[str, ...]
    environment: Mapping[str, str]
    fail_on_hazards: bool = False
    repro_dir: str | None = None


@dataclass(frozen=True, slots=True)
class SubjectStarted:
    """A subject is loaded and will be checked."""

    name: str
    framework: str
    dialect: str
    formats: tuple[str, ...]
    versions: Mapping[str, str]
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the check of a subject is: programs done of those planned in a phase (``None``: until the time is up).

    ``of_subject`` is the share of the whole check of the subject, ``of_run`` that of the run over all subjects, from 0 to 1.
    """

    name: str
    phase: str
    done: int
    planned: int | None
    of_subject: float = 0.0
    of_run: float = 0.0


@dataclass(frozen=True, slots=True)
class DeviationFound:
    """A deviation or a hazard of a subject, reduced and attributed."""

    name: str
    deviation: Deviation


@dataclass(frozen=True, slots=True)
class DeviationPending:
    """A deviation of a value, under the name of the search: it stands if the check does not come to its end.

    At the end of the search all values are looked at together, and each deviation follows as found, under its last name. With
    ``named`` it has that already, and follows as found once its script was run.
    """

    name: str
    deviation: Deviation
    named: bool = False


@dataclass(frozen=True, slots=True)
class DialectFound:
    """A subject speaks another dialect throughout; the deviations of it follow."""

    name: str
    speaks: OtherDialect


@dataclass(frozen=True, slots=True)
class SubjectFinished:
    """A subject is done."""

    result: SubjectResult


@dataclass(frozen=True, slots=True)
class Standing:
    """How the check of a subject stands by now, for when it does not come to an end: the counts, and the clauses."""

    result: SubjectResult


@dataclass(frozen=True, slots=True)
class RunFinished:
    """The run is over; ``complete`` is false when it was interrupted, ``internal`` true when rmspec itself failed."""

    complete: bool
    seconds: float
    internal: bool = False


Event = (
    RunStarted
    | SubjectStarted
    | Progress
    | DeviationFound
    | DeviationPending
    | DialectFound
    | Standing
    | SubjectFinished
    | RunFinished
)
