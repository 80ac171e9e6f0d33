"""What is blamed is guilty: of each fault the clause that it breaks, and nothing of an optimizer without a fault.

Each program is a stored one, or as short as a reduction leaves it: the search finds them, and is not run here.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from commandline import rmspec
from programs import P, create, grouped, program, step
from scripts import executed

from rmspec.impl.spec.dialect import SPECIFICATION
from rmspec.oracles.errors import NotAnOptimizer
from rmspec.oracles.loader import load
from rmspec.oracles.program.program import (
    Call,
    Create,
    Edit,
    EditState,
    Group,
    Load,
    Param,
    Program,
    Save,
    SetGrad,
    SetOption,
    Step,
    TensorNumber,
    ZeroGrad,
)
from rmspec.oracles.scripting.standalone import standalone_script
from rmspec.oracles.subject import OPTIONS, Subject
from rmspec.properties.check import replay
from rmspec.properties.events import Deviation
from rmspec.properties.examination.plan import Plan
from rmspec.properties.identify.identification import identify
from rmspec.properties.judge.findings import Tally
from rmspec.properties.judge.runner import run
from rmspec.properties.known import Known
from rmspec.properties.search.corpus import corpus
from rmspec.properties.search.fitting import admit
from rmspec.properties.settings import Settings

torch = pytest.importorskip("torch")

FILE = Path(__file__).with_name("blamed.py")
Q = Param("q")
TWICE = (*step(p=2.0), Step("A"))


def subject(name: str) -> Subject:
    return load(f"{FILE}:{name}")


def shown(name: str, *calls: Call | tuple[Call, ...], params: tuple[Param, ...] = (P, Q)) -> list[Deviation]:
    """What a program shows on one of the optimizers, hazards left out."""
    deviations = replay(subject(name), program(*calls, params=params), Settings())
    return [deviation for deviation in deviations if not deviation.hazard]


def blamed(name: str, *calls: Call | tuple[Call, ...], params: tuple[Param, ...] = (P, Q)) -> set[str]:
    """The clauses that a program shows to be broken, and that torch's own keeps."""
    return {deviation.clause for deviation in shown(name, *calls, params=params) if deviation.known is None}


def tallied(name: str, *calls: Call | tuple[Call, ...]) -> Tally:
    """The counts of a program on one of the optimizers."""
    tally = Tally()
    run(program(*calls, params=(P, Q)), subject(name), SPECIFICATION, policy=Settings().policy, tally=tally)
    return tally


@pytest.mark.parametrize(
    ("name", "call", "clauses"),
    [
        ("LoadNeedsCounter", Load("A", "s"), {"load-state-dict"}),
        ("LoadNeedsEntries", Load("A", "s"), {"load-partial"}),
        ("SaveNeedsEntries", Save("A", "s"), {"state-dict"}),
        ("ZeroNeedsGradients", ZeroGrad("A"), {"zero-grad-none"}),
    ],
)
def test_a_call_that_raises_beside_a_parameter_without_a_gradient_is_no_step_that_takes_it(
    name: str, call: Call, clauses: set[str]
) -> None:
    """The step passed over it rightly; what lacks state or a gradient then is for the other calls to stand."""
    calls = (create("p", "q"), *step(p=2.0), Save("A", "s"), call)
    assert blamed(name, *calls) == clauses
    assert blamed("Sound", *calls) == set()


def test_a_load_that_raises_is_no_check_of_what_it_should_have_loaded() -> None:
    """Only the loads that return something to compare count."""
    calls = (create("p", "q"), *step(p=2.0), Save("A", "s"), Load("A", "s"))
    counted = [tallied(name, *calls) for name in ("Sound", "LoadNeedsCounter")]
    promised = ("load-state-dict", "load-partial")
    assert all(counted[0].exact.get(clause, 0) > 0 for clause in promised)
    assert not any(counted[1].exact.get(clause, 0) for clause in promised)
    assert all(counted[1].blocked.get(clause, 0) > 0 for clause in promised)


@pytest.mark.parametrize(
    ("name", "calls"),
    [
        ("NoneRaises", (create("p"), Step("A"))),
        ("NoneRaises", (create("p"), *TWICE, ZeroGrad("A"), Step("A"))),
        ("NoneRaisesLater", (create("p"), *TWICE, SetGrad("p", None), Step("A"))),
        ("NoneFirstRaises", (create("p", "q"), *step(p=2.0), *step(q=2.0))),
        ("NoneInGroupRaises", (grouped(Group(("p",)), Group(("q",))), *step(p=2.0))),
    ],
)
def test_a_missing_gradient_that_raises_is_no_step_that_raises(name: str, calls: tuple[Call, ...]) -> None:
    """Not that a closure, or zero_grad, is in the program as well."""
    assert blamed(name, *calls) == {"grad-none"}
    assert blamed("Sound", *calls) == set()
    given = tuple(
        replace(call, closure="returns", grads={}) if isinstance(call, Step) else call
        for call in calls
        if not isinstance(call, SetGrad) or call.values is None
    )
    if name == "NoneRaises":
        assert blamed(name, *given) == {"grad-none"}


def test_a_constructor_that_refuses_an_option_breaks_one_clause_at_every_door() -> None:
    for call in (create("p", centered=True), grouped(Group(("p",), {"lr": 0.5}), Group(("q",)), centered=True)):
        (found,) = replay(subject("CenteredRaises"), program(call, params=(P, Q)), Settings())
        assert (found.clause, found.summary) == ("params", "it raised ValueError: centered is not supported")


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("Outside", {"momentum": 0.5}),
        ("SquareOutside", {}),
        ("SquareOutside", {"momentum": 0.5}),
        ("AverageOutside", {"centered": True, "alpha": 0.5}),
        ("AllOutside", {"centered": True, "momentum": 0.5}),
    ],
)
def test_state_that_no_checkpoint_has_is_lost_by_the_load(name: str, options: dict[str, float | bool]) -> None:
    """Neither an option is, nor is a line wrong where the buffer goes on although an older one was loaded."""
    twin = (create("p", **options), *TWICE, create("q", name="B"), Save("A", "s"), Load("B", "s"), *step("B", q=2.0))
    back = (create("p", **options), SetGrad("p", (2.0,)), Save("A", "s"), *TWICE, Load("A", "s"), *step(p=0.5))
    for calls in (twin, back):
        assert blamed("Sound", *calls) == set()
        assert blamed(name, *calls) == {"load-state-dict"}


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("WritesLr", {"lr": TensorNumber(0.25)}),
        ("WritesLr", {"lr": TensorNumber(0.25), "momentum": 0.5}),
        ("WritesLrAfterwards", {"lr": TensorNumber(0.25)}),
        ("DecaysLr", {"lr": 0.25}),
        ("DecaysLr", {"lr": 0.25, "weight_decay": 0.5, "centered": True}),
        ("WritesLrWithMomentum", {"lr": 0.25, "momentum": 0.5}),
    ],
)
def test_a_step_that_writes_lr_breaks_the_clause_about_that(name: str, options: dict[str, float]) -> None:
    """And no other: the lines fit the old number or the new one, and the steps after it start from what is there."""
    calls = (create("p", **options), *TWICE, *TWICE)
    assert blamed("Sound", *calls) == set()
    assert blamed(name, *calls) == {"lr-untouched"}
    found = next(each for each in shown(name, *calls) if each.clause == "lr-untouched")
    script = standalone_script(found)
    assert script is not None
    assert isinstance(executed(script).failure, AssertionError)
    assert executed(script.replace(f"['{name}']", "['Sound']")).failure is None


def test_another_fault_beside_a_written_lr_is_found() -> None:
    calls = (create("p", lr=0.25, momentum=0.75), *TWICE)
    assert blamed("WritesLrTwice", *calls) == {"lr-untouched", "momentum-update"}


@pytest.mark.parametrize("name", ["ComplexSquare", "ComplexConjugate"])
@pytest.mark.parametrize("gradient", [(1e-19, 1e-19), (1e-20, 3e-20), (2.0**-66, 0.0), (2.0, 1.0)])
def test_complex_arithmetic_is_no_flushing_of_subnormal_numbers(name: str, gradient: tuple[float, float]) -> None:
    """A difference of squares that comes to 0 looks like one."""
    pair = Param("p", "complex64", (1,), (1.0, 0.5))
    calls = (create("p", alpha=0.5), SetGrad("p", gradient), Step("A"))
    assert blamed(name, *calls, params=(pair,)) <= {"complex-pairs"}
    assert blamed("Sound", *calls, params=(pair,)) == set()


@pytest.mark.parametrize(
    ("shape", "values"),
    [((2,), (2.0, 0.5)), ((2, 3), (2.0, 0.5, 0.25)), ((3, 1), (1.0, 2.0, 4.0)), ((2, 2), (1.0, 3.0))],
)
@pytest.mark.parametrize("layout", ["expanded", "transposed", "strided"])
def test_a_script_lays_its_tensors_out_as_the_program_did(
    shape: tuple[int, ...], values: tuple[float, ...], layout: str
) -> None:
    """It fails on the optimizer at fault, and passes on the same without the fault."""
    params = (Param("p", "float32", shape, (1.0,)),)
    gradient = SetGrad("p", values, layout)  # type: ignore[arg-type]
    calls = (create("p"), gradient, Step("A"))
    for found in shown("RowMajor", *calls, params=params):
        assert found.clause == "layout"
        script = standalone_script(found)
        assert script is not None
        assert isinstance(executed(script).failure, AssertionError)
        assert executed(script.replace("['RowMajor']", "['Sound']")).failure is None
    if layout == "expanded":
        assert blamed("RowMajor", *calls, params=params) == {"layout"}


@pytest.mark.parametrize("layout", ["transposed", "strided"])
def test_a_parameter_that_is_lost_with_its_layout_breaks_no_other_clause(layout: str) -> None:
    params = (Param("p", "float32", (2, 2), (1.0, 2.0, 3.0, 4.0), layout),)  # type: ignore[arg-type]
    calls = (create("p", momentum=0.5), *TWICE, Save("A", "s", "state_dict"), Step("A"), *step(p=0.5))
    assert blamed("LostCopy", *calls, params=params) == {"layout"}


HALF = Param("p", "float16")
HABITS = [
    # The role that comes first where the averages are stored in another order; the square average is infinite for good.
    (HALF, (create("p", alpha=0.75, momentum=0.5, centered=True), *step(p=2.0), *step(p=512.0))),
    # torch's own raises, where what is switched on later has no buffer.
    (P, (create("p"), *step(p=2.0))),
]


@pytest.mark.parametrize("name", ["Sound", "Backwards"])
@pytest.mark.parametrize(("param", "calls"), HABITS)
def test_a_habit_of_torch_is_inherited_where_torch_stops_earlier(
    name: str, param: Param, calls: tuple[Call, ...]
) -> None:
    """The witness of the habit tells, not the program at hand."""
    save, switch = Save("A", "s", "state_dict"), SetOption("A", 0, {"centered": True, "momentum": 0.5})
    for later in ((save, Step("A")), (save, switch, Step("A"), Step("A")), (switch, Step("A"), save, Step("A"))):
        deviations = shown(name, *calls, *later, params=(param,))
        assert {(each.clause, each.known) for each in deviations} == {("state-dict-snapshot", "inherited:torch")}


@pytest.mark.parametrize("name", ["TupleGroups", "NamedGroups", "GroupsByName", "TensorsAsGroups"])
def test_groups_that_cannot_be_read_are_not_checked(name: str) -> None:
    """With the reason, and nothing is said of their number."""
    capabilities = subject(name).capabilities()
    assert not {"schedule", "groups"} & capabilities.features
    assert capabilities.missing["schedule"] == "its param_groups are no list of dicts"
    assert blamed(name, create("p", momentum=0.5), *TWICE) == set()


@pytest.mark.parametrize(
    ("name", "refused"),
    [
        ("NoCentered", {"centered"}),
        ("NoDecay", {"weight_decay"}),
        ("NeitherCenteredNorMomentum", {"centered", "momentum"}),
        ("CenteredRaises", set()),
    ],
)
def test_an_option_that_is_not_implemented_is_not_checked(name: str, refused: set[str]) -> None:
    """With the message of the constructor; any other exception is for a program to find."""
    capabilities = subject(name).capabilities()
    assert capabilities.options == set(OPTIONS) - refused
    for option in refused:
        assert capabilities.missing[option] == f"its constructor refuses {option}: {option} is not supported"
    assert capabilities.roles == {"square_avg", "grad_avg", "momentum_buffer"} - (
        {"grad_avg"} if name != "NoDecay" else set()
    ) - ({"momentum_buffer"} if "momentum" in refused else set())
    assert blamed(name, create("p"), *TWICE) == set()


def test_an_option_that_is_not_implemented_is_told_by_identify() -> None:
    found = identify(subject("NoCentered"), formats=("float32",))
    assert found.named == ("torch",)
    (switch,) = (each for each in found.switches if each.name == "centered_form")
    assert switch.reason == "its constructor refuses centered: centered is not supported"


def test_a_value_that_is_refused_deviates_and_the_rest_is_checked_with_another_one() -> None:
    capabilities = subject("AlwaysMomentum").capabilities()
    assert dict(capabilities.instead) == {"momentum": 0.5}
    first = next(iter(next(Plan(capabilities, Settings(profile="smoke", programs=())).phases()).programs))
    admitted = admit(first, capabilities)
    assert admitted == first
    assert [each.clause for each in replay(subject("AlwaysMomentum"), first, Settings())] == ["params"]
    other = admit(
        program(grouped(Group(("p",), {"momentum": 0.0}), Group(("q",))), SetOption("A", 1, {"momentum": 0.0})),
        capabilities,
    )
    assert other is not None
    (created, changed) = other.calls
    assert isinstance(created, Create)
    assert (created.options, created.groups[0].options) == ({"momentum": 0.5}, {"momentum": 0.5})
    assert changed == SetOption("A", 1, {"momentum": 0.5})
    assert blamed("AlwaysMomentum", *other.calls, *step(p=2.0, q=1.0)) == set()
    assert identify(subject("AlwaysMomentum"), formats=("float32",)).named == ("torch",)


@pytest.mark.parametrize("name", ["Forwarding", "OnInstance", "Dispatching"])
def test_what_has_a_step_once_it_is_made_is_an_optimizer(name: str) -> None:
    assert {"closure", "state_dict"} <= subject(name).capabilities().features
    assert blamed(name, create("p", momentum=0.5), *TWICE, Save("A", "s"), Load("A", "s"), Step("A")) == set()


def test_what_a_wrapper_inherits_is_no_fault_of_its_own() -> None:
    deviations = shown("Forwarding", create("p"), *step(p=2.0), Save("A", "s", "state_dict"), Step("A"))
    assert [(each.clause, each.known) for each in deviations] == [("state-dict-snapshot", "inherited:torch")]


@pytest.mark.parametrize("edit", ["relabel", "drop", "older"])
def test_a_live_state_that_was_edited_lives_on(edit: Edit) -> None:
    """Steps after the edit change what is left in it, and a load restores it as it is then."""
    calls = (create("p", "q"), *step(p=2.0), Save("A", "s", "state_dict"), EditState("s", edit, 1), Step("A"))
    deviations = shown("Forwarding", *calls, Load("A", "s"))
    assert {each.clause for each in deviations} <= {"state-dict-snapshot", "load-isolation"}


def test_what_has_no_step_even_then_is_refused_and_ends_no_other_check(tmp_path: Path) -> None:
    """Unless nothing else was to be checked: that is an error on the command line."""
    with pytest.raises(NotAnOptimizer, match="the class NoOptimizer has no method step"):
        subject("NoOptimizer")
    broken = tmp_path / "broken.py"
    broken.write_text("raise RuntimeError('not today')\n")
    refused = (f"{FILE}:NoOptimizer", f"{broken}:RMSprop")
    arguments = (
        "--profile",
        "smoke",
        "--dtype",
        "float32",
        "--without",
        "momentum,centered,groups,state_dict,schedule",
    )
    done = rmspec(tmp_path, "check", *refused, f"{FILE.with_name('optimizers.py')}:Hidden", *arguments)
    assert done.code == 4, done.err
    assert "has no method step" in done.out
    assert "not today" in done.out
    assert ":Hidden: conforms" in done.out
    done = rmspec(tmp_path, "check", *refused, *arguments)
    assert done.code == 2
    assert "has no method step" in done.err


def test_row_sparse_gradients_are_not_asked_of_a_session_without_them() -> None:
    """A dense one in their place would be judged by the wrong rule."""
    capabilities = subject("Sound").capabilities()
    assert "sparse" not in capabilities.features
    assert "dense" in capabilities.missing["sparse"]
    sparse = [each for each in corpus() if any(isinstance(call, SetGrad) and call.rows for call in each.calls)]
    assert sparse
    for each in sparse:
        admitted = admit(each, capabilities)
        assert admitted is not None
        assert not any(isinstance(call, SetGrad) and call.rows for call in admitted.calls)


def closing(*calls: Call | tuple[Call, ...]) -> Program:
    """A program with closures in place of its gradients from the second step on."""
    return program(*calls, Step("A", "returns", {"p": (3.0,)}, 0.5))


@pytest.mark.parametrize(
    ("name", "given", "known"),
    [
        ("torch", closing(create("p"), *step(p=2.0), SetOption("A", 0, {"momentum": 0.5})), "torch-switched-on-later"),
        ("torch", closing(create("p"), *step(p=2.0), SetOption("A", 0, {"centered": True})), "torch-switched-on-later"),
        (
            "torch:foreach",
            closing(create("p"), SetOption("A", 0, {"lr": 0.5}), *step(p=2.0), SetOption("A", 0, {"momentum": 0.5})),
            "torch-switched-on-later",
        ),
        (
            "torch:differentiable",
            closing(create("p", weight_decay=0.5), *step(p=2.0), Save("A", "s", "pickle"), Load("A", "s")),
            "torch-differentiable-loaded-state-needs-gradients",
        ),
        (
            "torch:differentiable",
            program(create("p", weight_decay=0.5), *TWICE, Save("A", "s", "file"), Load("A", "s"), Step("A")),
            "torch-differentiable-loaded-state-needs-gradients",
        ),
    ],
)
def test_a_closure_is_not_blamed_for_what_fails_without_it(name: str, given: Program, known: str) -> None:
    assert [each.known for each in replay(load(name), given, Settings()) if not each.hazard] == [known]


@pytest.mark.parametrize("name", ["torch", "torch:maximize", "torch:differentiable", "torch:tensor-lr"])
@pytest.mark.parametrize("lr", [1e-6, 3e-6, 7e-7])
def test_torch_rounds_lr_to_half_precision_beside_a_buffer(name: str, lr: float) -> None:
    given = program(create("p", lr=lr, momentum=0.5), *step(p=1.0), params=(Param("p", "float16", (1,), (0.0,)),))
    assert {each.known for each in replay(load(name), given, Settings())} <= {"torch-lr-halves-on-cpu"}


def test_an_edit_of_a_checkpoint_stays_what_is_blamed() -> None:
    """A parameter without an entry starts anew, also where its state is hidden."""
    calls = (create("p", "q", momentum=0.5), *step(p=2.0, q=2.0), Save("A", "s"), EditState("s", "drop", 0))
    assert blamed("Outside", *calls, Load("A", "s"), *step(p=2.0)) == {"load-partial"}


def test_an_entry_of_an_older_list_names_an_exception_by_the_clause_blamed_then() -> None:
    """Lists of 0.1.0 call every exception in a step `step`; with their witness they go on to count."""
    (found,) = shown("NoneRaises", create("p"), Step("A"))
    entry = Known("old", "step", "*", "measured", witness=found.program, when={"kind": "raised"})
    again = replay(subject("NoneRaises"), found.program, replace(Settings(), known=(entry,)))
    assert [(each.clause, each.known) for each in again] == [("grad-none", "old")]
    without = replay(subject("NoneRaises"), found.program, replace(Settings(), known=(replace(entry, witness=None),)))
    assert [each.known for each in without] == [None]


@pytest.mark.parametrize(
    ("name", "options", "clauses"),
    [
        ("Sound", {"alpha": 0.9, "centered": True}, set()),
        ("MomentumInHalf", {"alpha": 0.9, "centered": True}, set()),
        ("MomentumInHalf", {"momentum": 5e-8}, {"scalar-precision"}),
    ],
)
def test_how_torch_rounds_the_number_of_add_is_no_fault_of_what_is_built_on_it(name, options, clauses) -> None:
    """``add_(gradient, alpha=1 - alpha)`` rounds it to a half on a CPU; what a class rounds by itself is its own."""
    half = Param("p", dtype="float16", values=(2.0,))
    steps = [step(p=value) for value in (2.0, 0.0, 0.02, 0.5)]
    assert blamed(name, create(**options), *steps, params=(half,)) == clauses


def test_a_default_that_is_no_number_is_one_deviation_and_its_script_shows_it() -> None:
    """Two groups show it alike: the second takes the constructor's."""
    (deviation,) = shown("CenteredIsNone", grouped(Group(("p",)), Group(("q",))))
    assert (deviation.clause, deviation.summary) == ("default-centered", "centered of group 0 is no number, not False")
    assert isinstance(executed(standalone_script(deviation)).failure, AssertionError)
