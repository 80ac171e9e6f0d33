"""All there is to say of a framework: one frozen descriptor, in the ``descriptor.py`` of its folder.

Registry, loader, ``translate``, scripts, known deviations, blind spots, ``subjects`` and the reference pages read descriptors;
none of them names a framework. A descriptor imports no framework: what needs one is named as ``module:attribute`` and
imported when it is asked for. A distribution of somebody else's adds a framework through the entry-point group
``rmspec.frameworks``, whose value names a ``Framework``.
"""

from __future__ import annotations

import importlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

from rmspec.impl.arithmetic.accuracy import Operation
from rmspec.impl.spec.dialect import SPECIFICATION, Dialect

__all__ = [
    "EvidenceCounter",
    "ExecutionSwitch",
    "Framework",
    "Habit",
    "Layout",
    "OperationAccuracy",
    "RegisteredSubject",
    "import_reference",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredSubject:
    """A registered subject: a sentence on it, and the name of its ``dialect``.

    ``fixed`` are the keyword arguments of the constructor that select its execution path. ``paths`` are the execution paths
    that a step of it must take, by the names of the framework's evidence counters; ``devices`` the kinds of device that it
    runs on. ``state_names`` maps the roles of its state to its own names, where the constructor of its dialect does not.
    """

    title: str
    dialect: str = SPECIFICATION.name
    state_names: Mapping[str, str] = field(default_factory=dict)
    fixed: Mapping[str, Any] = field(default_factory=dict)
    paths: tuple[str, ...] = ()
    devices: tuple[str, ...] = ("cpu",)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionSwitch:
    """A keyword argument of the constructor for an execution path; it changes nothing in the formula.

    ``devices`` are the kinds of device that the path exists on, none for any; on ``automatic`` ones a default of ``None`` takes it
    already. ``refusable``: a constructor or a step may raise ``RuntimeError`` or ``AssertionError`` where the device has no such path.
    """

    devices: tuple[str, ...] = ()
    automatic: tuple[str, ...] = ()
    refusable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """A kind of checkpoint file: the endings it ``reads`` and ``writes``, and its ``dialects`` by name.

    ``page``: it holds every dialect that is constructed by the page's own names as well. ``reader`` names a function of path,
    ``Dialect`` and ``Given`` that returns a ``Saved``, or ``None`` where the file is of another layout with this ending;
    ``writer`` one of a ``Saved`` and an ending that returns bytes. ``loading`` is the Python that loads a file, by ending, with
    ``{path}`` for its name. ``requires`` is a module to import first, ``purpose`` what for. ``keyed``: one file may hold
    several states, told apart by a key.
    """

    reads: tuple[str, ...]
    writes: tuple[str, ...]
    reader: str
    writer: str
    loading: Mapping[str, str]
    dialects: tuple[str, ...] = ()
    page: bool = False
    requires: str = ""
    purpose: str = ""
    keyed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Habit:
    """A departure from the specification common to all optimizers of a framework, as a ``statement``.

    ``clause`` is the id of the clause that it amends; ``test`` names a function that raises where the habit is gone.
    """

    name: str
    statement: str
    clause: str
    test: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceCounter:
    """The framework's own count of the entries of an execution ``path`` in a step.

    ``counts`` names a context manager around one step. It yields a function without arguments, which returns the count so
    far, negative where the step left the path. ``title`` is what it counts, in words. ``always``: also for a subject that need
    not take the path. ``variants``: each variant of options, formats and shapes costs a compilation, so that a check of the
    path asks chosen programs alone.
    """

    path: str
    counts: str
    title: str
    always: bool = False
    variants: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationAccuracy:
    """The documented accuracy of an operation short of correct rounding: ``ulps`` in these ``formats``.

    ``device`` is a kind of device, ``source`` the page that promises it. It holds on these ``paths``, on all but ``apart`` where
    none are named.
    """

    operation: Operation
    device: str
    formats: tuple[str, ...]
    ulps: float
    source: str
    paths: tuple[str, ...] = ()
    apart: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Primitives:
    """The means of a framework to perform the elementary operations of a step.

    ``evaluator`` names the function of a subject's name, its paths and its device that returns an evaluator: a function of the
    names of operations and of three arrays of NumPy, which returns the arrays of the results by operation; ``None`` for a
    subject that is not driven in this process. In a script: ``imports``; ``array`` is the expression of an array, of its
    ``{values}``, ``{format}`` and ``{device}`` (``, device="cuda"``, or empty); ``call`` the expression of an operation on x, y
    and z, by path and operation, that of the path "" for any other; ``number`` reads the one element of ``{array}`` as a float.
    """

    evaluator: str
    imports: tuple[str, ...]
    array: str
    number: str
    call: Mapping[str, Mapping[Operation, str]]

    def expression(self, paths: Collection[str], operation: Operation) -> str:
        """The expression of an operation on these paths."""
        table = next((self.call[path] for path in sorted(paths) if path in self.call), self.call[""])
        return table[operation]


@dataclass(frozen=True, slots=True, kw_only=True)
class Framework:
    """A framework: its ``name``, the module it ``requires``, and the line to ``install`` it.

    ``package`` is the import name of the folder that the descriptor is in; known deviations are read from its
    ``known_deviations``. ``subjects`` maps registered names to what they are.

    ``registered`` names the function of a name and a device that returns a registered subject; ``user_subject`` the one of
    a name, a factory and a device for a class of the user's, empty where there are none; for a name with an execution path it
    is given the keyword arguments ``fixed`` as well. ``switches`` are those that select a path. A user's class is of the
    framework whose ``prefixes`` hold the top-level module of a base of it; one that is ``built_on`` others is asked before them;
    ``fallback`` takes what no framework claims. ``baseline`` is the registered subject whose habits a user's class inherits.

    ``dialects`` are those that its optimizers speak, each with its constructor and the names of its state; ``layouts`` the
    files that they are saved in. ``script`` names the function of a ``Counterexample`` that returns the imports and the
    statements of a standalone script, empty where there are no scripts. ``blind_spots`` is what rmspec does not check of it.
    ``preloaded`` are the modules that may be imported before a subject's own: a process that has them is forked for each
    subject. None where what is imported depends on the environment that a subject sets, or starts threads. ``caches`` are the
    environment variables for folders of caches that outlast a process: each subject gets an empty one.
    ``first_session`` names the function of a name, a factory, a device, keyword arguments and parameters that opens a session on an
    optimizer of which nothing was asked before, or ``None``.
    ``threads`` names the function of a number that makes a context in which operations run on so many threads.
    ``habits``, ``counters`` and ``accuracies`` are empty where nothing is stated; without ``primitives`` its operations are
    not measured. ``order`` is its place in listings; equal
    ones stand by name.
    """

    name: str
    requires: str
    install: str
    package: str
    subjects: Mapping[str, RegisteredSubject]
    registered: str
    user_subject: str = ""
    switches: Mapping[str, ExecutionSwitch] = field(default_factory=dict)
    prefixes: tuple[str, ...] = ()
    built_on: tuple[str, ...] = ()
    fallback: bool = False
    preloaded: tuple[str, ...] = ()
    caches: tuple[str, ...] = ()
    baseline: str = ""
    dialects: tuple[Dialect, ...] = ()
    layouts: tuple[Layout, ...] = ()
    script: str = ""
    blind_spots: tuple[str, ...] = ()
    habits: tuple[Habit, ...] = ()
    counters: tuple[EvidenceCounter, ...] = ()
    accuracies: tuple[OperationAccuracy, ...] = ()
    primitives: Primitives | None = None
    threads: str = ""
    first_session: str = ""
    order: int = 100

    @property
    def users(self) -> bool:
        """Whether it drives classes and factories of the user's."""
        return bool(self.user_subject)


def import_reference(reference: str) -> Any:
    """Import ``module`` and return its ``attribute``. Raises the errors of the import."""
    module, _, attribute = reference.partition(":")
    return attrgetter(attribute)(importlib.import_module(module))
