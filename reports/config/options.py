"""The options of ``rmspec check``, validated: every name is known, every number in range, every output writable."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rmspec.oracles.loader import check_name
from rmspec.properties.settings import Settings, Spelling, make_settings
from rmspec.reports.outputs import check_folder, check_writable
from rmspec.reports.problems import BadOption, choose

__all__ = ["COMMAND_LINE", "CheckOptions", "formats_listed", "listed", "resolve"]


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckOptions:
    """The options of ``rmspec check`` as they were given. Times are in seconds; ``-`` is standard output."""

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
    fail_fast: bool = False
    known: str | None = None
    no_known: bool = False
    baseline: str | None = None
    fail_on: str | None = None
    call_timeout: float = 60.0
    json: str | None = None
    junit: str | None = None
    sarif: str | None = None
    badge: str | None = None
    ndjson: str | None = None
    html: str | None = None
    markdown: str | None = None
    repro_dir: str | None = None
    quiet: bool = False

    def outputs(self) -> dict[str, str]:
        """The report files that were asked for, by option."""
        given = {
            "--json": self.json,
            "--junit": self.junit,
            "--sarif": self.sarif,
            "--badge": self.badge,
            "--ndjson": self.ndjson,
            "--html": self.html,
            "--markdown": self.markdown,
        }
        return {option: path for option, path in given.items() if path is not None}


@dataclass(frozen=True, slots=True)
class _CommandLine(Spelling):
    """Options as they are typed on the command line."""

    def option(self, name: str) -> str:
        return f"--{self.names.get(name, name).replace('_', '-')}"

    def given(self, name: str, value: object) -> str:
        return f"{self.option(name)} {f'{value:g}' if isinstance(value, float) else value}"

    def several(self, name: str, value: str) -> str:
        return self.given(name, value)


COMMAND_LINE = _CommandLine({"formats": "dtype"})
"""The spelling of the command line."""


def resolve(options: CheckOptions) -> Settings:
    """The settings of the check that these options ask for. Raises ``InputProblem``."""
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
        spelling=COMMAND_LINE,
    )
    _outputs(options)
    return settings


def listed(values: tuple[str, ...]) -> tuple[str, ...]:
    """The names in values that may each hold several, separated by commas."""
    return tuple(name.strip() for value in values for name in value.split(",") if name.strip())


def formats_listed(values: tuple[str, ...]) -> tuple[str, ...]:
    """The names in the values of ``--dtype``. Raises ``BadOption`` for a value without any."""
    for value in values:
        if not listed((value,)):
            raise BadOption(
                f"--dtype {value!r} names no format",
                "every format would be meant",
                "leave it out, or write --dtype float32",
            )
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
    outputs = options.outputs()
    for option, path in outputs.items():
        if path == "-" and option != "--json":
            raise BadOption(
                f"{option} - : only --json can go to standard output", hint=f"name a file, as in {option} report.out"
            )
        check_writable(path, option)
    files = [str(Path(path).resolve()) for path in outputs.values() if path != "-"]
    if len(set(files)) != len(files):
        raise BadOption(
            f"two reports would go to one file: {', '.join(f'{option} {path}' for option, path in outputs.items())}",
            "the second would replace the first",
            "give each its own file",
        )
    if options.repro_dir is not None:
        check_folder(options.repro_dir, "--repro-dir")
