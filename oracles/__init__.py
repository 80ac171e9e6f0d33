"""The subjects: the program vocabulary, the ``Subject`` protocol, one module per framework, the loader and the registry."""

from rmspec.oracles.checkpoints.files import checkpoint_bytes, read_checkpoint
from rmspec.oracles.checkpoints.hyperparameters import BadCheckpoint, Given
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
    UnknownSubject,
    Unsupported,
)
from rmspec.oracles.loader import check_name, load
from rmspec.oracles.program.program import Program, from_json, parse, to_json
from rmspec.oracles.registry import FRAMEWORKS, Framework, registered_names
from rmspec.oracles.subject import (
    FEATURES,
    OPTIONS,
    Capabilities,
    ClosureReport,
    GroupView,
    Observation,
    Outcome,
    Raised,
    Session,
    Subject,
)

__all__ = [
    "FEATURES",
    "FRAMEWORKS",
    "OPTIONS",
    "BadCheckpoint",
    "BadOption",
    "CannotImport",
    "CannotStart",
    "Capabilities",
    "ClosureFailed",
    "ClosureReport",
    "Framework",
    "Given",
    "GroupView",
    "InputProblem",
    "MalformedProgram",
    "NotAnOptimizer",
    "Observation",
    "Outcome",
    "Program",
    "ProtocolBroken",
    "Raised",
    "Session",
    "Subject",
    "SubjectFailed",
    "SubjectHung",
    "UnknownSubject",
    "Unsupported",
    "check_name",
    "checkpoint_bytes",
    "from_json",
    "load",
    "parse",
    "read_checkpoint",
    "registered_names",
    "to_json",
]
