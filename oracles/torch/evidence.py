"""Evidence: the kernels and graphs entered in a step, as the counters of the descriptor read them.

The kernels of torch.optim.RMSprop are two functions of its module, and a counter looks at their arguments on the way in. Of the
compiler every graph is counted when it is entered, so that a step that ran otherwise is told from a compiled one. Nothing
here changes what is computed.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache, wraps
from types import CodeType, FrameType
from typing import Any

import torch

_LIMIT = 4096
"""The limit of the compiler's graphs for one function, far above what a check needs."""

_Criterion = Callable[[Mapping[str, Any]], bool]


def _entries(kernel: str, criterion: _Criterion = lambda arguments: True) -> Iterator[Callable[[], int]]:
    """Count the calls of a function of ``torch.optim.rmsprop`` with such keyword arguments."""
    module = importlib.import_module("torch.optim.rmsprop")
    original = getattr(module, kernel)
    count = 0

    @wraps(original)
    def counted(*arguments: Any, **keywords: Any) -> Any:
        nonlocal count
        count += criterion(keywords)
        return original(*arguments, **keywords)

    setattr(module, kernel, counted)
    try:
        yield lambda: count
    finally:
        setattr(module, kernel, original)


@contextmanager
def single_tensor() -> Iterator[Callable[[], int]]:
    """Count the steps of the loop over parameters."""
    yield from _entries("_single_tensor_rmsprop")


@contextmanager
def foreach() -> Iterator[Callable[[], int]]:
    """Count the steps of torch's foreach operations."""
    yield from _entries("_multi_tensor_rmsprop")


@contextmanager
def maximize() -> Iterator[Callable[[], int]]:
    """Count the maximizing steps of the loop."""
    yield from _entries("_single_tensor_rmsprop", lambda arguments: bool(arguments.get("maximize")))


@contextmanager
def differentiable() -> Iterator[Callable[[], int]]:
    """Count the steps of the loop recorded for autograd."""
    yield from _entries(
        "_single_tensor_rmsprop", lambda arguments: bool(arguments.get("differentiable")) and torch.is_grad_enabled()
    )


@contextmanager
def capturable() -> Iterator[Callable[[], int]]:
    """Count the steps of the loop fit for a CUDA graph."""
    yield from _entries("_single_tensor_rmsprop", lambda arguments: bool(arguments.get("capturable")))


@contextmanager
def tensor_lr() -> Iterator[Callable[[], int]]:
    """Count the steps of the loop with a tensor for lr."""
    yield from _entries("_single_tensor_rmsprop", lambda arguments: isinstance(arguments.get("lr"), torch.Tensor))


@contextmanager
def compiled() -> Iterator[Callable[[], int]]:
    """Count the compiled graphs on their entry; negative after a compiled function without one of its own."""
    compiler = _watched_compiler()
    before = compiler.entered
    compiler.strayed = False
    # A call of the original code of a function beyond the limit is one that the compiler left alone.
    profiled = bool(compiler.refused) and sys.getprofile() is None
    if profiled:
        sys.setprofile(compiler.look)
    try:
        yield lambda: compiler.count(before)
    finally:
        if profiled:
            sys.setprofile(None)


@contextmanager
def graphs() -> Iterator[Callable[[], int]]:
    """Count the new graphs of the compiler."""
    compiler = _watched_compiler()
    before = compiler.made
    yield lambda: compiler.made - before


class _Compiler:
    """The compiler's graphs in this process: how many were ``made`` and ``entered``, and the code ``refused`` by its limit."""

    def __init__(self) -> None:
        self.made = self.entered = 0
        self.refused: set[CodeType] = set()
        self.strayed = False
        self._frames: Mapping[str, int] = {}

    def look(self, frame: FrameType, event: str, _: object) -> None:
        """Notice a call of refused code."""
        self.strayed = self.strayed or (event == "call" and frame.f_code in self.refused)

    def count(self, before: int) -> int:
        """Count the graphs entered since; negative if one was due and was not."""
        entered = self.entered - before
        fell_back = not entered and bool(self.made) and self._failures() > 0
        return -1 if self.strayed or fell_back else entered

    def _failures(self) -> int:
        """Count the vain attempts of the compiler."""
        frames = importlib.import_module("torch._dynamo.utils").counters["frames"]
        return int(frames["total"] - frames["ok"])


@cache
def _watched_compiler() -> _Compiler:
    """The compiler of this process, watched from the first call on, with its limits raised."""
    output: Any = importlib.import_module("torch._dynamo.output_graph").OutputGraph
    convert: Any = importlib.import_module("torch._dynamo.convert_frame")
    config: Any = importlib.import_module("torch._dynamo.config")
    compiler = _Compiler()
    config.recompile_limit = max(config.recompile_limit, _LIMIT)
    config.accumulated_recompile_limit = max(config.accumulated_recompile_limit, _LIMIT)
    original, limit = output.call_user_compiler, convert.exceeds_recompile_limit

    @wraps(original)
    def compile_graph(*arguments: Any, **keywords: Any) -> Callable[..., Any]:
        function = original(*arguments, **keywords)
        compiler.made += 1

        def enter(*inputs: Any) -> Any:
            compiler.entered += 1
            return function(*inputs)

        return enter

    @wraps(limit)
    def exceeds(*arguments: Any, **keywords: Any) -> tuple[bool, str]:
        exceeded: tuple[bool, str] = limit(*arguments, **keywords)
        if exceeded[0]:
            code = sys._getframe(1).f_locals.get("code")
            if isinstance(code, CodeType):
                compiler.refused.add(code)
            compiler.strayed = True
        return exceeded

    output.call_user_compiler = compile_graph
    convert.exceeds_recompile_limit = exceeds
    return compiler
