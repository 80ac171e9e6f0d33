"""RMSprop over plain Python lists of numbers; the framework that is tested here."""

from __future__ import annotations

import math


class RMSprop:
    """Steps lists of numbers in place. The denominator is ``sqrt(v + tiny)``, and a step without gradients is refused."""

    def __init__(self, rate=0.01, keep=0.9, tiny=1e-6):
        self.rate, self.keep, self.tiny = rate, keep, tiny
        self.squares = {}

    def step(self, variables, gradients):
        """Move each variable by its gradient; ``None`` is no gradient."""
        if all(gradient is None for gradient in gradients):
            raise ValueError("there is nothing to step")
        for position, (variable, gradient) in enumerate(zip(variables, gradients, strict=True)):
            if gradient is None:
                continue
            squares = self.squares.setdefault(position, [0.0] * len(variable))
            for i, g in enumerate(gradient):
                squares[i] = self.keep * squares[i] + (1 - self.keep) * g * g
                variable[i] -= self.rate * (g / math.sqrt(squares[i] + self.tiny))
