"""The check of one subject, as programs call it; ``rmspec.properties.examination`` carries it out.

``examine`` yields events as things happen and ends with ``SubjectFinished``; ``check`` is the function for programs that
want the result alone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from typing import Literal

from rmspec.impl.arithmetic.formats import FORMATS
from rmspec.impl.arithmetic.policy import STRICT, Policy
from rmspec.impl.spec.clauses import CLAUSES, UNNAMED
from rmspec.oracles.host.evidence import has_variants
from rmspec.oracles.host.perform import Driven, Performer
from rmspec.oracles.program.program import Program
from rmspec.oracles.subject import CALL_TIMEOUT, Subject
from rmspec.properties.events import Deviation, Event, Evidence, SubjectFinished, SubjectResult
from rmspec.properties.examination.accuracies import fitted_policy, measure_operations, operation_evidence
from rmspec.properties.examination.examination import Examination
from rmspec.properties.examination.examinee import Examinee
from rmspec.properties.examination.plan import generated
from rmspec.properties.opening import opened
from rmspec.properties.settings import DEFAULT_PATH, KnownLists, Settings, check_subject, make_settings

__all__ = ["check", "examine", "generated", "operation_accuracies", "replay", "trial"]


def check(
    subject: str | Subject,
    *,
    profile: Literal["smoke", "ci", "deep"] = "ci",
    seed: int = 0,
    time_budget: float | None = None,
    dialect: str | None = None,
    device: str = "cpu",
    formats: Iterable[str] = (),
    without: Iterable[str] = (),
    fail_fast: bool = False,
    known: KnownLists = (),
    no_known: bool = False,
    baseline: str | None = None,
    policy: str | Policy = STRICT,
    framework: str | None = None,
    call_timeout: float = CALL_TIMEOUT,
    memory_limit: int | str | None = None,
    programs: Collection[Program] | None = None,
) -> SubjectResult:
    """Check one subject, by name or as an object with the ``Subject`` protocol, and return the verdict with its evidence.

    The arguments are the options of ``rmspec check``, ``formats`` being those of ``--dtype``: ``known`` takes a file, a
    ``Known``, or several of either, beside the shipped list; ``programs`` are run in place of the generated ones.
    A name with an execution path, as ``mine.py:RMSprop:foreach``, is checked on it, one without on that of its defaults. A
    subject by name lives in a process of its own, which is ended when it is silent for ``call_timeout`` seconds, or uses more
    than ``memory_limit``, in bytes or as ``"4G"``; an object is called in this process.

    Raises ``BadOption`` for an argument that cannot be used, with the closest value that can, the errors of
    ``rmspec.oracles.load``, ``BadKnownList``, and ``SubjectFailed`` where the subject cannot be driven; all of them are
    ``RmspecError``.
    """
    check_subject(subject, call="check")
    settings = make_settings(
        (subject,) if isinstance(subject, str) else (),
        profile=profile,
        seed=seed,
        time_budget=time_budget,
        dialect=dialect,
        device=device,
        formats=formats,
        without=without,
        fail_fast=fail_fast,
        known=known,
        no_known=no_known,
        baseline=baseline,
        policy=policy,
        framework=framework,
        call_timeout=call_timeout,
        memory_limit=memory_limit,
        programs=programs,
        paths=(DEFAULT_PATH,),
    )
    with opened(subject, settings) as driven:
        for event in examine(driven, settings):
            if isinstance(event, SubjectFinished):
                return replace(event.result, in_place=not isinstance(subject, str))
    raise AssertionError("examine ends with SubjectFinished")


def operation_accuracies(name: str) -> Evidence:
    """Measure the elementary operations of a registered subject, and judge them by the strict policy.

    Raises ``SubjectFailed`` and the errors of loading.
    """
    settings = Settings()
    with opened(name, settings) as driven:
        examinee = Examinee.of(driven, settings)
        accuracies = measure_operations(examinee).accuracies
        policy = fitted_policy(settings.policy, accuracies, examinee)
        return Evidence({}, operations=operation_evidence(policy, accuracies, examinee))


def replay(subject: Driven, program: Program, settings: Settings) -> tuple[Deviation, ...]:
    """Find the deviations and hazards of one program on a subject, reduced further if the subject allows it."""
    return trial(subject, program, settings)[0]


def trial(subject: Driven, program: Program, settings: Settings) -> tuple[tuple[Deviation, ...], bool]:
    """Replay a program, and tell whether it makes any check of its own clause on this subject."""
    # As in the check, where it is not dear: in the process of a subject, and not compiled.
    measured = isinstance(subject, Performer) and not has_variants(subject.framework, subject.capabilities().paths)
    formats = {FORMATS[param.dtype].part.name for param in program.params} if measured else ()
    with closing(Examination(subject, settings, formats=formats)) as examination:
        deviations = tuple(examination.examined(program))
    checks = examination.books.tally.checks
    clause = CLAUSES.get(program.clause, UNNAMED).counted_by or program.clause
    return deviations, bool(checks.get(clause) if clause else checks)


def examine(subject: Driven, settings: Settings, *, interim: bool = False) -> Iterator[Event]:
    """Check one subject and yield its events; the last one is ``SubjectFinished``.

    With ``interim`` there are interim results as well, now and then: ``Standing``, for whoever may lose the last event.
    """
    with closing(Examination(subject, settings)) as examination:
        yield from examination.events(interim=interim)
