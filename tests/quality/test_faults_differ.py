"""Each fault is one fault: it imports, steps, and differs from the correct optimizer that it derives from."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from directed import PROGRAMS, Factory, Observations, first_difference, maximize

from rmspec.impl.spec.clauses import CLAUSES
from rmspec.oracles.faults import FAULTS, Fault
from rmspec.oracles.faults.base import DifferentiableRMSprop, ForeachRMSprop, LoopRMSprop, SwitchedRMSprop
from rmspec.oracles.host.perform import perform
from rmspec.oracles.host.transcripts import encode_transcript
from rmspec.oracles.program.program import Program
from rmspec.oracles.torch.subject import user_subject
from rmspec.properties.search.corpus import corpus
from rmspec.properties.search.fitting import admit, lacks_derivatives
from rmspec.properties.search.ladders import ladders
from rmspec.properties.search.sizes import sizes

CORRECT: dict[str, Factory] = {"for-loop": LoopRMSprop, "foreach": ForeachRMSprop}


@functools.cache
def expected(path: str, program: Any) -> Observations:
    return program(CORRECT[path])


def observed(program: Any, factory: Factory) -> Observations:
    try:
        return program(factory)
    except Exception as error:
        return [("raised", repr(error))]


def derivatives(optimizer: type) -> list[Any]:
    """What comes of the corpus that differentiates."""
    capabilities = user_subject("mine", optimizer, "cpu").capabilities()
    subject = user_subject("mine", optimizer, "cpu", {"differentiable": True})
    asked = [program for program in corpus() if lacks_derivatives(program, capabilities)]
    assert asked
    return [perform(program, subject).answers[-1].outcome for program in asked]


def transcripts(optimizer: type) -> Iterator[bytes]:
    """What an optimizer does in the programs, as bytes."""
    subject = user_subject("mine", optimizer, "cpu")
    for program in asked():
        admitted = admit(program, subject.capabilities())
        yield b"" if admitted is None else encode_transcript(perform(admitted, subject))


@functools.cache
def correct(path: str) -> list[bytes]:
    return [*transcripts(CORRECT[path])]


@functools.cache
def asked() -> tuple[Program, ...]:
    """The programs of a search that no directed one stands for: of circumstances, copies, versions, ranges and sizes."""
    capabilities = user_subject("", LoopRMSprop, "cpu").capabilities()
    stored = [program for program in corpus() if not lacks_derivatives(program, capabilities)]
    return (*stored, *ladders(0, ("float32", "float16"), branches=2), *sizes(0, ("float32",), largest=2**17))


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.id)
def test_a_fault_names_clauses_and_its_base(fault: Fault) -> None:
    """Its clauses exist and can fail a run; its summary is its docstring, its path is its base class."""
    factory = fault.optimizer()
    assert fault.clauses
    assert set(fault.clauses) <= set(CLAUSES)
    assert all(CLAUSES[each].gates for each in fault.clauses)
    assert factory.__doc__ == fault.summary
    assert issubclass(factory, CORRECT[fault.path])


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.id)
def test_a_fault_constructs_and_steps(fault: Fault) -> None:
    """Ordinary use does not crash."""
    p = torch.ones(3, requires_grad=True)
    if fault.switch == "differentiable":
        p = p.clone()
        p.retain_grad()
    optimizer = fault.factory()([p], lr=0.1, alpha=0.9, eps=1e-8, weight_decay=0.1, momentum=0.9, centered=True)
    for _ in range(5):
        p.grad = torch.tensor([1.0, -2.0, 0.5])
        optimizer.step()
        optimizer.zero_grad()
    optimizer.state_dict()


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.id)
def test_a_fault_differs_from_its_base(fault: Fault) -> None:
    """Some directed program shows the fault, or else one of a search does, without a judge."""
    factory = fault.factory()
    if fault.switch == "differentiable":
        assert derivatives(fault.optimizer()) != derivatives(DifferentiableRMSprop)
        return
    if fault.switch:
        sound = functools.partial(SwitchedRMSprop, **{fault.switch: True})
        assert any(first_difference(observed(each, sound), observed(each, factory)) for each in PROGRAMS)
        return
    if "maximize" in fault.clauses:
        assert first_difference(maximize(torch.optim.RMSprop), maximize(factory), ulps=1000)
        return
    differences = (first_difference(expected(fault.path, each), observed(each, factory)) for each in PROGRAMS)
    assert any(differences) or any(
        faulty != right for faulty, right in zip(transcripts(fault.optimizer()), correct(fault.path), strict=True)
    )


def test_the_two_correct_optimizers_agree() -> None:
    """The programs find no difference between the two paths of the correct optimizer."""
    for program in PROGRAMS:
        assert first_difference(expected("for-loop", program), expected("foreach", program)) is None, program


def test_the_programs_are_repeatable() -> None:
    """A program observes the same twice, so a difference is the fault's."""
    for program in PROGRAMS:
        assert first_difference(expected("for-loop", program), program(LoopRMSprop), ulps=0) is None, program
