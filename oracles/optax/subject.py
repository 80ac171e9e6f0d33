"""Subjects on optax: ``optax.rmsprop``, and the user's own factories of gradient transformations.

A transformation is a pair of pure functions: parameters and state are the caller's, so there is no state to save, and an
option is changed by making a transformation with another number over the same state. Each parameter is a tree of its own,
because a tree has no leaf for a gradient that is not there.
"""

from __future__ import annotations

import math
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import jax
import numpy as np
import optax
from numpy.typing import NDArray

from rmspec.impl.arithmetic.envelope import STATE_ROLES
from rmspec.impl.spec.dialect import DIALECTS
from rmspec.oracles.errors import NotAnOptimizer
from rmspec.oracles.optax.descriptor import FRAMEWORK
from rmspec.oracles.session import factories
from rmspec.oracles.session.applied import AppliedSubject, Driven, Place
from rmspec.oracles.session.calling import performed
from rmspec.oracles.session.devices import device_name
from rmspec.oracles.session.surroundings import Surroundings

Array = NDArray[Any]

_CONSTRUCTOR = DIALECTS["optax"].constructor

NAMES = _CONSTRUCTOR.names
"""What optax calls the options of the page."""

_LACKS = {
    "groups": "a transformation is made from options alone, and has no parameter groups",
    "weight_decay": "it has no weight decay",
    "state_dict": "the caller owns its state",
    "file": "the caller owns its state",
    "layout": "its arrays have no strides",
    "complex": "it squares a complex number with its conjugate, which is another formula",
    "duplicates": "its interface takes trees of gradients and parameters, and promises no refusal",
    "sparse": "it takes no row-sparse gradients",
}


class _Parameter:
    """A parameter: an array, replaced by each step."""

    def __init__(self, values: Array) -> None:
        self.array = jax.numpy.asarray(values)


class _Place(Place):
    """JAX arrays, and transformations from ``factory``."""

    def __init__(self, factory: Callable[..., Any], signs: Mapping[str, float]) -> None:
        self._factory = factory
        self._signs = signs

    def variable(self, name: str, values: Array) -> Any:
        return _Parameter(values)

    def dense(self, values: Array) -> Any:
        return jax.numpy.asarray(values)

    def read(self, value: Any) -> Array:
        return np.array(value.array if isinstance(value, _Parameter) else value)

    def device(self, variable: Any) -> str:
        return device_name(variable.array)

    def optimizer(self, variables: Sequence[Any], options: Mapping[str, float | bool]) -> Driven:
        return _Transformation(self._factory, variables, options, self._signs)


class _Transformation(Driven):
    """A transformation with a state for each parameter."""

    def __init__(
        self,
        factory: Callable[..., Any],
        variables: Sequence[Any],
        options: Mapping[str, float | bool],
        signs: Mapping[str, float],
    ) -> None:
        self._factory = factory
        self._signs = signs
        self._variables = variables
        self._options = dict(options)
        self._made = self._make()
        self._states = [self._made.init(parameter.array) for parameter in variables]

    def _make(self) -> Any:
        keywords: dict[str, Any] = {NAMES[name]: value for name, value in self._options.items()}
        # Its own way to say that there is none: a buffer that is not kept.
        if not self._options.get("momentum", 1.0):
            del keywords["momentum"]
        return self._factory(**keywords)

    def step(self, gradients: Sequence[Any]) -> None:
        for index, (parameter, grad) in enumerate(zip(self._variables, gradients, strict=True)):
            if grad is not None:
                updates, self._states[index] = self._made.update(grad, self._states[index], parameter.array)
                parameter.array = optax.apply_updates(parameter.array, updates)

    def change(self, option: str, value: float | bool) -> None:
        self._options[option] = value
        self._made = self._make()

    def state(self) -> Sequence[Mapping[str, Array]]:
        roles = (_roles(state) for state in self._states)
        return [
            {
                role: np.asarray(array if self._signs[role] > 0 else -array)
                for role, array in own.items()
                if role in self._signs
            }
            for own in roles
        ]


def _roles(state: Any) -> dict[str, Array]:
    """The roles in a state, as they are stored: the fields of a chain's nested named tuples."""
    roles: dict[str, Array] = {}
    if isinstance(state, tuple):
        for role, name in _CONSTRUCTOR.state_names.items():
            value = getattr(state, name, None)
            if isinstance(value, jax.Array):
                roles[role] = np.array(value)
        for part in state:
            roles = {**_roles(part), **roles}
    return roles


def _learned_signs(factory: Callable[..., Any], options: Mapping[str, float | bool]) -> dict[str, float]:
    """The sign of each role in the state, learned from a first step with the gradient 2.

    A trace may be the buffer, or lr times it, before or after the sign is turned: that shows beside the update. One that is
    neither is left out, as nobody can say what it holds.
    """
    transformation = factory(**{NAMES[name]: value for name, value in options.items()})
    theta = jax.numpy.ones(1)
    update, state = transformation.update(jax.numpy.full(1, 2.0), transformation.init(theta), theta)
    roles = _roles(state)
    signs = dict.fromkeys(roles, 1.0)
    if "momentum_buffer" in roles:
        trace, lr, ahead = float(roles["momentum_buffer"][0]), options.get("lr", 1.0), 1 + options.get("momentum", 0.0)
        scales = [scale * nesterov for scale in (1.0, lr) for nesterov in (1.0, ahead)]
        if any(math.isclose(abs(float(update[0])), scale * abs(trace), rel_tol=0.01) for scale in scales):
            signs["momentum_buffer"] = math.copysign(1.0, trace)
        else:
            del signs["momentum_buffer"]
    return signs


class OptaxSubject(AppliedSubject):
    """A factory of gradient transformations as a subject."""

    framework = "optax"

    def __init__(
        self,
        name: str,
        factory: Callable[..., Any],
        *,
        baselines: tuple[str, ...] = (),
        signs: Mapping[str, float] | None = None,
    ) -> None:
        if signs is None:
            signs = {role: -1.0 if role in _CONSTRUCTOR.negated else 1.0 for role in STATE_ROLES}
        options = factories.named_options(factory, NAMES)
        lacks = {option: f"it takes no {option}" for option in ("momentum", "centered") if option not in options}
        capabilities = factories.applied_capabilities(
            {**_LACKS, **lacks},
            options=options,
            roles=frozenset(signs),
            required=factories.required_options(factory, NAMES)
            | ({"lr"} if factories.takes_anything(factory) else set()),
            changeable=options & {"lr", "alpha", "eps"},
        )
        super().__init__(
            name,
            _Place(factory, signs),
            capabilities,
            dialect="optax",
            state_names=_CONSTRUCTOR.state_names,
            baselines=baselines,
        )

    def surroundings(self) -> Surroundings:
        """Let JAX calculate in float64 for programs in float64, and on the CPU beside other devices."""
        return double_precision

    def versions(self) -> Mapping[str, str]:
        """The versions of optax and JAX."""
        return {"optax": optax.__version__, "jax": jax.__version__, "python": platform.python_version()}


@contextmanager
def double_precision() -> Iterator[None]:
    """Enable float64 in JAX and put its arrays on the CPU, and afterwards restore the settings."""
    config: Any = jax.config  # typed where JAX is installed, and not where it is absent
    before = config.jax_enable_x64
    try:
        config.update("jax_enable_x64", True)
        with jax.default_device(jax.devices("cpu")[0]):
            yield
    finally:
        config.update("jax_enable_x64", before)


def registered(name: str, device: str) -> OptaxSubject:
    """The subject of a registered name. Raises ``Unsupported`` for any device but the CPU."""
    factories.check_device(name, device)
    return OptaxSubject(name, optax.rmsprop)


def user_subject(
    name: str, factory: Callable[..., Any], device: str, fixed: Mapping[str, bool] | None = None
) -> OptaxSubject:
    """A user's factory, on the path of ``fixed``.

    Raises ``NotAnOptimizer`` if it returns no transformation, ``CannotStart`` if it raises.
    """
    factories.check_device(name, device)
    factory = partial(factory, **fixed) if fixed else factory
    subject = OptaxSubject(name, factory, baselines=(FRAMEWORK.baseline,))
    options: dict[str, float | bool] = dict.fromkeys(subject.capabilities().required, 0.125)
    products: list[Any] = []
    with double_precision():
        outcome = performed(lambda: products.append(factory(**{NAMES[key]: value for key, value in options.items()})))
    arguments = {NAMES[key]: value for key, value in options.items()}
    factories.check_created(name, outcome, arguments, "optax.rmsprop(learning_rate=..., decay=..., eps=...)")
    if not all(callable(getattr(products[0], method, None)) for method in ("init", "update")):
        raise NotAnOptimizer(
            f"{name} is not an optimizer: what it returns has no init and update",
            hint="name a factory that is called like optax.rmsprop",
        )
    known = subject.capabilities().options
    full = {"lr": 0.125, **options, "momentum": 0.5, "centered": True}
    signs: list[Mapping[str, float]] = []
    # An option that it refuses is found out in the check.
    with double_precision():
        performed(
            lambda: signs.append(_learned_signs(factory, {key: value for key, value in full.items() if key in known}))
        )
    if signs:
        subject = OptaxSubject(name, factory, baselines=(FRAMEWORK.baseline,), signs=signs[0])
    if not fixed:
        subject.offer_paths(FRAMEWORK, factory, arguments)
    return subject
