"""Hyperparameters and state of one dialect in another: exact to the bit, rounded, bounded, or refused."""

from dataclasses import replace

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rmspec.impl import (
    DIALECTS,
    FORMATS,
    SPECIFICATION,
    CannotTranslate,
    Hyperparameters,
    IncompleteState,
    Parameter,
    RMSprop,
    Saved,
    SavedGroup,
    SavedParam,
    Terms,
    translate,
)
from rmspec.impl.spec.signatures import adapted
from rmspec.impl.translation.saved import needed_roles

TORCH, KERAS, OPTAX, TF1 = (DIALECTS[name] for name in ("torch", "keras3", "optax", "tensorflow1"))
PLAIN = Hyperparameters(lr=2.0**-7, alpha=0.875, eps=0.0)
MOVING = replace(PLAIN, momentum=0.875)


def state(dialect, hyper, values=(1.0, 0.25, 0.0), *, steps=7, name="0", dtype=np.float32):
    """The state of one parameter with the roles that the dialect needs; each role has values of its own."""
    scale = {"square_avg": 1.0, "grad_avg": -0.5, "momentum_buffer": -3.0}
    arrays = {role: (scale[role] * np.array(values)).astype(dtype) for role in needed_roles(dialect, hyper)}
    return SavedParam(name, arrays, steps)


def saved(dialect, hyper, **more):
    return Saved((SavedGroup(dialect, hyper, (state(dialect, hyper, **more),)),))


def line(translation, what):
    (found,) = [each for each in translation.lines if each.quantity == what]
    return found


def bits(saved_state):
    return [
        {role: (each.dtype.name, each.shape, each.tobytes()) for role, each in param.arrays.items()}
        for param in saved_state.params()
    ]


def refusal(saved_state, target, terms=None):
    with pytest.raises(CannotTranslate) as caught:
        translate(saved_state, target, terms)
    return str(caught.value)


# -- round trips


@st.composite
def optimizers(draw, dialect):
    """A saved optimizer with dyadic hyperparameters and any numbers in its state."""
    centered = dialect.centered_form == "always" or (dialect.centered_form == "option" and draw(st.booleans()))
    powers = st.integers(-12, -1).map(lambda e: 2.0**e)
    lr = draw(powers) * draw(st.sampled_from([1.0, 1.0, 3.0]))
    momentum = draw(st.sampled_from([0.0, 0.875])) if dialect.momentum_form == "option" else 0.0
    eps = draw(st.sampled_from([0.0, 2.0**-7])) if dialect.eps_place != "none" else 0.0
    decay = draw(st.sampled_from([0.0, 0.0, 2.0**-5])) if dialect.decay != "none" else 0.0
    hyper = Hyperparameters(lr, draw(st.sampled_from([0.875, 0.75])), eps, decay, momentum, centered)
    fmt = FORMATS[draw(st.sampled_from(["float32", "float64", "float16", "bfloat16", "complex64"]))]
    shape = draw(st.sampled_from([(), (0,), (3,), (2, 2)]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    params = []
    for index in range(draw(st.integers(1, 3))):
        arrays = {}
        for role in needed_roles(dialect, hyper):
            parts = [
                (rng.integers(-15, 16, shape) * 2.0 ** rng.integers(-8, 4)).astype(fmt.part.dtype)
                for _ in range(fmt.parts)
            ]
            values = parts[0] if fmt.parts == 1 else (parts[0] + 1j * parts[1]).astype(fmt.dtype)
            if role == "square_avg":
                values = (
                    np.abs(values) if fmt.parts == 1 else (np.abs(parts[0]) + 1j * np.abs(parts[1])).astype(fmt.dtype)
                )
            arrays[role] = np.asarray(values, dtype=fmt.dtype)
        params.append(SavedParam(str(index), arrays, 7))
    return Saved((SavedGroup(dialect, hyper, tuple(params)),))


@pytest.mark.parametrize("target", DIALECTS)
@pytest.mark.parametrize("source", DIALECTS)
@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_what_is_exact_comes_back_to_the_bit(source, target, data):
    """From every named dialect to every other and back: state and hyperparameters, wherever the translation says exact."""
    before = data.draw(optimizers(DIALECTS[source]))
    try:
        there = translate(before, DIALECTS[target])
    except CannotTranslate:
        return
    back = translate(there.saved, DIALECTS[source])
    if there.exact:
        assert back.exact
        assert back.saved.groups[0].hyper == before.groups[0].hyper
        assert bits(back.saved) == bits(before)
    for role in needed_roles(DIALECTS[source], before.groups[0].hyper):
        if line(there, role).kind == "exact":
            assert line(back, role).kind == "exact"
            assert [each[role] for each in bits(back.saved)] == [each[role] for each in bits(before)]


def test_the_round_trips_are_not_all_refused():
    """Most pairs of named dialects are exact for a plain optimizer without eps."""
    exact = [
        (source, target)
        for source, one in DIALECTS.items()
        for target, other in DIALECTS.items()
        if one.centered_form != "always" and other.centered_form != "always" and one.maximize == other.maximize
        if translate(saved(one, PLAIN), other).exact
    ]
    assert len(exact) == 8 * 8 + 1


@pytest.mark.parametrize("target", ["keras3", "tensorflow1", "optax"])
def test_a_buffer_is_multiplied_by_lr_on_the_way_inside(target):
    """mom = lr * b, and back b = mom / lr, exactly."""
    moved = translate(saved(TORCH, MOVING), DIALECTS[target])
    assert moved.saved.params()[0].arrays["momentum_buffer"].tolist() == [-3 * 2.0**-7, -0.75 * 2.0**-7, 0.0]
    assert line(moved, "momentum_buffer").kind == "exact"
    assert "2**" not in line(moved, "momentum_buffer").condition
    assert "the learning rate is 0.0078125 from here on" in line(moved, "momentum_buffer").condition


def test_a_buffer_that_the_format_cannot_hold_is_rounded_and_says_so():
    """With lr = 0.01 each number is rounded once, and counted."""
    moved = line(translate(saved(TORCH, replace(MOVING, lr=0.01)), OPTAX), "momentum_buffer")
    assert (moved.kind, moved.bound, moved.elements, moved.inexact) == ("rounded", 2.0**-24, 3, 2)


def test_a_learning_rate_that_float32_cannot_hold_is_rounded_and_says_so():
    """Keras and TensorFlow 1 hold it as float32; the bound is the relative error."""
    moved = translate(saved(TORCH, replace(PLAIN, lr=0.01)), KERAS)
    assert moved.saved.groups[0].hyper.lr == float(np.float32(0.01))
    assert line(moved, "lr").kind == "rounded"
    assert line(moved, "lr").bound == pytest.approx(abs(float(np.float32(0.01)) - 0.01) / 0.01, rel=1e-6)
    assert line(translate(saved(TORCH, PLAIN), KERAS), "lr").kind == "exact"


def test_alpha_in_float32_changes_v_by_no_more_than_it_says():
    """1 - alpha may be formed after alpha was rounded to float32; the bound is on v after one step."""
    hyper = replace(PLAIN, alpha=0.999)
    moved = line(translate(saved(TORCH, hyper, dtype=np.float64), TF1), "alpha")
    assert moved.kind == "rounded"
    single = np.float32(0.999)
    for v, g in ((1.0, 0.0), (0.0, 1.0), (0.3, 7.0)):
        exact = 0.999 * v + (1 - 0.999) * g * g
        narrow = float(single) * v + float(np.float32(1) - single) * g * g
        assert abs(narrow - exact) <= moved.bound * exact
        assert moved.bound < 1e-4


# -- what the constructor can be told


def test_optax_takes_eps_where_torch_has_it():
    """A switch that is an option of the target's constructor is set, not approximated."""
    moved = translate(saved(TORCH, replace(MOVING, eps=1e-8)), OPTAX)
    assert moved.exact
    assert "eps_in_sqrt=False" in moved.calls()[0]


def test_a_new_optimizer_of_optax_starts_where_tensorflow_1_does():
    """Without a state the initial accumulator is an option, or a bounded difference."""
    alone = Saved((SavedGroup(TF1, PLAIN),))
    assert "initial_scale=1.0" in translate(alone, OPTAX).calls()[0]
    assert line(translate(alone, OPTAX), "initial square_avg").kind == "exact"
    start = line(translate(alone, TORCH), "initial square_avg")
    assert (start.kind, start.bound, start.absolute) == ("bounded", 1.0, True)
    assert "alpha^t" in start.note


def test_a_state_brings_its_own_average():
    """Mid-run the initial accumulator does not matter."""
    assert translate(saved(TF1, PLAIN), TORCH).exact
    assert "initial_scale" not in translate(saved(TF1, PLAIN), OPTAX).calls()[0]


def test_every_constructor_call_names_what_it_needs():
    """A call has each option under the constructor's own name."""
    for dialect in DIALECTS.values():
        made = dialect.constructor
        moving = replace(
            MOVING, momentum=0.875 * (dialect.momentum_form != "never"), centered=dialect.centered_form == "always"
        )
        text = translate(Saved((SavedGroup(dialect, moving),)), dialect).calls()[0]
        assert text.startswith(f"{made.path}(")
        for ours, theirs in made.names.items():
            assert f"{theirs}=" in text or (ours in made.unset and moving.option(ours) == 0)
    assert adapted(OPTAX, TORCH, Hyperparameters()).eps_place == "outside"
    assert adapted(KERAS, TORCH, Hyperparameters()).eps_place == "inside"


# -- eps


def test_eps_is_moved_with_a_bound_for_this_very_state():
    """The bound is that of the smallest average in the state, and holds in the next step of the two references."""
    hyper = replace(PLAIN, eps=2.0**-7)
    moved = translate(saved(TORCH, hyper, values=(1.0, 0.25, 4.0)), KERAS, Terms(eps="moved"))
    found = line(moved, "eps")
    assert (found.kind, moved.saved.groups[0].hyper.eps) == ("bounded", 2.0**-14)
    assert found.bound == pytest.approx(2.0**-7 / np.sqrt(0.875 * 0.25), rel=0.02)
    assert "alpha * 0.25" in found.condition
    steps = []
    for dialect, options in ((TORCH, hyper), (replace(KERAS, scalars="double"), moved.saved.groups[0].hyper)):
        p = Parameter(np.zeros(3))
        optimizer = RMSprop([p], lr=options.lr, alpha=options.alpha, eps=options.eps, dialect=dialect)
        optimizer.state[id(p)] = {"step": 7, "square_avg": np.array([1.0, 0.25, 4.0])}
        p.grad = np.array([1e-3, 1e-3, 1.0])
        optimizer.step()
        steps.append(p.data)
    change = np.abs(steps[1] / steps[0] - 1)
    assert np.all(change <= found.bound)
    assert np.max(change) > 0.99 * found.bound


@pytest.mark.parametrize("hyper", [replace(PLAIN, eps=0.01, centered=True), replace(PLAIN, eps=0.01)])
def test_without_a_positive_average_the_general_bound_holds(hyper):
    """Centered, or with a zero in the state, nothing better than 41.5 % is promised."""
    found = line(translate(saved(TORCH, hyper), KERAS), "eps")
    assert found.bound == pytest.approx(np.sqrt(2) - 1, rel=1e-6)
    assert found.condition == ""


@pytest.mark.parametrize(
    ("values", "centered", "eps"),
    [
        ((1.0, 4.0), False, 2.0**-20),
        ((1.0, 2.0**-60), False, 2.0**-40),
        ((0.0, 4.0), False, 2.0**-40),
        ((1.0, 4.0), True, 2.0**-40),
    ],
)
def test_the_better_eps_is_that_of_the_state_at_hand(values, centered, eps):
    """It changes the worst element less than the other one does; where the denominators are hidden, no state is at hand."""
    hyper = replace(PLAIN, eps=2.0**-20, centered=centered)
    state = saved(TORCH, hyper, values=values)
    moved = translate(state, KERAS)
    assert moved.saved.groups[0].hyper.eps == eps
    if centered:
        return
    s = np.sqrt(np.array(values))
    change = {q: np.max(np.abs((s + hyper.eps) / np.sqrt(s * s + q) - 1)) for q in (2.0**-20, 2.0**-40)}
    assert change[eps] == min(change.values())
    assert ("is nearer for 2 of 2" in line(moved, "eps").note) is False


def test_eps_can_be_kept_on_request():
    """With the bound of that choice."""
    hyper = replace(PLAIN, eps=1e-4)
    moved = translate(saved(TORCH, hyper), KERAS, Terms(eps="kept"))
    assert moved.saved.groups[0].hyper.eps == 1e-4
    assert line(moved, "eps").bound == pytest.approx(0.99, rel=1e-3)


def test_the_choice_that_is_worse_in_the_worst_case_may_be_nearer_for_most():
    """The default is the better one for the worst element here, and the report counts the elements for which the other is nearer."""
    hyper = replace(PLAIN, eps=1e-7)
    values = (0.0, 1.0, 4.0)
    moved = line(translate(saved(KERAS, hyper, values=values), TORCH), "eps")
    assert "the worst element; kept is nearer for 2 of 3 here: compare both" in moved.note
    kept = line(translate(saved(KERAS, hyper, values=values), TORCH, Terms(eps="kept")), "eps")
    assert "the worst element; moved is nearer for 1 of 3 here: compare both" in kept.note
    assert moved.bound < kept.bound
    s = np.sqrt(np.array(values[1:]))
    source = np.sqrt(s * s + 1e-7)
    assert np.all(np.abs(source / (s + 1e-7) - 1) < np.abs(source / (s + 1e-7**0.5) - 1))
    small = line(translate(saved(TORCH, hyper, values=(1e-8, 1e-9, 0.0)), KERAS), "eps")
    assert small.note.endswith("kept is nearer for 0 of 3 here")


def test_without_the_averages_nobody_can_count():
    """Options alone, and a centered state, whose variance is a difference."""
    hyper = replace(PLAIN, eps=1e-7)
    for before in (Saved((SavedGroup(TORCH, hyper),)), saved(TORCH, replace(hyper, centered=True))):
        note = line(translate(before, KERAS), "eps").note
        assert "kept may be nearer on those that matter: compare both" in note
    assert "nearer" not in line(translate(Saved((SavedGroup(TORCH, replace(PLAIN, eps=1.0)),)), KERAS), "eps").note


def test_an_eps_that_would_round_to_zero_is_refused():
    """In float16 neither 1e-8 nor its square is a number."""
    hyper = replace(PLAIN, eps=1e-8)
    assert "nonzero counterpart in float16" in refusal(saved(TORCH, hyper, dtype=np.float16), KERAS)
    small = saved(TORCH, replace(hyper, eps=1e-6), dtype=np.float16)
    assert "no other counterpart in float16" in refusal(small, KERAS, Terms(eps="moved"))


def test_a_dialect_without_eps_takes_none():
    """Hinton's lecture has no eps, so that only eps = 0 is translated."""
    assert "hinton has none" in refusal(saved(TORCH, replace(PLAIN, eps=1e-8)), DIALECTS["hinton"])
    assert translate(saved(TORCH, PLAIN), DIALECTS["hinton"]).exact


# -- the learning rate has changed


def changed(dialect=TORCH):
    (group,) = saved(dialect, MOVING).groups
    return Saved((replace(group, lr_changed="initial_lr is 0.1, lr is 0.0078125"),))


@pytest.mark.parametrize(("source", "target"), [(TORCH, KERAS), (KERAS, TORCH)], ids=["inside", "outside"])
def test_momentum_with_a_changing_learning_rate_is_refused(source, target):
    """When the file shows it, and when the user says it."""
    assert "initial_lr is 0.1" in refusal(changed(source), target)
    assert "you say that it has changed" in refusal(saved(source, MOVING), target, Terms(lr_changed=True))
    assert "--earlier" in refusal(changed(source), target)


def test_a_changing_learning_rate_does_not_matter_without_momentum_or_between_like_places():
    """There is no buffer, or both hold lr in the same way."""
    assert translate(saved(TORCH, PLAIN), KERAS, Terms(lr_changed=True)).exact
    assert translate(changed(KERAS), OPTAX).exact
    still = saved(TORCH, MOVING, values=(0.0, 0.0, 0.0))
    assert line(translate(still, KERAS, Terms(lr_changed=True)), "momentum_buffer").kind == "exact"


def test_a_learning_rate_that_stays_from_now_on_is_enough_to_continue():
    """The user says so, and the condition is in the report."""
    moved = line(translate(changed(), KERAS, Terms(lr_constant_from_now=True)), "momentum_buffer")
    assert moved.kind == "exact"
    assert "continues as the source would" in moved.condition


def test_a_zero_learning_rate_cannot_be_divided_by():
    """What was in the buffer is lost."""
    assert "learning rate is 0" in refusal(saved(KERAS, replace(MOVING, lr=0.0)), TORCH)


def test_a_buffer_that_overflows_is_refused():
    """An infinity in it would never go away."""
    big = saved(KERAS, replace(MOVING, lr=2.0**-20), values=(1e30, 1e38, 0.0))
    assert "overflows float32" in refusal(big, TORCH)


def test_an_infinity_that_would_become_nan_is_refused():
    """A learning rate of 0 makes NaN of it, and so does a difference of two."""
    endless = (np.inf, 1.0, 0.0)
    assert "would be NaN" in refusal(saved(TORCH, replace(MOVING, lr=0.0), values=endless), KERAS)
    earlier = saved(TORCH, replace(MOVING, lr=2.0**-3), values=endless, steps=3)
    assert "would be NaN" in refusal(saved(TORCH, MOVING, values=endless), KERAS, Terms(earlier=(earlier,)))


# -- refusals of options


REFUSED = {
    "L2 decay into Keras": (TORCH, replace(PLAIN, weight_decay=0.125), KERAS, "regularizers.L2(0.0625)"),
    "decay into none": (TORCH, replace(PLAIN, weight_decay=0.125), OPTAX, "no weight decay"),
    "decoupled decay into L2": (KERAS, replace(PLAIN, weight_decay=0.125), TORCH, "decoupled, times lr"),
    "momentum into none": (TORCH, MOVING, DIALECTS["hinton"], "momentum 0.875"),
    "centered into never": (TORCH, replace(PLAIN, centered=True), DIALECTS["hinton"], "hinton never is"),
    "plain into always centered": (TORCH, PLAIN, DIALECTS["graves2013"], "always centered"),
    "maximize": (DIALECTS["torch-maximize"], PLAIN, KERAS, "negate the loss"),
    "Nesterov": (replace(OPTAX, nesterov=True), MOVING, TORCH, "Nesterov"),
    "bias correction": (replace(OPTAX, bias_correction=True), PLAIN, TORCH, "bias"),
}


@pytest.mark.parametrize(("source", "hyper", "target", "expected"), REFUSED.values(), ids=REFUSED.keys())
def test_what_no_option_makes_alike_is_refused(source, hyper, target, expected):
    """With the reason, and what to do instead."""
    message = refusal(saved(source, hyper), target)
    assert expected in message
    assert refusal(Saved((SavedGroup(source, hyper),)), target) == message


def test_an_optimizer_that_maximizes_is_carried_with_the_loss_negated():
    """Its state is that of the negated gradient, so nothing changes but the loss; on the user's word."""
    before = saved(DIALECTS["torch-maximize"], MOVING)
    moved = translate(before, KERAS, Terms(loss_negated=True))
    assert moved.exact
    assert "negative" in line(moved, "maximize").condition
    assert bits(translate(moved.saved, TORCH).saved) == bits(before)


def test_groups_of_an_earlier_state_must_be_alike_too():
    """One learning rate must have led to the buffers of all."""
    now, was = saved(KERAS, MOVING).groups[0], saved(KERAS, MOVING, steps=3).groups[0]
    other = replace(was, hyper=replace(MOVING, lr=0.5), params=(replace(was.params[0], name="1"),))
    torch_like = [replace(each, dialect=TORCH) for each in (now, was, other)]
    two = replace(torch_like[0], params=(*now.params, replace(now.params[0], name="1")))
    assert "different options" in refusal(Saved((two,)), KERAS, Terms(earlier=(Saved((torch_like[1], torch_like[2])),)))


def test_nesterov_is_no_matter_without_momentum():
    """It changes how the buffer is used."""
    assert translate(saved(replace(OPTAX, nesterov=True), PLAIN), TORCH).exact


def test_weight_decay_can_move_into_the_loss():
    """On the user's word, with the term to add."""
    hyper = replace(PLAIN, weight_decay=0.125)
    moved = translate(saved(TORCH, hyper), KERAS, Terms(decay_in_loss=True))
    assert moved.saved.groups[0].hyper.weight_decay == 0
    assert "0.0625 * sum(param^2)" in line(moved, "weight_decay").condition


def test_decoupled_decay_is_over_or_times_the_learning_rate():
    """theta (1 - lambda) and theta (1 - lr lambda) are the same while lr is constant."""
    plain = replace(KERAS, name="decoupled", decay="decoupled")
    hyper = replace(PLAIN, weight_decay=0.125)
    moved = translate(saved(KERAS, hyper), plain)
    assert (moved.saved.groups[0].hyper.weight_decay, moved.exact) == (0.125 * 2.0**-7, True)
    assert translate(moved.saved, KERAS).saved.groups[0].hyper.weight_decay == 0.125


def test_groups_with_other_options_do_not_fit_an_optimizer_with_one_set():
    """Keras has no parameter groups; groups that are alike become one."""
    one, other = saved(TORCH, PLAIN).groups[0], saved(TORCH, replace(PLAIN, lr=0.5), name="1").groups[0]
    assert "--group 0" in refusal(Saved((one, other)), KERAS)
    alike = translate(Saved((one, replace(other, hyper=PLAIN))), KERAS)
    assert [param.name for param in alike.saved.params()] == ["0", "1"]
    assert len(translate(Saved((one, other)), TORCH).saved.groups) == 2


def test_one_count_of_steps_is_the_largest():
    """Keras counts for all parameters at once, and no update reads it."""
    (group,) = saved(TORCH, PLAIN).groups
    two = Saved((replace(group, params=(*group.params, state(TORCH, PLAIN, steps=9, name="1"))),))
    moved = translate(two, KERAS)
    assert [param.steps for param in moved.saved.params()] == [9, 9]
    assert "7 to 9" in line(moved, "steps").source


def test_what_no_update_reads_is_left_out_and_listed():
    """A buffer that stayed behind when momentum was switched off."""
    (group,) = saved(TORCH, MOVING).groups
    left = translate(Saved((replace(group, hyper=PLAIN),)), KERAS)
    assert "momentum_buffer" not in left.saved.params()[0].arrays
    assert (line(left, "momentum_buffer").target, line(left, "momentum_buffer").condition) == (
        "left out",
        "momentum stays 0",
    )


def test_a_parameter_without_state_starts_where_its_dialect_starts():
    """Where the other starts elsewhere and its shape is unknown, there is nothing to write down."""
    (group,) = saved(TORCH, PLAIN).groups
    some = Saved((replace(group, params=(*group.params, SavedParam("1"))),))
    assert not translate(some, DIALECTS["tensorflow"]).saved.params()[1].arrays
    assert "parameter 1 has no state yet" in refusal(some, TF1)


# -- states that are not whole


def test_a_missing_role_is_refused():
    """With momentum on, a parameter without a buffer."""
    (group,) = saved(TORCH, PLAIN).groups
    with pytest.raises(IncompleteState, match="has no momentum_buffer"):
        translate(Saved((replace(group, hyper=MOVING),)), KERAS)


@pytest.mark.parametrize(
    ("role", "values", "expected"),
    [
        ("momentum_buffer", np.zeros(2, np.float32), r"shape \(2,\)"),
        ("momentum_buffer", np.zeros(3, np.float64), "float64"),
        ("square_avg", np.array([1, -1, 1], np.float32), "negative"),
        ("square_avg", np.zeros(3, np.int64), "int64"),
    ],
)
def test_a_role_that_does_not_fit_is_refused(role, values, expected):
    """Another shape, another format, a negative average, or integers."""
    (group,) = saved(TORCH, MOVING).groups
    param = replace(group.params[0], arrays={**group.params[0].arrays, role: values})
    with pytest.raises(IncompleteState, match=expected):
        translate(Saved((replace(group, params=(param,)),)), KERAS)


CENTERED = replace(MOVING, centered=True)


@pytest.mark.parametrize("role", ["square_avg", "grad_avg", "momentum_buffer"])
@pytest.mark.parametrize(
    ("values", "place"),
    [
        (np.array([1, np.nan, np.nan], np.float32), r"a NaN at \[1\] and 1 more"),
        (np.array([[1, 2], [np.nan, 4]], ml_dtypes.bfloat16), r"a NaN at \[1, 0\]\."),
        (np.array(np.nan), r"a NaN\."),
        (np.array([1, complex(1, np.nan)], np.complex64), r"a NaN at \[1\]\."),
    ],
    ids=["float32", "bfloat16", "scalar", "complex64"],
)
def test_a_nan_in_the_state_is_refused(role, values, place):
    """In whichever array: nothing averages it away, so the run had failed. The message names the parameter and the element."""
    arrays = dict.fromkeys(needed_roles(TORCH, CENTERED), np.ones_like(values))
    param = SavedParam("fc.weight", {**arrays, role: values}, 7)
    with pytest.raises(IncompleteState, match=f"{role} of parameter fc.weight has {place}"):
        translate(Saved((SavedGroup(TORCH, CENTERED, (param,)),)), KERAS)


def test_a_nan_that_no_update_reads_is_refused_as_well():
    """A buffer that was left behind is of the same run."""
    param = SavedParam("0", {"square_avg": np.ones(2), "momentum_buffer": np.array([0.0, np.nan])}, 7)
    with pytest.raises(IncompleteState, match="NaN"):
        translate(Saved((SavedGroup(TORCH, PLAIN, (param,)),)), KERAS)


def test_infinities_are_carried():
    """An average that overflowed is what the source would go on with; so is a buffer, times or over the learning rate."""
    made = translate(saved(TORCH, CENTERED, values=(np.inf, 1.0, 0.0)), KERAS)
    found = {role: float(values[0]) for role, values in made.saved.params()[0].arrays.items()}
    assert found == {"square_avg": np.inf, "grad_avg": -np.inf, "momentum_buffer": -np.inf}


def test_bfloat16_is_carried_to_the_bit():
    """Formats that NumPy does not know itself are carried like the others."""
    before = saved(TORCH, MOVING, dtype=ml_dtypes.bfloat16)
    assert bits(translate(translate(before, OPTAX).saved, SPECIFICATION).saved) == bits(before)
