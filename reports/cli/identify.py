"""``rmspec identify``: name the dialect of a subject, found with its process at hand."""

from __future__ import annotations

from dataclasses import dataclass

from rmspec.oracles.loader import check_name
from rmspec.properties.identify.answer import Standing
from rmspec.properties.identify.identification import identify as identify_dialect
from rmspec.properties.settings import Settings, make_settings
from rmspec.reports.config.options import COMMAND_LINE, formats_listed
from rmspec.reports.exit_codes import ExitCode
from rmspec.reports.outputs import check_writable, write_last
from rmspec.reports.readers import identification_json
from rmspec.reports.run.one_job import Stopped, open_for_job
from rmspec.reports.terminal.failure_block import wrapped
from rmspec.reports.terminal.identification import lines
from rmspec.reports.terminal.terminal import console
from rmspec.reports.text import plain

__all__ = ["IdentifyOptions", "identify"]

_CODES: dict[Standing, ExitCode] = {
    "dialect": ExitCode.CONFORMS,
    "unexplained": ExitCode.DEVIATES,
    "other": ExitCode.DEVIATES,
    "unknown": ExitCode.NOTHING_CHECKED,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class IdentifyOptions:
    """The options of ``rmspec identify``; ``call_timeout`` in seconds; ``-`` is standard output."""

    subject: str
    device: str = "cpu"
    dtype: tuple[str, ...] = ()
    framework: str | None = None
    call_timeout: float = 60.0
    memory_limit: str | None = None
    json: str | None = None


def identify(options: IdentifyOptions) -> ExitCode:
    """Identify a subject and print the result. Raises ``InputProblem``."""
    settings = _resolved(options)
    out = console(error=options.json == "-")
    try:
        with open_for_job(options.subject, settings, occasion="while it was identified") as driven:
            identification = identify_dialect(driven, formats=settings.formats)
    except Stopped as stopped:
        for line in wrapped(plain(stopped.text), hang=2):
            out.print(line)
        return stopped.code
    for line in lines(identification):
        out.print(line)
    code = _CODES[identification.standing]
    return code if options.json is None else write_last(options.json, identification_json.render(identification), code)


def _resolved(options: IdentifyOptions) -> Settings:
    check_name(options.subject)
    settings = make_settings(
        (options.subject,),
        device=options.device,
        formats=formats_listed(options.dtype),
        framework=options.framework,
        call_timeout=options.call_timeout,
        memory_limit=options.memory_limit,
        spelling=COMMAND_LINE,
    )
    if options.json is not None:
        check_writable(options.json, "--json")
    return settings
