"""The circumstances of a call on a torch optimizer: the caller's gradient mode, and step hooks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from typing import Any

import torch
from numpy.typing import NDArray

from rmspec.oracles.program.program import GradMode
from rmspec.oracles.subject import HookRun, Outcome

__all__ = ["StepHooks", "gradient_mode", "in_mode", "steps_wrapped"]

Arrays = Mapping[str, NDArray[Any]]

_MODES: Mapping[str, Callable[[], AbstractContextManager[Any]]] = {
    "": nullcontext,
    "enable_grad": torch.enable_grad,
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
}


def in_mode(mode: GradMode, call: Callable[[], Outcome]) -> Outcome:
    """The outcome of a call in this gradient mode; the mode is restored after a call with another one at its end."""
    with _MODES[mode]():
        before, enabled = gradient_mode(), torch.is_grad_enabled()
        outcome = call()
        after = gradient_mode()
        torch.set_grad_enabled(enabled)
        return outcome if after == before else replace(outcome, mode_left=after)


def gradient_mode() -> Any:
    """The gradient mode of the moment, in the words of ``Outcome.mode_left``."""
    if torch.is_grad_enabled():
        return "enabled"
    return "inference" if torch.is_inference_mode_enabled() else "disabled"


class StepHooks:
    """Hooks of one optimizer's steps: those from the start, and those of one step.

    ``read`` reads all parameters. Between counted steps the hooks do nothing.
    """

    def __init__(self, optimizer: Any, read: Callable[[], Arrays]) -> None:
        self._optimizer = optimizer
        self._read = read
        self._runs: list[tuple[HookRun, Arrays]] | None = None

    def register(self, number: int) -> list[Any]:
        """Register a pre-hook and a post-hook of this number; return their handles."""

        def make(kind: Any) -> Callable[..., None]:
            def hook(*arguments: Any) -> None:
                if self._runs is not None:
                    mine = bool(arguments) and arguments[0] is self._optimizer
                    self._runs.append((HookRun(kind, number, mine), self._read()))

            return hook

        optimizer = self._optimizer
        return [
            optimizer.register_step_pre_hook(make("pre")),
            optimizer.register_step_post_hook(make("post")),
        ]

    def around(self, step: Callable[[], Outcome]) -> Outcome:
        """The outcome of a step, with the runs of all hooks."""
        handles = self.register(1)
        self._runs, start = [], self._read()
        try:
            outcome = step()
            end = self._read()
            runs = tuple(
                replace(run, misplaced=not _same(then, start if run.kind == "pre" else end)) for run, then in self._runs
            )
        finally:
            self._runs = None
            for handle in handles:
                handle.remove()
        own = [run.kind for run in runs if run.number == 1]
        return replace(outcome, hooks=(own.count("pre"), own.count("post")), hook_runs=runs)


def _same(x: Arrays, y: Arrays) -> bool:
    return all(array.tobytes() == y[name].tobytes() for name, array in x.items())


@contextmanager
def steps_wrapped(kind: type, bases: bool) -> Iterator[None]:
    """Put torch's hooks around the step of a class, and with ``bases`` around those of its base classes.

    torch does so when the first optimizer of a class is constructed, so that it depends on what else was constructed in the
    process. Afterwards all is as it was.
    """
    kinds = [
        owner
        for owner in kind.__mro__
        if issubclass(owner, torch.optim.Optimizer) and owner is not torch.optim.Optimizer
    ]
    own = {owner: owner.__dict__["step"] for owner in kinds if "step" in owner.__dict__}
    try:
        for owner, step in own.items():
            if getattr(step, "__code__", None) is _WRAPPER and getattr(step, "hooked", False):
                owner.step = step.__wrapped__  # type: ignore[method-assign]  # as torch does
        for owner in [*(reversed(kinds[1:]) if bases else ()), *kinds[:1]]:
            object.__new__(owner)._patch_step_function()
        yield
    finally:
        for owner in kinds:
            if owner in own:
                owner.step = own[owner]  # type: ignore[method-assign]  # as above
            elif "step" in owner.__dict__:
                del owner.step


def _nothing() -> None:
    """A function for torch to wrap."""


_WRAPPER = torch.optim.Optimizer.profile_hook_step(_nothing).__code__
"""The code of every step with torch's hooks around it."""
