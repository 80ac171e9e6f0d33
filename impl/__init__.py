"""The specification as code: pseudocode, arithmetics, formats, dialects, clauses, and the reference optimizer."""

from rmspec.impl.arithmetic.envelope import ROLES, STATE_ROLES, Before, accepted, envelope
from rmspec.impl.arithmetic.formats import FORMATS, Format, UnknownFormat, as_reals, format_named
from rmspec.impl.arithmetic.intervals import Arithmetic, Interval
from rmspec.impl.arithmetic.policy import POLICIES, STRICT, Policy
from rmspec.impl.errors import RmspecError
from rmspec.impl.reference import Parameter, RMSprop
from rmspec.impl.spec.clauses import CLAUSES, Clause, UnknownClause, clause
from rmspec.impl.spec.constructors import Constructor
from rmspec.impl.spec.dialect import (
    DIALECTS,
    SPECIFICATION,
    Defaults,
    Dialect,
    Hyperparameters,
    UnknownDialect,
    dialect_named,
)
from rmspec.impl.spec.pseudocode import Iterate, Symbols, iterate
from rmspec.impl.translation.lines import CannotTranslate, Line, Terms
from rmspec.impl.translation.order import arranged
from rmspec.impl.translation.saved import IncompleteState, Saved, SavedGroup, SavedParam
from rmspec.impl.translation.translate import Translation, translate

__all__ = [
    "CLAUSES",
    "DIALECTS",
    "FORMATS",
    "POLICIES",
    "ROLES",
    "SPECIFICATION",
    "STATE_ROLES",
    "STRICT",
    "Arithmetic",
    "Before",
    "CannotTranslate",
    "Clause",
    "Constructor",
    "Defaults",
    "Dialect",
    "Format",
    "Hyperparameters",
    "IncompleteState",
    "Interval",
    "Iterate",
    "Line",
    "Parameter",
    "Policy",
    "RMSprop",
    "RmspecError",
    "Saved",
    "SavedGroup",
    "SavedParam",
    "Symbols",
    "Terms",
    "Translation",
    "UnknownClause",
    "UnknownDialect",
    "UnknownFormat",
    "accepted",
    "arranged",
    "as_reals",
    "clause",
    "dialect_named",
    "envelope",
    "format_named",
    "iterate",
    "translate",
]
