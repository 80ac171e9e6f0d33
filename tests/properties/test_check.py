"""The check of one subject, end to end: phases, budgets, baselines, hazards, and the same verdict twice."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from programs import Spoilt, create, grouped, hidden, own, program, result, step

from rmspec.impl.spec.clauses import CLAUSES
from rmspec.oracles.errors import UnknownSubject
from rmspec.oracles.numpy.subject import ReferenceSubject
from rmspec.oracles.program.program import Call, Create, Group, Load, Program, Save, SetGrad, Step, ZeroGrad
from rmspec.oracles.subject import Capabilities
from rmspec.properties.check import check, examine, generated
from rmspec.properties.events import Progress, SubjectFinished, SubjectResult, SubjectStarted
from rmspec.properties.examination import examination, plan
from rmspec.properties.examination.examination import Examination
from rmspec.properties.search.corpus import corpus
from rmspec.properties.settings import PROFILES, Settings

FLOAT32 = ("float32",)


def moving(session: Any, call: Call) -> None:
    """Every step moves every parameter by one more."""
    if isinstance(call, Step):
        for parameter in session._params.values():
            parameter.data += 1


def after_a_load(session: Any, call: Call) -> None:
    """A step after a load moves the parameters."""
    session.loaded = getattr(session, "loaded", False) or isinstance(call, Load)
    if session.loaded and isinstance(call, Step):
        for parameter in session._params.values():
            if parameter.grad is not None:
                parameter.data *= 2


def without_seconds(result: SubjectResult) -> SubjectResult:
    deviations = tuple(replace(each, seconds_to_first=0.0) for each in result.deviations)
    hazards = tuple(replace(each, seconds_to_first=0.0) for each in result.hazards)
    return replace(result, seconds=0.0, deviations=deviations, hazards=hazards)


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """A part of the corpus, and one sweep: enough where a check is made several times."""
    loads, clears = ([each for each in corpus() if kind in map(type, each.calls)] for kind in (Load, ZeroGrad))
    stored = (*corpus()[::30], *loads[::6], clears[0])
    monkeypatch.setattr(plan, "corpus", lambda: stored)
    monkeypatch.setitem(PROFILES, "smoke", replace(PROFILES["smoke"], sweeps=1))


@pytest.fixture(scope="module")
def programs() -> tuple[Program, ...]:
    return generated(Settings(profile="smoke"))


# -- events


def test_a_check_tells_what_happens_in_order() -> None:
    """It starts, makes progress through the phases, and ends with the result."""
    events = list(examine(ReferenceSubject(), Settings(profile="smoke", programs=(), formats=FLOAT32)))
    assert isinstance(events[0], SubjectStarted)
    assert events[0].formats == FLOAT32
    assert isinstance(events[-1], SubjectFinished)
    assert sum(isinstance(each, SubjectFinished) for each in events) == 1
    progress = [each for each in events if isinstance(each, Progress)]
    assert list(dict.fromkeys(each.phase for each in progress)) == [
        "corpus",
        "differential",
        "ranges",
        "sizes",
        "sweep",
    ]
    assert [each.done for each in progress if each.phase == "sweep"] == list(range(PROFILES["smoke"].sweeps))


def test_the_reference_conforms(programs: tuple[Program, ...]) -> None:
    """In every format and phase, with hazards of the formula and nothing else; what was not asked is said with a reason."""
    verdict = result(ReferenceSubject(), programs=programs)
    assert (verdict.verdict, verdict.deviations, verdict.stale) == ("conforms", (), ())
    assert verdict.hazards
    assert all(each.hazard for each in verdict.hazards)
    assert verdict.element_checks > 100_000
    assert 0 < verdict.inconclusive_checks < verdict.element_checks / 10
    assert sum(verdict.inconclusive_reasons.values()) == verdict.inconclusive_checks
    assert [each.id for each in verdict.clauses] == list(CLAUSES)
    for each in verdict.clauses:
        if not CLAUSES[each.id].gates:
            assert each.verdict in ("observed", "not-checked")
        elif each.verdict == "conforms":
            assert each.checks > each.inconclusive
        else:
            assert (each.verdict, each.checks) == ("not-checked", 0)
            assert each.reason
    unasked = {"hooks", "maximize", "differentiable-step", "load-device"}
    assert {each.id for each in verdict.clauses if CLAUSES[each.id].gates and not each.checks} == unasked


def test_the_function_for_programs_gives_the_result() -> None:
    """By name or as an object, and a name that leads nowhere is refused."""
    assert check("reference", profile="smoke", formats=FLOAT32, time_budget=1e-9).name == "reference"
    assert check(ReferenceSubject(), profile="smoke", fail_fast=True, formats=FLOAT32).verdict == "conforms"
    with pytest.raises(UnknownSubject):
        check("refrence")


# -- the same twice


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize(
    "spoil", [None, moving, after_a_load], ids=["conforming", "always wrong", "wrong after a load"]
)
def test_one_seed_gives_one_result(spoil: Any, programs: tuple[Program, ...]) -> None:
    """All but seconds is the same in a second check, to the last digit, whatever subject was checked in between."""
    settings = {"programs": programs[:2], "formats": FLOAT32}
    first = without_seconds(result(Spoilt(spoil), **settings))
    result(Spoilt(moving, name="other"), fail_fast=True, **settings)
    assert repr(without_seconds(result(Spoilt(spoil), **settings))) == repr(first)
    assert (first.verdict == "conforms") is (spoil is None)


@pytest.mark.usefixtures("few")
def test_the_fingerprint_tells_which_programs_were_used(programs: tuple[Program, ...]) -> None:
    """The same for two subjects, another one for other programs."""
    prints = [
        result(subject, programs=drawn, formats=FLOAT32).fingerprint
        for subject, drawn in ((Spoilt(), programs[:2]), (Spoilt(moving), programs[:2]), (Spoilt(), programs[1:3]))
    ]
    assert prints[0] == prints[1] != prints[2]


def test_another_seed_gives_other_programs() -> None:
    """The state machine and the sweeps follow it."""
    assert generated(Settings(profile="smoke", seed=1)) != generated(Settings(profile="smoke"))
    assert len(generated(Settings(profile="smoke", seed=1))) == PROFILES["smoke"].programs


# -- settings


def test_failing_fast_ends_with_the_first_deviation() -> None:
    """One deviation is reported, and where the search stopped."""
    verdict = result(Spoilt(moving), fail_fast=True)
    assert len(verdict.deviations) == 1
    assert verdict.programs == 1
    assert verdict.search == "stopped at the first deviation in the corpus"


def test_failing_fast_does_not_end_with_a_hazard_or_a_known_one(programs: tuple[Program, ...]) -> None:
    """What does not fail the gate does not end the search."""
    verdict = result(ReferenceSubject(), fail_fast=True, formats=FLOAT32, programs=programs)
    assert verdict.hazards
    assert verdict.search == ""


def test_a_spent_time_budget_ends_the_search() -> None:
    """No step was checked then, which is no pass."""
    verdict = result(ReferenceSubject(), time_budget=1e-9)
    assert (verdict.verdict, verdict.steps) == ("inconclusive", 0)
    assert verdict.message == "no update of a parameter could be compared, in 0 steps"
    assert verdict.search == "stopped by the time budget in the corpus"


@pytest.mark.usefixtures("few")
def test_formats_are_those_that_were_asked_for() -> None:
    """No parameter of another format is made."""
    seen: set[str] = set()

    class Watching(ReferenceSubject):
        def session(self, params: Any) -> Any:
            seen.update(param.dtype for param in params)
            return super().session(params)

    verdict = result(Watching(), formats=("float16", "float64"))
    assert seen == {"float16", "float64"}
    assert verdict.formats == ("float64", "float16")


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("feature", ["momentum", "state_dict", "closure", "groups"])
def test_a_feature_that_is_left_out_is_not_exercised(feature: str) -> None:
    """Its calls and options do not occur, and its clauses say why they were not checked."""
    performed: list[Call] = []

    def watch(session: Any, call: Call) -> None:
        performed.append(call)

    verdict = result(Spoilt(watch), without=frozenset({feature}), formats=FLOAT32)
    banned = {"state_dict": Load, "groups": type(None)}.get(feature)
    assert banned is None or not any(isinstance(call, banned) for call in performed)
    assert feature != "closure" or not any(isinstance(call, Step) and call.closure for call in performed)
    assert feature != "momentum" or not any(
        "momentum" in call.options for call in performed if isinstance(call, Create)
    )
    left = [each for each in verdict.clauses if CLAUSES[each.id].feature == feature and CLAUSES[each.id].gates]
    assert left or feature == "closure"
    assert {(each.verdict, each.reason) for each in left} <= {("not-checked", "left out with --without")}


def test_an_option_that_a_constructor_lacks_is_not_exercised() -> None:
    """Its clauses are not checked, with the sentence of the subject."""
    lacking = Capabilities(
        options=frozenset({"lr", "alpha", "eps"}),
        features=ReferenceSubject().capabilities().features - {"momentum"},
        missing={"momentum": "its constructor takes no momentum"},
    )
    verdict = result(Spoilt(capabilities=lacking), formats=FLOAT32)
    assert verdict.verdict == "conforms"
    reasons = {each.id: each.reason for each in verdict.clauses if each.verdict == "not-checked"}
    assert reasons["momentum-buffer"] == reasons["default-momentum"] == "its constructor takes no momentum"
    assert "weight-decay" in reasons


def test_another_dialect_is_what_it_is_checked_against() -> None:
    """--dialect wins over the dialect that a subject claims."""
    subject = ReferenceSubject()
    assert result(subject, dialect="tensorflow", fail_fast=True, formats=FLOAT32).verdict == "deviates"
    verdict = result(Spoilt(dialect="tensorflow1"), formats=FLOAT32)
    assert (verdict.dialect, verdict.verdict) == ("tensorflow1", "conforms")


# -- what is found


@pytest.mark.usefixtures("few")
def test_a_deviation_has_everything_that_a_report_needs() -> None:
    """The reduced program with its clause and subject, the number, what was allowed, and how often it was met."""
    verdict = result(Spoilt(moving), formats=FLOAT32)
    (found,) = [each for each in verdict.deviations if each.clause == "update"]
    assert found.program.clause == "update"
    assert (found.program.subject, found.program.dialect, found.program.policy) == ("spoilt", "torch", "strict")
    assert found.allowed is not None
    assert isinstance(found.observed, float)
    assert not found.allowed[0] <= found.observed <= found.allowed[1]
    assert found.call == len(found.program.calls) - 1
    assert found.occurrences >= 1
    assert found.seconds_to_first >= 0


@pytest.mark.usefixtures("few")
def test_one_fault_is_one_deviation() -> None:
    """However many programs show it, a fault that only a load brings out is reported once or twice, not a hundred times."""
    found = own(Spoilt(after_a_load), formats=FLOAT32)
    assert "load-state-dict" in {each.clause for each in found}
    assert len(found) <= 3


def test_an_inconclusive_check_is_counted_and_is_no_pass() -> None:
    """A clause whose every check was unbounded is inconclusive, and so is a subject without a conclusive one."""
    infinite = program(
        create(),
        SetGrad("p", (float("inf"),)),
        Step("A"),
        params=(replace(corpus()[0].params[0], name="p", shape=(1,)),),
    )
    examined = Examination(ReferenceSubject(), Settings(profile="smoke", programs=(), formats=FLOAT32))
    assert list(examined.examined(infinite)) == []
    verdict = examined.result(())
    assert verdict.inconclusive_checks > 0
    update = next(each for each in verdict.clauses if each.id == "update")
    assert (update.verdict, update.reason) == ("inconclusive", "the step starts from an infinity or a NaN (1)")
    assert verdict.verdict == "inconclusive"
    assert verdict.message.startswith("no update of a parameter could be judged: the step starts from an infinity")


def test_a_subject_without_a_judged_update_is_inconclusive() -> None:
    """That its square average passes verifies no optimizer."""
    params = (replace(corpus()[0].params[0], name="p", shape=(1,), values=(float("inf"),)),)
    examined = Examination(ReferenceSubject(), Settings(profile="smoke", programs=(), formats=FLOAT32))
    assert list(examined.examined(program(create(), SetGrad("p", (1.0,)), Step("A"), params=params))) == []
    result = examined.result(())
    assert {clause.id for clause in result.clauses if clause.verdict == "conforms"} >= {"square-avg"}
    assert result.verdict == "inconclusive"
    assert result.message.startswith("no update of a parameter could be judged: ")


def test_a_hazard_of_torchs_formula_is_no_deviation() -> None:
    """Centered with a constant gradient torch becomes NaN, which is listed apart and leaves the verdict alone."""
    pytest.importorskip("torch")
    from rmspec.oracles.loader import load

    turns = [step(p=0.3), *([Step("A")] * 40)]
    constant = program(create(centered=True, alpha=0.5), *turns)
    examined = Examination(load("torch"), Settings(profile="smoke", programs=(), formats=FLOAT32))
    (found,) = examined.examined(constant)
    assert (found.hazard, found.clause, found.known) == (True, "centered-variance", None)
    verdict = examined.result(())
    assert verdict.verdict == "conforms"
    assert verdict.hazards == (found,)


def test_a_subject_that_hides_its_state_is_checked_all_the_same() -> None:
    """The reference passes by its trajectory, and a fault in what is hidden is caught."""
    blind = replace(ReferenceSubject().capabilities(), roles=frozenset())

    def wrong(session: Any, call: Call) -> None:
        if isinstance(call, Step):
            for state in session._optimizers[call.optimizer].state.values():
                state["square_avg"] *= np.asarray(1.25, dtype=state["square_avg"].dtype)

    assert result(Spoilt(see=hidden, capabilities=blind), formats=FLOAT32).verdict == "conforms"
    (found,) = own(Spoilt(wrong, see=hidden, capabilities=blind), formats=FLOAT32, fail_fast=True)
    assert found.role == "param"
    assert len(found.program.calls) <= 6


# -- what was not checked


def reasons(verdict: SubjectResult) -> dict[str, str]:
    return {clause.id: clause.reason for clause in verdict.clauses if clause.verdict == "not-checked"}


@pytest.mark.usefixtures("few")
def test_hidden_state_is_named_as_the_reason() -> None:
    """Nothing was to be seen of a role, however many programs exercised it."""
    capabilities = replace(ReferenceSubject().capabilities(), roles=frozenset())
    found = reasons(result(Spoilt(see=hidden, capabilities=capabilities), formats=FLOAT32))
    assert {found[id] for id in ("square-avg", "grad-avg", "momentum-buffer", "state-dict-snapshot")} == {
        "its state is hidden"
    }
    some = replace(capabilities, roles=frozenset({"square_avg"}))
    found = reasons(result(Spoilt(see=hidden, capabilities=some), formats=FLOAT32))
    assert found["grad-avg"] == "it shows no grad_avg"


@pytest.mark.usefixtures("few")
def test_a_search_that_stopped_is_the_reason_for_what_it_did_not_come_to() -> None:
    """Neither the dialect nor the subject is to blame for it."""
    found = reasons(result(Spoilt(moving), formats=FLOAT32, fail_fast=True))
    stopped = "the search stopped at the first deviation in the corpus before a program exercised it"
    assert found["zero-grad-none"] == stopped
    assert {reason for id, reason in found.items() if id.startswith("default-")} <= {stopped}


# -- what is inherited


class Inherited(Spoilt):
    """Wrong after a load, and derived from a subject that is wrong alike, or is not."""

    def __init__(self, spoil: Any, baseline: str) -> None:
        super().__init__(spoil)
        self.baselines = (baseline,)


@pytest.fixture
def baselines(monkeypatch: pytest.MonkeyPatch) -> None:
    subjects = {
        "mine:alike": Spoilt(after_a_load, name="mine:alike"),
        "mine:correct": Spoilt(name="mine:correct"),
        "worse": Spoilt(moving, name="worse"),
    }
    monkeypatch.setattr(examination, "open_named", lambda name, _: subjects[name])


@pytest.mark.usefixtures("baselines", "few")
def test_what_the_baseline_does_too_is_inherited() -> None:
    """The same clause at the same place of the same program is named after the baseline, and does not fail."""
    verdict = result(Inherited(after_a_load, "mine:alike"), formats=FLOAT32)
    assert verdict.verdict == "known"
    assert {each.known for each in verdict.deviations} == {"inherited:mine:alike"}


@pytest.mark.usefixtures("baselines")
def test_what_the_baseline_does_not_do_is_the_subjects_own() -> None:
    """A baseline that is correct, or none at all, leaves the deviation a deviation."""
    for settings in ({}, {"baseline": "none"}, {"baseline": "mine:correct"}):
        subject = Inherited(after_a_load, "mine:alike" if settings else "mine:correct")
        verdict = result(subject, formats=FLOAT32, fail_fast=True, **settings)
        assert verdict.verdict == "deviates", settings
        assert [each.known for each in verdict.deviations] == [None]


@pytest.mark.usefixtures("baselines", "few")
def test_a_named_baseline_replaces_the_subjects_own() -> None:
    """--baseline wins."""
    assert result(Inherited(after_a_load, "mine:correct"), formats=FLOAT32, baseline="mine:alike").verdict == "known"


@pytest.mark.usefixtures("baselines", "few")
def test_a_fault_beside_an_inherited_one_is_found() -> None:
    """What is inherited hides nothing: the subject's own fault is a deviation."""

    def both(session: Any, call: Call) -> None:
        after_a_load(session, call)
        if isinstance(call, ZeroGrad):
            for parameter in session._params.values():
                parameter.data += 1

    found = own(Inherited(both, "mine:alike"), formats=FLOAT32)
    assert {each.clause for each in found} & {"zero-grad-none", "zero-grad-zero", "frame"}


def test_a_baseline_of_another_dialect_excuses_nothing() -> None:
    """A class that ignores maximize deviates from torch-maximize, though plain torch does so too."""
    torch = pytest.importorskip("torch")
    from rmspec.oracles.torch.subject import user_subject

    ignoring = type("Ignoring", (torch.optim.RMSprop,), {})
    found = own(user_subject("mine", ignoring, "cpu"), dialect="torch-maximize", formats=FLOAT32, fail_fast=True)
    assert [each.clause for each in found] == ["maximize"]


# -- two optimizers


def test_a_shared_state_between_optimizers_is_found() -> None:
    """One optimizer that moves the other's state breaks isolation."""

    def sharing(session: Any, call: Call) -> None:
        if isinstance(call, Step) and call.optimizer == "A" and "B" in session._optimizers:
            for state in session._optimizers["B"].state.values():
                state["square_avg"] += 1

    assert {each.clause for each in own(Spoilt(sharing), formats=FLOAT32)} == {"isolation", "load-isolation"}


def test_saving_that_changes_something_is_found() -> None:
    """A save that moves a parameter breaks the clause of state_dict."""

    def saving(session: Any, call: Call) -> None:
        if isinstance(call, Save):
            for parameter in session._params.values():
                parameter.data += 1

    (found,) = own(Spoilt(saving), formats=FLOAT32, fail_fast=True)
    assert (found.clause, found.kind) == ("state-dict", "frame")
    assert [type(call) for call in found.program.calls] == [Create, Save]


def test_groups_are_compared_in_every_program() -> None:
    """An option of a group dict that is lost is found where the group is made."""

    def losing(session: Any, call: Call) -> None:
        if isinstance(call, Create):
            for group in session._optimizers[call.optimizer].param_groups:
                group["lr"] = session._optimizers[call.optimizer].defaults["lr"]

    (found,) = own(Spoilt(losing), formats=FLOAT32, fail_fast=True)
    assert found.clause == "group-options"
    assert (
        found.program.calls[0] == replace(grouped(Group((found.program.params[0].name,), {"lr": 0.5})), options={})
        or found.call == 0
    )


def test_a_result_says_where_the_subject_was_called() -> None:
    """A name has a process of its own, with nothing of it imported here; an object is called in place."""
    limits = {"profile": "smoke", "programs": (), "formats": FLOAT32, "time_budget": 0.5}
    assert not check("reference", **limits).in_place
    assert check(ReferenceSubject(), **limits).in_place
