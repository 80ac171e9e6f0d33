"""The protocol of a subject: the suite's means to drive an optimizer and to observe it.

The life of a subject: ``capabilities`` says what it can be asked; ``session`` makes the parameters of one program; the
session performs the program's calls one after the other, says after each what came back, and shows what there is to see.
A subject never judges: comparing is the business of ``rmspec.properties``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

from numpy.typing import NDArray

from rmspec.impl.arithmetic.formats import FORMATS
from rmspec.impl.spec.dialect import OPTIONS as OPTIONS
from rmspec.oracles.program.program import Call, Param

Array = NDArray[Any]

CALL_TIMEOUT = 60.0
"""Seconds that a subject in a process of its own may take for one call, where nothing else is said."""

IMPORT_TIMEOUT = 120.0
"""Seconds that it may take before the first call: a framework may take long to import on a cold machine."""

STATE_SYNONYMS: Mapping[str, str] = {
    **dict.fromkeys(("square_avg", "exp_avg_sq", "sq_avg", "square_average", "mean_square", "rms", "v"), "square_avg"),
    **dict.fromkeys(("grad_avg", "gradient_average", "mean_grad", "g_ave", "mg"), "grad_avg"),
    **dict.fromkeys(("momentum_buffer", "momentum_buf", "buf", "velocity", "b"), "momentum_buffer"),
}
"""The names that users' optimizers give to their state, with the role that each usually means."""

FEATURES = (
    "momentum",
    "centered",
    "weight_decay",
    "groups",
    "state_dict",
    "zero_grad",
    "closure",
    "schedule",
    "layout",
    "complex",
    "duplicates",
    "hooks",
    "tensor_lr",
    "file",
    "sparse",
    "copy",
    "circumstances",
)
"""What a subject may lack.

``circumstances`` are those of a call: the caller's gradient mode, hooks from the start, empty groups, group dicts given twice.

``file`` is saving through the framework's own file format, ``sparse`` row-sparse gradients, ``copy`` copies of the optimizer.
"""

ANNOUNCED = ("derivatives",)
"""The features of a subject that announces them, and of no other: the derivatives of its steps."""

EXCLUDABLE = (*FEATURES, *ANNOUNCED, "operations")
"""What ``--without`` can take out of a run: features, and the measurement of elementary operations."""

FIRST_EDITS = ("relabel", "drop", "shorten", "reshape")
"""The edits of a saved state by a program of 0.1.0: those of a peer with nothing to say about edits."""

VERSION_EDITS = ("older", "newer", "extended", "lean", "uncounted")
"""The edits that make a saved state one of another version of the optimizer."""

EDITS = (*FIRST_EDITS, *VERSION_EDITS, "elsewhere", "forget")
"""The edits of a saved state that the vocabulary has."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """The capabilities of a subject.

    ``formats``: names of number formats; ``options``: the hyperparameters that its factory takes; ``features``: of
    ``FEATURES`` and ``ANNOUNCED``; ``missing``: a sentence for each feature that it lacks; ``roles``: the state that can be seen.
    ``paths`` are the execution paths of its steps, as far as they are known before.
    Of the options, ``required`` must be given, ``changeable`` can be changed between steps, and ``carried`` are part of a
    saved state; ``edits``: the edits that its saved states allow. ``instead``: by option that may not be off, a value that it takes.
    ``operations`` are the elementary operations that its path can be asked for.
    ``switches`` are the other execution paths that its constructor offers, each with the reason why it cannot be asked here,
    empty where it can.
    """

    formats: tuple[str, ...] = tuple(FORMATS)
    options: frozenset[str] = frozenset(OPTIONS)
    features: frozenset[str] = frozenset(FEATURES)
    missing: Mapping[str, str] = field(default_factory=dict)
    roles: frozenset[str] = frozenset()
    paths: frozenset[str] = frozenset()
    required: frozenset[str] = frozenset()
    changeable: frozenset[str] = frozenset(OPTIONS)
    carried: frozenset[str] = frozenset(OPTIONS)
    edits: frozenset[str] = frozenset(EDITS)
    instead: Mapping[str, float | bool] = field(default_factory=dict)
    operations: frozenset[str] = frozenset()
    switches: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Raised:
    """An exception of the subject: its type's name and its message."""

    type: str
    message: str


@dataclass(frozen=True, slots=True)
class ClosureReport:
    """A closure's report: its calls, with gradients enabled or not, after a parameter had moved or not.

    ``returned`` is the loss that ``step`` returned, ``None`` for none.
    """

    calls: int
    grad_enabled: bool
    moved_before: bool
    returned: float | None


@dataclass(frozen=True, slots=True)
class HookRun:
    """One run of a step hook, number 0 for the one registered when the optimizer was made, 1 for the one right before the step.

    ``optimizer``: its first argument was the optimizer. ``misplaced``: a parameter changed before a pre-hook, or after a
    post-hook.
    """

    kind: Literal["pre", "post"]
    number: int
    optimizer: bool = True
    misplaced: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of one call. ``hooks`` counts the pre- and post-hooks of a step, on request; ``hook_runs`` are their runs in order.

    ``caller_dict_changed`` tells whether a dict that the caller gave was changed. ``paths`` counts, for a step, the
    entries of execution paths: 0 for one that it should have taken and did not. ``derivatives`` are those of a ``Differentiate``, by
    their source: ``start``, ``grad-1`` for the first gradient recorded, and so on, and ``lr``; 0 where nothing leads from the source.
    ``mode_left`` is the gradient mode after the call, empty where it is the caller's. ``held_changed`` names a parameter whose
    gradient tensor ``zero_grad`` wrote to, empty for none; ``None`` where nobody can tell.
    """

    raised: Raised | None = None
    closure: ClosureReport | None = None
    hooks: tuple[int, int] | None = None
    caller_dict_changed: bool | None = None
    paths: Mapping[str, int] = field(default_factory=dict)
    derivatives: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    hook_runs: tuple[HookRun, ...] | None = None
    mode_left: Literal["", "enabled", "disabled", "inference"] = ""
    held_changed: str | None = None

    @property
    def astray(self) -> bool:
        """Whether the call came to its end on another path than it should have taken."""
        return self.raised is None and not all(self.paths.values())


@dataclass(frozen=True, slots=True)
class GroupView:
    """A parameter group as the optimizer shows it: names of parameters (``?`` for a stranger) and options."""

    params: tuple[str, ...]
    options: Mapping[str, float | bool]


@dataclass(frozen=True, slots=True)
class Observation:
    """All observables of one moment. Arrays are copies in the subject's own formats, of the logical shape.

    ``groups`` is ``None`` for an optimizer that does not show them. ``state`` maps optimizer, parameter and role to an
    array; a role that cannot be seen, or is not there yet, is missing. ``slots`` maps a saved state to the same, by the
    position of the parameter. ``steps`` maps optimizer and parameter to its counter of steps, where the state has one.
    """

    params: Mapping[str, Array]
    grads: Mapping[str, Array | None]
    groups: Mapping[str, tuple[GroupView, ...] | None]
    state: Mapping[str, Mapping[str, Mapping[str, Array]]]
    slots: Mapping[str, Mapping[int, Mapping[str, Array]]]
    steps: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


class Session(Protocol):
    """One program's worth of parameters and optimizers."""

    def perform(self, call: Call) -> Outcome:
        """Perform one call. Exceptions of the subject are part of the outcome; ``SubjectFailed`` is raised for a crash."""

    def observe(self) -> Observation:
        """The observation of this moment."""

    def close(self) -> None:
        """Let go of everything."""


@runtime_checkable
class LocatedSession(Protocol):
    """A session with known devices of its arrays; a ``Session`` need not have any."""

    def devices(self) -> Collection[str]:
        """The devices of the parameters, read from their arrays: ``cpu``, or ``cuda:0``."""


@runtime_checkable
class Subject(Protocol):
    """An optimizer implementation for the suite to drive and observe.

    ``name`` is what a report calls it; ``framework`` the framework that it is built on; ``dialect`` the name of the
    dialect that it claims to speak; ``baselines`` the subjects whose habits it
    inherits.
    """

    name: str
    framework: str
    dialect: str
    baselines: tuple[str, ...]

    def capabilities(self) -> Capabilities:
        """The capabilities of the subject. Raises ``CannotStart`` if it cannot even be created."""

    def session(self, params: tuple[Param, ...]) -> Session:
        """Make the parameters of a program."""

    def versions(self) -> Mapping[str, str]:
        """Versions of its foundations, by name."""

    def state_names(self) -> Mapping[str, str]:
        """The subject's own names for the visible roles of its state."""
