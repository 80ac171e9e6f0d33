"""The reference optimizer: the page's algorithm and API over NumPy arrays.

``RMSprop`` is the pseudocode run with plain arrays, with the API that the page documents around it: parameter groups,
``step(closure)``, ``zero_grad(set_to_none)``, ``add_param_group``, ``state_dict``, ``load_state_dict``, the documented
defaults, and the refusals that ``torch.optim.RMSprop`` documents with them. Where the page is silent it does what the
interpretation clauses say (``rmspec.impl.spec.clauses``).
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rmspec.impl.arithmetic.envelope import STATE_ROLES
from rmspec.impl.spec.dialect import SPECIFICATION, Dialect, Hyperparameters
from rmspec.impl.spec.pseudocode import Symbols, iterate

__all__ = ["Parameter", "RMSprop"]

_NUMBERS = ("lr", "alpha", "eps", "weight_decay", "momentum")


class Parameter:
    """An array to optimize, with its gradient: ``data`` and ``grad`` have one shape and dtype; ``grad`` may be ``None``.

    ``rows`` are the indices of the first axis that a row-sparse gradient names (``grad`` is 0 in the others), ``None`` for a
    dense one.
    """

    __slots__ = ("data", "grad", "requires_grad", "rows")

    def __init__(self, data: NDArray[Any]) -> None:
        self.data = data
        self.grad: NDArray[Any] | None = None
        self.rows: tuple[int, ...] | None = None
        self.requires_grad = True


class RMSprop:
    """RMSprop of the page, or of another dialect, over ``Parameter`` objects.

    Parameters and defaults are the page's. ``params`` is an iterable of ``Parameter`` or of dicts with ``"params"`` and
    options. Raises ``ValueError`` for an empty ``params``, a negative or NaN hyperparameter (at every door), or a
    parameter that is already there; ``TypeError`` for what is no parameter, no dict, or no number.
    """

    def __init__(
        self,
        params: Iterable[Parameter] | Iterable[dict[str, Any]],
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        *,
        dialect: Dialect = SPECIFICATION,
    ) -> None:
        self.defaults: dict[str, Any] = {
            "lr": lr,
            "alpha": alpha,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "centered": centered,
        }
        _validate(self.defaults)
        self.dialect = dialect
        self.param_groups: list[dict[str, Any]] = []
        self.state: dict[int, dict[str, Any]] = {}
        if isinstance(params, Parameter):
            raise TypeError("params must be an iterable of parameters or dicts, not one parameter: write [param]")
        members: list[Any] = list(params)
        if not members:
            raise ValueError("the optimizer got an empty list of parameters")
        groups = members if isinstance(members[0], dict) else [{"params": members}]
        for group in groups:
            self.add_param_group(group)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group: ``{"params": parameters, option: value, ...}``; options left out are the defaults.

        The dict is not kept. Raises ``TypeError`` and ``ValueError`` as the constructor does, and then changes nothing.
        """
        if not isinstance(param_group, dict):
            raise TypeError(f"a parameter group must be a dict, not {type(param_group).__name__}")
        params = param_group["params"]
        if isinstance(params, set):
            raise TypeError("parameters must be in an ordered collection: the order of a set changes between runs")
        params = [params] if isinstance(params, Parameter) else list(params)
        for param in params:
            if not isinstance(param, Parameter):
                raise TypeError(f"only parameters can be optimized, not {type(param).__name__}")
        if len({id(param) for param in params}) != len(params):
            raise ValueError("a parameter is in the group twice")
        present = {id(param) for param in self._params()}
        if any(id(param) in present for param in params):
            raise ValueError("a parameter is in more than one group")
        options = {name: param_group.get(name, default) for name, default in self.defaults.items()}
        unknown = set(param_group) - set(options) - {"params"}
        if unknown:
            raise ValueError(f"unknown option {sorted(unknown)[0]!r} in a parameter group")
        _validate(options)
        self.param_groups.append({"params": params, **options})

    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Iterate once for every parameter with a gradient, and return the loss of the closure, if there is one."""
        loss = None if closure is None else closure()
        with np.errstate(all="ignore"):
            for group in self.param_groups:
                hyper = _hyperparameters(group)
                for param in group["params"]:
                    if param.grad is not None:
                        self._iterate(param, param.grad, hyper)
        return loss

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Set every gradient to ``None``, or with ``set_to_none=False`` fill the existing ones with zeros."""
        for param in self._params():
            if set_to_none:
                param.grad = None
            elif param.grad is not None:
                param.grad = np.zeros_like(param.grad)

    def state_dict(self) -> dict[str, Any]:
        """The state as a dict: ``state`` by the parameters' order, and ``param_groups``. Arrays are copies."""
        order = {id(param): index for index, param in enumerate(self._params())}
        return {
            "state": {order[key]: copy.deepcopy(value) for key, value in self.state.items()},
            "param_groups": [
                {
                    **{name: value for name, value in group.items() if name != "params"},
                    "params": [order[id(param)] for param in group["params"]],
                }
                for group in self.param_groups
            ],
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restore a dict returned by ``state_dict``: state in the format of the parameters, and the options of the groups.

        A parameter without an entry starts anew. Raises ``ValueError`` for other groups, other sizes or other shapes,
        and ``KeyError`` where an entry is missing, and then changes nothing.
        """
        saved_groups = state_dict["param_groups"]
        if len(saved_groups) != len(self.param_groups):
            raise ValueError(f"the state has {len(saved_groups)} groups, the optimizer {len(self.param_groups)}")
        keys: dict[Any, Parameter] = {}
        for saved, group in zip(saved_groups, self.param_groups, strict=True):
            if len(saved["params"]) != len(group["params"]):
                raise ValueError("a group of the state has another number of parameters than the optimizer's group")
            keys.update(zip(saved["params"], group["params"], strict=True))
        state: dict[int, dict[str, Any]] = {}
        for key, entry in state_dict["state"].items():
            param = keys[key]
            loaded = {}
            for role in STATE_ROLES:
                if entry.get(role) is not None:
                    if np.shape(entry[role]) != param.data.shape:
                        raise ValueError(f"{role} has shape {np.shape(entry[role])}, its parameter {param.data.shape}")
                    loaded[role] = np.array(entry[role], dtype=param.data.dtype)
            if entry and "square_avg" not in loaded:
                raise KeyError("square_avg")
            state[id(param)] = {**loaded, "step": int(entry.get("step", 0))}
        groups = []
        for saved, group in zip(saved_groups, self.param_groups, strict=True):
            options = {name: copy.copy(saved[name]) for name in self.defaults}
            _validate(options)
            groups.append({**options, "params": group["params"]})
        self.state, self.param_groups = state, groups

    # -- one iteration

    def __getstate__(self) -> dict[str, Any]:
        """The attributes, with the state by the position of the parameter: a copy's parameters have other ids."""
        order = {id(param): index for index, param in enumerate(self._params())}
        return {**self.__dict__, "state": {order[key]: entry for key, entry in self.state.items()}}

    def __setstate__(self, attributes: dict[str, Any]) -> None:
        """Take over the attributes of a copy, or of a pickle."""
        self.__dict__.update(attributes)
        params = list(self._params())
        self.state = {id(params[index]): entry for index, entry in attributes["state"].items()}

    def _params(self) -> Iterator[Parameter]:
        for group in self.param_groups:
            yield from group["params"]

    def _iterate(self, param: Parameter, grad: NDArray[Any], hyper: Hyperparameters) -> None:
        state = self.state.setdefault(id(param), {"step": 0})
        needed = ["square_avg"]
        needed += ["grad_avg"] if self.dialect.centered(hyper) else []
        needed += ["momentum_buffer"] if self.dialect.momentum(hyper) else []
        for role in needed:
            if role not in state:
                state[role] = np.zeros_like(param.data)
                for part in _parts(state[role]):
                    part[...] = self.dialect.initial(role, hyper)
        state["step"] += 1
        rows: Any = ... if param.rows is None or self.dialect.sparse == "dense" else sorted(set(param.rows))
        stored: list[Any] = [param.data, *(state[role] if role in needed else None for role in STATE_ROLES)]
        used = [None if array is None else array[rows] for array in stored]
        arrays = [used[0], grad[rows], *used[1:]]
        for theta, g, v, g_ave, b in zip(*(_parts(array, like=used[0]) for array in arrays), strict=True):
            # Halves are calculated in float32 and rounded when they are stored.
            wide = theta.dtype if theta.dtype.itemsize >= 4 else np.dtype(np.float32)
            numbers: list[Any] = [np.asarray(array, dtype=wide) for array in (theta, g, v, g_ave, b)]
            symbols: Symbols[Any] = Symbols(hyper.lr, hyper.alpha, hyper.eps, hyper.weight_decay, hyper.momentum)
            result = iterate(
                numbers[0],
                numbers[1],
                numbers[2],
                numbers[3],
                numbers[4],
                symbols,
                hyper=hyper,
                dialect=self.dialect,
                sqrt=np.sqrt,
                power=math.pow,
                t=state["step"],
            )
            theta[...], v[...] = result.theta, result.v
            if result.g_ave is not None:
                g_ave[...] = result.g_ave
            if result.b is not None:
                b[...] = result.b
        if rows is not ...:
            # Rows picked by a list are copies.
            for array, changed in zip(stored, used, strict=True):
                if array is not None:
                    array[rows] = changed


def _parts(values: NDArray[Any] | None, like: NDArray[Any] | None = None) -> tuple[NDArray[Any], ...]:
    """The real array itself, or views of the real and the imaginary part; for ``None``, zeros ``like`` another."""
    if values is None:
        assert like is not None
        values = np.zeros_like(like)
    return (values.real, values.imag) if values.dtype.kind == "c" else (values,)


def _hyperparameters(group: Mapping[str, Any]) -> Hyperparameters:
    return Hyperparameters(**{name: float(group[name]) for name in _NUMBERS}, centered=bool(group["centered"]))


def _validate(options: Mapping[str, Any]) -> None:
    for name in _NUMBERS:
        value = options[name]
        if not isinstance(value, Real):
            raise TypeError(f"{name} must be a number, not {value!r}")
        if not float(value) >= 0:
            raise ValueError(f"invalid {name}: {value}: it must be 0 or larger")
