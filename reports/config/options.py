"""The options of ``rmspec check``, validated: every name is known, every number in range, every output writable."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from rmspec.oracles.loader import check_name
from rmspec.oracles.names import parse_name
from rmspec.properties.settings import Settings, Spelling, make_settings
from rmspec.reports.config.keys import KEYS
from rmspec.reports.files.formats import FORMATS
from rmspec.reports.outputs import check_folder, check_writable
from rmspec.reports.problems import BadOption, choose

__all__ = ["COMMAND_LINE", "CheckOptions", "formats_listed", "listed", "resolve"]


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckOptions:
    """The options of ``rmspec check`` as a user gave them. Times are in seconds.

    ``files`` pairs the name of a report format with the path that its option says, or ``-`` for standard output. All others
    go into the folder ``reports``, if there is one.
    """

    subjects: tuple[str, ...]
    profile: str = "ci"
    seed: int = 0
    time_budget: float | None = None
    dialect: str | None = None
    device: str = "cpu"
    dtype: tuple[str, ...] = ()
    policy: str = "strict"
    framework: str | None = None
    without: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    fail_fast: bool = False
    known: str | None = None
    no_known: bool = False
    baseline: str | None = None
    fail_on: str | None = None
    call_timeout: float = 60.0
    memory_limit: str | None = None
    reports: str | None = None
    files: tuple[tuple[str, str], ...] = ()
    quiet: bool = False
    verbose: bool = False

    def value(self, key: str) -> object:
        """The value of an option by its name in the configuration."""
        if key in FORMATS:
            return dict(self.files).get(key)
        return getattr(self, KEYS[key].option)

    def destinations(self) -> dict[str, str]:
        """The path of every report to write, by the name of its format."""
        own = dict(self.files)
        if self.reports is None:
            return own
        return {name: own.get(name, str(Path(self.reports, row.file))) for name, row in FORMATS.items()}


@dataclass(frozen=True, slots=True)
class _CommandLine(Spelling):
    def option(self, name: str) -> str:
        return f"--{self.names.get(name, name).replace('_', '-')}"

    def assignment(self, name: str, value: object) -> str:
        return f"{self.option(name)} {f'{value:g}' if isinstance(value, float) else value}"

    def several(self, name: str, value: str) -> str:
        return self.assignment(name, value)


COMMAND_LINE = _CommandLine({"formats": "dtype"})
"""The spelling of the command line."""


def resolve(options: CheckOptions) -> Settings:
    """Make the settings of a check from its options. Raises ``InputProblem``."""
    _subjects(options)
    if options.fail_on is not None:
        choose("value of --fail-on", options.fail_on, ["hazards"])
    settings = make_settings(
        options.subjects,
        profile=options.profile,
        seed=options.seed,
        time_budget=options.time_budget,
        dialect=options.dialect,
        device=options.device,
        formats=formats_listed(options.dtype),
        without=listed(options.without),
        fail_fast=options.fail_fast,
        known=() if options.known is None else options.known,
        no_known=options.no_known,
        baseline=options.baseline,
        policy=options.policy,
        framework=options.framework,
        call_timeout=options.call_timeout,
        memory_limit=options.memory_limit,
        paths=_paths_listed(options.paths),
        spelling=COMMAND_LINE,
    )
    if options.quiet and options.verbose:
        raise BadOption("--quiet and --verbose exclude each other", hint="leave one of them out")
    _outputs(options)
    return settings


def listed(values: tuple[str, ...]) -> tuple[str, ...]:
    """Split values at their commas."""
    return tuple(name.strip() for value in values for name in value.split(",") if name.strip())


def formats_listed(values: tuple[str, ...]) -> tuple[str, ...]:
    """The names in the values of ``--dtype``. Raises ``BadOption`` for a value without any."""
    return _named(values, "--dtype", "format", "every format would be meant", "--dtype float32")


def _paths_listed(values: tuple[str, ...]) -> tuple[str, ...]:
    """The names in the values of ``--paths``. Raises ``BadOption`` for a value without any."""
    meant = "those of the profile would be meant"
    return _named(values, "--paths", "path", meant, "--paths default or --paths all")


def _named(values: tuple[str, ...], option: str, thing: str, meant: str, example: str) -> tuple[str, ...]:
    for value in values:
        if not listed((value,)):
            raise BadOption(f"{option} {value!r} names no {thing}", meant, f"leave it out, or write {example}")
    return listed(values)


def _subjects(options: CheckOptions) -> None:
    if not options.subjects:
        raise BadOption(
            "no subject is named",
            "there is nothing to check",
            "write rmspec check torch, or rmspec check path/to/file.py:Class; or set subjects in [tool.rmspec]",
        )
    for name in options.subjects:
        check_name(name)


def _outputs(options: CheckOptions) -> None:
    """Refuse reports to an unwritable place. Raises ``BadOption``."""
    new_folder = None  # a folder that the run makes
    if options.reports is not None:
        check_folder(options.reports, "--reports", example="reports", content="reports")
        new_folder = None if os.path.exists(options.reports) else Path(options.reports)
    destinations = options.destinations()
    parsed = ((name, parse_name(name)) for name in (*options.subjects, options.baseline or ""))
    inputs = {str(Path(parts.place).resolve()): f"the subject {name}" for name, parts in parsed if parts.file}
    if options.known is not None:
        inputs[str(Path(options.known).resolve())] = f"--known {options.known}"
    files: dict[str, str] = {}
    for name, path in destinations.items():
        row, option = FORMATS[name], f"--{name}"
        if row.place == "DIR":
            check_folder(path, option)
            continue
        if path == "-" and not row.stdout:
            able = ", ".join(f"--{format.option}" for format in FORMATS.values() if format.stdout)
            raise BadOption(
                f"{option} - : only {able} can go to standard output", hint=f"name a file, as in {option} report.out"
            )
        if Path(path).parent != new_folder:
            check_writable(path, option)
        if path != "-":
            files[option] = str(Path(path).resolve())
            if files[option] in inputs:
                raise BadOption(
                    f"{option} {path} is what rmspec reads: {inputs[files[option]]}",
                    "the report would replace it",
                    f"write the report to a file of its own, as in {option} report.out",
                )
    if len(set(files.values())) != len(files):
        listing = ", ".join(f"{option} {destinations[option[2:]]}" for option in files)
        raise BadOption(
            f"two reports would go to one file: {listing}",
            "the second would replace the first",
            "give each its own file",
        )
