"""``rmspec clauses``: the clauses of the specification; with an id, one of them explained."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from rmspec.impl.spec.clauses import CLAUSES, Clause, clause
from rmspec.impl.spec.dialect import SPECIFICATION
from rmspec.oracles.faults import FAULTS, Fault
from rmspec.reports.documents import stored_json
from rmspec.reports.terminal.failure_block import wrapped

__all__ = ["examples", "explain_clause", "list_clauses"]


def list_clauses(*, as_json: bool = False) -> str:
    """List the clauses of the specification in the order of the page."""
    if as_json:
        return _json([_document(row) for row in CLAUSES.values()])
    lines: list[str] = []
    for row in CLAUSES.values():
        gate = "" if row.gates else "; observed, never fails a run"
        lines += wrapped(f"{row.id}: {row.title}", hang=2)
        lines += wrapped(f"{row.kind}; {row.source}{gate}", indent=4)
    return "\n".join([*lines, "", "rmspec clauses ID explains one of them."])


def explain_clause(id: str, *, as_json: bool = False) -> str:
    """Explain one clause: its text and source, its usual mending, and a fault with its script.

    Raises ``UnknownClause``, which names the closest id.
    """
    row = clause(id)
    example = examples().get(id)
    fault = next((fault for fault in FAULTS if example and fault.id == example["fault"]), None)
    if as_json:
        shown = None if example is None or fault is None else {"subject": fault.subject, "script": example["script"]}
        return _json([{**_document(row), "fault": shown}])
    lines = [*wrapped(f"{row.id}: {row.title}", hang=2), "", *wrapped(row.text, indent=2), "", *_source(row)]
    lines += ["", "  What usually mends it:", *wrapped(row.mend, indent=4)]
    if fault is None or example is None:
        return "\n".join([*lines, "", "  rmspec ships no fault that breaks this clause first."])
    lines += ["", "  A fault that breaks it:", *(f"    {line}".rstrip() for line in _code(fault))]
    lines += ["", "  A script that fails on it (put your own optimizer in the place of the fault):"]
    lines += [f"    {line}".rstrip() for line in example["script"].splitlines()]
    lines += ["", "  See rmspec find it:", f"    rmspec check {fault.subject} --profile smoke{_options(fault)}"]
    return "\n".join(lines)


def examples() -> Mapping[str, Mapping[str, str]]:
    """Read the stored examples by clause: the id of a breaking ``fault``, and its ``script``."""
    stored: Mapping[str, Mapping[str, str]] = stored_json("data/examples.json")["examples"]
    return stored


def _source(row: Clause) -> list[str]:
    place, silent, reading = row.source.partition("; ")
    if place.startswith("silent"):
        lines = wrapped(f"The page is {place}; {reading}.", indent=2)
    else:
        lines = wrapped(f"On the page: {place}{silent}{reading}.", indent=2)
    if row.feature:
        lines += wrapped(f"Without it in a run: --without {row.feature}", indent=2)
    if not row.gates:
        lines += ["  It is observed, and never fails a run."]
    return lines


def _code(fault: Fault) -> list[str]:
    package, _, module = fault.module.rpartition(".")
    source = (files(package) / f"{module}.py").read_text("utf-8")
    nodes = (node for node in ast.parse(source).body if isinstance(node, ast.ClassDef) and node.name == fault.attr)
    return (ast.get_source_segment(source, next(nodes)) or "").splitlines()


def _options(fault: Fault) -> str:
    dialect = f" --dialect {fault.dialect}" if fault.dialect != SPECIFICATION.name else ""
    return dialect + (" --baseline none" if fault.inherited else "")


def _document(row: Clause) -> dict[str, Any]:
    names = ("id", "title", "kind", "text", "source", "feature", "gates", "mend")
    return {name: getattr(row, name) for name in names}


def _json(clauses: list[dict[str, Any]]) -> str:
    return json.dumps({"clauses": clauses}, indent=1, ensure_ascii=False)
