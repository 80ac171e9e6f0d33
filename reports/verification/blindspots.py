"""The declared blind spots: things rmspec does not check, in any report."""

from __future__ import annotations

from rmspec.oracles.registry import frameworks

__all__ = ["blind_spots"]

_GENERAL = (
    "in a recording: elements that are not sampled, unrecorded steps, sparse gradients, and what hooks registered after record "
    "change",
    "parameters that are overlapping views of one memory",
    "the finite part of a complex element whose other part is not finite, or becomes so in the step: a complex product then "
    "mixes them, and pairs of reals promise nothing",
    "whether a checkpoint of other shapes is refused, where the state is hidden and the load is accepted: the edit may have "
    "changed nothing",
    "hooks other than the pre- and post-hooks of step",
    "derivatives through steps in half precision or of complex parameters, and second derivatives",
    "distributed and sharded optimizers, and use from several threads at once",
    "tensors of more than 2^20 elements, and of more than 4,096 in a wire peer; the number of threads elsewhere than on torch; "
    "and the first step of a process where steps are compiled, and of a wire peer or an object with the Subject protocol",
    "parameters replaced, resized, or moved to another format or device after the optimizer is created, and parameters of several "
    "devices in one optimizer",
    "groups and parameters taken away, and state edited by hand: programs only add groups, set options, save and load",
    "steps from a gradient, a parameter or a state that is infinite or NaN already: what replaces such a gradient, or leaves out its "
    "step, passes",
    "what happens only after more than 130 steps of one parameter",
    "parameters written between steps by anything but the optimizer",
    "steps under autocast, with a gradient scaler, or within another framework's transformation (vmap, scan, a distribution strategy)",
    "closures that step, change options or raise after they have changed a gradient, and closures of the kind that is called again "
    "in one step",
    "tensors that are no plain arrays: subclasses, quantized, nested, named and symbolic ones",
    "memory and speed, warnings, and what is printed",
    "float8 and other formats than float16, bfloat16, float32, float64, complex64 and complex128",
)


def blind_spots() -> tuple[str, ...]:
    """Those of each framework, as its descriptor declares them, then those of all."""
    return (*(spot for framework in frameworks() for spot in framework.blind_spots), *_GENERAL)
