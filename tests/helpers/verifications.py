"""A small document of a run, as the tests of the verification report use it: real results, and text that is not to be trusted."""

import functools
import json
from dataclasses import replace
from typing import Any

from runs import record_of

from rmspec.impl.spec.dialect import dialect_named
from rmspec.oracles.numpy.subject import ReferenceSubject
from rmspec.properties import Settings, check
from rmspec.properties.events import RunFinished, RunStarted, SubjectFinished, SubjectResult
from rmspec.reports.environment import environment
from rmspec.reports.files import json as json_report
from rmspec.reports.verification.document import verified

NASTY = "<script>alert(1)</script>"


class Wrong(ReferenceSubject):
    """Claims the specification, and does as TensorFlow does; drawn as a torch subject, so that it has scripts."""

    def __init__(self) -> None:
        super().__init__(dialect_named("tensorflow"))
        self.dialect = "torch"
        self.framework = "torch"


@functools.cache
def results() -> tuple[SubjectResult, ...]:
    """One subject that conforms, one that deviates and has a nasty name, and one whose framework is missing."""
    good = check("reference", profile="smoke", formats=("float32", "bfloat16"))
    bad = check(Wrong(), profile="smoke", formats=("float32",), fail_fast=True)
    missing = SubjectResult("gone:x", "unsupported", message=f"gone:x needs {NASTY}", hint="pip install it")
    return good, replace(bad, name=NASTY), missing


def text(*found: SubjectResult, complete: bool = True) -> str:
    """The JSON text of a run with these results."""
    started = RunStarted(tuple(each.name for each in found), environment(Settings(profile="smoke"), "0123"))
    finished = [SubjectFinished(each) for each in found]
    return json_report.render(record_of([started, *finished, RunFinished(complete, 3.0)]))


def document(*found: SubjectResult, complete: bool = True) -> dict[str, Any]:
    """The document of a run with these results, or with all three."""
    data: dict[str, Any] = json.loads(text(*(found or results()), complete=complete))
    return data


@functools.cache
def whole() -> dict[str, Any]:
    """The document of all three with its verification."""
    return verified(document())
