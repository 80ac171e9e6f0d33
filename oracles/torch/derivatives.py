"""Derivatives of torch parameters with respect to the numbers behind them."""

from __future__ import annotations

import torch

from rmspec.impl.arithmetic.formats import as_reals
from rmspec.oracles.program.program import Differentiate, elements
from rmspec.oracles.session.calling import performed
from rmspec.oracles.subject import Outcome
from rmspec.oracles.torch.arrays import to_numpy, to_tensor


class History:
    """The sources of derivatives: the leaves behind the parameters, and gradients and rates while ``recording``."""

    def __init__(self) -> None:
        self.recording = False
        self.starts: dict[str, torch.Tensor] = {}
        self._grads: dict[str, list[torch.Tensor]] = {}
        self._rates: list[torch.Tensor] = []

    def gradient(self, param: str, grad: torch.Tensor) -> torch.Tensor:
        """Record a gradient of a parameter."""
        if self.recording:
            self._grads.setdefault(param, []).append(grad.requires_grad_())
        return grad

    def rate(self, lr: torch.Tensor) -> torch.Tensor:
        """Record a learning rate."""
        if self.recording:
            self._rates.append(lr.requires_grad_())
        return lr

    def differentiate(self, call: Differentiate, tensor: torch.Tensor) -> Outcome:
        """Differentiate the weighted sum of a parameter.

        Of several rates nobody can tell which one is meant: then there is no derivative with respect to lr.
        """
        sources = {
            "start": self.starts[call.param],
            **{f"grad-{n}": grad for n, grad in enumerate(self._grads.get(call.param, ()), 1)},
            **({"lr": self._rates[0]} if len(self._rates) == 1 else {}),
        }
        dtype = str(tensor.dtype).removeprefix("torch.")
        weights = to_tensor(elements(call.weights, dtype, tuple(tensor.shape)), "contiguous", str(tensor.device))
        results: list[torch.Tensor | None] = []

        def differentiate() -> None:
            with torch.enable_grad():
                leaves = tuple(sources.values())
                results.extend(torch.autograd.grad(tensor, leaves, weights, retain_graph=True, allow_unused=True))

        # A tensor that retains its gradient is given one.
        grad = tensor.grad
        outcome = performed(differentiate)
        tensor.grad = grad
        derivatives = {
            source: tuple(as_reals(to_numpy(torch.zeros_like(sources[source]) if result is None else result)).tolist())
            for source, result in zip(sources, results, strict=False)
        }
        return Outcome(outcome.raised, derivatives=derivatives)
