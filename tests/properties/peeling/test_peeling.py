"""Peeling: what explains the deviations of a subject, and what must not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from programs import Spoilt

from rmspec.impl.arithmetic.amendments import Amendment, Use
from rmspec.impl.arithmetic.policy import STRICT
from rmspec.impl.spec.dialect import SPECIFICATION, Dialect, Hyperparameters
from rmspec.oracles.host.perform import Transcript, perform
from rmspec.oracles.numpy.subject import ReferenceSession
from rmspec.oracles.program.program import Call, Create, Group, Param, Program, SetGrad, SetOption, Step
from rmspec.properties.judge.findings import Finding
from rmspec.properties.judge.runner import judge
from rmspec.properties.peeling.candidates import Setting, candidates
from rmspec.properties.peeling.evidence import Effort, Witnessed
from rmspec.properties.peeling.peeling import Adoption, Peeling
from rmspec.properties.search.corpus import corpus

Spoil = Callable[[ReferenceSession, Call], None]


@cache
def plain_programs() -> tuple[Program, ...]:
    """The stored programs that only create an optimizer and step it, in float32."""
    return tuple(
        given
        for given in corpus()
        if all(isinstance(call, Create | SetGrad | Step) for call in given.calls)
        and {param.dtype for param in given.params} == {"float32"}
        and len(given.calls) <= 40
    )


def values(transcript: Transcript, dialect: Dialect, until: int | None = None) -> tuple[Finding, ...]:
    """The findings on values to be explained, with those of later calls."""
    return tuple(
        finding
        for finding in judge(transcript, dialect).findings
        if finding.kind == "value" and finding.case is not None and not finding.hazard
    )


def misread(change: Callable[[Hyperparameters], Hyperparameters]) -> Spoil:
    """Every step is computed with changed options; the groups show those that were given."""

    def spoil(session: ReferenceSession, call: Call) -> None:
        if isinstance(call, Create) and call.optimizer in session._optimizers:
            optimizer: Any = session._optimizers[call.optimizer]
            computed = optimizer._iterate
            optimizer._iterate = lambda param, grad, hyper: computed(param, grad, change(hyper))

    return spoil


def peeling(spoil: Spoil, programs: tuple[Program, ...] | None = None, *, effort: float = 1e9) -> Peeling:
    """The search for the amendments of a spoilt reference, before it runs."""
    subject = Spoilt(spoil)
    transcripts = [perform(given, subject) for given in (plain_programs() if programs is None else programs)]
    record = [Witnessed(transcript, values(transcript, SPECIFICATION)) for transcript in transcripts]
    return Peeling(values, SPECIFICATION, STRICT, record, False, Effort(effort))


def adopted(spoil: Spoil, programs: tuple[Program, ...] | None = None) -> list[Adoption]:
    """What explains the deviations of a spoilt reference."""
    search = peeling(spoil, programs)
    assert any(entry.findings for entry in search.record)
    search.run()
    return search.adopted


def test_two_faults_in_one_line_are_a_pair() -> None:
    """Neither explains the line alone."""
    found = adopted(misread(lambda hyper: replace(hyper, eps=hyper.eps**2, lr=2 * hyper.lr)))
    uses = {use for adoption in found for use in adoption.amendment.uses}
    assert uses == {("eps", Use("power", 2.0)), ("lr", Use("times", 2.0))}
    assert not any(adoption.amendment.branch for adoption in found)


def test_one_fault_is_one_amendment() -> None:
    """The fewest changes win: nothing is adopted beside it."""
    (found,) = adopted(misread(lambda hyper: replace(hyper, alpha=hyper.alpha**2)))
    assert found.amendment == Amendment("square-avg", uses=(("alpha", Use("power", 2.0)),))


def test_a_fault_of_no_listed_kind_is_explained_by_nothing() -> None:
    """A square average that is moved by an arbitrary formula stays as it is."""

    def spoil(session: ReferenceSession, call: Call) -> None:
        if isinstance(call, Step):
            for state in session._optimizers[call.optimizer].state.values():
                state["square_avg"] = np.asarray(state["square_avg"] * 1.3 + 0.01, state["square_avg"].dtype)

    assert adopted(spoil) == []


def test_an_amendment_against_conforming_programs_is_refused() -> None:
    """The same reading is adopted where no program conforms, and refused where some do, in which it would deviate."""

    def spoil(session: ReferenceSession, call: Call) -> None:
        if isinstance(call, Create) and len(session._params) > 1:
            misread(lambda hyper: replace(hyper, lr=2 * hyper.lr))(session, call)

    search = peeling(spoil)
    failing = [entry for entry in search.record if entry.findings]
    assert failing
    assert len(failing) < len(search.record)
    search.run()
    assert search.adopted == []

    alone = Peeling(values, SPECIFICATION, STRICT, failing, False, Effort(1e9))
    alone.run()
    assert (("lr", Use("times", 2.0)),) in [adoption.amendment.uses for adoption in alone.adopted]


def test_what_fits_one_program_by_two_limits_is_refused() -> None:
    """Another alpha with decay and without momentum is no rule where one program of these branches has an alpha to tell."""

    def change(hyper: Hyperparameters) -> Hyperparameters:
        rare = hyper.centered and hyper.weight_decay == 0.25 and not hyper.momentum
        return replace(hyper, alpha=0.99) if rare else hyper

    assert adopted(misread(change)) == []
    # With two more programs of the kind it is one.
    several = [each for each in plain_programs() if each.note == "weight decay and the centered variance"]
    found = adopted(misread(change), (*plain_programs(), *several, *several))
    assert [(("alpha", Use("is", 0.99)),)] == [each.amendment.uses for each in found]


def test_amendments_that_fit_alike_are_a_tie() -> None:
    """With one learning rate in all programs nothing tells a fixed rate from a factor."""
    programs = tuple(
        replace(given, calls=tuple(_with_lr(call, 0.5) for call in given.calls)) for given in plain_programs()
    )
    (found,) = adopted(misread(lambda hyper: replace(hyper, lr=2 * hyper.lr)), programs)
    uses = {found.amendment.uses, *(tie.uses for tie in found.ties)}
    assert {(("lr", Use("times", 2.0)),), (("lr", Use("is", 1.0)),)} <= uses


def _with_lr(call: Call, lr: float) -> Call:
    if not isinstance(call, Create):
        return call
    groups = tuple(
        replace(group, options={name: each for name, each in group.options.items() if name != "lr"})
        for group in call.groups
    )
    return replace(call, groups=groups, options={**call.options, "lr": lr})


def test_what_is_found_does_not_depend_on_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Peeling asks no clock; and two searches of the same subject find the same, in the same order."""
    spoil = misread(lambda hyper: replace(hyper, lr=2 * hyper.lr))
    first = adopted(spoil)
    assert first
    for name in ("time", "monotonic", "perf_counter", "process_time"):
        monkeypatch.setattr(f"time.{name}", lambda: pytest.fail("a clock was read"))
    second = adopted(spoil)
    monkeypatch.undo()
    assert second == first


def test_a_search_without_work_left_adopts_nothing() -> None:
    """Where the number of judgements is used up, nothing is guessed."""
    search = peeling(misread(lambda hyper: replace(hyper, lr=2 * hyper.lr)), effort=0)
    search.run()
    assert search.adopted == []


HYPER = Hyperparameters(lr=0.25, alpha=0.75, eps=0.5, weight_decay=0.125, momentum=0.5, centered=True)


@pytest.mark.parametrize("role", ["square_avg", "grad_avg", "momentum_buffer", "param"])
@pytest.mark.parametrize("visible", [True, False])
def test_no_candidate_is_limited_to_a_branch(role: str, visible: bool) -> None:
    """Peeling limits an amendment to branches by what it sees; the list itself speaks of all of them, and offers each once."""
    roles = frozenset({"square_avg", "grad_avg", "momentum_buffer"} if visible else ())
    offered = list(candidates(Setting(role, HYPER, True, True, True, roles, not visible), SPECIFICATION))
    assert offered
    assert not any(candidate.branch or candidate.formats for candidate in offered)
    assert len(set(offered)) == len(offered)
    assert any(candidate.defaults for candidate in offered) == (not visible)


def test_an_option_that_is_wrong_only_after_a_change_is_not_amended() -> None:
    """Its use is right: the change is not taken up."""

    def spoil(session: ReferenceSession, call: Call) -> None:
        if isinstance(call, SetOption):
            return
        for optimizer in session._optimizers.values():
            _keep_first_lr(optimizer)

    programs = tuple(scheduled(lr, gradient) for lr in (0.01, 0.02, 0.03) for gradient in (0.5, 1.0, 2.0, 3.0, 5.0))
    same_start = tuple(scheduled(0.01, gradient) for gradient in (0.5, 1.0, 2.0, 3.0, 5.0))
    for given in (programs, same_start):
        search = peeling(spoil, given)
        assert any(entry.findings for entry in search.record)
        search.run()
        assert search.adopted == []


def _keep_first_lr(optimizer: Any) -> None:
    """Step with the learning rate of the constructor for ever."""
    if not hasattr(optimizer, "_first_lr"):
        computed, optimizer._first_lr = optimizer._iterate, optimizer.param_groups[0]["lr"]
        optimizer._iterate = lambda param, grad, hyper: computed(param, grad, replace(hyper, lr=optimizer._first_lr))


def scheduled(lr: float, gradient: float) -> Program:
    """Two steps, and two more after the learning rate was changed."""
    steps = (SetGrad("p", (gradient,)), Step("A"), Step("A"))
    create = Create("A", (Group(("p",)),), {"lr": lr}, "list")
    return Program((Param("p", "float32", (1,), (1.0,)),), (create, *steps, SetOption("A", 0, {"lr": 0.5}), *steps))
