"""Optimizers of torch as subjects: layouts, bits, paths, state by any name, closures, hooks, and poisoned memory."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from programs import create, findings, own, program, step

from rmspec.impl.arithmetic.formats import FORMATS
from rmspec.impl.spec.dialect import dialect_named
from rmspec.oracles.errors import ClosureFailed, Unsupported
from rmspec.oracles.host.perform import perform
from rmspec.oracles.program.program import (
    AddParamGroup,
    Create,
    EditState,
    Freeze,
    Group,
    Load,
    Param,
    Save,
    SetGrad,
    SetOption,
    Step,
    TensorNumber,
    ZeroGrad,
    elements,
)

torch = pytest.importorskip("torch")

from rmspec.oracles.faults.base import LoopRMSprop  # noqa: E402 - needs torch
from rmspec.oracles.loader import load  # noqa: E402 - needs torch, as what follows
from rmspec.oracles.torch.arrays import DTYPES, to_numpy, to_tensor  # noqa: E402
from rmspec.oracles.torch.session import TorchSession, deterministic, option_value  # noqa: E402
from rmspec.oracles.torch.subject import user_subject  # noqa: E402

DEVICES = [
    "cpu",
    pytest.param(
        "cuda",
        marks=[
            pytest.mark.cuda,
            pytest.mark.skipif(not torch.cuda.is_available(), reason="torch.cuda.is_available() is False"),
        ],
    ),
]
on_every_device = pytest.mark.parametrize("device", DEVICES)

LAYOUTS = ("contiguous", "transposed", "strided", "expanded")
SHAPES: tuple[tuple[int, ...], ...] = ((), (0,), (1,), (5,), (2, 3), (3, 0), (2, 3, 4))


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Small tensors on many threads take longer, and the workers share the cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def session(*params: Param, roles: dict[str, str] | None = None, factory: Any = None, **options: Any) -> TorchSession:
    return TorchSession(params or (Param("p"),), factory or torch.optim.RMSprop, roles or {}, **options)


# -- arrays


@on_every_device
@pytest.mark.parametrize("name", list(FORMATS))
@pytest.mark.parametrize("layout", LAYOUTS[:3])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_tensor_has_the_values_in_every_layout(device: str, name: str, layout: str, shape: tuple[int, ...]) -> None:
    """An array becomes a tensor of its shape and format, and comes back bit for bit."""
    array = elements((1.5, -0.0, math.nan, 3e-5, -math.inf), name, shape)
    tensor = to_tensor(array, layout, device)
    assert tensor.dtype == DTYPES[name]
    assert tuple(tensor.shape) == shape
    assert to_numpy(tensor).dtype == array.dtype
    assert to_numpy(tensor).tobytes() == array.tobytes()


@on_every_device
def test_the_strides_are_those_asked_for(device: str) -> None:
    """Contiguous, transposed, every second element, and one element that is all of them."""
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert [to_tensor(array, layout, device).stride() for layout in LAYOUTS] == [(3, 1), (1, 2), (7, 2), (0, 0)]
    cube = np.zeros((2, 3, 4), dtype=np.float32)
    assert to_tensor(cube, "transposed", device).stride() == (1, 2, 6)
    assert to_tensor(np.zeros(4, dtype=np.float32), "strided", device).stride() == (2,)


@pytest.mark.parametrize("name", list(FORMATS))
def test_memory_between_strided_elements_is_nan(name: str) -> None:
    """Who reads an element's neighbour in memory reads no number."""
    tensor = to_tensor(elements((2.0,), name, (2, 3)), "strided", "cpu")
    whole = tensor.as_strided((2, 7), (7, 1))
    assert to_numpy(whole[:, 0:6:2]).tobytes() == to_numpy(tensor).tobytes()
    assert bool(torch.isnan(whole[:, 1::2]).all())
    assert bool(torch.isnan(whole[:, 6]).all())


@pytest.mark.parametrize("shape", SHAPES)
def test_an_expanded_tensor_repeats_its_first_element(shape: tuple[int, ...]) -> None:
    """Every element is the first, and shares its memory."""
    tensor = to_tensor(elements((2.0, 3.0), "float32", shape), "expanded", "cpu")
    assert tuple(tensor.shape) == shape
    assert to_numpy(tensor).tobytes() == np.full(shape, 2.0, dtype=np.float32).tobytes()


@given(st.lists(st.integers(0, 2**16 - 1), min_size=1, max_size=5))
def test_bfloat16_goes_through_bit_for_bit(patterns: list[int]) -> None:
    """Every pattern of 16 bits, NaNs with their payload among them, survives both ways."""
    array = np.array(patterns, dtype=np.uint16).view(ml_dtypes.bfloat16)
    tensor = to_tensor(array, "contiguous", "cpu")
    assert tensor.view(torch.int16).numpy().view(np.uint16).tolist() == patterns
    assert to_numpy(tensor).view(np.uint16).tolist() == patterns


def test_a_tensor_and_its_array_share_no_memory() -> None:
    """Neither changes when the other does."""
    for name in FORMATS:
        array = elements((1.0,), name, (2,))
        tensor = to_tensor(array, "contiguous", "cpu")
        seen = to_numpy(tensor)
        tensor.zero_()
        assert np.all(array == seen)
        assert np.all(seen != 0)


def test_a_lazy_conjugate_or_negative_is_read_as_its_value() -> None:
    """A bit that torch sets instead of calculating is resolved."""
    tensor = torch.tensor([1 + 2j])
    assert to_numpy(tensor.conj()).tolist() == [1 - 2j]
    assert to_numpy(tensor.conj().imag).tolist() == [-2.0]


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (True, True),
        (0.5, 0.5),
        (torch.tensor(0.25), 0.25),
        (3, 3.0),
        (None, math.nan),
        ("x", math.nan),
        ([1, 2], math.nan),
    ],
)
def test_an_option_is_seen_as_a_number(value: Any, number: float) -> None:
    """A tensor counts as its number, and what is no number as NaN."""
    assert option_value(value) == number or (math.isnan(option_value(value)) and math.isnan(number))


# -- calls


@on_every_device
def test_a_program_of_every_call_runs(device: str) -> None:
    """Each call does on torch what it says, without an exception."""
    params = (Param("p", "float64", (2,), (1.0, 2.0)), Param("q"), Param("r"))
    driven = session(*params, roles={"square_avg": "square_avg"}, device=device)
    calls = [
        create("p", lr=TensorNumber(0.5), centered=True),
        SetGrad("p", (0.5,), "strided"),
        Step("A", "returns", {"p": (0.25,)}, 3.25, hooks=True),
        AddParamGroup("A", Group(("q",), {"lr": 0.25}), "generator"),
        AddParamGroup("A", Group(("r",), {"lr": 0.5}), "tensor"),
        SetOption("A", 0, {"lr": TensorNumber(0.125), "alpha": 0.5}),
        *(
            call
            for via in ("state_dict", "deepcopy", "file", "pickle")
            for call in (Save("A", via, via), Load("A", via))
        ),  # type: ignore[arg-type]
        EditState("deepcopy", "relabel"),
        Load("A", "deepcopy"),
        Freeze("q"),
        ZeroGrad("A"),
        ZeroGrad("A", False),
        Create("B", (Group(("p",), {"lr": 0.5}), Group(("q",)))),
        Create("C", (Group(("p", "q")),), {}, "generator"),
    ]
    outcomes = [driven.perform(call) for call in calls]
    assert [outcome.raised for outcome in outcomes] == [None] * len(calls)
    seen = driven.observe()
    assert [group.params for group in seen.groups["A"] or ()] == [("p",), ("q",), ("r",)]
    assert [group.options["lr"] for group in seen.groups["A"] or ()] == [0.125, 0.25, 0.5]
    assert [group.params for group in seen.groups["C"] or ()] == [("p", "q")]
    assert seen.grads["p"] is None
    assert set(seen.slots) == {"state_dict"}
    driven.close()


def test_a_learning_rate_that_is_a_tensor_is_filled_in_place() -> None:
    """A schedule that fills the tensor changes the group that holds it."""
    driven = session()
    driven.perform(create(lr=TensorNumber(0.5)))
    held = driven._optimizers["A"].param_groups[0]["lr"]
    driven.perform(SetOption("A", 0, {"lr": TensorNumber(0.25)}))
    assert driven._optimizers["A"].param_groups[0]["lr"] is held
    assert float(held) == 0.25


@pytest.mark.parametrize("via", ["deepcopy", "file", "pickle"])
def test_a_saved_state_is_a_copy(via: Any) -> None:
    """What is taken through a copy, a file or a pickle does not change with the optimizer."""
    driven = session(roles={"square_avg": "square_avg"})
    for call in (create(alpha=0.5), *step(p=2.0), Save("A", "s", via), *step(p=4.0), Load("A", "s")):
        assert driven.perform(call).raised is None
    assert driven.observe().state["A"]["p"]["square_avg"].tolist() == [2.0]


def test_a_sparse_gradient_is_refused_and_seen_as_dense() -> None:
    """The bad gradient of a program is one that torch's optimizer refuses, for every shape."""
    for shape in ((), (3,), (2, 2)):
        driven = session(Param("p", "float32", shape))
        driven.perform(create())
        assert driven.perform(SetGrad("p", (2.0,), bad="sparse")).raised is None
        raised = driven.perform(Step("A")).raised
        assert raised is not None
        assert raised.type == "RuntimeError"
        assert driven.observe().grads["p"].tolist() == np.full(shape, 2.0).tolist()  # type: ignore[union-attr]


# -- closures and hooks


def closure_report(factory: Any, kind: Any = "returns", *, hooks: bool = False) -> Any:
    driven = session(factory=factory)
    driven.perform(create())
    return driven.perform(Step("A", kind, {"p": (0.5,)}, 3.25, hooks=hooks))


class Plain(torch.optim.RMSprop):
    """torch's optimizer by another name."""


def test_a_closure_reports_what_it_saw() -> None:
    """Called once, with gradients enabled, before anything moved; its loss came back."""
    outcome = closure_report(Plain)
    report = outcome.closure
    assert (report.calls, report.grad_enabled, report.moved_before, report.returned) == (1, True, False, 3.25)
    assert (outcome.raised, outcome.hooks) == (None, None)


def test_a_closure_that_raises_is_reported_with_its_exception() -> None:
    """The exception is the program's own, and nothing was returned."""
    outcome = closure_report(Plain, "raises")
    assert outcome.raised.type == ClosureFailed.__name__
    assert (outcome.closure.calls, outcome.closure.returned) == (1, None)


@pytest.mark.parametrize("kind", ["", "returns", "raises"])
def test_hooks_are_counted_around_one_step(kind: str) -> None:
    """With a closure or without, a step that comes to its end runs each hook once; they are gone afterwards."""
    driven = session(factory=Plain)
    driven.perform(create())
    grads = {"p": (0.5,)} if kind == "returns" else {}
    assert driven.perform(Step("A", kind, grads, hooks=True)).hooks == ((1, 0) if kind == "raises" else (1, 1))  # type: ignore[arg-type]
    assert not driven._optimizers["A"]._optimizer_step_pre_hooks
    assert not driven._optimizers["A"]._optimizer_step_post_hooks


def test_a_closure_that_is_called_late_sees_moved_parameters() -> None:
    """Stepping first and evaluating afterwards, twice and without gradients, shows in the report."""

    class Late(torch.optim.RMSprop):
        def step(self, closure=None):
            with torch.no_grad():
                self.param_groups[0]["params"][0].add_(1.0)
                closure()
                return float(closure()) + 1

    report = closure_report(Late).closure
    assert (report.calls, report.grad_enabled, report.moved_before, report.returned) == (2, False, True, 4.25)


@pytest.mark.parametrize("changes", [True, False])
def test_a_callers_dict_is_watched(changes: bool) -> None:
    """Whether add_param_group changed the dict that it was given is part of the outcome."""

    class Keeps(torch.optim.RMSprop):
        def add_param_group(self, param_group):
            super().add_param_group(param_group if changes else dict(param_group))

    driven = session(Param("p"), Param("q"), factory=Keeps)
    driven.perform(create())
    assert driven.perform(AddParamGroup("A", Group(("q",)))).caller_dict_changed is changes


# -- paths


LONG = program(
    create("p", "q", lr=0.5, alpha=0.75, eps=0.25, momentum=0.5, weight_decay=0.125, centered=True),
    *(step(p=2.0, q=-0.5) for _ in range(3)),
    ZeroGrad("A"),
    step(q=3.0),
    params=(Param("p", "float32", (2, 3), (1.0, -0.5), "transposed"), Param("q", "float64", (5,))),
)


@on_every_device
@pytest.mark.parametrize(
    "path", ["torch", "torch:foreach", "torch:maximize", "torch:differentiable", "torch:tensor-lr"]
)
def test_a_path_of_torch_conforms(path: str, device: str) -> None:
    """A step of every kind shows nothing on the path, in the dialect that it claims to speak."""
    subject = load(path, device=device)
    assert findings(LONG, subject, dialect_named(subject.dialect)) == ()


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch.cuda.is_available() is False")
def test_the_capturable_path_conforms() -> None:
    """On a CUDA device the capturable path shows nothing either."""
    assert findings(LONG, load("torch:capturable")) == ()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_path_without_its_device_is_unsupported() -> None:
    """Without CUDA the message says so, and what to do."""
    for name, device in (("torch:capturable", "cpu"), ("torch", "cuda")):
        with pytest.raises(Unsupported, match="no CUDA device") as caught:
            load(name, device=device)
        assert caught.value.hint


@pytest.mark.slow
def test_the_compiled_path_conforms() -> None:
    """The step under torch.compile shows nothing."""
    short = program(create(lr=0.5, momentum=0.5, centered=True), step(p=2.0), step(p=0.5))
    try:
        torch.compile(lambda x: x + 1)(torch.ones(1))
    except Exception as error:
        pytest.skip(f"torch.compile does not work here: {str(error).splitlines()[0]}")
    assert findings(short, load("torch:compiled")) == ()


def test_a_path_is_what_its_name_says() -> None:
    """foreach calls foreach operations, the for-loop none; differentiable has no leaves; lr is a tensor where it says so."""
    assert load("torch:foreach").uses_foreach()  # type: ignore[attr-defined]
    assert not load("torch").uses_foreach()  # type: ignore[attr-defined]
    differentiable = load("torch:differentiable").session((Param("p"),))
    assert not differentiable._params["p"].is_leaf  # type: ignore[attr-defined]
    with_tensor = load("torch:tensor-lr").session((Param("p"),))
    with_tensor.perform(create(lr=0.5))
    assert isinstance(with_tensor._optimizers["A"].param_groups[0]["lr"], torch.Tensor)  # type: ignore[attr-defined]


def test_maximize_deviates_from_the_specification_and_conforms_to_its_dialect() -> None:
    """The path is checked against torch-maximize, and the plain dialect refuses it."""
    subject = load("torch:maximize")
    assert subject.dialect == "torch-maximize"
    assert findings(LONG, subject, "torch")[0].kind == "value"


# -- state by any name


class Named(torch.optim.Optimizer):
    """RMSprop whose state has the names of a class attribute."""

    names = ("square_avg", "grad_avg", "momentum_buffer")

    def __init__(self, params, lr=0.01, alpha=0.99, eps=1e-8, weight_decay=0, momentum=0, centered=False):
        names = ("lr", "alpha", "eps", "weight_decay", "momentum", "centered")
        super().__init__(params, dict(zip(names, (lr, alpha, eps, weight_decay, momentum, centered), strict=True)))

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                v, m, b = (state.setdefault(name, torch.zeros_like(p)) for name in self.names)
                state["step"] = state.get("step", 0) + 1
                v.mul_(group["alpha"]).addcmul_(p.grad, p.grad, value=1 - group["alpha"])
                m.mul_(group["alpha"]).add_(p.grad, alpha=1 - group["alpha"])
                variance = v - m * m if group["centered"] else v
                b.mul_(group["momentum"]).add_(p.grad / (variance.sqrt() + group["eps"]))
                p.add_(b, alpha=-group["lr"])


def named(*names: str) -> Any:
    return user_subject("mine", type("Mine", (Named,), {"names": names}), "cpu")


@pytest.mark.parametrize(
    "names",
    [
        ("square_avg", "grad_avg", "momentum_buffer"),
        ("exp_avg_sq", "exp_avg", "velocity"),
        ("a", "b", "c"),
        ("momentum_buf", "x", "y"),
    ],
)
def test_the_roles_of_state_are_found_by_what_it_holds(names: tuple[str, ...]) -> None:
    """Whatever the entries are called, each is known by its value after two steps."""
    subject = named(*names)
    assert subject.state_names() == dict(zip(("square_avg", "grad_avg", "momentum_buffer"), names, strict=True))
    assert subject.capabilities().roles == {"square_avg", "grad_avg", "momentum_buffer"}


def test_a_faulty_state_keeps_its_role_by_name() -> None:
    """An entry that is called as the page calls it has that role even where its value is wrong."""

    class Doubled(torch.optim.RMSprop):
        @torch.no_grad()
        def step(self, closure=None):
            super().step(closure)
            for state in self.state.values():
                state["square_avg"].mul_(2)

    assert "square_avg" in user_subject("mine", Doubled, "cpu").capabilities().roles


def test_the_state_is_seen_under_its_role() -> None:
    """An observation names the field's roles, not the optimizer's names, in the shape of the parameter."""
    driven = named("x", "y", "z").session((Param("p", "float32", (2, 2)),))
    for call in (create(alpha=0.5), *step(p=2.0)):
        driven.perform(call)
    assert driven.observe().state["A"]["p"]["square_avg"].tolist() == [[2.0, 2.0], [2.0, 2.0]]


def test_state_that_is_kept_elsewhere_is_hidden() -> None:
    """An optimizer without entries in ``state`` has no roles, and no state is observed."""

    class Hidden(torch.optim.RMSprop):
        @torch.no_grad()
        def step(self, closure=None):
            super().step(closure)
            self.private, self.state = self.state, {}

    subject = user_subject("mine", Hidden, "cpu")
    assert subject.capabilities().roles == frozenset()
    driven = subject.session((Param("p"),))
    for call in (create(), *step(p=2.0)):
        driven.perform(call)
    assert driven.observe().state == {"A": {}}


@pytest.mark.parametrize(
    ("method", "feature"),
    [
        ("add_param_group", "groups"),
        ("zero_grad", "zero_grad"),
        ("state_dict", "state_dict"),
        ("load_state_dict", "state_dict"),
    ],
)
def test_a_method_that_is_missing_is_a_feature_that_is_missing(method: str, feature: str) -> None:
    """The feature is not asked for, and the reason is kept for the report."""

    class Bare:
        def __init__(self, params, lr=0.01):
            self.param_groups = [{"params": list(params), "lr": lr}]

        def step(self):
            pass

    for name in {"add_param_group", "zero_grad", "state_dict", "load_state_dict"} - {method}:
        setattr(Bare, name, lambda self, *args: None)
    capabilities = user_subject("mine", Bare, "cpu").capabilities()
    assert feature not in capabilities.features
    assert method in capabilities.missing[feature]
    assert "momentum" in capabilities.missing
    assert capabilities.options == {"lr"}


def test_a_step_that_takes_no_closure_is_not_asked_for_one() -> None:
    """As an option that the constructor does not take, it is not exercised, and the reason is kept."""

    class Plain:
        def __init__(self, params, lr=0.01):
            self.param_groups = [{"params": list(params), "lr": lr}]

        def step(self):
            pass

    class Closing(Plain):
        def step(self, closure=None):
            pass

    capabilities = user_subject("mine", Plain, "cpu").capabilities()
    assert "closure" not in capabilities.features
    assert capabilities.missing["closure"] == "its step takes no closure"
    assert "closure" in user_subject("mine", Closing, "cpu").capabilities().features
    assert "closure" in user_subject("mine", torch.optim.RMSprop, "cpu").capabilities().features


# -- poison


class Uninitialized(LoopRMSprop):
    """State from memory that nobody has written."""

    def _initial(self, p, name):
        return torch.empty_like(p, requires_grad=False)


def test_memory_that_was_never_written_does_not_pass_for_state() -> None:
    """What torch.empty gives is NaN, so that an optimizer that relies on it being zero is caught in one step."""
    subject = user_subject("mine", Uninitialized, "cpu")
    with deterministic():
        assert bool(torch.isnan(torch.empty(4)).all())
    found = findings(program(create(), step(p=2.0)), subject)
    assert [each.role for each in found] == ["square_avg"]


def test_a_check_finds_uninitialized_state() -> None:
    """The whole check says so too, by the clause of the initial value."""
    found = own(user_subject("mine", Uninitialized, "cpu"), fail_fast=True)
    assert [each.clause for each in found] in (["init-square-avg"], ["square-avg"])


# -- a device that stands in for a GPU: a tensor of torch's "meta" refuses to become an array of NumPy, as one of CUDA does


class ThroughNumPy(LoopRMSprop):
    """Turns its tensors into arrays of NumPy."""

    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    p.grad.numpy()
        return super().step(closure)


class Raises(LoopRMSprop):
    """Cannot step anywhere."""

    def step(self, closure=None):
        raise ValueError("not today")


def test_a_class_that_cannot_run_on_a_device_is_refused_once() -> None:
    """Before any program, with what its step raises there; on the CPU it is a subject like any other."""
    with pytest.raises(Unsupported, match=r"Mine does not run on meta: its step raises .*numpy") as caught:
        user_subject("Mine", ThroughNumPy, "meta").capabilities()
    assert caught.value.hint
    assert user_subject("Mine", ThroughNumPy, "cpu").capabilities().formats


@pytest.mark.parametrize("factory", [torch.optim.RMSprop, LoopRMSprop, Raises])
def test_what_raises_everywhere_or_nowhere_is_no_matter_of_the_device(factory: Any) -> None:
    """It is checked there: a step that raises on the CPU as well deviates."""
    assert user_subject("Mine", factory, "meta").capabilities().formats


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_the_device_is_that_of_the_tensors(device: str) -> None:
    """A session tells it of its parameters; the transcript carries it."""
    driven = user_subject("Mine", LoopRMSprop, device).session((Param("p"), Param("q")))
    assert driven.devices() == {device}
    assert perform(program(create(), step(p=2.0)), load("torch")).devices == ("cpu",)
