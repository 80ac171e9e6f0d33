"""How long a verdict on a wide tensor takes, against the step of torch that it judges."""

import time
from typing import Any, NamedTuple

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from rmspec.impl import FORMATS, SPECIFICATION, STRICT, Before, Hyperparameters, accepted, envelope  # noqa: E402
from rmspec.properties import Tally  # noqa: E402
from rmspec.properties.judge.stepcheck import SteppedParam, check_group  # noqa: E402

COUNT = 10**6
FORMAT = "float32"
CASES = {
    "defaults": Hyperparameters(),
    "all options": Hyperparameters(1e-3, 0.9, 1e-6, 1e-4, 0.9, True),
}


class Stepped(NamedTuple):
    """One step of torch on a wide tensor: what it read, what it left, and the seconds of torch's quickest step."""

    hyper: Hyperparameters
    param: Any
    grad: Any
    state: dict[str, Any]
    after: Any
    after_state: dict[str, Any]
    seconds: float

    def before(self) -> Before:
        """As the envelope takes it."""
        zeros = np.zeros(COUNT)
        roles = (self.state.get(role, zeros) for role in ("square_avg", "grad_avg", "momentum_buffer"))
        return Before(*(np.asarray(each, dtype=np.float64) for each in (self.param, self.grad, *roles)))

    def seen(self) -> dict[str, Any]:
        """The values after the step, as the filter takes them."""
        return {role: each.astype(np.float64) for role, each in {**self.after_state, "param": self.after}.items()}


@pytest.fixture(scope="module", params=CASES)
def stepped(request: pytest.FixtureRequest) -> tuple[str, Stepped]:
    hyper = CASES[request.param]
    source = np.random.default_rng(0)
    param = torch.from_numpy(source.standard_normal(COUNT).astype(np.float32)).requires_grad_()
    options = {name: hyper.option(name) for name in ("lr", "alpha", "eps", "weight_decay", "momentum", "centered")}
    optimizer = torch.optim.RMSprop([param], foreach=False, **options)
    # The subjects of a check make torch fill fresh memory and prefer deterministic kernels; its own step does neither.
    torch.use_deterministic_algorithms(False)
    torch.utils.deterministic.fill_uninitialized_memory = False
    times = []
    threads = torch.get_num_threads()
    for turn in range(40):
        # On a busy machine one thread may well be quicker than two.
        torch.set_num_threads(threads if turn % 2 else 1)
        # Gradients of many magnitudes, as in training.
        values = source.standard_normal(COUNT) * 10.0 ** source.uniform(-4, 1, COUNT)
        param.grad = torch.from_numpy(values.astype(np.float32))
        before = param.detach().numpy().copy()
        state = {name: each.numpy().copy() for name, each in _state(optimizer, param).items()}
        begin = time.perf_counter()
        optimizer.step()
        times.append(time.perf_counter() - begin)
    after = {name: each.numpy().copy() for name, each in _state(optimizer, param).items()}
    grad = param.grad.numpy().copy()
    torch.set_num_threads(threads)
    return request.param, Stepped(hyper, before, grad, state, param.detach().numpy().copy(), after, min(times[5:]))


def _state(optimizer: Any, param: Any) -> dict[str, Any]:
    return {name: each for name, each in optimizer.state[param].items() if name != "step"}


def _report(benchmark: Any, figure: Any, what: str, case: Stepped, goal: str) -> None:
    ratio = benchmark.stats.stats.min / case.seconds
    benchmark.extra_info["ratio_to_torch_step"] = ratio
    figure(what, f"{ratio:,.0f} x torch's step ({case.seconds * 1e3:.1f} ms)", goal)


def test_a_verdict_on_a_wide_tensor(benchmark: Any, figure: Any, stepped: tuple[str, Stepped]) -> None:
    """The whole check of one step, as the runner does it: the filter, then intervals for what it leaves."""
    name, case = stepped
    tally = Tally()

    def verdict() -> Any:
        each = SteppedParam(
            "p", FORMAT, case.param, case.grad, case.after, case.state, case.after_state, 40, False, False
        )
        found, _ = check_group([each], case.hyper, SPECIFICATION, STRICT, tally, call=0, optimizer="A", sources={})
        return found

    assert benchmark.pedantic(verdict, rounds=8, warmup_rounds=1) == []
    _report(benchmark, figure, f"verdict on 10^6 float32, {name}", case, "at most 100")


def test_the_filter_alone(benchmark: Any, figure: Any, stepped: tuple[str, Stepped]) -> None:
    """Balls: one evaluation in float64 with a running error bound."""
    name, case = stepped
    before, after = case.before(), case.seen()
    found = benchmark.pedantic(lambda: accepted(before, after, FORMATS[FORMAT], case.hyper), rounds=8, warmup_rounds=1)
    assert found is not None
    left = 1 - float(np.mean(np.logical_and.reduce([inside for inside, _ in found.values()])))
    benchmark.extra_info["left_to_intervals"] = left
    _report(benchmark, figure, f"filter alone, {name} (leaves {left:.1e} of the elements)", case, "about 20")


def test_the_intervals_alone(benchmark: Any, figure: Any, stepped: tuple[str, Stepped]) -> None:
    """Intervals for every element, as it would be without the filter."""
    name, case = stepped
    before, after = case.before(), case.seen()

    def verdict() -> bool:
        bounds = envelope(before, FORMATS[FORMAT], case.hyper, t=40)
        return all(bool(np.all(bounds[role].contains(values))) for role, values in after.items())

    assert benchmark.pedantic(verdict, rounds=2)
    _report(benchmark, figure, f"intervals alone, {name}", case, "")
