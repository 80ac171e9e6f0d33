"""The options in effect: as typed, else as configured, else the default; and the source of each."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rmspec.oracles.errors import InputProblem
from rmspec.properties.settings import any_own
from rmspec.reports.config.keys import KEYS
from rmspec.reports.config.options import CheckOptions, resolve
from rmspec.reports.config.pyproject import config_file, read_config
from rmspec.reports.escapes import escape_json, plain
from rmspec.reports.files.formats import FORMATS

__all__ = ["Setting", "effective", "locate", "merged", "settings"]

Source = Literal["default", "pyproject.toml", "command line"]


@dataclass(frozen=True, slots=True)
class Setting:
    """One option: its key as in ``pyproject.toml``, its value (``None``: not set), and its source.

    ``file`` is the ``pyproject.toml`` that sets it. Files and subjects are named from where rmspec runs.
    """

    key: str
    value: object
    source: Source
    file: str | None = None


def settings(typed: Mapping[str, Any], folder: Path) -> tuple[Setting, ...]:
    """List the options of a ``check`` in ``folder``, in the order of the keys.

    Raises ``InputProblem`` for what ``check`` would refuse, but for a subject that is missing.
    """
    options = merged(typed, folder)
    configured = _configured(typed, folder)
    file = config_file(folder)
    path = os.path.relpath(file, folder) if file is not None else None
    if options.subjects:
        resolve(options)
    options_in_order: list[Setting] = []
    for key in KEYS:
        name = KEYS[key].option
        value = options.value(key)
        value = list(value) if isinstance(value, tuple) else value
        if name in typed:
            options_in_order.append(Setting(key, value, "command line"))
        elif name in configured:
            options_in_order.append(Setting(key, value, "pyproject.toml", path))
        else:
            options_in_order.append(Setting(key, value, "default"))
    return tuple(options_in_order)


def effective(typed: Mapping[str, Any], folder: Path, *, as_json: bool = False) -> str:
    """The settings as lines of ``key = value`` in TOML's manner with their sources, or as JSON."""
    options = settings(typed, folder)
    if as_json:
        document = {
            setting.key: {
                "value": setting.value,
                "source": setting.source,
                **({"file": setting.file} if setting.file else {}),
            }
            for setting in options
        }
        return escape_json(json.dumps({"config": document}, indent=1, ensure_ascii=False))
    rows = [(_format_setting(setting), setting.file or setting.source) for setting in options]
    width = min(max(len(text) for text, _ in rows), 48)
    return "\n".join(f"{text:<{width}}  # {source}" for text, source in rows)


def merged(typed: Mapping[str, Any], folder: Path) -> CheckOptions:
    """The options: as typed, else as configured, else the default. Raises ``BadOption``."""
    values = {**_configured(typed, folder), **typed}
    paths = {name: values.pop(KEYS[name].option, None) for name in FORMATS}
    values["files"] = tuple((name, path) for name, path in paths.items() if path is not None)
    for name in ("subjects", "dtype", "without"):
        values[name] = tuple(values.get(name, ()))
    for name in ("time_budget", "call_timeout"):
        if values.get(name) is not None:
            values[name] = float(values[name])
    return CheckOptions(**values)


def _configured(typed: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The configured values, without those replaced or made void by typed options."""
    values: dict[str, Any] = {**read_config(folder)}
    # One of two that exclude each other: what is typed replaces what is configured.
    for name, opposite in (("known", "no_known"), ("no_known", "known")):
        if name in typed:
            values.pop(opposite, None)
    # What the classes of a project are built on says nothing of other subjects.
    if "subjects" in typed and "framework" not in typed and not any_own(typed["subjects"]):
        values.pop("framework", None)
    # A folder for every report, typed, is for those too whose files are configured.
    if "reports" in typed:
        for name in FORMATS:
            values.pop(KEYS[name].option, None)
    return values


def locate(problem: InputProblem, options: CheckOptions, configured: set[str]) -> InputProblem:
    """Name the key of ``[tool.rmspec]`` in a problem with a configured value, in place of the untyped option."""
    for key in sorted(name.replace("_", "-") for name in configured):
        value = options.value(key)
        if value is None:  # what is typed replaced it
            continue
        values = [str(element) for element in (value if isinstance(value, tuple) else (value,))]
        option = re.compile(rf"--{key}(?![\w-])")
        if not option.search(problem.what) and not any(repr(element) in problem.what for element in values):
            continue
        why = f"{key} is set in [tool.rmspec] of pyproject.toml" + (f"; {problem.why}" if problem.why else "")
        hint = re.sub(rf"--{key} (\S+)", rf"{key} = \1", problem.hint)
        return type(problem)(option.sub(key, problem.what), why, option.sub(key, hint))
    return problem


def _format_setting(setting: Setting) -> str:
    if setting.value is None:
        return f"{setting.key} is not set"
    return plain(f"{setting.key} = {json.dumps(setting.value, ensure_ascii=False)}")
