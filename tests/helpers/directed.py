"""Directed programs for optimizers of torch: plain code that calls one and notes everything that can be seen.

Each program takes a factory that is called like ``torch.optim.RMSprop`` and returns its observations. They serve to
show that a fault differs from the correct optimizer that it derives from, without the suite that it is to prove.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

Factory = Callable[..., Any]
Observations = list[tuple[str, Any]]
NAMES = ("square_avg", "grad_avg", "momentum_buffer")
DTYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.complex64)
OPTIONS = ("lr", "alpha", "eps", "weight_decay", "momentum", "centered")


class Log:
    """Observations in the order in which they were made; an exception is one of them."""

    def __init__(self) -> None:
        self.seen: Observations = []

    def note(self, label: str, value: Any) -> None:
        self.seen.append((label, value.detach().clone() if isinstance(value, Tensor) else value))

    def look(self, label: str, optimizer: Any, params: list[Tensor]) -> None:
        for i, p in enumerate(params):
            self.note(f"{label} p{i}", p)
            self.note(f"{label} grad{i}", p.grad)
            state = getattr(optimizer, "state", {}).get(p, {})
            for name in NAMES:
                self.note(f"{label} {name}{i}", state.get(name, torch.zeros_like(p)))
        for i, group in enumerate(optimizer.param_groups):
            self.note(f"{label} members{i}", len(group["params"]))
            for name in OPTIONS:
                self.note(f"{label} {name} of group {i}", float(group.get(name, -1)))

    @contextmanager
    def refusal(self, label: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            self.note(label, type(error).__name__)
        else:
            self.note(label, "accepted")


def values(shape: tuple[int, ...], dtype: torch.dtype, seed: int, *, low: int = -3, high: int = 3) -> Tensor:
    """Numbers of many magnitudes and both signs, some of them zero."""
    generator = torch.Generator().manual_seed(seed)

    def part() -> Tensor:
        size = torch.rand(shape, generator=generator, dtype=torch.float64) * (high - low) + low
        sign = torch.randint(-3, 4, shape, generator=generator).sign()
        return torch.pow(10.0, size) * sign

    return (torch.complex(part(), part()) if dtype.is_complex else part()).to(dtype)


def tensors(dtype: torch.dtype, *shapes: tuple[int, ...], seed: int = 0) -> list[Tensor]:
    return [values(shape, dtype, seed + i, low=-4, high=1).requires_grad_() for i, shape in enumerate(shapes)]


def run(log: Log, optimizer: Any, params: list[Tensor], steps: int, seed: int = 1, **magnitudes: int) -> None:
    for t in range(steps):
        for i, p in enumerate(params):
            p.grad = values(tuple(p.shape), p.dtype, seed + 100 * t + i, **magnitudes)
        optimizer.step()
        log.look(f"step {t}", optimizer, params)


def update(new: Factory) -> Observations:
    log = Log()
    for dtype in DTYPES:
        for momentum in (0, 0.9):
            for centered in (False, True):
                for weight_decay in (0, 0.1):
                    options = {"momentum": momentum, "centered": centered, "weight_decay": weight_decay}
                    params = tensors(dtype, (), (3,))
                    optimizer = new(params, lr=0.02, alpha=0.9, eps=0.01, **options)
                    run(log, optimizer, params, 6)
    return log.seen


def small_values(new: Factory) -> Observations:
    log = Log()
    for dtype in (torch.float64, torch.float32):
        for alpha, eps, centered in ((0.999, 1e-8, False), (0.5, 1e-6, True), (0.25, 0.1, True)):
            params = [torch.zeros(4, dtype=dtype, requires_grad=True)]
            optimizer = new(params, lr=1e-3, alpha=alpha, eps=eps, centered=centered, weight_decay=1e-3)
            run(log, optimizer, params, 4, low=-10, high=-4)
    return log.seen


def halves_forget(new: Factory) -> Observations:
    log = Log()
    for dtype in (torch.float16, torch.bfloat16):
        params = [torch.zeros(3, dtype=dtype, requires_grad=True)]
        optimizer = new(params, alpha=0.999, eps=0.01)
        run(log, optimizer, params, 2, low=0, high=1)
        optimizer.param_groups[0]["alpha"] = 0.97
        for _ in range(20):
            params[0].grad = torch.zeros_like(params[0])
            optimizer.step()
        log.look("after zeros", optimizer, params)
    return log.seen


def large_values(new: Factory) -> Observations:
    log = Log()
    params = [torch.zeros(4, requires_grad=True)]
    optimizer = new(params, lr=1.0, momentum=0.99, eps=1e-8, alpha=0.99)
    run(log, optimizer, params, 3, low=2, high=6)
    params[0].grad = torch.full((4,), 1e30)
    optimizer.step()
    log.look("overflow", optimizer, params)
    return log.seen


def constant_gradient(new: Factory) -> Observations:
    log = Log()
    for momentum in (0.0, 0.95):
        params = [torch.tensor([0.0, 1.0], dtype=torch.float64, requires_grad=True)]
        optimizer = new(params, lr=0.1, alpha=0.75, eps=0.01, centered=True, momentum=momentum)
        for t in range(30):
            params[0].grad = torch.tensor([1.0, -0.001], dtype=torch.float64)
            optimizer.step()
            log.look(f"step {t}", optimizer, params)
    return log.seen


def defaults(new: Factory) -> Observations:
    log = Log()
    params = tensors(torch.float64, (3,))
    optimizer = new(params)
    run(log, optimizer, params, 3, low=-9, high=-5)
    return log.seen


def shapes(new: Factory) -> Observations:
    log = Log()
    for momentum in (0.0, 0.9):
        for shape in ((), (0,), (1,), (7,), (16,), (17,), (33,), (70,), (1100,), (4, 6), (3, 0), (2, 3, 5)):
            params = tensors(torch.float32, shape)
            optimizer = new(params, lr=0.1, alpha=0.9, eps=0.1, momentum=momentum)
            with log.refusal(f"{shape}"):
                run(log, optimizer, params, 2)
    params = tensors(torch.float32, (2,), (2,), (3,), (4,), (5,), (0,))
    optimizer = new(params, lr=0.1, alpha=0.9, eps=0.1)
    with log.refusal("list that ends with an empty tensor"):
        run(log, optimizer, params, 2)
    return log.seen


def layouts(new: Factory) -> Observations:
    log = Log()
    base = values((4, 6), torch.float32, 5)
    grads = [
        base,
        values((6, 4), torch.float32, 5).t(),
        values((6,), torch.float32, 6).expand(4, 6),
        values((4, 12), torch.float32, 7)[:, ::2],
    ]
    for i, grad in enumerate(grads):
        for p in (torch.ones(4, 6, requires_grad=True), torch.ones(6, 4).t().requires_grad_()):
            optimizer = new([p], lr=0.1, alpha=0.9, eps=0.1, weight_decay=0.1)
            p.grad = grad
            for t in range(2):
                optimizer.step()
                log.look(f"layout {i} step {t}", optimizer, [p])
    p = torch.ones(5, requires_grad=True)
    optimizer = new([p], lr=0.1, alpha=0.9, eps=0.1)
    p.grad = values((10,), torch.float32, 8)[::2]
    optimizer.step()
    log.look("strided", optimizer, [p])
    return log.seen


def missing_gradients(new: Factory) -> Observations:
    log = Log()
    params = tensors(torch.float64, (2,), (2,), (1,))
    optimizer = new(params, lr=0.1, alpha=0.9, eps=0.1, momentum=0.9, weight_decay=0.1)
    for t, present in enumerate(((1, 0, 1), (1, 1, 0), (0, 0, 0), (0, 1, 1), (1, 1, 1), (2, 1, 1), (1, 2, 1))):
        for i, p in enumerate(params):
            zero = torch.zeros_like(p)
            p.grad = (None, values(tuple(p.shape), p.dtype, 10 * t + i), zero)[present[i]]
        optimizer.step()
        log.look(f"step {t}", optimizer, params)
    return log.seen


def partly_zero_gradients(new: Factory) -> Observations:
    log = Log()
    params = [torch.ones(2, requires_grad=True)]
    optimizer = new(params, lr=0.1, alpha=0.9, eps=0.1, momentum=0.9)
    for t, grad in enumerate(([1.0, 1.0], [1.0, 0.0], [0.0, 0.0], [0.0, 1.0])):
        params[0].grad = torch.tensor(grad)
        optimizer.step()
        log.look(f"step {t}", optimizer, params)
    return log.seen


def zero_grad(new: Factory) -> Observations:
    log = Log()
    for arguments in ({}, {"set_to_none": True}, {"set_to_none": False}):
        a, b, c = params = tensors(torch.float64, (2,), (1,), (3,))
        optimizer = new([{"params": [a, b]}, {"params": [c]}], lr=0.1, momentum=0.9)
        run(log, optimizer, params, 2)
        b.grad = None
        c.grad = torch.tensor([1.0, torch.nan, torch.inf], dtype=torch.float64)
        optimizer.zero_grad(**arguments)
        log.look("cleared", optimizer, params)
    return log.seen


def changed_options(new: Factory) -> Observations:
    log = Log()
    changes = (
        {"lr": 0.5},
        {"alpha": 0.5},
        {"eps": 0.5},
        {"weight_decay": 0.5},
        {"momentum": 0.5},
        {"momentum": 0.0},
        {"momentum": 0.9},
        {"centered": True},
        {"centered": False},
        {"lr": 0.01},
    )
    for options in ({}, {"momentum": 0.9}):
        params = tensors(torch.float64, (2,))
        optimizer = new(params, lr=0.1, alpha=0.9, eps=0.1, **options)
        run(log, optimizer, params, 2)
        for i, change in enumerate(changes):
            optimizer.param_groups[0].update(change)
            for name, value in change.items():
                optimizer.param_groups[0][name] = value
            with log.refusal(f"change {i}"):
                run(log, optimizer, params, 2, seed=7 * i)
    return log.seen


def tensor_lr(new: Factory) -> Observations:
    log = Log()
    params = tensors(torch.float64, (2,))
    lr = torch.tensor(0.5, dtype=torch.float64)
    optimizer = new(params, lr=lr, alpha=0.9, eps=0.1)
    run(log, optimizer, params, 1)
    lr.fill_(0.125)
    run(log, optimizer, params, 1)
    return log.seen


def groups(new: Factory) -> Observations:
    log = Log()
    a, b, c, d, e, f = params = tensors(torch.float64, (2,), (1,), (2,), (1,), (2,), (1,))
    explicit = {"lr": 0.5, "alpha": 0.5, "eps": 0.5, "weight_decay": 0.5, "momentum": 0.5, "centered": True}
    falsy = {"lr": 0.25, "weight_decay": 0, "momentum": 0.0, "centered": False}
    optimizer = new(
        [{"params": [a]}, {"params": b, **explicit}, {"params": [f], "momentum": 0.9}],
        lr=0.125,
        alpha=0.75,
        eps=0.25,
        weight_decay=0.125,
        momentum=0.25,
    )
    log.look("new", optimizer, params)
    known = [a, b, f]
    run(log, optimizer, known, 2)
    optimizer.param_groups[0]["lr"] = 0.0625
    for group in ({"params": [c, d], **explicit}, {"params": e, **falsy}):
        optimizer.add_param_group(group)
        log.look("added", optimizer, params)
        run(log, optimizer, params, 2)
    other = tensors(torch.float64, (2,), (2,), (2,))
    optimizer = new([other[0]], centered=True)
    optimizer.add_param_group({"params": iter([other[1]]), "weight_decay": 0.5, "momentum": 0.5, "centered": False})
    optimizer.add_param_group({"params": (other[2],)})
    log.look("ints", optimizer, other)
    run(log, optimizer, other, 2)
    return log.seen


def params_argument(new: Factory) -> Observations:
    log = Log()
    for make in (list, tuple, iter, lambda x: (p for p in x)):
        params = tensors(torch.float64, (2,), (1,))
        before = [values(tuple(p.shape), p.dtype, 3) for p in params]
        for p, g in zip(params, before, strict=True):
            p.grad = g
        with log.refusal("constructor"):
            optimizer = new(make(params), lr=0.1)
            log.look("new", optimizer, params)
            run(log, optimizer, params, 1)
    frozen = torch.ones(2)
    optimizer = new([frozen], lr=0.1)
    run(log, optimizer, [frozen], 1)
    return log.seen


def duplicates(new: Factory) -> Observations:
    log = Log()
    a, b = params = tensors(torch.float64, (1,), (1,))
    optimizer = new([a], lr=0.1)
    with log.refusal("across groups"):
        optimizer.add_param_group({"params": [b, a]})
    log.look("across groups", optimizer, params)
    with log.refusal("within a group"):
        optimizer = new([a, a], lr=0.1)
        a.grad = torch.ones_like(a)
        optimizer.step()
        log.look("within a group", optimizer, params)
    return log.seen


def closures(new: Factory) -> Observations:
    log = Log()

    def record(label: str, *, fails: bool = False) -> Callable[[], Tensor]:
        def closure() -> Tensor:
            log.note(f"{label} called", torch.is_grad_enabled())
            log.note(f"{label} finds", params[0])
            if fails:
                raise ZeroDivisionError
            for i, p in enumerate(params):
                p.grad = values(tuple(p.shape), p.dtype, 50 + i)
            return torch.tensor(2.5)

        return closure

    params = tensors(torch.float64, (2,), (1,))
    optimizer = new(params, lr=0.1, momentum=0.9, alpha=0.9)
    for t in range(2):
        log.note("loss", optimizer.step(record("closure")))
        log.look(f"step {t}", optimizer, params)
    with torch.no_grad():
        log.note("loss", optimizer.step(record("closure under no_grad")))
    with log.refusal("failing closure"):
        optimizer.step(record("failing closure", fails=True))
    log.look("failed", optimizer, params)
    log.note("no loss", optimizer.step())
    return log.seen


def hooks(new: Factory) -> Observations:
    log = Log()
    params = tensors(torch.float64, (2,))
    optimizer = new(params, lr=0.1)
    if hasattr(optimizer, "register_step_pre_hook"):
        optimizer.register_step_pre_hook(lambda *_: log.note("pre", params[0]))
        optimizer.register_step_post_hook(lambda *_: log.note("post", params[0]))
    run(log, optimizer, params, 2)
    return log.seen


def two_optimizers(new: Factory) -> Observations:
    log = Log()
    a, b = tensors(torch.float64, (2,)), tensors(torch.float64, (2,), seed=9)
    first = new(a, lr=0.1, alpha=0.9)
    run(log, first, a, 2)
    second = new(b, lr=0.2, alpha=0.5)
    log.look("first", first, a)
    for _ in range(2):
        run(log, second, b, 1)
        log.look("first", first, a)
        run(log, first, a, 1)
        log.look("second", second, b)
    return log.seen


def checkpoint(new: Factory) -> Observations:
    log = Log()
    options = {"eps": 0.1, "centered": True}

    def make(seed: int, lr: float = 0.1, alpha: float = 0.9) -> tuple[list[Tensor], Any]:
        a, b, c = params = tensors(torch.float64, (2,), (2,), (1,), seed=seed)
        group = {"params": [c], "lr": 2 * lr, "momentum": 0.5}
        return params, new([{"params": [a, b]}, group], lr=lr, alpha=alpha, momentum=0.9, **options)

    def look(label: str) -> None:
        log.look(f"{label}: first", first, p)
        log.look(f"{label}: second", second, q)

    (p, first), (q, second) = make(0), make(7, lr=0.3, alpha=0.8)
    p[0].grad = None
    p[1].grad = torch.ones(2, dtype=torch.float64)
    first.step()
    run(log, first, p[1:], 2)
    run(log, first, p, 2)
    saved = first.state_dict()
    look("saved")
    log.note("entries", sorted(saved))
    with log.refusal("load"):
        second.load_state_dict(saved)
    look("loaded")
    for i, (optimizer, params) in enumerate(((second, q), (first, p), (second, q))):
        with log.refusal("step after load"):
            run(log, optimizer, params, 2)
        look(f"stepped {i}")
    with log.refusal("load again"):
        second.load_state_dict(saved)
    look("loaded again")
    second.param_groups[0]["lr"] = 0.7
    second.param_groups[1]["lr"] = 0.7
    look("changed lr")
    late = tensors(torch.float64, (3,))
    second.add_param_group({"params": late, "momentum": 0.9})
    look("added after load")
    run(log, second, q + late, 2)
    return log.seen


def order_of_first_steps(new: Factory) -> Observations:
    log = Log()
    p, q = tensors(torch.float64, (2,), (2,)), tensors(torch.float64, (2,), (2,))
    first, second = new(p, lr=0.1, momentum=0.9), new(q, lr=0.1)
    run(log, first, p[1:], 1)
    run(log, first, p, 1)
    with log.refusal("load"):
        second.load_state_dict(first.state_dict())
    log.look("loaded", second, q)
    return log.seen


def partial_checkpoint(new: Factory) -> Observations:
    log = Log()
    p, q = tensors(torch.float64, (2,), (2,)), tensors(torch.float64, (2,), (2,))
    first, second = new(p, lr=0.1, momentum=0.9), new(q, lr=0.1)
    run(log, first, p[:1], 2)
    run(log, second, q, 2)
    with log.refusal("load"):
        second.load_state_dict(first.state_dict())
    log.look("loaded", second, q)
    with log.refusal("load of a new one"):
        second.load_state_dict(new(p).state_dict())
    run(log, second, q, 2)
    return log.seen


def other_checkpoints(new: Factory) -> Observations:
    log = Log()

    def make(shapes: list[list[tuple[int, ...]]], lr: float) -> tuple[list[Tensor], Any]:
        members = [tensors(torch.float64, *group) for group in shapes]
        optimizer = new([{"params": group} for group in members], lr=lr, momentum=0.9)
        params = [p for group in members for p in group]
        run(log, optimizer, params, 2, seed=round(100 * lr))
        return params, optimizer

    for ours, theirs in (
        ([[(2,)]], [[(2,)], [(1,)]]),
        ([[(2,)], [(1,)]], [[(2,)]]),
        ([[(2,)]], [[(2,), (1,)]]),
        ([[(2,), (1,)]], [[(2,)]]),
        ([[(2,), (1,)]], [[(2,), (3,)]]),
    ):
        p, optimizer = make(ours, 0.1)
        _, other = make(theirs, 0.2)
        with log.refusal("load"):
            optimizer.load_state_dict(other.state_dict())
        log.look("refused", optimizer, p)
    return log.seen


def maximize(new: Factory) -> Observations:
    log = Log()
    for options in ({"maximize": True}, {"maximize": True, "weight_decay": 0.5}):
        params = tensors(torch.float64, (3,))
        optimizer = new(params, lr=0.1, alpha=0.9, eps=0.1, **options)
        run(log, optimizer, params, 2)
    return log.seen


PROGRAMS: tuple[Callable[[Factory], Observations], ...] = (
    update,
    defaults,
    groups,
    checkpoint,
    zero_grad,
    missing_gradients,
    partly_zero_gradients,
    closures,
    changed_options,
    small_values,
    constant_gradient,
    large_values,
    halves_forget,
    shapes,
    layouts,
    tensor_lr,
    params_argument,
    duplicates,
    hooks,
    two_optimizers,
    order_of_first_steps,
    partial_checkpoint,
    other_checkpoints,
)


def differ(one: Any, other: Any, ulps: float) -> bool:
    """Whether two observed values differ by more than ``ulps`` units in the last place of the larger."""
    if not (isinstance(one, Tensor) and isinstance(other, Tensor)):
        return type(one) is not type(other) or one != other
    if one.shape != other.shape or one.dtype != other.dtype:
        return True
    if one.is_complex():
        one, other = torch.view_as_real(one), torch.view_as_real(other)
    unit = torch.finfo(one.dtype).eps
    x, y = one.double(), other.double()
    close = (x - y).abs() <= ulps * unit * torch.maximum(x.abs(), y.abs())
    return not bool((close | (x == y) | (x.isnan() & y.isnan())).all())


def first_difference(one: Observations, other: Observations, ulps: float = 8) -> str | None:
    """The first observation that is not the same in both, or None."""
    for (label, x), (other_label, y) in zip(one, other, strict=False):
        if label != other_label or differ(x, y, ulps):
            return f"{label}: {x} and {other_label}: {y}"
    return None if len(one) == len(other) else "one of them ended early"
