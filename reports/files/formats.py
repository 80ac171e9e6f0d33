"""The report formats: a row each, the source of options, configuration, its schema, ``--reports`` and docs.

A format is a module of this room and its row here. The module has either ``render``, from the record of a run to a text, or
``reporter``, from a path to a reporter, for what is written while the run goes on. Both hear of the decision on the run, and
``tests/reports/files/test_gate_agreement.py`` compares what each says with every exit code.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from rmspec.reports.record import Reporter

__all__ = ["FORMATS", "ReportFormat"]


@dataclass(frozen=True, slots=True)
class ReportFormat:
    """A format of reports.

    ``option`` is its name on the command line and in the configuration, ``file`` its name in the folder of ``--reports``, and
    ``schema`` what it follows: a file of rmspec, or an address. ``module`` writes it, where that is not called like the option.
    ``place`` is what the option names, and ``stdout`` says that the option takes ``-``.
    """

    option: str
    help: str
    file: str
    schema: str = ""
    module: str = ""
    place: Literal["FILE", "DIR"] = "FILE"
    stdout: bool = False

    def reporter(self, path: str) -> Reporter:
        """Make the reporter for a file at ``path``."""
        # A module is imported when its format is asked for: a command line that only lists its options waits for none.
        from functools import partial
        from importlib import import_module

        from rmspec.reports.outputs import write
        from rmspec.reports.record import Document

        module = import_module(f"rmspec.reports.files.{self.module or self.option}")
        if hasattr(module, "reporter"):
            reporter: Reporter = module.reporter(path)
            return reporter
        return Document(render=module.render, write=partial(write, path))


FORMATS: dict[str, ReportFormat] = {
    row.option: row
    for row in (
        ReportFormat(
            "json",
            "Write the report as JSON; - is standard output.",
            "report.json",
            "reports/schemas/report-1.json",
            stdout=True,
        ),
        ReportFormat(
            "junit",
            "Write the report as JUnit XML.",
            "junit.xml",
            "https://github.com/jenkinsci/xunit-plugin/tree/master/src/main/resources/org/jenkinsci/plugins/xunit/types/model/xsd",
        ),
        ReportFormat(
            "sarif",
            "Write the findings as SARIF, for code scanning.",
            "results.sarif",
            "https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html",
        ),
        ReportFormat(
            "badge",
            "Write the verdict as a shields.io badge.",
            "badge.json",
            "https://shields.io/badges/endpoint-badge",
        ),
        ReportFormat(
            "ndjson", "Log each event as a JSON line when it happens.", "events.ndjson", "reports/schemas/log-1.json"
        ),
        ReportFormat("html", "Write the report as one HTML page.", "report.html"),
        ReportFormat("markdown", "Write the report as Markdown.", "report.md"),
        ReportFormat(
            "repro-dir",
            "Write each counterexample into this folder.",
            "repro",
            "oracles/schemas/program-1.json",
            module="programs",
            place="DIR",
        ),
    )
}
"""Every format by its option, in the order of ``rmspec check --help``."""
