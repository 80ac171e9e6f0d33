"""The settings of a check, and the one validation of them, for Python and for the command line."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, fields
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from rmspec.impl.arithmetic.formats import FORMATS
from rmspec.impl.arithmetic.policy import POLICIES, STRICT, Policy
from rmspec.oracles.dialects import check_dialect
from rmspec.oracles.errors import BadOption, choose
from rmspec.oracles.host.perform import Performer
from rmspec.oracles.loader import check_name
from rmspec.oracles.names import parse_name, path_keywords, path_setting
from rmspec.oracles.processes.machine import format_size, parse_size
from rmspec.oracles.program.program import Program
from rmspec.oracles.registry import frameworks, registered_names
from rmspec.oracles.subject import CALL_TIMEOUT, EXCLUDABLE, Subject
from rmspec.properties.known import Known, read_known, shipped

__all__ = [
    "PROFILES",
    "PYTHON",
    "KnownLists",
    "Profile",
    "Settings",
    "Spelling",
    "any_own",
    "check_framework",
    "check_subject",
    "make_settings",
    "paths_asked",
    "paths_left_out",
]

KnownLists = str | os.PathLike[str] | Known | Iterable[str | os.PathLike[str] | Known]
"""Lists of known deviations: a file, an entry, or several of either."""


@dataclass(frozen=True, slots=True)
class Profile:
    """How much is searched: ``programs`` from the state machine and ``sweeps`` from seeds, with ``wide`` tensors.

    The corpus is replayed in float32 whole, and in every other format one in ``every`` of its programs.
    Of a path on which each variant is compiled it asks programs with so many ``variants`` in all. ``paths``: which execution
    paths of a class are checked where nothing says which. Ladders through the decades of the options are climbed in so many
    ``branches``, and steps have up to ``largest`` elements, each size in so many ``rounds``; the first step of a process is
    taken in so many ``starts``.
    ``endless`` keeps sweeping until the time budget is spent, when there is one.
    """

    name: str
    programs: int
    sweeps: int
    wide: int
    endless: bool = False
    every: int = 1
    variants: int = 70
    paths: str = "all"
    branches: int = 2
    largest: int = 2**17
    rounds: int = 1
    starts: int = 4


PROFILES: dict[str, Profile] = {
    profile.name: profile
    for profile in (
        Profile("smoke", 30, 16, 512, every=3, variants=10, paths="default", branches=1, largest=2**12, starts=1),
        Profile("ci", 400, 400, 4096),
        Profile("deep", 2000, 4000, 16384, endless=True, variants=96, branches=8, rounds=8, starts=100),
    )
}
"""The profiles of ``--profile`` by name."""


@dataclass(frozen=True, slots=True)
class Spelling:
    """How an error writes an option, so that it can be typed as it stands; here as keyword arguments of Python.

    ``names`` maps the options that are called otherwise there.
    """

    names: Mapping[str, str] = field(default_factory=dict)

    def option(self, name: str) -> str:
        """The name of an option."""
        return self.names.get(name, name)

    def assignment(self, name: str, value: object) -> str:
        """An option with its value."""
        return f"{self.option(name)}={value!r}"

    def several(self, name: str, value: str) -> str:
        """An option for several names, with one of them."""
        return f"{self.option(name)}=({value!r},)"


_LEAST_MEMORY = 1 << 26

DEFAULT_PATH, ALL_PATHS = "default", "all"
"""Of the execution paths of a class the one that its defaults take, and every one."""

DEVICES = ("cpu", "cuda", "hpu", "mps", "mtia", "npu", "tpu", "xla", "xpu")
"""The kinds of device; a number may follow, as in ``cuda:1``."""

PYTHON = Spelling()
"""The spelling of keyword arguments."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How subjects are checked; the fields are the options of ``rmspec check``. Raises ``BadOption``.

    ``formats`` and ``programs`` that are left empty are every format and the generated programs; ``known`` ``None`` is the
    shipped list. ``paths`` are the execution paths to check of a class that offers several: ``default``, ``all``, or their names;
    those of the profile where none are given. ``call_timeout`` is how many seconds a subject may take for one call, and
    ``memory_limit`` how many bytes of memory it may have, ``None`` being what the machine allows.
    """

    profile: str = "ci"
    seed: int = 0
    time_budget: float | None = None
    dialect: str | None = None
    device: str = "cpu"
    formats: tuple[str, ...] = ()
    without: frozenset[str] = frozenset()
    fail_fast: bool = False
    known: tuple[Known, ...] | None = None
    baseline: str | None = None
    policy: Policy = STRICT
    framework: str | None = None
    programs: tuple[Program, ...] | None = None
    call_timeout: float = CALL_TIMEOUT
    paths: tuple[str, ...] = ()
    memory_limit: int | None = None

    def __post_init__(self) -> None:
        _validate({option.name: getattr(self, option.name) for option in fields(self)}, PYTHON)


def make_settings(
    subjects: Sequence[str] = (),
    *,
    profile: str = "ci",
    seed: int = 0,
    time_budget: float | None = None,
    dialect: str | None = None,
    device: str = "cpu",
    formats: Iterable[str] = (),
    without: Iterable[str] = (),
    fail_fast: bool = False,
    known: KnownLists = (),
    no_known: bool = False,
    baseline: str | None = None,
    policy: str | Policy = STRICT,
    framework: str | None = None,
    call_timeout: float = CALL_TIMEOUT,
    memory_limit: int | str | None = None,
    programs: Collection[Program] | None = None,
    paths: Iterable[str] = (),
    spelling: Spelling = PYTHON,
) -> Settings:
    """The settings of a check of ``subjects``, each option validated, in the words of ``spelling``.

    ``known`` adds to the shipped list, ``no_known`` leaves out both. Raises ``BadOption`` for a value that cannot be used,
    with the closest one that can, and ``BadKnownList`` for a list that cannot be read.
    """
    values: dict[str, Any] = {
        "profile": profile,
        "seed": seed,
        "time_budget": time_budget,
        "dialect": dialect,
        "device": device,
        "formats": _collected("formats", formats, spelling),
        "without": _collected("without", without, spelling),
        "fail_fast": fail_fast,
        "baseline": baseline,
        "policy": policy,
        "framework": framework,
        "call_timeout": call_timeout,
        "memory_limit": _bytes("memory_limit", memory_limit, spelling),
        "programs": programs,
        "paths": _collected("paths", paths, spelling),
    }
    _validate(values, spelling)
    check_framework(framework, subjects, spelling)
    _flag("no_known", no_known, spelling)
    lists = _known_lists(known, spelling)
    if lists and no_known:
        names = spelling.option("known"), spelling.option("no_known")
        raise BadOption(f"{names[0]} and {names[1]} exclude each other", hint="leave one of them out")
    return Settings(
        **{
            **values,
            "formats": tuple(name for name in FORMATS if name in values["formats"]),
            "without": frozenset(values["without"]),
            "programs": None if programs is None else tuple(programs),
            "policy": POLICIES[policy] if isinstance(policy, str) else policy,
            "known": () if no_known else (*shipped(), *(entry for one in lists for entry in _entries(one))),
        }
    )


def _validate(values: Mapping[str, Any], spelling: Spelling) -> None:
    choose("profile", values["profile"], PROFILES)
    if values["dialect"] is not None:
        check_dialect(values["dialect"])
    if not isinstance(values["policy"], Policy):
        choose("policy", values["policy"], POLICIES)
    if values["framework"] is not None:
        choose("framework", values["framework"], _own_frameworks())
    for name in values["formats"]:
        choose("format", name, FORMATS, where=spelling.option("formats"))
    for name in values["without"]:
        choose("feature", name, EXCLUDABLE, where=spelling.option("without"))
    for name in values["paths"]:
        setting = path_setting(name)
        names = (DEFAULT_PATH, ALL_PATHS, *path_keywords())
        choose("path", name if setting is None else setting[0], names, where=spelling.option("paths"))
    _whole("seed", values["seed"], spelling)
    _positive("time_budget", values["time_budget"], spelling)
    _positive("call_timeout", values["call_timeout"], spelling)
    _enough("memory_limit", values["memory_limit"], spelling)
    _flag("fail_fast", values["fail_fast"], spelling)
    device = values["device"]
    if not isinstance(device, str) or not device.strip():
        raise BadOption(
            f"{spelling.option('device')} names no device",
            hint=f"write {spelling.assignment('device', 'cpu')}, or {spelling.assignment('device', 'cuda')}",
        )
    choose("device", device.partition(":")[0], DEVICES)
    if values["baseline"] not in (None, "none"):
        check_name(values["baseline"])
    programs = () if values["programs"] is None else values["programs"]
    if not isinstance(programs, Collection) or not all(isinstance(program, Program) for program in programs):
        raise BadOption(
            f"{spelling.option('programs')} is no collection of programs",
            hint="rmspec.oracles.parse makes a Program of the JSON of a stored one",
        )


def paths_asked(name: str, switches: Mapping[str, str], settings: Settings) -> list[str]:
    """List the names to check for a subject with these ``switches``, each with the reason against it.

    A name with a path is that path. Raises ``BadOption`` for a path of the settings that a class does not offer.
    """
    chosen = settings.paths or (PROFILES[settings.profile].paths,)
    named = [path for path in chosen if path not in (DEFAULT_PATH, ALL_PATHS)]
    own_path = parse_name(name).path
    if own_path and named and own_path not in named:
        raise BadOption(
            f"{name} is one execution path, and not {' or '.join(named)}",
            "it would be checked whatever paths are chosen",
            f"name the class alone, as {parse_name(name).base}",
        )
    if own_path or name in registered_names():
        return [name]
    for path in named:
        if path not in switches:
            raise BadOption(
                f"{name} has no execution path {path!r}",
                f"its paths are {', '.join((DEFAULT_PATH, *switches))}",
                "leave it out, or write all for those that there are",
            )
    everything = ALL_PATHS in chosen
    own = [name] if everything or DEFAULT_PATH in chosen else []
    names = [path for path, reason in switches.items() if path in named or (everything and not reason)]
    return [*own, *(f"{name}:{path}" for path in names)]


def paths_left_out(name: str, switches: Mapping[str, str], settings: Settings) -> dict[str, str]:
    """The unchecked paths of a subject, each with the reason."""
    checked = paths_asked(name, switches, settings)
    return {
        path: reason or "not asked: --paths all asks it, and so does --profile ci"
        for path, reason in switches.items()
        if f"{name}:{path}" not in checked
    }


def check_subject(subject: object, *, call: str) -> None:
    """Refuse anything but a name or an object with the ``Subject`` protocol; ``call`` is the function to name.

    Raises ``BadOption``, and ``UnknownSubject`` for a name that cannot lead to a subject.
    """
    if isinstance(subject, str):
        check_name(subject)
    elif isinstance(subject, type) or not isinstance(subject, Subject | Performer):
        name = subject.__name__ if isinstance(subject, type) else f"an object of type {type(subject).__name__}"
        raise BadOption(
            f"{call} was given {name}, which is neither the name of a subject nor an object with the Subject protocol",
            "a name says where the optimizer is, so that a counterexample can be reproduced elsewhere",
            f"write {call}('torch'), or {call}('path/to/mine.py:Class')",
        )


def check_framework(framework: str | None, subjects: Sequence[str], spelling: Spelling = PYTHON) -> None:
    """Refuse an unknown framework, or one for none of the subjects. Raises ``BadOption``."""
    if framework is None:
        return
    choose("framework", framework, _own_frameworks())
    registered = registered_names()
    if any_own(subjects) or all(name in registered and registered[name].name == framework for name in subjects):
        return
    unfit = next(name for name in subjects if name not in registered or registered[name].name != framework)
    nature = f"has the framework {registered[unfit].name}" if unfit in registered else "is a process of its own"
    raise BadOption(
        f"{spelling.option('framework')} {framework!r} is for classes of your own, and {unfit} {nature}",
        "it would change nothing",
        "leave it out, or name your class, as in path/to/mine.py:Class",
    )


def any_own(subjects: Sequence[str]) -> bool:
    """Tell whether one of the subjects may be the user's own class or factory: only those have a framework to name."""
    return any(name not in registered_names() and not name.startswith("process:") for name in subjects)


def _own_frameworks() -> list[str]:
    return [framework.name for framework in frameworks() if framework.users]


def _known_lists(known: KnownLists, spelling: Spelling) -> list[str | os.PathLike[str] | Known]:
    value: Any = known
    lists = [value] if isinstance(value, str | os.PathLike | Known) or not isinstance(value, Iterable) else list(value)
    for entry in lists:
        if not isinstance(entry, str | os.PathLike | Known):
            raise BadOption(
                f"{spelling.assignment('known', entry)} is neither a file nor a known deviation",
                hint=f"write {spelling.assignment('known', 'known.toml')}",
            )
    return lists


def _entries(known: str | os.PathLike[str] | Known) -> tuple[Known, ...]:
    return (known,) if isinstance(known, Known) else read_known(Path(known))


def _collected(name: str, values: Iterable[str], spelling: Spelling) -> tuple[str, ...]:
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise BadOption(
            f"{spelling.assignment(name, values)} is no collection of names",
            hint=f"write {spelling.several(name, str(values))}",
        )
    # Of several names that are wrong the first is named: of a set the first in order, in every process the same.
    return tuple(sorted(values, key=str) if isinstance(values, Set) else values)


def _whole(name: str, value: object, spelling: Spelling) -> None:
    hint = f"give a whole number from 0 on, as in {spelling.assignment(name, 1)}"
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise BadOption(f"{spelling.assignment(name, value)} is not a whole number", hint=hint)
    if value < 0:
        raise BadOption(f"{spelling.assignment(name, value)} is negative", hint=hint)


_LONGEST = 1_000_000_000
"""Seconds, some 30 years: a socket waits so long, and with ten times as many its clock overflows."""


def _positive(name: str, value: object, spelling: Spelling) -> None:
    number = isinstance(value, Real) and not isinstance(value, bool)
    if value is not None and not (number and 0 < value <= _LONGEST):  # type: ignore[operator]
        raise BadOption(
            f"{spelling.assignment(name, value)} is not a number of seconds above zero, and at most {_LONGEST:,}",
            hint=f"write it as {spelling.assignment(name, 30)}",
        )


def _bytes(name: str, value: object, spelling: Spelling) -> object:
    """The bytes of a size in words, such as 4G; any other value as it is."""
    try:
        return parse_size(value) if isinstance(value, str) else value
    except ValueError:
        raise _no_size(name, value, spelling) from None


def _enough(name: str, value: object, spelling: Spelling) -> None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, Integral) or value < _LEAST_MEMORY):
        raise _no_size(name, value, spelling)


def _no_size(name: str, value: object, spelling: Spelling) -> BadOption:
    return BadOption(
        f"{spelling.assignment(name, value)} is not a size of {format_size(_LEAST_MEMORY)} or more",
        "an interpreter with nothing in it needs as much",
        f"write a number and a unit, as in {spelling.assignment(name, '4G')}",
    )


def _flag(name: str, value: object, spelling: Spelling) -> None:
    if not isinstance(value, bool):
        raise BadOption(f"{spelling.assignment(name, value)} is neither True nor False", hint=f"write {name}=True")
