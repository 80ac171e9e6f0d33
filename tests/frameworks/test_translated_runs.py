"""Two frameworks go on from a translated state: each observed parameter lies in the envelope of the other's dialect.

One optimizer is run for 20 steps and saved with its own means; the file is translated and loaded into the other; then both
make 100 further steps with the same gradients. Their state is hidden from the check: it begins as what the files hold and is
carried along as intervals by the *other* dialect's pseudocode. So there is no tolerance here.
"""

import ast
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from running import FRAMEWORKS, Arrays

from rmspec.impl import DIALECTS, FORMATS, STATE_ROLES, Before, SavedGroup, envelope, translate
from rmspec.impl.translation.lines import Terms
from rmspec.impl.translation.translate import Translation
from rmspec.oracles import Given, checkpoint_bytes, read_checkpoint

pytestmark = [pytest.mark.frameworks, pytest.mark.slow]

Carried = dict[str, Any]
F32 = FORMATS["float32"]
WARM, FURTHER = 20, 100
SHAPES = ((3, 2), (5,))


def gradients(steps: int, seed: int) -> list[Arrays]:
    """Gradients of ordinary size, none of them zero: where eps is 0, a zero average would be divided by."""
    rng = np.random.default_rng(seed)
    signs = (rng.choice([-1, 1], shape) for _ in range(steps) for shape in SHAPES)
    found = [((0.1 + rng.random(each.shape)) * each).astype(np.float32) for each in signs]
    return [found[i : i + len(SHAPES)] for i in range(0, len(found), len(SHAPES))]


def flat(arrays: Arrays) -> np.ndarray:
    return np.concatenate([each.reshape(-1) for each in arrays]).astype(np.float64)


def carry_of(group: SavedGroup) -> dict[str, Any]:
    """The state in a saved group as flat arrays; zeros for the roles that it does not have."""
    return {
        role: flat([param.arrays.get(role, np.zeros_like(param.arrays["square_avg"])) for param in group.params])
        for role in STATE_ROLES
    }


def arguments(call: str) -> dict[str, Any]:
    """The keyword arguments of a constructor call as it is printed."""
    node = ast.parse(call, mode="eval").body
    assert isinstance(node, ast.Call)
    return {str(each.arg): ast.literal_eval(each.value) for each in node.keywords}


def follow(
    carry: Carried, group: SavedGroup, before: Arrays, after: Arrays, grads: Arrays
) -> tuple[bool, Carried, float]:
    """Whether a step lies in the envelope of the group's dialect, the state carried on, and the envelope's width by the update."""
    bounds = envelope(Before(flat(before), flat(grads), **carry), F32, group.hyper, group.dialect)
    seen = bounds["param"]
    assert np.all(seen.bounded())
    moved = {role: (bounds[role].lo, bounds[role].hi, bounds[role].nan) for role in STATE_ROLES if role in bounds}
    update = np.abs(flat(after) - flat(before))
    width = float(np.max((seen.hi - seen.lo) / np.maximum(update, 2.0**-10)))
    return bool(np.all(seen.contains(flat(after)))), {**carry, **moved}, width


def started(
    source: str, target: str, options: dict[str, Any], folder: Path, eps_choice: str = "better"
) -> tuple[Any, Any, SavedGroup, Translation]:
    """The source after 20 steps, the target with the translated state, what was saved, and the translation."""
    rng = np.random.default_rng(1)
    params = [rng.standard_normal(shape).astype(np.float32) for shape in SHAPES]
    names = DIALECTS[source].constructor.names
    own = {names.get(name, name): value for name, value in options.items()}
    one = FRAMEWORKS[source](params, **own)
    for grads in gradients(WARM, 2):
        one.step(grads)
    path = folder / f"source{one.ending}"
    one.save(path)
    ours = {name: value for name, value in options.items() if name in names}
    switches = {"eps_place": "outside"} if options.get("eps_in_sqrt") is False else {}
    given = Given(options=ours if source != "torch" else {}, switches=switches, defaults=True)
    saved = read_checkpoint(str(path), DIALECTS[source], given)
    result = translate(saved, DIALECTS[target], Terms(eps=eps_choice))
    other = FRAMEWORKS[target](one.params(), **arguments(result.calls()[0]))
    written = folder / f"target{other.ending}"
    written.write_bytes(checkpoint_bytes(str(written), result.saved))
    other.load(written)
    return one, other, saved.groups[0], result


def deviating(one: Any, other: Any, own: SavedGroup, theirs: SavedGroup) -> tuple[int, float]:
    """How many of 100 further steps leave the envelope of the other's dialect, and the widest envelope met."""
    carries = [carry_of(theirs), carry_of(own)]
    outside, widest = 0, 0.0
    for grads in gradients(FURTHER, 3):
        for index, (running, group) in enumerate(((one, theirs), (other, own))):
            before = running.params()
            running.step(grads)
            inside, carries[index], width = follow(carries[index], group, before, running.params(), grads)
            outside += not inside
            widest = max(widest, width)
    return outside, widest


# An alpha near 1, as in use: the incremental form of the mean names v twice, so that a carried interval grows by 2 - alpha a step.
PLAIN = {"lr": 2.0**-7, "alpha": 1 - 2.0**-7, "eps": 0.0}
MOMENTUM = {**PLAIN, "momentum": 0.875}
PAIRS = [
    ("torch", "keras3", MOMENTUM),
    ("keras3", "torch", MOMENTUM),
    ("torch", "keras3", PLAIN),
    ("torch", "tensorflow1", MOMENTUM),
    ("tensorflow1", "torch", MOMENTUM),
    ("torch", "optax", {**MOMENTUM, "eps": 2.0**-7}),
    ("torch", "optax", {**MOMENTUM, "eps": 2.0**-7, "centered": True}),
    ("optax", "torch", {**MOMENTUM, "eps": 2.0**-7, "eps_in_sqrt": False}),
    ("keras3", "tensorflow1", {**MOMENTUM, "eps": 2.0**-7, "centered": True}),
    ("tensorflow1", "keras3", {**MOMENTUM, "eps": 2.0**-7}),
    ("keras3", "optax", {**MOMENTUM, "eps": 2.0**-7}),
    ("optax", "keras3", {**MOMENTUM, "eps": 2.0**-7, "centered": True}),
]


@pytest.mark.parametrize(("source", "target", "options"), PAIRS)
def test_both_go_on_as_one_where_the_translation_is_exact(
    source: str, target: str, options: dict[str, Any], tmp_path: Path
) -> None:
    """100 further steps of each, every parameter inside the envelope of the other's dialect."""
    one, other, own, result = started(source, target, options, tmp_path)
    assert result.exact
    outside, widest = deviating(one, other, own, result.saved.groups[0])
    assert outside == 0
    assert widest < 0.01  # of the update: the envelopes still tell something after 100 steps


@pytest.mark.parametrize("role", ["momentum_buffer", "square_avg"])
def test_a_state_that_is_translated_wrongly_is_noticed(role: str, tmp_path: Path) -> None:
    """A buffer that is copied as it is, or an average that is off by a part in a thousand, leaves the envelope."""
    one, other, own, result = started("torch", "keras3", MOMENTUM, tmp_path)
    (group,) = result.saved.groups
    for param, was in zip(group.params, own.params, strict=True):
        if role == "momentum_buffer":
            param.arrays[role][...] = was.arrays[role]
        else:
            param.arrays[role][...] = was.arrays[role] * 1.001
    path = tmp_path / "wrong.npz"
    path.write_bytes(checkpoint_bytes(str(path), result.saved))
    other.load(path)
    own_again = read_checkpoint(str(tmp_path / "source.pt"), DIALECTS["torch"]).groups[0]
    assert deviating(one, other, own_again, group)[0] > 0


@pytest.mark.parametrize(("source", "target"), [("torch", "keras3"), ("keras3", "torch")])
def test_where_eps_stands_elsewhere_each_update_is_within_the_bound(source: str, target: str, tmp_path: Path) -> None:
    """100 further steps from zero parameters, so that each shows its update; the first by the bound of the state."""
    # Whatever becomes of v, the eps that moves with its place changes no update by more.
    one, other, _, result = started(source, target, {**PLAIN, "alpha": 0.875, "eps": 2.0**-6}, tmp_path, "moved")
    (line,) = [each for each in result.lines if each.quantity == "eps"]
    assert line.kind == "bounded"
    nothing = [np.zeros(shape, np.float32) for shape in SHAPES]
    small = [[each * np.float32(0.02) for each in grads] for grads in gradients(FURTHER, 3)]
    worst = 0.0
    for step, grads in enumerate(small):
        for running in (one, other):
            running.put(nothing)
            running.step(grads)
        change = float(np.max(np.abs(flat(other.params()) / flat(one.params()) - 1)))
        # Each step rounds a product, a product and a sum of v, in either framework; the update rounds six times more.
        rounding = 2 * (1.5 * (step + 1) + 6) * 2.0**-24 * (1 + line.bound)
        assert change <= (line.bound if step == 0 else np.sqrt(2) - 1) + rounding
        worst = max(worst, change)
    assert worst > 0.2  # the averages came near eps, where the places differ most


def test_a_history_gives_the_buffer_that_torch_would_have(tmp_path: Path) -> None:
    """Keras with two learning rates, and torch with the same two all along: the buffer within the bound."""
    rates = (2.0**-4, 2.0**-7)
    rng = np.random.default_rng(1)
    params = [rng.standard_normal(shape).astype(np.float32) for shape in SHAPES]
    keras = FRAMEWORKS["keras3"](params, learning_rate=rates[0], rho=0.875, epsilon=0.0, momentum=0.875)
    torch = FRAMEWORKS["torch"](params, lr=rates[0], alpha=0.875, eps=0.0, momentum=0.875)
    paths = [tmp_path / "earlier.npz", tmp_path / "now.npz"]
    for rate, path, seed in zip(rates, paths, (2, 3), strict=True):
        keras.optimizer.learning_rate = rate
        torch.optimizer.param_groups[0]["lr"] = rate
        for grads in gradients(12, seed):
            keras.step(grads)
            torch.step(grads)
        keras.save(path)
    given = Given(options={"momentum": 0.875, "alpha": 0.875, "eps": 0.0}, defaults=True)
    earlier, now = (read_checkpoint(str(path), DIALECTS["keras3"], given) for path in paths)
    result = translate(now, DIALECTS["torch"], Terms(lr_changed=True, earlier=(earlier,)))
    (line,) = [each for each in result.lines if each.quantity == "momentum_buffer"]
    torch.save(tmp_path / "torch.pt")
    held = read_checkpoint(str(tmp_path / "torch.pt"), DIALECTS["torch"])
    for found, wanted in zip(result.saved.params(), held.params(), strict=True):
        difference = np.abs(found.arrays["momentum_buffer"] - wanted.arrays["momentum_buffer"])
        assert np.max(difference) <= 2 * line.bound  # torch's own buffer is rounded as often
        plain = wanted.arrays["momentum_buffer"] - now.params()[int(found.name)].arrays["momentum_buffer"] / rates[1]
        assert np.max(np.abs(plain)) > 1000 * line.bound
