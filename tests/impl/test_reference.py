"""The reference optimizer has the whole API of the page, refuses what is refused, and computes inside the envelope."""

import copy
import math
import random

import ml_dtypes
import numpy as np
import pytest
from cases import MODES, before, hyperparameters

from rmspec.impl.arithmetic.envelope import ROLES, Before, envelope
from rmspec.impl.arithmetic.formats import FORMATS, as_reals
from rmspec.impl.reference import Parameter, RMSprop
from rmspec.impl.spec.dialect import DIALECTS, SPECIFICATION, Hyperparameters

OPTIONS = ("lr", "alpha", "eps", "weight_decay", "momentum", "centered")


def parameter(*values, dtype=np.float64, grad=None) -> Parameter:
    param = Parameter(np.array(values, dtype=dtype))
    if grad is not None:
        param.grad = np.array(grad, dtype=dtype)
    return param


def state(optimizer, param):
    return optimizer.state[id(param)]


def plain(saved):
    """A state dict with lists for arrays, so that two can be compared."""
    entries = {
        key: {role: np.array(each).tolist() for role, each in entry.items()} for key, entry in saved["state"].items()
    }
    return {"state": entries, "param_groups": copy.deepcopy(saved["param_groups"])}


def snapshot(optimizer):
    """Everything that a refused call must leave alone."""
    params = [param for group in optimizer.param_groups for param in group["params"]]
    return plain(optimizer.state_dict()), [(param.data.tolist(), id(param)) for param in params]


# -- creating


def test_the_defaults_are_those_of_the_page():
    """lr=0.01, alpha=0.99, eps=1e-08, weight_decay=0, momentum=0, centered=False, in defaults and in the group."""
    page = {"lr": 0.01, "alpha": 0.99, "eps": 1e-08, "weight_decay": 0, "momentum": 0, "centered": False}
    optimizer = RMSprop([parameter(1.0)])
    assert optimizer.defaults == page
    assert {name: optimizer.param_groups[0][name] for name in OPTIONS} == page


def test_the_options_can_be_given_by_position_in_the_order_of_the_page():
    """RMSprop(params, lr, alpha, eps, weight_decay, momentum, centered)."""
    optimizer = RMSprop([parameter(1.0)], 1, 0.5, 0.25, 0.125, 0.75, True)
    assert [optimizer.param_groups[0][name] for name in OPTIONS] == [1, 0.5, 0.25, 0.125, 0.75, True]


def test_creating_changes_no_parameter_and_makes_no_state():
    """theta_0 is the input; v_0 exists from the first step on."""
    param = parameter(1.0, -2.0, grad=[3.0, 4.0])
    optimizer = RMSprop([param])
    assert param.data.tolist() == [1, -2]
    assert param.grad.tolist() == [3, 4]
    assert optimizer.state == {}


def test_params_may_be_a_generator():
    """Any iterable of parameters, in its order."""
    params = [parameter(1.0), parameter(2.0)]
    optimizer = RMSprop(each for each in params)
    assert optimizer.param_groups[0]["params"] == params


def test_params_may_be_dicts_whose_options_win_over_the_constructors():
    """A group's own options hold for it alone; what it does not name is the constructor's."""
    first, second = parameter(1.0), parameter(2.0)
    groups = [{"params": [first], "lr": 0.5}, {"params": iter([second]), "momentum": 0.9, "centered": True}]
    optimizer = RMSprop(groups, lr=0.1, alpha=0.5)
    assert [group["lr"] for group in optimizer.param_groups] == [0.5, 0.1]
    assert [group["momentum"] for group in optimizer.param_groups] == [0, 0.9]
    assert [group["centered"] for group in optimizer.param_groups] == [False, True]
    assert [group["alpha"] for group in optimizer.param_groups] == [0.5, 0.5]


def test_a_group_of_one_parameter_may_name_it_without_a_list():
    """As torch takes a single tensor in a group dict."""
    param = parameter(1.0)
    assert RMSprop([{"params": param}]).param_groups[0]["params"] == [param]


@pytest.mark.parametrize("params", [[], (), iter(())])
def test_an_empty_params_is_refused(params):
    """An optimizer of nothing is a mistake."""
    with pytest.raises(ValueError, match="empty"):
        RMSprop(params)


def test_one_parameter_outside_a_list_is_refused_with_what_to_type():
    """The message shows the list."""
    with pytest.raises(TypeError, match=r"\[param\]"):
        RMSprop(parameter(1.0))


@pytest.mark.parametrize("params", [[1.0], [np.zeros(2)], ["weights"], [{"params": [1.0]}]])
def test_what_is_no_parameter_is_refused(params):
    """Arrays and numbers have no gradient."""
    with pytest.raises(TypeError, match="only parameters"):
        RMSprop(params)


INVALID = [(name, value) for name in OPTIONS[:5] for value in (-1.0, -1e-300, math.nan, -math.inf)]


@pytest.mark.parametrize(("name", "value"), INVALID)
def test_a_negative_or_nan_option_is_refused_at_every_door(name, value):
    """By the constructor, by a group of the constructor, and by add_param_group, which then changes nothing."""
    with pytest.raises(ValueError, match=name):
        RMSprop([parameter(1.0)], **{name: value})
    with pytest.raises(ValueError, match=name):
        RMSprop([{"params": [parameter(1.0)], name: value}])
    optimizer = RMSprop([parameter(1.0)])
    unchanged = snapshot(optimizer)
    with pytest.raises(ValueError, match=name):
        optimizer.add_param_group({"params": [parameter(2.0)], name: value})
    assert snapshot(optimizer) == unchanged


@pytest.mark.parametrize(("name", "value"), [("lr", -1.0), ("alpha", math.nan)])
def test_a_negative_or_nan_option_is_refused_by_load_state_dict_too(name, value):
    """It is a door like the others."""
    optimizer = RMSprop([parameter(1.0)])
    saved = optimizer.state_dict()
    saved["param_groups"][0][name] = value
    with pytest.raises(ValueError, match=name):
        optimizer.load_state_dict(saved)


@pytest.mark.parametrize("name", OPTIONS[:5])
@pytest.mark.parametrize("value", [None, "fast", [0.1], 1j])
def test_an_option_that_is_no_number_is_refused(name, value):
    """TypeError names the option."""
    with pytest.raises(TypeError, match=name):
        RMSprop([parameter(1.0)], **{name: value})


def test_a_number_in_a_string_is_refused():
    """'0.1' is no number."""
    with pytest.raises(TypeError, match="lr"):
        RMSprop([parameter(1.0)], lr="0.1")


def test_zero_is_allowed_for_every_option():
    """The ends of the domains are inside."""
    RMSprop([parameter(1.0)], lr=0, alpha=0, eps=0, weight_decay=0, momentum=0)


# -- groups


def test_an_added_group_is_optimized_with_its_own_options_and_the_others_stay():
    """From the next step on; its state starts at 0 then."""
    first, second = parameter(1.0, grad=[1.0]), parameter(1.0, grad=[1.0])
    optimizer = RMSprop([first], lr=0.1, alpha=0.0, eps=0.0)
    optimizer.step()
    group = {"params": [second], "lr": 0.5}
    optimizer.add_param_group(group)
    optimizer.step()
    assert first.data.tolist() == [pytest.approx(0.8)]
    assert second.data.tolist() == [0.5]
    assert (state(optimizer, first)["step"], state(optimizer, second)["step"]) == (2, 1)
    assert group == {"params": [second], "lr": 0.5}


@pytest.mark.parametrize(
    ("group", "error"),
    [
        ([parameter(1.0)], TypeError),
        ({"params": {parameter(1.0)}}, TypeError),
        ({"params": [np.zeros(1)]}, TypeError),
        ({"params": [parameter(1.0)], "learning_rate": 1.0}, ValueError),
        ({"params": [parameter(1.0)], "lr": "fast"}, TypeError),
    ],
)
def test_a_group_that_is_none_is_refused_and_changes_nothing(group, error):
    """A list, an unordered set, an array, an unknown option, an option that is no number."""
    optimizer = RMSprop([parameter(1.0)])
    unchanged = snapshot(optimizer)
    with pytest.raises(error):
        optimizer.add_param_group(group)
    assert snapshot(optimizer) == unchanged


def test_a_parameter_twice_is_refused_within_a_group_and_across_groups():
    """By the constructor and by add_param_group."""
    param, other = parameter(1.0), parameter(2.0)
    with pytest.raises(ValueError, match="twice"):
        RMSprop([param, param])
    with pytest.raises(ValueError, match="more than one group"):
        RMSprop([{"params": [param]}, {"params": [other, param]}])
    optimizer = RMSprop([param])
    unchanged = snapshot(optimizer)
    with pytest.raises(ValueError, match="more than one group"):
        optimizer.add_param_group({"params": [other, param]})
    with pytest.raises(ValueError, match="twice"):
        optimizer.add_param_group({"params": [other, other]})
    assert snapshot(optimizer) == unchanged
    optimizer.add_param_group({"params": [other]})


def test_two_parameters_with_one_array_of_equal_values_are_two():
    """Identity counts, not equality."""
    RMSprop([parameter(1.0), parameter(1.0)])


# -- gradients


def test_zero_grad_sets_every_gradient_to_none_by_default():
    """set_to_none is True unless told otherwise; parameters and state stay."""
    params = [parameter(1.0, grad=[2.0]), parameter(3.0)]
    optimizer = RMSprop(params)
    optimizer.step()
    values = [param.data.copy() for param in params]
    optimizer.zero_grad()
    assert [param.grad for param in params] == [None, None]
    assert [param.data.tolist() for param in params] == [value.tolist() for value in values]
    assert state(optimizer, params[0])["step"] == 1


def test_zero_grad_without_none_fills_the_gradients_that_exist_with_zeros():
    """One that is None stays None."""
    params = [parameter(1.0, 2.0, grad=[3.0, np.nan], dtype=np.float32), parameter(3.0)]
    RMSprop(params).zero_grad(set_to_none=False)
    assert params[0].grad.tolist() == [0, 0]
    assert params[0].grad.dtype == np.float32
    assert params[1].grad is None


def test_a_gradient_of_none_skips_the_parameter_and_its_state():
    """No decay of its averages, no move by momentum, no state at all before the first gradient."""
    param = parameter(1.0, grad=[1.0])
    idle = parameter(5.0)
    optimizer = RMSprop([param, idle], momentum=0.9)
    optimizer.step()
    kept = copy.deepcopy(state(optimizer, param)), param.data.copy()
    param.grad = None
    optimizer.step()
    assert repr(state(optimizer, param)) == repr(kept[0])
    assert param.data.tolist() == kept[1].tolist()
    assert idle.data.tolist() == [5]
    assert id(idle) not in optimizer.state


def test_a_gradient_of_zero_takes_the_step():
    """v decays, the buffer decays, and momentum moves the parameter."""
    param = parameter(0.0, grad=[1.0])
    optimizer = RMSprop([param], lr=1.0, alpha=0.5, eps=0.0, momentum=0.5)
    optimizer.step()
    moved = param.data[0]
    buffer = state(optimizer, param)["momentum_buffer"][0]
    param.grad = np.zeros(1)
    optimizer.step()
    assert state(optimizer, param)["square_avg"].tolist() == [0.25]
    assert state(optimizer, param)["momentum_buffer"].tolist() == [buffer / 2]
    assert param.data.tolist() == [moved - buffer / 2]


def test_a_step_leaves_the_gradients_alone():
    """With weight decay too, and in every format."""
    for dtype in (np.float64, np.float32, np.float16, ml_dtypes.bfloat16, np.complex64):
        param = parameter(1.0, 2.0, dtype=dtype, grad=[0.5, -0.25])
        kept = param.grad.copy()
        RMSprop([param], weight_decay=0.5, momentum=0.9, centered=True).step()
        assert param.grad.tobytes() == kept.tobytes()


# -- the step


def test_one_step_on_round_numbers_is_the_page():
    """theta=1, g=4, alpha=3/4, eps=2, lr=1/2: v = 4, the denominator 4, theta = 1/2."""
    param = parameter(1.0, grad=[4.0])
    optimizer = RMSprop([param], lr=0.5, alpha=0.75, eps=2.0)
    assert optimizer.step() is None
    assert param.data.tolist() == [0.5]
    assert state(optimizer, param)["square_avg"].tolist() == [4.0]
    assert set(state(optimizer, param)) == {"step", "square_avg"}


def test_a_step_writes_into_the_parameters_own_array():
    """Views of it see the step, whatever its shape and strides."""
    base = np.zeros((3, 2))
    param = Parameter(base.T)
    param.grad = np.ones((2, 3))
    RMSprop([param], lr=1.0, alpha=0.0, eps=0.0).step()
    assert (base == -1).all()


@pytest.mark.parametrize("shape", [(), (0,), (1,), (3, 5)])
def test_a_parameter_may_have_any_shape(shape):
    """Scalars and nothing included; the state has the parameter's shape."""
    param = Parameter(np.full(shape, 2.0))
    param.grad = np.full(shape, 0.5)
    optimizer = RMSprop([param], lr=1.0, alpha=0.0, eps=0.0, momentum=0.5, centered=False)
    optimizer.step()
    assert (param.data == 1).all()
    assert param.data.shape == state(optimizer, param)["square_avg"].shape == shape


def test_step_evaluates_the_closure_once_before_the_update_and_returns_its_loss():
    """The gradients that it sets are the ones used."""
    param = parameter(1.0)
    optimizer = RMSprop([param], lr=1.0, alpha=0.0, eps=0.0)
    calls = []

    def closure():
        calls.append(param.data.tolist())
        param.grad = np.array([-2.0])
        return 0.125

    assert optimizer.step(closure) == 0.125
    assert calls == [[1.0]]
    assert param.data.tolist() == [2.0]


def test_a_closure_that_raises_leaves_everything_as_it_was():
    """The exception reaches the caller."""
    param = parameter(1.0, grad=[1.0])
    optimizer = RMSprop([param])
    optimizer.step()
    unchanged = snapshot(optimizer)

    def closure():
        raise RuntimeError("no loss today")

    with pytest.raises(RuntimeError, match="no loss today"):
        optimizer.step(closure)
    assert snapshot(optimizer) == unchanged


def test_a_changed_learning_rate_holds_from_the_next_step():
    """gamma is the scheduled learning rate."""
    param = parameter(0.0, grad=[1.0])
    optimizer = RMSprop([param], lr=1.0, alpha=0.0, eps=0.0)
    optimizer.step()
    optimizer.param_groups[0]["lr"] = 0.25
    optimizer.step()
    assert param.data.tolist() == [-1.25]


def test_momentum_and_centered_may_be_switched_in_mid_run():
    """State that a branch has not used is still initial; what it has used is kept while it is off."""
    param = parameter(0.0, grad=[2.0])
    optimizer = RMSprop([param], lr=1.0, alpha=0.5, eps=1.0)
    group = optimizer.param_groups[0]
    optimizer.step()  # v = 2
    assert set(state(optimizer, param)) == {"step", "square_avg"}
    group.update(momentum=0.5, centered=True)
    optimizer.step()  # v = 3, g_ave = 1, v~ = 2
    expected = 2 / (math.sqrt(2) + 1)
    assert state(optimizer, param)["grad_avg"].tolist() == [1]
    assert state(optimizer, param)["momentum_buffer"].tolist() == [pytest.approx(expected)]
    group.update(momentum=0, centered=False)
    optimizer.step()
    assert state(optimizer, param)["grad_avg"].tolist() == [1]
    group.update(momentum=0.5)
    before_step = state(optimizer, param)["momentum_buffer"][0]
    optimizer.step()  # v = 3.75
    assert state(optimizer, param)["momentum_buffer"][0] == pytest.approx(before_step / 2 + 2 / (math.sqrt(3.75) + 1))


def test_a_complex_parameter_is_stepped_as_two_real_ones():
    """Real and imaginary parts run apart, bit for bit, with every branch taken."""
    generator = np.random.default_rng(0)
    options = {"weight_decay": 0.1, "momentum": 0.9, "centered": True, "alpha": 0.9}
    for single, double in ((np.complex64, np.float32), (np.complex128, np.float64)):
        start = (generator.normal(size=7) + 1j * generator.normal(size=7)).astype(single)
        whole = Parameter(start.copy())
        parts = [Parameter(start.real.copy()), Parameter(start.imag.copy())]
        together, apart = RMSprop([whole], **options), RMSprop(parts, **options)
        for _ in range(5):
            whole.grad = (generator.normal(size=7) + 1j * generator.normal(size=7)).astype(single)
            parts[0].grad, parts[1].grad = whole.grad.real.copy(), whole.grad.imag.copy()
            together.step()
            apart.step()
        assert whole.data.dtype == single
        assert parts[0].data.dtype == double
        for role in ("data", *ROLES[:3]):
            pairs = state(together, whole)[role] if role != "data" else whole.data
            reals = [state(apart, part)[role] if role != "data" else part.data for part in parts]
            assert pairs.real.tolist() == reals[0].tolist()
            assert pairs.imag.tolist() == reals[1].tolist()


@pytest.mark.parametrize("name", FORMATS)
def test_every_step_of_the_reference_lies_in_the_envelope(name):
    """In every format and for every dialect, from elements of every magnitude; halves are calculated in float32."""
    rng, generator = random.Random(name), np.random.default_rng(1)
    fmt = FORMATS[name]
    for dialect in DIALECTS.values():
        for mode in MODES:
            hyper = hyperparameters(rng, fmt)
            values = before(generator, fmt, 60, mode)

            def native(reals, fmt=fmt):
                return reals.astype(fmt.part.dtype).view(fmt.dtype).copy()

            param = Parameter(native(values.param))
            param.grad = native(values.grad)
            optimizer = RMSprop([param], **{each: hyper.option(each) for each in OPTIONS}, dialect=dialect)
            optimizer.state[id(param)] = {"step": 0, **{role: native(getattr(values, role)) for role in ROLES[:3]}}
            optimizer.step()
            for role, interval in envelope(values, fmt, hyper, dialect).items():
                found = as_reals(param.data if role == "param" else state(optimizer, param)[role])
                assert interval.contains(found).all(), (role, hyper)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_dialect_initializes_and_decides_its_branches_itself(dialect):
    """v_0 is the dialect's; Graves is centered without being told, Hinton has neither option."""
    param = parameter(1.0, grad=[0.0])
    optimizer = RMSprop([param], alpha=0.5, eps=1.0, momentum=0.5, dialect=DIALECTS[dialect])
    optimizer.step()
    hyper = Hyperparameters(alpha=0.5, eps=1.0, momentum=0.5)
    assert state(optimizer, param)["square_avg"].tolist() == [DIALECTS[dialect].initial("square_avg", hyper) / 2]
    assert ("grad_avg" in state(optimizer, param)) == DIALECTS[dialect].centered(hyper)
    assert ("momentum_buffer" in state(optimizer, param)) == DIALECTS[dialect].momentum(hyper)


def test_overflow_and_invalid_operations_warn_nobody():
    """0/0 and overflow are results of IEEE 754, not accidents of the caller."""
    param = parameter(1.0, 1.0, grad=[0.0, 1e300])
    RMSprop([param], eps=0.0).step()
    assert math.isnan(param.data[0])
    assert param.data[1] == 1.0


# -- against torch


@pytest.mark.parametrize("seed", range(8))
def test_torch_and_the_reference_agree_within_the_envelope_on_float64(seed):
    """Every step of torch.optim.RMSprop lies in the envelope of the state before it, and so does the reference's."""
    torch = pytest.importorskip("torch")
    rng, generator = random.Random(seed), np.random.default_rng(seed)
    options = {
        "lr": rng.choice([0.01, 0.1, 2.0**-7]),
        "alpha": rng.choice([0.99, 0.9, 0.5, 0.1]),
        "eps": rng.choice([1e-8, 1e-2]),
        "weight_decay": rng.choice([0, 0.1]),
        "momentum": rng.choice([0, 0.9]),
        "centered": rng.random() < 0.5,
    }
    hyper = Hyperparameters(**options)
    start = generator.normal(size=100)
    theirs, ours = torch.nn.Parameter(torch.from_numpy(start.copy())), Parameter(start.copy())
    torch_optimizer = torch.optim.RMSprop([theirs], **options, foreach=bool(seed % 2))
    reference = RMSprop([ours], **options)
    zeros = np.zeros(100)
    for _ in range(15):
        grad = generator.normal(size=100) * 10.0 ** generator.integers(-3, 2, 100)
        theirs.grad, ours.grad = torch.from_numpy(grad.copy()), grad.copy()
        known = reference.state.get(id(ours), {})
        values = Before(ours.data.copy(), grad, *(np.array(known.get(role, zeros)) for role in ROLES[:3]))
        torch_state = {role: torch_optimizer.state[theirs].get(role) for role in ROLES[:3]}
        torch_values = Before(
            theirs.detach().numpy().copy(),
            grad,
            *(zeros if each is None else each.numpy().copy() for each in torch_state.values()),
        )
        torch_optimizer.step()
        reference.step()
        allowed, torch_allowed = (envelope(each, FORMATS["float64"], hyper) for each in (values, torch_values))
        for role in allowed:
            found = ours.data if role == "param" else state(reference, ours)[role]
            assert allowed[role].contains(found).all(), role
            found = theirs.detach() if role == "param" else torch_optimizer.state[theirs][role]
            assert torch_allowed[role].contains(found.numpy()).all(), role
    np.testing.assert_allclose(theirs.detach().numpy(), ours.data, rtol=1e-6, atol=1e-8)


# -- state dicts


def trained(**options):
    params = [parameter(1.0, 2.0, grad=[0.5, -0.5]), parameter(3.0, grad=[1.0]), parameter(4.0)]
    groups = [{"params": params[:2]}, {"params": params[2:], "lr": 0.5}]
    optimizer = RMSprop(groups, **{"momentum": 0.9, "centered": True, **options})
    optimizer.step()
    optimizer.step()
    return optimizer, params


def test_state_dict_has_state_by_order_and_groups_with_indices():
    """Two entries; parameters are numbered through the groups; those without state have none."""
    optimizer, _ = trained()
    saved = optimizer.state_dict()
    assert set(saved) == {"state", "param_groups"}
    assert set(saved["state"]) == {0, 1}
    assert set(saved["state"][0]) == {"step", *ROLES[:3]}
    assert [group["params"] for group in saved["param_groups"]] == [[0, 1], [2]]
    assert [group["lr"] for group in saved["param_groups"]] == [0.01, 0.5]
    assert all(set(group) == {"params", *OPTIONS} for group in saved["param_groups"])


def test_state_dict_is_a_copy_and_taking_it_changes_nothing():
    """A later step does not change it, and changing it does not change the optimizer."""
    optimizer, _ = trained()
    unchanged = snapshot(optimizer)
    saved = optimizer.state_dict()
    kept = copy.deepcopy(saved)
    assert snapshot(optimizer) == unchanged
    optimizer.step()
    assert plain(saved) == plain(kept)
    now = snapshot(optimizer)
    saved["state"][0]["square_avg"][:] = 99
    saved["param_groups"][0]["lr"] = 99
    saved["param_groups"][0]["params"].append(7)
    assert snapshot(optimizer) == now


def test_a_loaded_optimizer_goes_on_as_the_saved_one_would_have():
    """Options and state restored into another one; parameters stay; nothing is shared with the dict or the source."""
    source, params = trained(lr=0.25, alpha=0.5)
    twin, others = trained(alpha=0.9)
    saved = source.state_dict()
    twin.load_state_dict(saved)
    assert [param.data.tolist() for param in others] != [param.data.tolist() for param in params]
    assert [group["params"] for group in twin.param_groups] == [others[:2], others[2:]]
    for param, other in zip(params, others, strict=True):
        other.data[...] = param.data
    for optimizer in (source, twin):
        optimizer.step()
    assert [param.data.tolist() for param in params] == [param.data.tolist() for param in others]
    assert plain(source.state_dict()) == plain(twin.state_dict())
    assert saved["state"][0]["step"] == 2
    saved["state"][0]["square_avg"][:] = 99
    saved["param_groups"][0]["lr"] = 99
    assert state(twin, others[0])["square_avg"].max() < 99
    assert twin.param_groups[0]["lr"] == 0.25


def test_a_parameter_without_an_entry_starts_anew():
    """Its old state is gone, and a step initializes it."""
    optimizer, params = trained()
    saved = optimizer.state_dict()
    del saved["state"][1]
    optimizer.load_state_dict(saved)
    assert id(params[1]) not in optimizer.state
    optimizer.step()
    assert state(optimizer, params[1])["step"] == 1


def test_loaded_state_takes_the_format_of_the_parameter():
    """A float64 checkpoint into a float32 parameter."""
    optimizer = RMSprop([parameter(1.0, grad=[1.0])])
    optimizer.step()
    single = parameter(1.0, dtype=np.float32)
    twin = RMSprop([single])
    twin.load_state_dict(optimizer.state_dict())
    assert state(twin, single)["square_avg"].dtype == np.float32


def fewer_groups(saved):
    saved["param_groups"].pop()


def more_groups(saved):
    saved["param_groups"].append({**saved["param_groups"][0], "params": [3]})


def fewer_parameters(saved):
    saved["param_groups"][0]["params"].pop()


def more_parameters(saved):
    saved["param_groups"][0]["params"].append(3)


def other_shape(saved):
    saved["state"][0]["square_avg"] = np.zeros(3)


def other_shape_of_the_last_role(saved):
    saved["state"][1]["momentum_buffer"] = np.zeros((1, 1))


def no_square_avg(saved):
    del saved["state"][0]["square_avg"]


def unknown_parameter(saved):
    saved["state"][9] = saved["state"][0]


def no_option(saved):
    del saved["param_groups"][1]["alpha"]


def no_groups(saved):
    del saved["param_groups"]


def no_state(saved):
    del saved["state"]


@pytest.mark.parametrize(
    ("damage", "error"),
    [
        (fewer_groups, ValueError),
        (more_groups, ValueError),
        (fewer_parameters, ValueError),
        (more_parameters, ValueError),
        (other_shape, ValueError),
        (other_shape_of_the_last_role, ValueError),
        (no_square_avg, KeyError),
        (unknown_parameter, KeyError),
        (no_option, KeyError),
        (no_groups, KeyError),
        (no_state, KeyError),
    ],
)
def test_a_state_that_does_not_fit_is_refused_and_changes_nothing(damage, error):
    """Neither state nor options nor parameters, whatever the place of the misfit."""
    optimizer, _ = trained()
    saved = trained(lr=0.5)[0].state_dict()
    for entry in saved["state"].values():
        entry["square_avg"] += 1
    damage(saved)
    unchanged = snapshot(optimizer)
    with pytest.raises(error):
        optimizer.load_state_dict(saved)
    assert snapshot(optimizer) == unchanged


def test_two_optimizers_share_nothing():
    """A step of one leaves the other's parameters, state and groups alone."""
    first, _ = trained()
    second, _ = trained()
    unchanged = snapshot(second)
    first.step()
    first.param_groups[0]["lr"] = 9.0
    assert snapshot(second) == unchanged


def test_the_dialect_of_an_optimizer_is_the_specification_unless_told():
    """Nobody gets a variant by accident."""
    assert RMSprop([parameter(1.0)]).dialect is SPECIFICATION
