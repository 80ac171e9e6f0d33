"""Subjects with gradients and variables as arguments: one program on optimizers without groups and ``.grad``.

TensorFlow, Keras and optax have this in common: an optimizer is made from options alone, and a step is handed the
gradients. A framework gives a ``Place`` (how a variable and a gradient are made and read) and a ``Driven`` optimizer; what
a program is to them is the same for all, and is here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Any, Protocol

from numpy.typing import NDArray

from rmspec.oracles.errors import SubjectFailed
from rmspec.oracles.framework import Framework
from rmspec.oracles.program import program as vocabulary
from rmspec.oracles.session.calling import performed
from rmspec.oracles.session.devices import device_name
from rmspec.oracles.session.paths import offered_paths
from rmspec.oracles.session.surroundings import Surroundings, surrounded
from rmspec.oracles.subject import Capabilities, Observation, Outcome, Raised

Array = NDArray[Any]


class Driven(Protocol):
    """One optimizer over a list of variables.

    A class that derives from it leaves out the methods that its subject is never asked for.
    """

    def step(self, gradients: Sequence[Any]) -> None:
        """One step: a gradient for each variable, ``None`` for none."""

    def change(self, option: str, value: float | bool) -> None:
        """Change an option between steps, by the API's own means."""

    def state(self) -> Sequence[Mapping[str, Array]]:
        """For each variable its state by role, as copies."""

    def save(self, via: vocabulary.Via) -> Any:
        """The state, by the API's own means. Never asked of a subject without ``state_dict``; nor is ``load``."""
        raise SubjectFailed("the caller owns the state")

    def load(self, saved: Any) -> None:
        """Restore a saved state; the variables themselves stay."""
        raise SubjectFailed("the caller owns the state")

    def edited(self, saved: Any, edit: vocabulary.EditState) -> Any:
        """A copy of a saved state with one edit, of those in the subject's capabilities."""
        raise SubjectFailed("a saved state is not edited")


class Place(Protocol):
    """The place of a program's variables."""

    def variable(self, name: str, values: Array) -> Any:
        """A variable with these values."""

    def dense(self, values: Array) -> Any:
        """A gradient with these values."""

    def sparse(self, values: Array, rows: tuple[int, ...], shape: tuple[int, ...]) -> Any:
        """A row-sparse gradient: ``values`` of shape ``(len(rows), *shape[1:])``. Never asked of a subject without ``sparse``."""
        raise SubjectFailed("it takes no row-sparse gradients")

    def read(self, value: Any) -> Array:
        """The values of a variable or a gradient, dense, as a copy."""

    def device(self, variable: Any) -> str:
        """The device of a variable; empty if it has none."""
        return device_name(variable)

    def optimizer(self, variables: Sequence[Any], options: Mapping[str, float | bool]) -> Driven:
        """An optimizer over these variables; other options are left to the API."""


class AppliedSession:
    """A program's parameters as variables of a framework, and their optimizers."""

    def __init__(
        self, params: tuple[vocabulary.Param, ...], place: Place, surroundings: Surroundings = nullcontext
    ) -> None:
        self.surroundings = surroundings
        self._place = place
        self._declared = {param.name: param for param in params}
        with surroundings():
            self._variables = {
                param.name: place.variable(param.name, vocabulary.elements(param.values, param.dtype, param.shape))
                for param in params
            }
        self._grads: dict[str, Any] = dict.fromkeys(self._declared)
        self._bad: dict[str, Any] = {}
        self._optimizers: dict[str, tuple[tuple[str, ...], Driven]] = {}
        self._slots: dict[str, Any] = {}
        self._seen: Observation | None = None

    def devices(self) -> set[str]:
        """The devices of the variables."""
        # A place that does not derive from ``Place`` need not know of devices.
        device = getattr(self._place, "device", device_name)
        return {device(variable) for variable in self._variables.values()} - {""}

    @surrounded
    def perform(self, call: vocabulary.Call) -> Outcome:
        """Perform one call; see ``Session``."""
        if not isinstance(call, vocabulary.SetGrad | vocabulary.Freeze):
            self._seen = None
        return performed(lambda: self._perform(call))

    def _perform(self, call: vocabulary.Call) -> None:
        match call:
            case vocabulary.Create():
                names = tuple(name for group in call.groups for name in group.params)
                variables = [self._variables[name] for name in names]
                self._optimizers[call.optimizer] = names, self._place.optimizer(variables, plain_options(call.options))
            case vocabulary.SetGrad():
                self._set_grad(call)
            case vocabulary.Step():
                names, optimizer = self._optimizers[call.optimizer]
                optimizer.step([self._bad.get(name, self._grads[name]) for name in names])
            case vocabulary.SetOption():
                for option, value in plain_options(call.options).items():
                    self._optimizers[call.optimizer][1].change(option, value)
            case vocabulary.Save():
                self._slots[call.slot] = self._optimizers[call.optimizer][1].save(call.via), call.optimizer
            case vocabulary.EditState():
                saved, owner = self._slots[call.slot]
                self._slots[call.slot] = self._optimizers[owner][1].edited(saved, call), owner
            case vocabulary.Load():
                self._optimizers[call.optimizer][1].load(self._slots[call.slot][0])
            case vocabulary.Freeze():
                self._grads[call.param] = None
                self._bad.pop(call.param, None)
            case _:
                raise SubjectFailed(f"a session without groups cannot perform {call!r}")

    def _set_grad(self, call: vocabulary.SetGrad) -> None:
        declared = self._declared[call.param]
        self._grads[call.param] = self._gradient(call)
        self._bad.pop(call.param, None)
        if call.bad:
            # Of another shape than its variable: there is nothing that it could mean.
            wrong = vocabulary.elements(call.values or (1.0,), declared.dtype, (*declared.shape, 2))
            self._bad[call.param] = self._place.dense(wrong)

    def _gradient(self, call: vocabulary.SetGrad) -> Any:
        declared = self._declared[call.param]
        values = vocabulary.gradient(call, declared.dtype, declared.shape)
        rows = vocabulary.named_rows(call, declared.shape)
        if values is None:
            return None
        if rows is None:
            return self._place.dense(values)
        # A row that is named twice is handed over twice, each time with its own value.
        whole = vocabulary.elements(call.values or (), declared.dtype, declared.shape)
        return self._place.sparse(whole[list(rows)], rows, declared.shape)

    @surrounded
    def observe(self) -> Observation:
        """The observation of this moment; see ``Session``.

        A gradient is kept here until the next step, so that after setting one there is nothing else to read anew.
        """
        grads = {name: None if grad is None else self._place.read(grad) for name, grad in self._grads.items()}
        if self._seen is not None:
            return replace(self._seen, grads=grads)
        self._seen = Observation(
            params={name: self._place.read(variable) for name, variable in self._variables.items()},
            grads=grads,
            groups=dict.fromkeys(self._optimizers),
            state={
                name: dict(zip(names, optimizer.state(), strict=True))
                for name, (names, optimizer) in self._optimizers.items()
            },
            slots={},
        )
        return self._seen

    def close(self) -> None:
        """Forget the optimizers and the variables."""
        self._optimizers.clear()
        self._slots.clear()
        self._variables.clear()


class AppliedSubject:
    """A subject with sessions of this kind: ``place`` makes its variables and its optimizers.

    Subclasses name their ``framework``, and tell ``versions``.
    """

    framework = ""

    def __init__(
        self,
        name: str,
        place: Place,
        capabilities: Capabilities,
        *,
        dialect: str,
        state_names: Mapping[str, str],
        baselines: tuple[str, ...] = (),
    ) -> None:
        self.name = name
        self.dialect = dialect
        self.baselines = baselines
        self._place = place
        self._capabilities = capabilities
        self._state_names = state_names

    def capabilities(self) -> Capabilities:
        """The capabilities of the subject."""
        return self._capabilities

    def offer_paths(self, framework: Framework, factory: Callable[..., Any], arguments: Mapping[str, Any]) -> None:
        """Add the other paths in the signature of a factory to the capabilities; it takes these ``arguments``."""

        def attempt(keywords: Mapping[str, bool], step: bool) -> Raised | None:
            with self.surroundings()():
                return performed(lambda: factory(**arguments, **keywords)).raised

        self._capabilities = replace(self._capabilities, switches=offered_paths(factory, framework, "cpu", attempt))

    def state_names(self) -> Mapping[str, str]:
        """The subject's own names for the roles of its state."""
        return self._state_names

    def session(self, params: tuple[vocabulary.Param, ...]) -> AppliedSession:
        """Make the parameters of a program."""
        return AppliedSession(params, self._place, self.surroundings())

    def surroundings(self) -> Surroundings:
        """Make the context for the calls of one session."""
        return nullcontext


def plain_options(options: Mapping[str, vocabulary.OptionValue]) -> dict[str, float | bool]:
    """Options as plain numbers."""
    return {name: vocabulary.plain_number(value) for name, value in options.items()}
