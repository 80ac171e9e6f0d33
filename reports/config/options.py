"""The options of ``rmspec check``, validated: every name is known, every number in range, every output writable."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rmspec.impl.arithmetic.formats import FORMATS
from rmspec.impl.arithmetic.policy import POLICIES
from rmspec.oracles.dialects import dialects
from rmspec.oracles.loader import check_name
from rmspec.oracles.registry import frameworks, registered_names
from rmspec.oracles.subject import FEATURES
from rmspec.properties.known import read_known, shipped
from rmspec.properties.settings import PROFILES, Settings
from rmspec.reports.outputs import check_folder, check_writable
from rmspec.reports.problems import BadOption, choose

__all__ = ["CheckOptions", "any_own", "check_framework", "formats_named", "listed", "resolve"]


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


def resolve(options: CheckOptions) -> Settings:
    """The settings of the check that these options ask for. Raises ``InputProblem``."""
    _subjects(options)
    choose("profile", options.profile, PROFILES)
    if options.dialect is not None and options.dialect != "specification":
        choose("dialect", options.dialect, dialects())
    choose("policy", options.policy, POLICIES)
    check_framework(options.framework, options.subjects)
    formats = formats_named(options.dtype)
    without = frozenset(choose("feature", name, FEATURES, where="--without") for name in listed(options.without))
    if options.fail_on is not None:
        choose("value of --fail-on", options.fail_on, ["hazards"])
    if options.seed < 0:
        raise BadOption(f"--seed {options.seed} is negative", hint="give a whole number from 0 on, as in --seed 1")
    _positive("--time-budget", options.time_budget)
    _positive("--call-timeout", options.call_timeout)
    if not options.device.strip():
        raise BadOption("--device names no device", hint="write --device cpu, or --device cuda")
    if options.known is not None and options.no_known:
        raise BadOption("--known and --no-known exclude each other", hint="leave one of them out")
    _outputs(options)
    return Settings(
        profile=options.profile,
        seed=options.seed,
        time_budget=options.time_budget,
        dialect=options.dialect,
        device=options.device,
        formats=tuple(name for name in FORMATS if name in formats),
        without=without,
        fail_fast=options.fail_fast,
        known=() if options.no_known else (*shipped(), *(read_known(Path(options.known)) if options.known else ())),
        baseline=options.baseline,
        policy=POLICIES[options.policy],
        framework=options.framework,
    )


def listed(values: tuple[str, ...]) -> tuple[str, ...]:
    """The names in values that may each hold several, separated by commas."""
    return tuple(name.strip() for value in values for name in value.split(",") if name.strip())


def formats_named(values: tuple[str, ...]) -> tuple[str, ...]:
    """The number formats that ``--dtype`` names, each known. Raises ``BadOption``, also where it names none."""
    for value in values:
        if not listed((value,)):
            raise BadOption(
                f"--dtype {value!r} names no format",
                "every format would be meant",
                "leave it out, or write --dtype float32",
            )
    return tuple(choose("dtype", name, FORMATS) for name in listed(values))


def check_framework(framework: str | None, subjects: Sequence[str]) -> None:
    """Refuse a ``--framework`` that there is not, or that none of the subjects could be built on. Raises ``BadOption``."""
    if framework is None:
        return
    choose("framework", framework, [each.name for each in frameworks() if each.users])
    registered = registered_names()
    if any_own(subjects) or all(name in registered and registered[name].name == framework for name in subjects):
        return
    other = next(name for name in subjects if name not in registered or registered[name].name != framework)
    found = f"has the framework {registered[other].name}" if other in registered else "is a process of its own"
    raise BadOption(
        f"--framework {framework!r} is for classes of your own, and {other} {found}",
        "it would change nothing",
        "leave it out, or name your class, as in path/to/mine.py:Class",
    )


def any_own(subjects: Sequence[str]) -> bool:
    """Whether one of the subjects may be a class or a factory of the user's, which is what ``--framework`` is about."""
    return any(name not in registered_names() and not name.startswith("process:") for name in subjects)


def _subjects(options: CheckOptions) -> None:
    if not options.subjects:
        raise BadOption(
            "no subject is named",
            "there is nothing to check",
            "write rmspec check torch, or rmspec check path/to/file.py:Class; or set subjects in [tool.rmspec]",
        )
    for name in options.subjects:
        check_name(name)
    if options.baseline not in (None, "none"):
        check_name(str(options.baseline))


def _positive(option: str, value: float | None) -> None:
    if value is not None and not (value > 0 and math.isfinite(value)):
        raise BadOption(f"{option} {value:g} is not a number of seconds above zero", hint=f"write it as {option} 30")


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
