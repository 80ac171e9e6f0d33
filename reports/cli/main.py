"""The command line: each command is a few lines here, and a module of its own does the work.

Exit codes are those of ``rmspec.reports.exit_codes``. Whatever goes wrong is told in one message on standard error.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from rmspec.impl.spec.switches import SWITCHES
from rmspec.reports.cli.known import known
from rmspec.reports.cli.translate_options import TranslateCommand, translate_options, with_options
from rmspec.reports.config.keys import KEYS, Kind
from rmspec.reports.environment import version
from rmspec.reports.escapes import commands_stopped, say
from rmspec.reports.exit_codes import ExitCode
from rmspec.reports.problems import BadOption, click_message, nearest, tell_failure

__all__ = ["main"]

_Command = TypeVar("_Command", bound=Callable[..., Any])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line (by default ``sys.argv``) and return the exit code."""
    code = _run(arguments)
    registry = sys.modules.get("rmspec.oracles.registry")
    for framework in registry.left_out() if registry is not None else ():
        say(f"rmspec: {framework}", error=True)
    return code


def _run(arguments: Sequence[str] | None) -> int:
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    code = ExitCode.CONFORMS
    try:
        code = ExitCode(_group.main(args=arguments, prog_name="rmspec", standalone_mode=False) or ExitCode.CONFORMS)
        sys.stdout.flush()
        return code
    except click.ClickException as error:
        return _refuse(click_message(error), ExitCode.BAD_INPUT)
    except (KeyboardInterrupt, click.Abort):
        return _refuse("rmspec: interrupted", ExitCode.INTERRUPTED)
    except Exception as error:
        return tell_failure(error, code)


def _refuse(text: str, code: ExitCode) -> int:
    with commands_stopped():
        say(text, error=True)
    return code


class _Group(click.Group):
    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of this name. Raises ``UsageError`` with the closest one."""
        command = super().get_command(ctx, cmd_name)
        if command is None and cmd_name in _PYTHON_ONLY:
            raise _PYTHON_ONLY[cmd_name]
        if command is None:
            raise click.UsageError(f"unknown command {cmd_name!r}{nearest(cmd_name, self.commands)}", ctx)
        return command


_PYTHON_ONLY = {
    "record": BadOption(
        "record is no command: it is Python only",
        "a training run is recorded by its own code",
        "write \"with rmspec.properties.record(optimizer, 'recording'):\" around its loop, then rmspec repro recording; "
        "docs/how-to/training-run.md shows the whole of it, and so does help(rmspec.properties.record)",
    )
}
"""What rmspec does only from Python: where to find it."""


@click.group(
    cls=_Group,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(version(), prog_name="rmspec", message="%(prog)s %(version)s")
@click.pass_context
def _group(ctx: click.Context) -> int:
    """Does this optimizer follow the RMSprop specification?

    \b
    rmspec check torch                    an optimizer that rmspec knows
    rmspec check path/to/mine.py:Mine     your own class or factory
    rmspec report torch --out report      what was verified, clause by clause
    rmspec repro FILE --subject NAME      does it still fail?
    rmspec identify path/to/mine.py:Mine  which RMSprop is it?
    rmspec translate --from torch --to keras3 saved.pt --out saved.npz

    \b
    Exit codes: 0 conforms (known deviations at most), 1 deviates, 2 bad input,
    3 rmspec failed, 4 a subject could not start, crashed or hung, 5 nothing was
    checked, 6 the list of known deviations is stale, 130 interrupted. Of several
    the first of 130, 3, 1, 4, 6, 5 counts.
    """
    if ctx.invoked_subcommand not in (None, "check", "report"):
        ctx.with_resource(commands_stopped())
    if ctx.invoked_subcommand is None:
        print(ctx.get_help())
        # Not 0: in a CI, a command that came out empty must not pass for a check.
        return ExitCode.BAD_INPUT
    return ExitCode.CONFORMS


_TYPES: dict[Kind, type] = {"text": str, "path": str, "names": str, "integer": int, "number": float}


def _option(name: str) -> Callable[[_Command], _Command]:
    key = KEYS[name]
    flags = [f"--{name}", *([key.short] if key.short else [])]
    if key.off:
        return click.option(f"--{name}/--no-{name}", default=False, help=key.help)
    if key.kind == "switch":
        return click.option(*flags, is_flag=True, help=key.help)
    return click.option(
        *flags,
        type=_TYPES[key.kind],
        multiple=key.kind == "names",
        default=key.default,
        show_default=key.default is not None,
        metavar=key.metavar or None,
        help=key.help,
    )


def _limits(command: _Command) -> _Command:
    return with_options(command, [_option(name) for name in ("call-timeout", "memory-limit")])


def _verdict_options(command: _Command) -> _Command:
    return with_options(command, [_option(name) for name in ("known", "no-known", "baseline", "fail-on")])


def _check_options(command: _Command) -> _Command:
    return with_options(command, [_option(name) for name in KEYS if name != "subjects"])


def _typed(ctx: click.Context, values: Mapping[str, Any]) -> dict[str, Any]:
    source = click.core.ParameterSource.COMMANDLINE
    return {name: value for name, value in values.items() if ctx.get_parameter_source(name) is source}


@_group.command("check", context_settings={"ignore_unknown_options": False})
@click.argument("subjects", nargs=-1, metavar="SUBJECT...")
@_check_options
@click.pass_context
def _check(ctx: click.Context, /, **values: Any) -> int:
    """Check subjects against the specification.

    SUBJECT is a registered name (see rmspec subjects), path/to/file.py:Class or package.module:Class. Options can also
    be set in the table [tool.rmspec] of pyproject.toml.
    """
    from rmspec.reports.cli.check import check

    return check(_typed(ctx, values), Path.cwd())


def _config_options(command: _Command) -> _Command:
    """Give a command the options of check; ``--json`` is the form of the listing here."""
    command = _check_options(command)
    parameters = command.__click_params__  # type: ignore[attr-defined]
    parameters[:] = [parameter for parameter in parameters if parameter.name != "json"]
    return command


@_group.command("config")
@click.argument("subjects", nargs=-1, metavar="[SUBJECT]...")
@_config_options
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.option("--schema", is_flag=True, help="Print the JSON Schema of the table [tool.rmspec], for editors.")
@click.pass_context
def _config(ctx: click.Context, /, as_json: bool, schema: bool, **values: Any) -> int:
    """Show the effective options of check, and the source of each value.

    Takes the options of check. The table [tool.rmspec] of the nearest pyproject.toml comes next, then the default.
    """
    from rmspec.reports.config.effective import effective
    from rmspec.reports.config.schema import rendered

    say(rendered() if schema else effective(_typed(ctx, values), Path.cwd(), as_json=as_json))
    return ExitCode.CONFORMS


@_group.command("identify")
@click.argument("subject")
@click.option("--device", default="cpu", show_default=True, help="Device to place the parameters on.")
@click.option("--dtype", multiple=True, metavar="NAME,...", help="Use only these number formats.")
@click.option("--framework", metavar="NAME", help="Framework of your class, if it is not detected.")
@_limits
@click.option("--json", metavar="FILE", help="Write the result as JSON; - is standard output.")
def _identify(**values: Any) -> int:
    """Identify a subject's dialect of RMSprop: every switch, with the shortest program as evidence.

    Exit codes: 0 a dialect of RMSprop, 1 not RMSprop or no known dialect, 2 bad input, 4 the subject could not start,
    crashed or hung, 5 undecided.
    """
    from rmspec.reports.cli.identify import IdentifyOptions, identify

    return identify(IdentifyOptions(**values))


@_group.command("report")
@click.argument("subjects", nargs=-1, metavar="SUBJECT... | --from FILE...")
@click.option("--out", type=str, metavar="DIR", help="Write the report into this folder, which must be new or empty.")
@click.option("--from", "from_files", is_flag=True, help="Report on files written by rmspec check --json; run nothing.")
@click.option("--force", is_flag=True, help="Replace an older report in the folder.")
@_check_options
@click.pass_context
def _report(ctx: click.Context, /, out: str | None, from_files: bool, force: bool, **values: Any) -> int:
    """Write the verification report: report.html, report.md, report.json.

    Checks the subjects first, with the options of rmspec check. With --from the arguments are files written by rmspec check
    --json instead; several are merged.
    """
    from rmspec.reports.cli.report import report, report_from

    typed = _typed(ctx, values)
    if from_files:
        return report_from(values["subjects"], typed, out=out, force=force)
    return report(typed, Path.cwd(), out=out, force=force)


@_group.command("repro")
@click.argument("file")
@click.option("--subject", metavar="NAME", help="Replay it on this subject instead of the original one.")
@_verdict_options
@_limits
@click.option("--dialect", metavar="NAME", help="Compare with this dialect instead of the stored one.")
@click.option("--policy", metavar="NAME", help="Permitted hardware inaccuracy.")
@click.option("--json", metavar="FILE", help="Of a recording: write the report as JSON; - is standard output.")
def _repro(**values: Any) -> int:
    """Replay a stored program, and say whether it still fails.

    FILE may also be a recording, which is the folder that rmspec.properties.record wrote: each of its steps is verified,
    and the first that deviates is made into a script.
    """
    from rmspec.reports.cli.repro import ReproOptions, repro

    return repro(ReproOptions(**values))


@_group.command("script")
@click.argument("file")
@click.option("--subject", metavar="NAME", help="Write it for this subject instead of the original one.")
@_limits
def _script(**values: Any) -> int:
    """Print a stored program as a short standalone script: it needs the framework but not rmspec."""
    from rmspec.reports.cli.repro import ReproOptions, script

    return script(ReproOptions(**values))


@_group.command("log")
@click.argument("file")
def _log(file: str) -> int:
    """Summarize a log written by check --ndjson; a truncated log is an error."""
    from rmspec.reports.cli.log import log_summary

    say(log_summary(file))
    return ExitCode.CONFORMS


@_group.command("translate", cls=TranslateCommand)
@click.argument("file", required=False)
@translate_options
def _translate(**values: Any) -> int:
    """Turn hyperparameters and saved state of one dialect into another's.

    With FILE (.pt, .npz, .safetensors, .keras, .h5) the state in it, without it the options alone. Options go by the
    names of either dialect. What is not exact is bounded, and what is neither is refused.
    """
    from rmspec.reports.cli.translate import TranslateOptions, translate

    keywords = {row.name: values.pop(row.keyword) for row in SWITCHES.values() if row.keyword}
    switches = {name: SWITCHES[name].position_of(typed) for name, typed in keywords.items() if typed is not None}
    return translate(TranslateOptions(**values, switches=switches))


@_group.command("subjects")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option(
    "-v", "--verbose", is_flag=True, help="Measure how exact the elementary operations of each path are here."
)
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def _subjects(names: tuple[str, ...], verbose: bool, as_json: bool) -> int:
    """List the registered subjects, and whether they can run here.

    With -v the paths of these, or of all that are installed, are measured, which takes seconds for each.
    """
    from rmspec.reports.cli.listings import subjects

    say(subjects(as_json=as_json, names=names, measure=verbose))
    return ExitCode.CONFORMS


@_group.command("clauses")
@click.argument("id", required=False)
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def _clauses(id: str | None, as_json: bool) -> int:
    """List the clauses of the specification, or explain the one with this ID.

    The explanation gives its text and source, the usual fix of a violation, and a small fault that violates it.
    """
    from rmspec.reports.cli.clauses import explain_clause, list_clauses

    say(list_clauses(as_json=as_json) if id is None else explain_clause(id, as_json=as_json))
    return ExitCode.CONFORMS


_group.add_command(known)

if __name__ == "__main__":
    sys.exit(main())
