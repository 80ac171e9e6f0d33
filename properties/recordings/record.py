"""``record``: keep enough of a real training run to verify its optimizer's steps later and elsewhere."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, get_args

from rmspec.oracles.errors import BadOption
from rmspec.oracles.recordings.reader import Fill

if TYPE_CHECKING:
    import torch

__all__ = ["record"]


@contextmanager
def record(
    optimizer: torch.optim.Optimizer,
    path: str | os.PathLike[str],
    *,
    every: int = 1,
    elements: int | None = 64,
    named_parameters: Iterable[tuple[str, torch.Tensor]] | None = None,
    max_bytes: int = 256 * 2**20,
    when_full: Fill = "drop-oldest",
) -> Iterator[None]:
    """Record the steps of ``optimizer`` inside the ``with`` block into the new folder ``path``.

    Every ``every``-th step is kept, the first included, and of each parameter ``elements`` elements (``None``: all): the
    first, the last, those of least and greatest size, the tail, and others evenly spread. ``named_parameters`` is what
    ``model.named_parameters()`` gives, so that a deviation names the parameter. With more than ``max_bytes`` on disk the oldest
    steps make room (``drop-oldest``), or recording ends (``stop``). Verify with ``rmspec repro path``.

    Hooks of the optimizer that change gradients or parameters must be registered before. Raises ``BadOption`` for an
    argument that cannot be used; an error later on ends the recording with a warning, and never the training.
    """
    for name, value in (("every", every), ("elements", elements), ("max_bytes", max_bytes)):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            raise BadOption(
                f"record: {name}={value!r} is not a whole number from 1 on",
                hint=f"write {name}={'2**20' if name == 'max_bytes' else '1'}, or leave it out",
            )
    if when_full not in get_args(Fill):
        raise BadOption(f"record: when_full={when_full!r}", hint=f"choose from {', '.join(get_args(Fill))}")
    from rmspec.oracles.torch.recorder import Recorder

    with Recorder(
        optimizer,
        path,
        every=every,
        elements=elements,
        named_parameters=named_parameters,
        max_bytes=max_bytes,
        when_full=when_full,
    ):
        yield
