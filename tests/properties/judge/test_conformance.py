"""Base, step and frame: the reference conforms everywhere, and whatever else changes is found, by the right clause."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from programs import P, Spoilt, create, findings, grouped, hidden, program, step

from rmspec.impl.arithmetic.formats import FORMATS
from rmspec.impl.spec.clauses import CLAUSES
from rmspec.impl.spec.dialect import DIALECTS, SPECIFICATION, dialect_named
from rmspec.oracles.numpy.subject import ReferenceSubject
from rmspec.oracles.program.program import (
    AddParamGroup,
    Call,
    Create,
    EditState,
    Freeze,
    Group,
    Load,
    Param,
    Program,
    Save,
    SetGrad,
    SetOption,
    Step,
    ZeroGrad,
)
from rmspec.oracles.subject import ClosureReport, Observation, Outcome, Raised
from rmspec.properties.judge.findings import Tally
from rmspec.properties.search.corpus import corpus, in_format
from rmspec.properties.search.fitting import admit, lacks_derivatives
from rmspec.properties.search.machine import generate
from rmspec.properties.search.sweeps import sweeps

REFERENCE = ReferenceSubject()


@functools.cache
def drawn() -> tuple[Program, ...]:
    return generate(7, 40)


ASKED = [stored for stored in corpus() if not lacks_derivatives(stored, REFERENCE.capabilities())]


def admitted(given: Program) -> Program:
    fitted = admit(given, REFERENCE.capabilities())
    assert fitted is not None
    return fitted


# -- the reference conforms


@pytest.mark.parametrize("name", list(FORMATS))
def test_the_reference_conforms_on_every_stored_program(name: str) -> None:
    """In every format, nothing but hazards of the formula is found."""
    tally = Tally()
    for stored in ASKED:
        given = in_format(stored, name)
        if given is not None:
            found = [each for each in findings(admitted(given), REFERENCE, tally=tally) if not each.hazard]
            assert found == [], stored.note
    assert tally.element_checks > 500


@pytest.mark.parametrize("dialect", [name for name in DIALECTS if name != "torch"])
def test_every_dialect_conforms_to_itself_on_every_stored_program(dialect: str) -> None:
    """The reference in a dialect shows nothing when it is checked against it."""
    subject = ReferenceSubject(dialect_named(dialect))
    for stored in ASKED:
        found = [each for each in findings(admitted(stored), subject, dialect) if not each.hazard]
        assert found == [], stored.note


@pytest.mark.parametrize("dialect", ["torch", "tensorflow", "keras3", "graves2013"])
def test_the_reference_conforms_on_sweeps(dialect: str) -> None:
    """Wide parameters with numbers of every size are no different."""
    subject, tally = ReferenceSubject(dialect_named(dialect)), Tally()
    for given in sweeps(5, 12, wide=512):
        assert [each for each in findings(admitted(given), subject, dialect, tally) if not each.hazard] == []
    assert tally.element_checks > 1000


def test_the_reference_conforms_on_programs_of_the_state_machine() -> None:
    """Every program that the search draws is one that a correct optimizer passes."""
    for given in drawn():
        if given.calls:
            assert [each for each in findings(admitted(given), REFERENCE) if not each.hazard] == []


def test_a_dialect_deviates_from_the_specification_where_it_differs() -> None:
    """eps inside the root is another number, and the wrong one for the page."""
    given = program(create(eps=0.5), step(p=2.0))
    found = findings(given, ReferenceSubject(dialect_named("tensorflow")))
    assert [(each.clause, each.role) for each in found] == [("update", "param")]


# -- what may not change


def when(kind: type | tuple[type, ...], action: Callable[[Any], None], name: str = "") -> Spoilt:
    """The reference, with something done to its session after each call of a kind (on one optimizer)."""

    def spoil(session: Any, call: Call) -> None:
        if isinstance(call, kind) and (not name or getattr(call, "optimizer", "") == name):
            action(session)

    return Spoilt(spoil)


def moved(name: str) -> Callable[[Any], None]:
    """A parameter moves by one unit in the last place."""

    def action(session: Any) -> None:
        data = session._params[name].data
        data[...] = np.nextafter(data, np.inf, dtype=data.dtype)

    return action


def scaled(optimizer: str, name: str, role: str = "square_avg", factor: float = 2.0) -> Callable[[Any], None]:
    """A state of one parameter is multiplied."""

    def action(session: Any) -> None:
        held = session._optimizers.get(optimizer)
        entry = held.state.get(id(session._params[name]), {}) if held else {}
        if role in entry:
            entry[role] *= factor

    return action


def regraded(name: str) -> Callable[[Any], None]:
    """A gradient is doubled."""

    def action(session: Any) -> None:
        if session._params[name].grad is not None:
            session._params[name].grad = session._params[name].grad * 2

    return action


def regrouped(optimizer: str, **options: float) -> Callable[[Any], None]:
    """An option of an optimizer's first group changes."""

    def action(session: Any) -> None:
        if optimizer in session._optimizers:
            session._optimizers[optimizer].param_groups[0].update(options)

    return action


Q = Param("q")
BOTH = (P, Q)
LIVE = (create("p"), *step(p=2.0))
TWINS = (create("p"), create("q", name="B"), *step(p=2.0), *step("B", q=2.0))


@pytest.mark.parametrize(
    ("calls", "subject", "clause"),
    [
        # creating
        ([create("p")], when(Create, moved("p")), "init-params"),
        ([SetGrad("p", (1.0,)), create("p")], when(Create, regraded("p")), "init-params"),
        ([*LIVE, create("q", name="B")], when(Create, scaled("A", "p")), "isolation"),
        ([*LIVE, create("q", name="B")], when(Create, regrouped("A", lr=0.5), "B"), "isolation"),
        # stepping
        ([create("p", "q"), *step(p=2.0)], when(Step, moved("q")), "grad-none"),
        (
            [create("p", "q"), *step(p=2.0, q=1.0), SetGrad("q", None), *step(p=2.0)],
            when(Step, scaled("A", "q")),
            "grad-none",
        ),
        ([create("p"), *step(p=2.0)], when(Step, moved("q")), "isolation"),
        ([create("p"), *step(p=2.0)], when(Step, regraded("p")), "grad-untouched"),
        ([create("p"), *step(p=2.0)], when(Step, regrouped("A", lr=0.5)), "lr-untouched"),
        ([create("p"), *step(p=2.0)], when(Step, regrouped("A", alpha=0.5)), "frame"),
        ([*TWINS, *step(p=2.0)], when(Step, scaled("B", "q"), "A"), "isolation"),
        ([*TWINS, *step(p=2.0)], when(Step, regrouped("B", lr=0.5), "A"), "isolation"),
        ([create("p"), Step("A", "raises")], when(Step, moved("p")), "closure-failure"),
        # clearing
        ([*LIVE, ZeroGrad("A")], when(ZeroGrad, moved("p")), "zero-grad-none"),
        ([*LIVE, ZeroGrad("A", False)], when(ZeroGrad, scaled("A", "p")), "zero-grad-zero"),
        ([*LIVE, SetGrad("q", (1.0,)), ZeroGrad("A")], when(ZeroGrad, regraded("q")), "zero-grad-none"),
        # options and groups
        ([*LIVE, SetOption("A", 0, {"lr": 0.5})], when(SetOption, moved("p")), "frame"),
        ([*LIVE, AddParamGroup("A", Group(("q",)))], when(AddParamGroup, scaled("A", "p")), "add-param-group"),
        ([*LIVE, AddParamGroup("A", Group(("q",)))], when(AddParamGroup, moved("q")), "add-param-group"),
        ([*LIVE, AddParamGroup("A", Group(("p",)))], when(AddParamGroup, moved("p")), "duplicate-across-groups"),
        # saving and loading
        ([*LIVE, Save("A", "s")], when(Save, scaled("A", "p")), "state-dict"),
        ([*LIVE, Save("A", "s")], when(Save, regraded("p")), "state-dict"),
        ([*LIVE, Save("A", "s"), Load("A", "s")], when(Load, moved("p")), "load-state-dict"),
        ([*TWINS, Save("A", "s"), Load("A", "s")], when(Load, scaled("B", "q")), "isolation"),
        ([*TWINS, Save("A", "s"), Load("B", "s"), *step(p=2.0)], when(Step, scaled("B", "q"), "A"), "load-isolation"),
        (
            [*LIVE, Save("A", "s"), EditState("s", "shorten"), Load("A", "s")],
            when(Load, scaled("A", "p")),
            "load-mismatch",
        ),
        (
            [*LIVE, Save("A", "s"), EditState("s", "reshape"), Load("A", "s")],
            when(Load, scaled("A", "p")),
            "load-shape",
        ),
        # between calls
        ([*LIVE, SetGrad("p", (3.0,))], when(SetGrad, scaled("A", "p")), "frame"),
        ([*LIVE, Freeze("p")], when(Freeze, moved("p")), "frame"),
    ],
)
def test_what_a_call_may_not_change_is_found(calls: list[Call], subject: Spoilt, clause: str) -> None:
    """One bit of a parameter, a state, a gradient or an option that a call is not about breaks the clause of that call."""
    given = program(calls, params=BOTH)
    assert findings(given, REFERENCE) == ()
    found = findings(given, subject)
    assert clause in {each.clause for each in found}
    assert {each.kind for each in found if each.clause == clause} == {"frame"}


def test_a_negative_zero_is_another_number_in_the_frame() -> None:
    """What must not change is compared bit for bit."""

    def action(session: Any) -> None:
        session._params["p"].data[...] = -0.0

    given = program(create("p"), params=(Param("p", values=(0.0,)),))
    assert [each.clause for each in findings(given, when(Create, action))] == ["init-params"]


def test_a_nan_that_stays_is_no_change() -> None:
    """A NaN is equal to itself where nothing may change."""
    given = program(create("p"), ZeroGrad("A"), params=(Param("p", values=(math.nan,)),))
    assert findings(given, REFERENCE) == ()


# -- what a call must do


def answered(kind: type, **changes: Any) -> Spoilt:
    return Spoilt(answer=lambda call, outcome: replace(outcome, **changes) if isinstance(call, kind) else outcome)


RAISED = Raised("KeyError", "'step'")


@pytest.mark.parametrize(
    ("calls", "clause"),
    [
        ([create("p")], "params"),
        ([grouped(Group(("p",), {"lr": 0.5}))], "params"),
        ([*LIVE], "step"),
        ([create("p"), Step("A", "returns", {"p": (1.0,)})], "step"),
        ([*LIVE, ZeroGrad("A")], "zero-grad-none"),
        ([*LIVE, ZeroGrad("A", False)], "zero-grad-zero"),
        ([*LIVE, AddParamGroup("A", Group(("q",)))], "add-param-group"),
        ([*LIVE, Save("A", "s")], "state-dict"),
        ([*LIVE, Save("A", "s"), Load("A", "s")], "load-state-dict"),
        ([create("p", "q"), *step(p=1.0), Save("A", "s"), EditState("s", "drop"), Load("A", "s")], "load-partial"),
    ],
)
def test_an_exception_where_none_is_due_is_found(calls: list[Call], clause: str) -> None:
    """The finding names the exception, and nothing more is said of the run."""
    given = program(calls, params=BOTH)
    raising = Spoilt(answer=lambda call, outcome: Outcome(RAISED) if call == given.calls[-1] else outcome)
    (found,) = findings(given, raising)
    assert (found.kind, found.clause, found.summary) == ("raised", clause, "it raised KeyError: 'step'")


@pytest.mark.parametrize(
    ("calls", "clause"),
    [
        ([create("p"), AddParamGroup("A", Group(("p",)))], "duplicate-across-groups"),
        ([grouped(Group(("p",)), Group(("p",)))], "duplicate-across-groups"),
        ([*LIVE, Save("A", "s"), EditState("s", "shorten"), Load("A", "s")], "load-mismatch"),
        ([*LIVE, Save("A", "s"), EditState("s", "reshape"), Load("A", "s")], "load-shape"),
    ],
)
def test_silence_where_a_refusal_is_due_is_found(calls: list[Call], clause: str) -> None:
    """What must be refused and is not breaks the clause that promises the refusal."""
    given = program(calls, params=BOTH)
    assert findings(given, REFERENCE) == ()
    silent = Spoilt(answer=lambda call, outcome: Outcome())
    (found,) = findings(given, silent)
    assert (found.kind, found.clause) == ("silent", clause)


@pytest.mark.parametrize(
    ("report", "said", "clause"),
    [
        (ClosureReport(0, True, False, 2.5), "called its closure 0 times", "closure"),
        (ClosureReport(2, True, False, 2.5), "called its closure 2 times", "closure-call"),
        (ClosureReport(1, False, False, 2.5), "with gradients disabled", "closure-call"),
        (ClosureReport(1, True, True, 2.5), "before it called its closure", "closure"),
        (ClosureReport(2, False, True, None), "before it called its closure", "closure"),
        (ClosureReport(1, True, False, None), "returned None instead of the loss", "closure-call"),
        (ClosureReport(1, True, False, 2.0), "returned 2.0 instead of the loss 2.5", "closure-call"),
        (ClosureReport(1, True, False, math.nan), "returned nan instead of the loss 2.5", "closure-call"),
    ],
)
def test_a_closure_that_is_used_wrongly_is_found(report: ClosureReport, said: str, clause: str) -> None:
    """Called before anything moves, as the page says; once, with gradients, and its loss returned, as we read it."""
    given = program(create("p"), Step("A", "returns", {"p": (1.0,)}, 2.5))
    (found,) = findings(given, answered(Step, closure=report))
    assert (found.kind, found.clause) == ("closure", clause)
    assert said in found.summary


def test_a_swallowed_exception_of_a_closure_is_found() -> None:
    """A closure that fails makes the step fail; one that is not called at all is another matter."""
    given = program(create("p"), Step("A", "raises"))
    (found,) = findings(given, answered(Step, raised=None))
    assert (found.clause, found.summary) == ("closure-failure", "step swallowed the exception of its closure")
    (found,) = findings(given, answered(Step, raised=None, closure=ClosureReport(0, True, False, None)))
    assert found.clause == "closure"


@pytest.mark.parametrize("hooks", [(0, 0), (1, 0), (0, 1), (2, 2)])
def test_hooks_that_do_not_run_once_are_found(hooks: tuple[int, int]) -> None:
    """Each hook runs once around a step."""
    given = program(create("p"), Step("A", hooks=True))
    (found,) = findings(given, answered(Step, hooks=hooks))
    assert (found.kind, found.clause) == ("hooks", "hooks")
    assert findings(given, answered(Step, hooks=(1, 1))) == ()


@pytest.mark.parametrize(
    ("form", "clause"), [(None, "zero-grad-none"), (True, "zero-grad-none"), (False, "zero-grad-zero")]
)
def test_a_gradient_that_is_not_cleared_is_found(form: bool | None, clause: str) -> None:
    """It is None in the one form and zero in the other."""

    def action(session: Any) -> None:
        session._params["p"].grad = np.ones(1, dtype=np.float32)

    (found,) = findings(program(LIVE, ZeroGrad("A", form)), when(ZeroGrad, action))
    assert (found.kind, found.clause) == ("grad", clause)


def test_a_zero_of_either_sign_clears_a_gradient() -> None:
    """-0 is a zero; what was None stays None."""

    def action(session: Any) -> None:
        if session._params["p"].grad is not None:
            session._params["p"].grad = -np.zeros(1, dtype=np.float32)

    assert findings(program(LIVE, ZeroGrad("A", False)), when(ZeroGrad, action)) == ()
    assert findings(program(create("p"), ZeroGrad("A", False)), when(ZeroGrad, action)) == ()


# -- groups and options


def options_become(**options: Any) -> Callable[[Observation], Observation]:
    def see(seen: Observation) -> Observation:
        groups = {
            name: tuple(replace(view, options={**view.options, **options}) for view in views or ())
            for name, views in seen.groups.items()
        }
        return replace(seen, groups=groups)

    return see


@pytest.mark.parametrize(
    ("calls", "clause"),
    [
        ([create("p")], "default-lr"),
        ([create("p", lr=0.25)], "group-defaults"),
        ([grouped(Group(("p",), {"lr": 0.25}))], "group-options"),
        ([grouped(Group(("p",), {"lr": 0.5}), Group(("q",)))], "group-defaults"),
        ([create("p", lr=0.5), AddParamGroup("A", Group(("q",), {"lr": 0.25}))], "group-options"),
    ],
)
def test_an_option_that_is_not_what_it_must_be_is_found(calls: list[Call], clause: str) -> None:
    """The clause says where it should have come from: the page, the constructor, or the group."""
    (found,) = findings(program(calls, params=BOTH), Spoilt(see=options_become(lr=0.5)))
    assert (found.kind, found.clause, found.role, found.observed) == ("group", clause, "lr", 0.5)


def test_a_group_takes_the_default_of_the_constructor_as_it_is() -> None:
    """Of another default the default alone deviates, also where only an added or a later group takes it."""
    for given in (
        program(create("p"), AddParamGroup("A", Group(("q",))), params=BOTH),
        program(grouped(Group(("p",), {"lr": 0.25}), Group(("q",))), params=BOTH),
    ):

        def taken(session: Any, call: Call) -> None:
            for group in session._optimizers["A"].param_groups:
                group["lr"] = 0.25 if group["lr"] == 0.25 else 0.5

        assert [each.clause for each in findings(given, Spoilt(taken))] == ["default-lr"]


def test_an_option_of_another_group_that_changes_is_found() -> None:
    """Changing one group in place leaves the others."""

    def action(session: Any) -> None:
        for group in session._optimizers["A"].param_groups:
            group["lr"] = 0.5

    given = program(grouped(Group(("p",)), Group(("q",))), SetOption("A", 0, {"lr": 0.5}), params=BOTH)
    (found,) = findings(given, when(SetOption, action))
    assert (found.kind, found.clause, found.element) == ("group", "group-options", 1)


def test_options_that_are_not_restored_are_found() -> None:
    """Loading brings back the options that were saved."""
    given = program(create("p", lr=0.5), Save("A", "s"), SetOption("A", 0, {"lr": 0.25}), Load("A", "s"))
    (found,) = findings(given, when(Load, regrouped("A", lr=0.25)))
    assert (found.clause, found.observed, found.allowed) == ("load-options", 0.25, (0.5, 0.5))


def test_a_parameter_that_is_not_in_its_group_is_found() -> None:
    """Lost, doubled or in another order, the members of a group are compared by identity."""

    def action(session: Any) -> None:
        session._optimizers["A"].param_groups[0]["params"].reverse()

    (found,) = findings(program(create("p", "q"), params=BOTH), when(Create, action))
    assert (found.kind, found.clause, found.role) == ("group", "params", "params")


def test_a_group_that_is_lost_is_found() -> None:
    """The number of groups is compared first."""

    def action(session: Any) -> None:
        session._optimizers["A"].param_groups.pop()

    given = program(create("p"), AddParamGroup("A", Group(("q",))), params=BOTH)
    (found,) = findings(given, when(AddParamGroup, action))
    assert (found.clause, found.role, found.observed, found.allowed) == ("add-param-group", "groups", 1.0, (2.0, 2.0))


# -- base


@pytest.mark.parametrize("role", ["square_avg", "grad_avg", "momentum_buffer"])
def test_an_initial_state_that_is_not_initial_is_found(role: str) -> None:
    """State that is there before the first step is zero, or it breaks the clause of its initial value."""

    def action(session: Any) -> None:
        session._optimizers["A"].state[id(session._params["p"])] = {"step": 0, role: np.ones(1, dtype=np.float32)}

    (found,) = findings(program(create("p")), when(Create, action))
    assert (found.kind, found.clause, found.observed) == ("base", f"init-{role.replace('_', '-')}", 1.0)


# -- saved states


def test_a_saved_state_that_lacks_something_is_found() -> None:
    """What state_dict returns holds what the optimizer holds."""

    def see(seen: Observation) -> Observation:
        return replace(seen, slots={name: {} for name in seen.slots})

    given = program(LIVE, Save("A", "s", "state_dict"))
    (found,) = findings(given, Spoilt(see=see))
    assert (found.kind, found.clause, found.role) == ("load", "state-dict", "square_avg")


def test_a_saved_state_that_changes_later_is_found() -> None:
    """A state dict is a snapshot."""

    def action(session: Any) -> None:
        for entry in session._slots["s"][1]["state"].values() if "s" in session._slots else ():
            entry["square_avg"] *= 2

    given = program(LIVE, Save("A", "s", "state_dict"), step(p=1.0))
    found = findings(given, when(Step, action))
    assert [(each.kind, each.clause) for each in found] == [("frame", "state-dict-snapshot")]


@pytest.mark.parametrize(
    ("calls", "clause"),
    [
        ([Load("A", "s"), *step(p=1.0)], "load-isolation"),
        ([create("q", name="B"), Load("B", "s"), *step("B", q=1.0)], "load-isolation"),
        ([Save("A", "other"), create("q", name="B"), Load("B", "other"), *step("B", q=1.0)], "load-isolation"),
        ([Load("A", "s"), Save("A", "s", "state_dict"), *step(p=1.0)], "state-dict-snapshot"),
        ([create("q", name="B"), Load("B", "s"), *step(p=1.0)], "state-dict-snapshot"),
    ],
)
def test_a_saved_state_that_changes_in_a_step_of_who_loaded_it_is_one_of_loading(
    calls: list[Call], clause: str
) -> None:
    """What is given to load_state_dict is kept by it; what another call changes was live from the start."""

    def action(session: Any) -> None:
        for entry in session._slots["s"][1]["state"].values() if "s" in session._slots else ():
            entry["square_avg"] *= 2

    found = findings(program(LIVE, Save("A", "s", "state_dict"), calls, params=BOTH), when(Step, action))
    assert [(each.kind, each.clause) for each in found] == [("frame", clause)]


@pytest.mark.parametrize(
    ("calls", "clause"),
    [
        ([*LIVE, Save("A", "s"), *step(p=1.0), Load("A", "s")], "load-state-dict"),
        (
            [create("p", "q"), *step(p=1.0, q=1.0), Save("A", "s"), EditState("s", "drop"), Load("A", "s")],
            "load-partial",
        ),
    ],
)
def test_a_state_that_is_not_restored_is_found(calls: list[Call], clause: str) -> None:
    """After loading it is what was saved, and initial where nothing was saved."""

    def action(session: Any) -> None:
        for parameter in session._params.values():
            session._optimizers["A"].state.setdefault(id(parameter), {"step": 0})["square_avg"] = np.full(
                1, 9.0, np.float32
            )

    found = findings(program(calls, params=BOTH), when(Load, action))
    assert {(each.kind, each.clause) for each in found} == {("load", clause)}


def test_what_a_load_loses_is_a_matter_of_the_parameter_that_had_it() -> None:
    """That another parameter of the checkpoint has no state makes no partial load of it, nor two faults of one."""

    def action(session: Any) -> None:
        session._optimizers["A"].state.get(id(session._params["p"]), {}).pop("momentum_buffer", None)

    calls = [create("p", "q", momentum=0.5), *step(p=1.0), Save("A", "s"), Load("A", "s"), *step(p=1.0)]
    found = findings(program(calls, params=BOTH), when(Load, action))
    assert [(each.kind, each.clause, each.param) for each in found] == [("load", "load-state-dict", "p")]


def test_an_edit_of_an_entry_that_is_not_there_changes_nothing() -> None:
    """A checkpoint without state for a parameter has no tensor of another shape: accepting it is right."""
    calls = [create("p", "q"), *step(q=1.0), Save("A", "s"), EditState("s", "reshape", 0), Load("A", "s")]
    assert findings(program(calls, params=BOTH), Spoilt(answer=lambda call, outcome: Outcome())) == ()
    other = [*calls[:-2], EditState("s", "reshape", 1), calls[-1]]
    (found,) = findings(program(other, params=BOTH), Spoilt(answer=lambda call, outcome: Outcome()))
    assert (found.kind, found.clause) == ("silent", "load-shape")


def test_of_a_state_that_is_hidden_nobody_knows_its_shape() -> None:
    """An edit of it may have changed nothing: that it is accepted is no deviation, and ends what can be said."""
    calls = [*LIVE, Save("A", "s"), EditState("s", "reshape"), Load("A", "s"), *step(p=1.0)]
    subject = Spoilt(lambda session, call: None, see=hidden, answer=lambda call, outcome: Outcome())
    assert findings(program(calls, params=BOTH), subject) == ()


def test_options_that_a_group_shows_wrongly_are_found_once() -> None:
    """Steps are then measured by what the group shows, or by what it was given: neither is a second deviation."""
    given = program(
        grouped(Group(("p",), {"lr": 0.25}), Group(("q",)), lr=0.5),
        step(p=1.0, q=1.0),
        Save("A", "s"),
        Load("A", "s"),
        step(p=1.0, q=1.0),
        AddParamGroup("A", Group(("r",))),
        SetOption("A", 0, {"lr": 0.125}),
        params=(*BOTH, Param("r")),
    )

    def taken(session: Any, call: Call) -> None:
        if isinstance(call, Create):
            session._optimizers["A"].param_groups[1]["lr"] = 0.25

    def shown(seen: Observation) -> Observation:
        views = {
            name: None
            if groups is None
            else tuple(replace(each, options={**each.options, "lr": 0.25}) for each in groups)
            for name, groups in seen.groups.items()
        }
        return replace(seen, groups=views)

    found = findings(given, Spoilt(taken))
    assert [(each.kind, each.clause, each.call) for each in found] == [("group", "group-defaults", 0)]
    found = findings(replace(given, calls=given.calls[:7]), Spoilt(see=shown))
    assert [(each.kind, each.clause, each.call) for each in found] == [("group", "group-defaults", 0)]


def test_a_step_that_is_wrong_by_every_option_of_a_group_is_found_all_the_same() -> None:
    """A group that shows other options than it was given excuses nothing but their use."""

    def spoil(session: Any, call: Call) -> None:
        if isinstance(call, Create):
            session._optimizers["A"].param_groups[0]["lr"] = 0.25
        elif isinstance(call, Step):
            session._params["p"].data[...] += 1

    found = findings(program(create(lr=0.5), step(p=1.0)), Spoilt(spoil))
    assert [(each.kind, each.call) for each in found] == [("group", 0), ("value", 2)]


def test_loading_may_round_to_the_format_of_the_parameter() -> None:
    """A state that was saved from a wider format is rounded, not refused."""
    params = (Param("p", "float64"), Param("q", "float32"))
    given = program(
        create("p", alpha=0.3),
        create("q", name="B"),
        step(p=0.1),
        Save("A", "s"),
        Load("B", "s"),
        step("B", q=0.1),
        params=params,
    )
    assert findings(given, REFERENCE) == ()


# -- steps


@pytest.mark.parametrize("role", ["param", "square_avg", "grad_avg", "momentum_buffer"])
@pytest.mark.parametrize("name", list(FORMATS))
def test_a_value_just_outside_its_envelope_is_found(role: str, name: str) -> None:
    """Sixteen units in the last place are too many in every format and for every role."""
    params = (Param("p", name, (3,)),)
    given = program(create(lr=0.125, alpha=0.75, eps=0.25, momentum=0.5, centered=True), step(p=2.0), params=params)
    fmt = FORMATS[name]

    def spoil(session: Any, call: Call) -> None:
        if isinstance(call, Step):
            parameter = session._params["p"]
            array = parameter.data if role == "param" else session._optimizers["A"].state[id(parameter)][role]
            flat = array.view(fmt.part.dtype).reshape(-1)
            flat[-1] = type(flat[-1])(float(flat[-1]) * (1 + 32 * fmt.unit_roundoff))

    assert findings(given, REFERENCE) == ()
    (found,) = findings(given, Spoilt(spoil))
    assert (found.kind, found.role, found.param, found.call) == ("value", role, "p", 2)
    assert found.element == 3 * fmt.parts - 1
    assert found.elements == 3 * fmt.parts
    assert found.allowed is not None
    assert not found.allowed[0] <= float(str(found.observed)) <= found.allowed[1]


def test_a_step_that_does_nothing_is_found() -> None:
    """Standing still is no way to step."""

    class Still(ReferenceSubject):
        def session(self, params: tuple[Param, ...]) -> Any:
            made = super().session(params)
            perform = made.perform
            made.perform = lambda call: Outcome() if isinstance(call, Step) else perform(call)  # type: ignore[method-assign]
            return made

    (found,) = findings(program(create(), step(p=2.0)), Still())
    assert (found.kind, found.role) == ("value", "param")
    assert found.case is not None
    assert found.case.still


def test_a_parameter_that_is_stepped_twice_is_found() -> None:
    """A duplicate inside a group that steps it twice breaks its own clause."""

    def answer(call: Call, outcome: Outcome) -> Outcome:
        return Outcome() if isinstance(call, Create) else outcome

    class Twice(ReferenceSubject):
        def session(self, params: tuple[Param, ...]) -> Any:
            made = super().session(params)
            perform = made.perform

            def doubled(call: Call) -> Outcome:
                if isinstance(call, Create):
                    return perform(replace(call, groups=(Group(("p",)),)))
                if isinstance(call, Step):
                    perform(call)
                return perform(call)

            made.perform = doubled  # type: ignore[method-assign]
            return made

    found = findings(program(create("p", "p"), step(p=2.0)), Twice())
    assert {each.clause for each in found} == {"duplicate-in-group"}


# -- what the page promises nothing of


@pytest.mark.parametrize(
    ("calls", "clause", "behaviour"),
    [
        ([create("p", lr=-1.0)], "refuse-invalid", "refuses lr=-1 in the constructor"),
        ([create("p", alpha=math.nan)], "refuse-invalid", "refuses alpha=nan in the constructor"),
        (
            [Create("A", (Group(("p",)), Group(("q",), {"lr": -1.0})), form="groups")],
            "refuse-invalid",
            "refuses lr=-1 in a group of the constructor",
        ),
        (
            [create("p"), AddParamGroup("A", Group(("q",), {"odd": 1.0}))],
            "refuse-invalid",
            "refuses an unknown option odd in add_param_group",
        ),
        ([create("p"), AddParamGroup("A", Group(("q",)))], "caller-dict", "leaves the dict alone"),
        (
            [create("p"), SetGrad("p", (1.0,), bad="sparse"), Step("A")],
            "failed-step",
            "has not stepped the parameter with the refused gradient when it raises",
        ),
        (
            [create("p", "q"), SetGrad("p", (1.0,)), SetGrad("q", (1.0,), bad="sparse"), Step("A")],
            "failed-step",
            "has stepped the parameters before the one with the refused gradient when it raises",
        ),
        (
            [create("p", "q"), SetGrad("q", (1.0,)), SetGrad("p", (1.0,), bad="sparse"), Step("A")],
            "failed-step",
            "has not stepped the parameters after the one with the refused gradient when it raises",
        ),
    ],
)
def test_what_the_page_leaves_open_is_observed(calls: list[Call], clause: str, behaviour: str) -> None:
    """The behaviour is counted under a clause that never fails a run."""
    tally = Tally()
    assert findings(program(calls, params=BOTH), REFERENCE, tally=tally) == ()
    assert tally.observed[clause, behaviour] == 1
    assert not CLAUSES[clause].gates


def test_what_is_accepted_against_custom_is_only_observed() -> None:
    """A negative learning rate that is taken is no deviation, and ends the run."""
    tally = Tally()
    accepting = Spoilt(answer=lambda call, outcome: Outcome())
    assert findings(program(create("p", lr=-1.0), step(p=1.0)), accepting, tally=tally) == ()
    assert tally.observed == {("refuse-invalid", "accepts lr=-1 in the constructor"): 1}


# -- hidden state


def test_a_subject_that_hides_its_state_is_followed_by_bounds() -> None:
    """The trajectory envelope takes over, and the reference passes it for many steps."""
    options = {"alpha": 0.75, "momentum": 0.5, "centered": False, "eps": 0.25}
    given = program(create(**options), *(step(p=(-1) ** turn * (1.0 + turn)) for turn in range(12)))
    tally = Tally()
    assert findings(given, Spoilt(see=hidden), tally=tally) == ()
    assert tally.element_checks == 12
    assert tally.inconclusive_checks == 0


@pytest.mark.parametrize("role", ["square_avg", "momentum_buffer", "param"])
def test_a_fault_in_hidden_state_is_found_by_what_it_does(role: str) -> None:
    """A state that is wrong, though unseen, moves the parameter out of its bounds in the next step."""

    def spoil(session: Any, call: Call) -> None:
        if isinstance(call, Step):
            parameter = session._params["p"]
            array = parameter.data if role == "param" else session._optimizers["A"].state[id(parameter)][role]
            array *= 1.5

    given = program(create(alpha=0.75, momentum=0.5), step(p=2.0), step(p=1.0))
    found = findings(given, Spoilt(spoil, see=hidden))
    assert [(each.kind, each.role) for each in found][:1] == [("value", "param")]


def test_state_that_shows_in_part_is_carried_in_part() -> None:
    """One role that cannot be seen is bounded, and the others are still exact."""

    def see(seen: Observation) -> Observation:
        state = {
            name: {param: {"square_avg": roles["square_avg"]} for param, roles in entries.items()}
            for name, entries in seen.state.items()
        }
        return replace(seen, state=state)

    given = program(create(momentum=0.5, centered=True, alpha=0.75, eps=0.5), *(step(p=g) for g in (2.0, -1.0, 0.5)))
    assert findings(given, Spoilt(see=see)) == ()


def test_an_optimizer_that_shows_no_groups_is_not_asked_for_them() -> None:
    """Without groups to look at only the values count."""
    blind = Spoilt(see=lambda seen: replace(seen, groups=dict.fromkeys(seen.groups)))
    given = program(create("p"), AddParamGroup("A", Group(("q",))), step(p=1.0, q=2.0), params=BOTH)
    assert findings(given, blind) == ()


# -- hazards


def test_a_nan_that_the_formula_admits_is_a_hazard() -> None:
    """Centered with a constant gradient the variance can be negative: the NaN is the formula's, not the optimizer's."""
    turns = [step(p=0.1)] + [Step("A")] * 80
    given = program(create(centered=True, alpha=0.5), *turns)

    def spoil(session: Any, call: Call) -> None:
        if isinstance(call, Step) and session._optimizers["A"].state[id(session._params["p"])]["step"] == 40:
            session._params["p"].data[...] = np.nan

    found = findings(given, Spoilt(spoil))
    assert [(each.hazard, each.clause, each.kind) for each in found][:1] == [(True, "centered-variance", "value")]


def test_a_nan_that_the_formula_does_not_admit_is_a_deviation() -> None:
    """In one plain step of ordinary numbers nothing can become NaN."""

    def spoil(session: Any, call: Call) -> None:
        if isinstance(call, Step):
            session._params["p"].data[...] = np.nan

    (found,) = findings(program(create(), step(p=2.0)), Spoilt(spoil))
    assert not found.hazard
    assert found.clause == "update"


def test_what_is_unbounded_is_inconclusive_and_no_pass() -> None:
    """A gradient whose square overflows leaves the update open: it is counted as such."""
    tally = Tally()
    given = program(create(), SetGrad("p", (math.inf,)), Step("A"))
    assert findings(given, REFERENCE, SPECIFICATION, tally) == ()
    assert 0 < tally.inconclusive_checks <= tally.element_checks
    assert tally.inconclusive["update"] == 1
    assert tally.doubts["update", "the step starts from an infinity or a NaN"] == 1
