"""The subjects: the program vocabulary, the ``Subject`` protocol, one module per framework, the loader and the registry."""

from rmspec.oracles.checkpoints.files import checkpoint_bytes, read_checkpoint
from rmspec.oracles.checkpoints.hyperparameters import BadCheckpoint, Given, resolve_options
from rmspec.oracles.dialects import dialect_named, dialects
from rmspec.oracles.errors import (
    BadOption,
    CannotImport,
    CannotStart,
    ClosureFailed,
    InputProblem,
    MalformedProgram,
    NotAnOptimizer,
    ProtocolBroken,
    SubjectFailed,
    SubjectHung,
    TooMuchMemory,
    UnknownSubject,
    Unsupported,
)
from rmspec.oracles.framework import Framework, Layout, RegisteredSubject
from rmspec.oracles.loader import check_name, load
from rmspec.oracles.program.program import Program, from_json, parse, to_json
from rmspec.oracles.registry import frameworks, registered_names
from rmspec.oracles.scripting.applied import applied_statements
from rmspec.oracles.scripting.counterexample import Counterexample
from rmspec.oracles.scripting.standalone import standalone_script
from rmspec.oracles.scripting.style import Script, Style
from rmspec.oracles.session.applied import AppliedSubject, Driven, Place
from rmspec.oracles.subject import (
    EXCLUDABLE,
    FEATURES,
    OPTIONS,
    Capabilities,
    ClosureReport,
    GroupView,
    HookRun,
    Observation,
    Outcome,
    Raised,
    Session,
    Subject,
)

__all__ = [
    "EXCLUDABLE",
    "FEATURES",
    "FRAMEWORKS",
    "OPTIONS",
    "AppliedSubject",
    "BadCheckpoint",
    "BadOption",
    "CannotImport",
    "CannotStart",
    "Capabilities",
    "ClosureFailed",
    "ClosureReport",
    "Counterexample",
    "Driven",
    "Framework",
    "Given",
    "GroupView",
    "HookRun",
    "InputProblem",
    "Layout",
    "MalformedProgram",
    "NotAnOptimizer",
    "Observation",
    "Outcome",
    "Place",
    "Program",
    "ProtocolBroken",
    "Raised",
    "RegisteredSubject",
    "Script",
    "Session",
    "Style",
    "Subject",
    "SubjectFailed",
    "SubjectHung",
    "TooMuchMemory",
    "UnknownSubject",
    "Unsupported",
    "applied_statements",
    "check_name",
    "checkpoint_bytes",
    "dialect_named",
    "dialects",
    "frameworks",
    "from_json",
    "load",
    "parse",
    "read_checkpoint",
    "registered_names",
    "resolve_options",
    "standalone_script",
    "to_json",
]


def __getattr__(name: str) -> tuple[Framework, ...]:
    # Descriptors are read when they are asked for: one of another distribution imports this package.
    if name == "FRAMEWORKS":
        return frameworks()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
