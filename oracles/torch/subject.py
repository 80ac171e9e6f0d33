"""Subjects on PyTorch: ``torch.optim.RMSprop`` in its execution paths, and any class or factory called like it.

Registered names: ``torch`` (for-loop), ``torch:foreach``, ``torch:maximize``, ``torch:differentiable``,
``torch:capturable`` (CUDA), ``torch:compiled``, ``torch:tensor-lr``.
"""

from __future__ import annotations

import inspect
import platform
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from rmspec.impl.arithmetic.envelope import STATE_ROLES
from rmspec.impl.arithmetic.formats import FORMATS
from rmspec.impl.reference import Parameter, RMSprop
from rmspec.oracles.errors import CannotStart, NotAnOptimizer, Unsupported
from rmspec.oracles.program.program import Create, Group, Param, SetGrad, Step
from rmspec.oracles.session.options import Acceptance, try_options
from rmspec.oracles.session.paths import offered_paths
from rmspec.oracles.subject import FEATURES, OPTIONS, STATE_SYNONYMS, Capabilities, Raised
from rmspec.oracles.torch.descriptor import FRAMEWORK
from rmspec.oracles.torch.evidence import compiled
from rmspec.oracles.torch.session import TorchSession, are_groups

_METHODS = {"groups": "add_param_group", "zero_grad": "zero_grad", "state_dict": "state_dict"}


class TorchSubject:
    """A torch optimizer as a subject.

    ``factory`` is called like ``torch.optim.RMSprop``; ``fixed`` are keyword arguments that select its execution path. One that
    ``offers`` other paths has them in its capabilities. Raises ``Unsupported`` where the device is missing.
    """

    def __init__(
        self,
        name: str,
        factory: Callable[..., Any],
        *,
        device: str = "cpu",
        dialect: str = "torch",
        baselines: tuple[str, ...] = (),
        path: str = "",
        fixed: Mapping[str, Any] | None = None,
        offers: bool = False,
    ) -> None:
        self.name = name
        self.framework = "torch"
        self.dialect = dialect
        self.baselines = baselines
        self.device = device
        self._factory = partial(factory, **fixed) if fixed else factory
        self._fixed = dict(fixed or {})
        self._offers = offers
        self._path = path
        self._roles: dict[str, str] | None = None
        self._accepted: Acceptance | None = None
        self._capabilities: Capabilities | None = None
        self._compiles = False
        if device != "cpu":
            _require(device)

    def versions(self) -> Mapping[str, str]:
        """The version of torch."""
        return {"torch": torch.__version__, "python": platform.python_version()}

    def capabilities(self) -> Capabilities:
        """Formats, options and features, found by a signature and a probe. Raises ``CannotStart``."""
        if self._capabilities is None:
            accepted = self._acceptance()
            self._require_a_step()
            features = set(FEATURES) - ({"tensor_lr"} if self._path in ("compiled", "tensor-lr") else set())
            # What a session cannot perform is never judged: it hands out dense gradients.
            missing: dict[str, str] = {"sparse": "its gradients are tensors, and torch's optimizer takes dense ones"}
            optimizer = self._probe()
            for feature, method in _METHODS.items():
                if not callable(getattr(optimizer, method, None)):
                    missing[feature] = f"it has no method {method}"
            if "state_dict" not in missing and not callable(getattr(optimizer, "load_state_dict", None)):
                missing["state_dict"] = "it has no method load_state_dict"
            if not _takes_arguments(optimizer.step):
                missing["closure"] = "its step takes no closure"
            groups = getattr(optimizer, "param_groups", None)
            if groups is None:
                missing["schedule"] = "it has no param_groups"
            elif not are_groups(groups):
                missing["schedule"] = "its param_groups are no list of dicts"
                missing.setdefault("groups", missing["schedule"])
            for option in ("momentum", "centered", "weight_decay"):
                if option not in accepted.options:
                    missing[option] = accepted.refused.get(option, f"its constructor takes no {option}")
            if not isinstance(optimizer, torch.optim.Optimizer):
                features -= {"hooks", "tensor_lr"}
                missing["duplicates"] = "it is not built on torch.optim.Optimizer, and the page promises no refusal"
            elif _wraps_torch(type(optimizer)):
                missing["hooks"] = "its step may call the step of its base class, whose hooks torch then runs as well"
            if self._path == "differentiable":
                features -= {"layout"}
            self._capabilities = Capabilities(
                formats=tuple(FORMATS),
                options=accepted.options,
                features=frozenset(features - missing.keys()),
                missing=missing,
                roles=frozenset(self._find_roles().values()),
                paths=self._paths(),
                instead=accepted.instead,
                switches=self._other_paths() if self._offers else {},
            )
        return self._capabilities

    def _other_paths(self) -> dict[str, str]:
        """The paths in the signature, each with the reason against it here."""

        def attempt(keywords: Mapping[str, bool], step: bool) -> Raised | None:
            (path,) = keywords
            switched = TorchSubject(self.name, self._factory, device=self.device, path=path, fixed=keywords)
            return next(filter(None, switched.first_exceptions(self.device, step=step)), None)

        return offered_paths(self._factory, FRAMEWORK, self.device, attempt)

    def state_names(self) -> Mapping[str, str]:
        """The keys of ``optimizer.state[param]`` by role."""
        return {role: key for key, role in self._find_roles().items()}

    def session(self, params: tuple[Param, ...]) -> TorchSession:
        """Make the parameters of a program."""
        return self._session(params, self._find_roles())

    def _session(
        self, params: tuple[Param, ...], roles: Mapping[str, str], device: str = "", *, through: bool = True
    ) -> TorchSession:
        """Open a session; one not ``through`` the compiler steps without it."""
        return TorchSession(
            params,
            self._factory,
            roles,
            device=device or self.device,
            differentiable=self._path == "differentiable",
            compiled=through and self._path == "compiled",
            tensor_lr=self._path == "tensor-lr",
        )

    def uses_foreach(self) -> bool:
        """Whether a step of this optimizer calls torch's foreach operations."""
        session = self._session((Param("p"), Param("q")), {})
        outcome = session.perform(Create("probe", (Group(("p", "q")),), self._acceptance().probe, "list"))
        if outcome.raised or not callable(getattr(session._optimizers["probe"], "step", None)):
            return False
        session.perform(SetGrad("p", (2.0,)))
        session.perform(SetGrad("q", (2.0,)))
        with _Watch() as watch:
            session.perform(Step("probe"))
        return bool(watch.foreach)

    def _paths(self) -> frozenset[str]:
        """The paths of a registered subject; else the compiler's, once a probe has entered a graph."""
        known = FRAMEWORK.subjects.get(self.name)
        return frozenset(known.paths if known is not None else ("compiled",) if self._compiles else ())

    def has_step(self) -> bool:
        """Whether a product of the factory has a method ``step``, of its own or forwarded."""
        return callable(getattr(self._instance(), "step", None))

    def wraps_optimizer(self) -> bool:
        """Whether an attribute of a product of the factory is one of torch's optimizers."""
        return any(
            isinstance(value, torch.optim.Optimizer) for value in getattr(self._instance(), "__dict__", {}).values()
        )

    def _instance(self) -> Any:
        """A product of the factory; ``None`` if it raises."""
        session = self._session((Param("p"),), {})
        session.perform(Create("probe", (Group(("p",)),), self._acceptance().probe, "list"))
        return session._optimizers.get("probe")

    def _acceptance(self) -> Acceptance:
        """The options of the constructor, tried once."""
        if self._accepted is None:
            self._accepted = try_options(_options(self._factory), self._refusal)
        return self._accepted

    def _refusal(self, options: Mapping[str, Any]) -> Raised | None:
        """The exception of the constructor called with these options."""
        session = self._session((Param("p"),), {})
        return session.perform(Create("probe", (Group(("p",)),), dict(options), "list")).raised

    def _probe(self) -> Any:
        keywords = self._acceptance().probe
        session = self._session((Param("p"),), {})
        outcome = session.perform(Create("probe", (Group(("p",)),), keywords, "list"))
        if outcome.raised:
            given = [*(f"{name}={value}" for name, value in self._fixed.items()), *keywords]
            if self._fixed and outcome.raised.type == "NotImplementedError":
                raise Unsupported(
                    f"{self.name} is refused by its constructor: {outcome.raised.message or outcome.raised.type}",
                    hint="check another path, or the class without one",
                )
            raise CannotStart(
                f"{self.name} cannot be created: {outcome.raised.type}: {outcome.raised.message}",
                f"it was called with a list of one parameter and {', '.join(given) or 'no options'}",
                "it must be callable like torch.optim.RMSprop(params, lr=..., alpha=..., eps=...)",
            )
        optimizer = session._optimizers["probe"]
        if not callable(getattr(optimizer, "step", None)):
            raise NotAnOptimizer(
                f"{self.name} is not an optimizer: what it returns has no method step",
                hint="name a class or a factory that is called like torch.optim.RMSprop",
            )
        return optimizer

    def _require_a_step(self) -> None:
        """Raise ``Unsupported`` if the first step raises on this device, and on the CPU does not."""
        if self.device == "cpu":
            return
        raised = self.first_exceptions(self.device)[1]
        if raised is not None and self.first_exceptions("cpu")[1] is None:
            raise Unsupported(
                f"{self.name} does not run on {self.device}: its step raises {raised.type}: {raised.message}",
                "on the CPU it takes the same step",
                "leave out --device, or keep the tensors on their device",
            )

    def first_exceptions(self, device: str, *, step: bool = True) -> tuple[Raised | None, Raised | None]:
        """The exceptions of the constructor and of a first ``step`` on a device; there is none without an optimizer."""
        session = self._session((Param("p"),), {}, device)
        created = session.perform(Create("probe", (Group(("p",)),), self._acceptance().probe, "list")).raised
        if created is None and step:
            session.perform(SetGrad("p", (2.0,)))
            return None, session.perform(Step("probe")).raised
        return created, None

    def _find_roles(self) -> dict[str, str]:
        """The roles of the names in the optimizer's state.

        A role that is kept in some branches alone is looked for there.
        """
        if self._roles is None:
            self._roles = {}
            for left_out in ((), ("momentum",), ("centered",)):
                if set(self._roles.values()) < set(STATE_ROLES):
                    roles = self._probed({k: v for k, v in self._acceptance().probe.items() if k not in left_out})
                    self._roles = {
                        **{key: role for key, role in roles.items() if role not in self._roles.values()},
                        **self._roles,
                    }
        return self._roles

    def _probed(self, options: dict[str, Any]) -> dict[str, str]:
        """The roles of the names in the state with these options: by value after two steps, else by name."""
        session = self._session((Param("p"),), {}, through=False)
        if session.perform(Create("probe", (Group(("p",)),), options, "list")).raised:
            return {}
        session.perform(SetGrad("p", (2.0,)))
        expected = _expected(options, -2.0 if self._path == "maximize" else 2.0)
        candidates: dict[str, set[str]] = {}
        for turn in range(2):
            with compiled() as entered:
                session.perform(Step("probe"))
                self._compiles = self._compiles or entered() > 0
            optimizer = session._optimizers["probe"]
            state = getattr(optimizer, "state", None)
            tensor = session._params["p"]
            entry = state.get(tensor) if isinstance(state, Mapping) else None
            if not isinstance(entry, Mapping):
                return {}
            for key, value in entry.items():
                number = _single(value)
                fits = {
                    role
                    for role, values in expected.items()
                    if number is not None and abs(number - values[turn]) <= 1e-3 * abs(values[turn])
                }
                candidates[str(key)] = candidates[str(key)] & fits if turn and str(key) in candidates else fits
        roles: dict[str, str] = {}
        for key, fits in candidates.items():
            if key == "step":
                continue
            if key in expected:
                roles[key] = key
            elif len(fits) == 1:
                roles[key] = next(iter(fits))
            elif key in STATE_SYNONYMS:
                roles[key] = STATE_SYNONYMS[key]
        # Two names for one role would hide one of them: the canonical one, or the first, is the state.
        named: dict[str, str] = {}
        for key in sorted(roles, key=lambda name: (name != roles[name], name)):
            named.setdefault(roles[key], key)
        return {key: role for role, key in named.items()}


class _Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch has no types for it
    """Notices foreach operations."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # as above
        self.foreach = False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.foreach = self.foreach or "_foreach_" in str(func)
        return func(*args, **(kwargs or {}))


def _expected(options: Mapping[str, Any], grad: float) -> dict[str, list[float]]:
    """By role the values of the specification's state after each of two steps with a gradient."""
    parameter = Parameter(np.ones(1))
    parameter.grad = np.full(1, grad)
    reference = RMSprop([parameter], **options)
    expected: dict[str, list[float]] = {}
    for _ in range(2):
        reference.step()
        state = reference.state[id(parameter)]
        for role in STATE_ROLES:
            if role in state:
                expected.setdefault(role, []).append(float(state[role][0]))
    return expected


def _single(value: Any) -> float | None:
    try:
        array = np.asarray(value.detach().cpu() if isinstance(value, torch.Tensor) else value)
        return float(array.reshape(-1)[0]) if array.size == 1 else None
    except (TypeError, ValueError, RuntimeError):
        return None


def _takes_arguments(method: Callable[..., Any]) -> bool:
    try:
        return bool(inspect.signature(method).parameters)
    except (TypeError, ValueError):
        return True


def _options(factory: Callable[..., Any]) -> set[str]:
    try:
        parameters = inspect.signature(factory).parameters.values()
    except (TypeError, ValueError):
        return set(OPTIONS)
    if any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters):
        return set(OPTIONS)
    return {parameter.name for parameter in parameters if parameter.name in OPTIONS}


def _wraps_torch(kind: type) -> bool:
    """Tell whether an optimizer overrides ``step`` of one of torch's own, and so may call the original."""
    owners = [base for base in kind.__mro__ if "step" in base.__dict__ and base is not torch.optim.Optimizer]
    return len(owners) > 1 and any(base.__module__.startswith("torch.optim") for base in owners[1:])


def _require(device: str, hint: str = "run on a machine with a GPU, or leave out --device cuda") -> None:
    kind = device.split(":")[0]
    if kind == "cuda" and not torch.cuda.is_available():
        raise Unsupported("there is no CUDA device", hint=hint)
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise Unsupported(f"torch cannot use the device {device!r}: {str(error).splitlines()[0]}") from None


def registered(name: str, device: str) -> TorchSubject:
    """The subject of a registered name. Raises ``Unsupported`` for a path missing on this machine."""
    known = FRAMEWORK.subjects[name]
    if device not in known.devices and known.devices == ("cuda",):
        device = "cuda"
        _require(device, "run on a machine with a GPU: this path exists there alone")
    return TorchSubject(
        name, torch.optim.RMSprop, device=device, dialect=known.dialect, path=name.partition(":")[2], fixed=known.fixed
    )


def user_subject(
    name: str, factory: Callable[..., Any], device: str, fixed: Mapping[str, bool] | None = None
) -> TorchSubject:
    """A user's class or factory, on the path of ``fixed``. Raises ``NotAnOptimizer`` for a class without ``step``."""
    derived = inspect.isclass(factory) and issubclass(factory, torch.optim.Optimizer)
    path = next((keyword for keyword, value in (fixed or {}).items() if value), "")
    subject = TorchSubject(
        name, factory, device=device, baselines=(FRAMEWORK.baseline,), path=path, fixed=fixed, offers=not fixed
    )
    if inspect.isclass(factory) and not callable(getattr(factory, "step", None)) and not subject.has_step():
        raise NotAnOptimizer(
            f"{name} is not an optimizer: the class {factory.__name__} has no method step",
            hint="name a class or a factory that is called like torch.optim.RMSprop",
        )
    derived = derived or subject.wraps_optimizer()
    same = f"torch:{path}"
    if path and derived and same in FRAMEWORK.subjects:
        # What torch's own does on the same path.
        subject.baselines = tuple(dict.fromkeys((same, FRAMEWORK.baseline)))
    elif subject.uses_foreach():
        # It inherits what torch._foreach_* operations do, too.
        subject.baselines = (FRAMEWORK.baseline, "torch:foreach") if derived else ("torch:foreach",)
    elif not derived and inspect.isclass(factory):
        subject.baselines = ()
    return subject
