"""Training runs that are recorded: a small network on generated digits, and optimizers whose fault is switched on late."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

FAULTY = '''
import torch


class Late(torch.optim.RMSprop):
    """RMSprop that puts eps inside the root from the step ``start`` on."""

    def __init__(self, params, lr=0.01, alpha=0.99, eps=1e-8, start=0):
        super().__init__(params, lr=lr, alpha=alpha, eps=eps)
        self.start = start
        self.calls = 0

    @torch.no_grad()
    def step(self, closure=None):
        self.calls += 1
        if self.calls < self.start:
            return super().step(closure)
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if not state:
                    state["step"] = torch.tensor(0.0)
                    state["square_avg"] = torch.zeros_like(p)
                state["step"] += 1
                v = state["square_avg"]
                v.mul_(group["alpha"]).addcmul_(p.grad, p.grad, value=1 - group["alpha"])
                p.sub_(group["lr"] * p.grad / (v + group["eps"]).sqrt())


class Unseen(Late):
    """The same, with its count where nobody sees it."""

    def __init__(self, params, lr=0.01, alpha=0.99, eps=1e-8):
        super().__init__(params, lr=lr, alpha=alpha, eps=eps)
        self.counts = []

    def step(self, closure=None):
        self.counts.append(None)
        self.calls, self.start = (1, 0) if len(self.counts) >= 40 else (0, 2)
        loss = super().step(closure)
        self.calls = self.start = 0
        return loss
'''


def digits(torch: Any) -> tuple[Any, Any]:
    """Ten blurred shapes of 8 by 8 with noise, from a seed: 256 of them, and which is which."""
    source = np.random.default_rng(0)
    shapes = source.standard_normal((10, 64))
    labels = source.integers(0, 10, 256)
    images = shapes[labels] + 0.7 * source.standard_normal((256, 64))
    return torch.from_numpy(images.astype(np.float32)), torch.from_numpy(labels)


def network(torch: Any, seed: int = 0) -> Any:
    """A perceptron with one hidden layer."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)  # small tensors, and often two processes beside each other
    return torch.nn.Sequential(torch.nn.Linear(64, 16), torch.nn.Tanh(), torch.nn.Linear(16, 10))


def train(
    torch: Any,
    model: Any,
    optimizer: Any,
    steps: int,
    *,
    each: Callable[[int], None] = lambda number: None,
    dtype: Any = None,
) -> None:
    """``steps`` steps of training; ``each`` is called with the number of a step before it."""
    images, labels = digits(torch)
    images = images if dtype is None else images.to(dtype)
    for number in range(1, steps + 1):
        optimizer.zero_grad()
        batch = slice(number % 8 * 32, number % 8 * 32 + 32)
        torch.nn.functional.cross_entropy(model(images[batch]).float(), labels[batch]).backward()
        each(number)
        optimizer.step()


def loaded(folder: Path) -> dict[str, Any]:
    """The classes of ``FAULTY``, from a file in ``folder`` as a user's module has them."""
    import importlib.util
    import sys

    path = folder / "late.py"
    path.write_text(FAULTY)
    spec = importlib.util.spec_from_file_location("late", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["late"] = module
    spec.loader.exec_module(module)
    return vars(module)
