"""``rmspec report`` from the options to the exit code: check subjects or read reports, and write the folder."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rmspec.reports.cli import check
from rmspec.reports.documents import json_text
from rmspec.reports.escapes import commands_stopped, plain, say
from rmspec.reports.exit_codes import ExitCode
from rmspec.reports.files import json as json_report
from rmspec.reports.files.folder import check_place, put
from rmspec.reports.gate import decide
from rmspec.reports.problems import BadOption, choose, tell_failure
from rmspec.reports.readers.json_reader import deviation_of, merged, read, result_of
from rmspec.reports.record import Document, Guarded
from rmspec.reports.stored import PROGRAMS, counterexample_text, file_commands, program_file
from rmspec.reports.terminal.failure_block import wrapped
from rmspec.reports.terminal.table import verdict_lines

__all__ = ["report", "report_from"]

_WITHOUT = {"matplotlib": "its plots are left out", "latex2mathml": "its pseudocode is plain text"}
"""What becomes of a report without a library of the extra ``report``."""


def report(typed: Mapping[str, Any], folder: Path, *, out: str | None, force: bool) -> ExitCode:
    """Check subjects as ``rmspec check`` does, and write the report into the folder ``out``."""
    place = _ready(out, force=force)
    document = Guarded(
        Document(render=json_report.render, write=lambda text: put(place, files(json.loads(text)), force=force))
    )
    code = check.check(typed, folder, also=[document])
    if document.failure is not None:
        return tell_failure(document.failure, code)
    say(f"report: {Path(place) / 'report.html'}", error=typed.get("json") == "-")
    _tell_missing()
    return code


def report_from(paths: Sequence[str], typed: Mapping[str, Any], *, out: str | None, force: bool) -> ExitCode:
    """Write the report of files of ``rmspec check --json``; nothing is run."""
    unused = sorted(set(typed) - {"subjects", "fail_on", "quiet"})
    if unused:
        raise BadOption(
            f"--{unused[0].replace('_', '-')} has no use with --from",
            "--from reads what was checked, and runs nothing",
            "leave it out, or name subjects in place of files",
        )
    if not paths:
        raise BadOption("no file is named", hint="write rmspec report --from results.json --out DIR")
    if typed.get("fail_on") is not None:
        choose("value of --fail-on", typed["fail_on"], ["hazards"])
    place = _ready(out, force=force)
    document = merged([(path, read(path)) for path in dict.fromkeys(paths)])
    results = [result_of(subject) for subject in document["subjects"]]
    gate = decide(results, complete=document["complete"], fail_on_hazards=typed.get("fail_on") == "hazards")
    texts = files({**document, "exit_code": gate.code.value})
    failure: BadOption | None = None
    try:
        put(place, texts, force=force)
    except BadOption as error:
        failure = error
    printed: list[str] = []
    if not typed.get("quiet"):
        sentence = json.loads(texts["report.json"])["verification"]["summary"]["sentence"]
        printed += [*wrapped(plain(sentence)), ""]
    names = [result.name for result in results]
    programs = str(Path(place) / PROGRAMS)
    lines = verdict_lines(
        results,
        lambda name, new: file_commands(program_file(programs, names, name, new), name),
        fail_on_hazards=gate.fail_on_hazards,
    )
    printed += [line for line, _ in lines]
    if failure is None:
        printed.append(f"report: {Path(place) / 'report.html'}")
    with commands_stopped():
        say("\n".join(printed))
    if failure is not None:
        return tell_failure(failure, gate.code)
    _tell_missing()
    return gate.code


def files(document: Mapping[str, Any]) -> dict[str, str]:
    """Every file of a report by its path in the folder: the page, the Markdown, the JSON, and each stored program."""
    # They import much that other commands need not.
    from rmspec.reports.verification import markdown as markdown_report
    from rmspec.reports.verification import page
    from rmspec.reports.verification.document import verified

    whole = verified(document)
    texts = {
        "report.html": page.render(whole),
        "report.md": markdown_report.render(whole),
        "report.json": json_text(whole),
    }
    names = [each["name"] for each in document["subjects"]]
    for subject in document["subjects"]:
        for kind in ("deviations", "hazards"):
            for each in subject[kind]:
                deviation = deviation_of(each, hazard=kind == "hazards")
                name = program_file(PROGRAMS, names, subject["name"], deviation)
                texts[Path(name).as_posix()] = counterexample_text(deviation)
    return texts


def _ready(out: str | None, *, force: bool) -> str:
    if not out:
        raise BadOption("no folder is named", "a report is several files", "write rmspec report ... --out DIR")
    check_place(out, force=force)
    return out


def _tell_missing() -> None:
    """Name the missing libraries of the extra on standard error, each with the loss."""
    for module, loss in _WITHOUT.items():
        if importlib.util.find_spec(module) is None:
            print(f"report: {loss}, since {module} is not installed: pip install 'rmspec[report]'", file=sys.stderr)
