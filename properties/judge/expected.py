"""The expectations of a call: one frozen value, made by a rule before the call.

``Expected`` says how the call may end, what it may change and to what, and that all else is bit-identical afterwards. It is
made of parts, each about some quantities. For each quantity it names the quantities that its new value is computed from,
and the clauses that it tests. ``rmspec.properties.judge.comparison`` compares.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from numpy.typing import NDArray

from rmspec.impl.arithmetic.accuracy import Operation
from rmspec.impl.arithmetic.duals import Move
from rmspec.impl.arithmetic.envelope import STATE_ROLES
from rmspec.impl.arithmetic.tracing import trace
from rmspec.impl.spec.clauses import CLAUSE_OF_START
from rmspec.impl.spec.dialect import Dialect, Hyperparameters
from rmspec.oracles.program.program import Step
from rmspec.oracles.subject import Observation
from rmspec.properties.judge.ledger import Carry, OptimizerLedger, SavedLedger
from rmspec.properties.lines.batch import line_clause

__all__ = [
    "Account",
    "Accounts",
    "CopiedOptimizer",
    "Derivatives",
    "Expected",
    "GroupStep",
    "InitialState",
    "OperationResult",
    "OtherGroups",
    "Part",
    "Quantity",
    "Refusal",
    "Rest",
    "RestoredState",
    "SavedState",
    "ShownGroups",
    "SteppedFrom",
    "ZeroedGrads",
]

Array = NDArray[Any]


class Quantity(NamedTuple):
    """One thing to be observed: ``param``, ``grad``, a role of the state, ``groups`` or ``slot``, of an optimizer, by name."""

    kind: str
    optimizer: str = ""
    name: str = ""


class Account(NamedTuple):
    """The sources of a new value, and the clauses tested by it."""

    sources: frozenset[Quantity]
    clauses: tuple[str, ...]


Accounts = Mapping[Quantity, Account]


# -- How a call may end


@dataclass(frozen=True, slots=True)
class Refusal:
    """One reason to refuse a call by an exception.

    ``rule``: it ``must`` be refused under ``clause``, or ``silence`` is the summary of what is wrong; it ``may`` be refused;
    or nobody says (``open``): then ``behaviour`` is observed, and a call that is accepted leaves nothing to go on with.
    A ``may`` with a ``behaviour`` is observed as well. A refused call changes nothing, under the clause ``rest``, if there is one.
    ``ends``: the run ends here, refused or not. ``option``: what the groups show for it once the call is accepted is observed as
    well.
    """

    rule: Literal["must", "may", "open"]
    rest: str
    clause: str = ""
    silence: str = ""
    behaviour: str = ""
    ends: bool = False
    option: str = ""


# -- The parts: what a call may change, and to what


@dataclass(frozen=True, slots=True)
class Rest:
    """All quantities outside of the other parts are bit-identical afterwards, under ``clause``.

    ``actor`` is the optimizer that the call is on, where the call may change anything of it; ``step`` marks a step of it.
    Without ``grads`` the gradients may be anything.
    """

    clause: str
    actor: str = ""
    step: bool = False
    grads: bool = True

    def accounts(self, dialect: Dialect) -> Accounts:
        """None: this part is about all the rest."""
        return {}


@dataclass(frozen=True, slots=True)
class ShownGroups:
    """The optimizer shows the groups of its ledger; ``added``: the last of them is new. ``fresh``: its state begins here."""

    optimizer: str
    added: bool = False

    def accounts(self, dialect: Dialect) -> Accounts:
        """The groups of the optimizer, from the program alone."""
        clauses = ("add-param-group",) if self.added else ("params", "group-defaults", "group-options")
        return {Quantity("groups", self.optimizer): Account(frozenset(), clauses)}


@dataclass(frozen=True, slots=True)
class OtherGroups:
    """The options of group number ``group`` were changed, those of the others were not."""

    optimizer: str
    group: int

    def accounts(self, dialect: Dialect) -> Accounts:
        """The groups of the optimizer."""
        groups = Quantity("groups", self.optimizer)
        return {groups: Account(frozenset({groups}), ("group-options",))}


@dataclass(frozen=True, slots=True)
class InitialState:
    """The state of these parameters, as far as it is there already, has its initial values."""

    optimizer: str
    names: tuple[str, ...]

    def accounts(self, dialect: Dialect) -> Accounts:
        """Every role of the state of these parameters."""
        return {
            Quantity(role, self.optimizer, name): Account(frozenset(), (CLAUSE_OF_START[role],))
            for name in self.names
            for role in STATE_ROLES
        }


@dataclass(frozen=True, slots=True)
class ZeroedGrads:
    """The gradients of these parameters are ``None`` (``none``), or zeros if they are there."""

    optimizer: str
    names: tuple[str, ...]
    none: bool

    @property
    def clause(self) -> str:
        """The clause on this form of ``zero_grad``."""
        return "zero-grad-none" if self.none else "zero-grad-zero"

    def accounts(self, dialect: Dialect) -> Accounts:
        """The gradients of these parameters."""
        return {Quantity("grad", "", name): Account(frozenset(), (self.clause,)) for name in self.names}


@dataclass(frozen=True, slots=True)
class SavedState:
    """The slot holds the state of these parameters, by their positions."""

    optimizer: str
    slot: str
    names: tuple[str, ...]

    def accounts(self, dialect: Dialect) -> Accounts:
        """The slot, from all the state before."""
        sources = frozenset(Quantity(role, self.optimizer, name) for name in self.names for role in STATE_ROLES)
        return {Quantity("slot", "", self.slot): Account(sources, ("state-dict",))}


@dataclass(frozen=True, slots=True)
class RestoredState:
    """The state of the optimizer's parameters equals its ledger's, taken from the slot."""

    optimizer: str
    slot: str
    names: tuple[str, ...]

    def accounts(self, dialect: Dialect) -> Accounts:
        """Every role of the state of these parameters, by the slot."""
        source = frozenset({Quantity("slot", "", self.slot)})
        return {
            Quantity(role, self.optimizer, name): Account(source, ("load-state-dict", "load-partial"))
            for name in self.names
            for role in STATE_ROLES
        }


@dataclass(frozen=True, slots=True)
class CopiedOptimizer:
    """The optimizer ``copy`` over the copies of these parameters equals its ``source``, bit by bit."""

    source: str
    copy: str
    params: Mapping[str, str]

    def accounts(self, dialect: Dialect) -> Accounts:
        """The groups of the copy, and its parameters with their gradients and state."""
        accounts = {
            Quantity(role, self.copy, twin): Account(
                frozenset({Quantity(role, self.source, name)}), ("optimizer-copy",)
            )
            for name, twin in self.params.items()
            for role in STATE_ROLES
        }
        for name, twin in self.params.items():
            accounts[Quantity("param", "", twin)] = Account(
                frozenset({Quantity("param", "", name)}), ("optimizer-copy",)
            )
            accounts[Quantity("grad", "", twin)] = Account(frozenset(), ())
        groups = frozenset({Quantity("groups", self.source)})
        return {**accounts, Quantity("groups", self.copy): Account(groups, ("optimizer-copy",))}


@dataclass(frozen=True, slots=True)
class SteppedFrom:
    """One parameter before a step: its arrays, and the knowledge of its state.

    ``t`` counts its steps from 1, ``first``: its state has never been seen before; ``skipped``: an earlier step passed it
    over. ``rows`` are the rows that a sparse gradient names.
    """

    name: str
    format: str
    param: Array
    grad: Array
    state: Mapping[str, Carry]
    t: int
    first: bool
    skipped: bool
    rows: tuple[int, ...] | None


@dataclass(frozen=True, slots=True)
class GroupStep:
    """The values of one group after a step lie in the envelope of the values before it.

    ``hyper`` is ``None`` where an option is not known: then nothing can be said of the values. ``passed_over`` are the
    parameters without a gradient. ``twice``: a parameter of the optimizer is listed twice. ``options`` are those that the
    group shows before the step.
    """

    optimizer: str
    group: int
    hyper: Hyperparameters | None
    params: tuple[SteppedFrom, ...]
    passed_over: tuple[str, ...]
    twice: bool
    options: Mapping[str, float | bool] = field(default_factory=dict)

    def moved(self, after: Observation) -> dict[str, float | bool]:
        """The options of the group with other values after the step than before it: the later ones."""
        groups = after.groups.get(self.optimizer) or ()
        now = groups[self.group].options if self.group < len(groups) else {}
        return {
            option: now[option]
            for option, value in self.options.items()
            if option in now and now[option] != value and not math.isnan(now[option])
        }

    def accounts(self, dialect: Dialect) -> Accounts:
        """The stepped parameters and the state set by the step, as the pseudocode computes them."""
        accounts: dict[Quantity, Account] = {}
        for param in self.params:
            graph = dict.fromkeys(("param", *STATE_ROLES), frozenset[str]())
            if self.hyper is not None:
                graph = dict(trace(self.hyper, dialect, param.format))
            own = {role: Quantity(role, self.optimizer, param.name) for role in STATE_ROLES}
            own |= {kind: Quantity(kind, "", param.name) for kind in ("param", "grad")}
            options = Quantity("groups", self.optimizer)
            for role, names in graph.items():
                clauses = () if self.hyper is None else (line_clause(role, self.hyper, dialect, param.format),)
                accounts[own[role]] = Account(frozenset(own.get(name, options) for name in names), clauses)
        return accounts


@dataclass(frozen=True, slots=True)
class OperationResult:
    """The parameter ``name`` holds the result of an elementary operation on these operands (x, y and z)."""

    operation: Operation
    operands: tuple[Array, Array, Array]
    name: str

    def accounts(self, dialect: Dialect) -> Accounts:
        """The parameter of the result."""
        return {Quantity("param", "", self.name): Account(frozenset(), ("operation-rounding",))}


@dataclass(frozen=True, slots=True)
class Derivatives:
    """The outcome has the derivatives of a weighted parameter after these steps; ``lr``: with respect to it as well."""

    name: str
    format: str
    weights: Array
    moves: tuple[Move, ...]
    lr: bool

    def accounts(self, dialect: Dialect) -> Accounts:
        """None: nothing is free to change."""
        return {}


Part = (
    Rest
    | ShownGroups
    | OtherGroups
    | InitialState
    | ZeroedGrads
    | SavedState
    | RestoredState
    | CopiedOptimizer
    | GroupStep
    | OperationResult
    | Derivatives
)


@dataclass(frozen=True, slots=True)
class Expected:
    """The expectations of one call.

    ``parts`` are compared in their order. ``refusals`` are the reasons to refuse the call, the first that applies decides.
    ``broken_by_exception`` is the clause that any other exception breaks; empty where it breaks none and ends the run, ``None`` where
    exceptions are no matter of the optimizer. ``ledger`` and ``saved`` are how the optimizer and the slot stand afterwards.
    ``tests`` counts the clauses that a call tests unless it is refused, ``accepted`` those that it tests where it raises nothing.
    ``step`` is the step to be judged by its closure and its hooks; ``refused_gradient``: one of its gradients need not be
    taken, so that nothing is promised from here on. ``reports_dict``: what the call did to this dict of the caller's is observed.
    """

    parts: tuple[Part, ...] = ()
    optimizer: str = ""
    refusals: tuple[Refusal, ...] = ()
    broken_by_exception: str | None = ""
    ledger: OptimizerLedger | None = None
    slot: str = ""
    saved: SavedLedger | None = None
    tests: Mapping[str, int] = field(default_factory=dict)
    accepted: tuple[str, ...] = ()
    step: Step | None = None
    refused_gradient: bool = False
    reports_dict: str = ""

    def free(self, dialect: Dialect) -> frozenset[Quantity]:
        """The quantities free to change."""
        return frozenset(quantity for part in self.parts for quantity in part.accounts(dialect))

    def accounts(self, dialect: Dialect) -> Accounts:
        """Map each quantity free to change to the sources of its new value and the clauses tested by it."""
        return merged(part.accounts(dialect) for part in self.parts)


def merged(tables: Iterable[Accounts]) -> Accounts:
    """One table of several; of a quantity in two of them, the sources and the clauses of both."""
    whole: dict[Quantity, Account] = {}
    for table in tables:
        for quantity, account in table.items():
            earlier = whole.get(quantity, Account(frozenset(), ()))
            clauses = tuple(dict.fromkeys((*earlier.clauses, *account.clauses)))
            whole[quantity] = Account(earlier.sources | account.sources, clauses)
    return whole
