"""What the reference pages say is generated, made from the code when the pages are built: a hook of MkDocs.

A page has a line ``<!-- generated: NAME -->`` where one of ``TABLES`` belongs. ``tests/docs/test_generated.py`` compares each
with what it is made from.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import itertools
import json
import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from pathlib import Path

import click

from rmspec.impl.arithmetic.formats import FORMATS
from rmspec.impl.arithmetic.policy import POLICIES
from rmspec.impl.spec.clauses import CLAUSES
from rmspec.impl.spec.dialect import DIALECTS, Defaults
from rmspec.impl.spec.switches import SWITCHES
from rmspec.oracles.registry import frameworks
from rmspec.reports.cli.main import _group
from rmspec.reports.config.schema import config_schema
from rmspec.reports.files.formats import FORMATS as REPORT_FORMATS
from rmspec.reports.verification.blindspots import blind_spots

ROOT = Path(__file__).parents[1]
PACKAGES = ("impl", "oracles", "properties", "reports")
KINDS = {
    "pseudocode": "The pseudocode, line by line",
    "note": "The notes under the pseudocode",
    "default": "Defaults",
    "api": "The API of Optimizer",
    "interpretation": "Interpretations: what the page leaves open",
    "differential": "How two dialects are related",
}
_MARKER = re.compile(r"^<!-- generated: ([\w-]+) -->$", re.M)


def on_page_markdown(markdown: str, **_: object) -> str:
    """Called by MkDocs for each page: the text with its generated parts."""
    return filled(markdown)


def filled(markdown: str) -> str:
    """The text with its generated parts. Raises ``KeyError`` for a name that ``TABLES`` does not have."""
    return _MARKER.sub(lambda found: TABLES[found[1]](), markdown)


def commands(group: click.Group | None = None, path: str = "rmspec") -> Iterator[tuple[str, click.Command]]:
    """Every command with its full name, those of sub-groups after their group."""
    for name, command in (group or _group).commands.items():
        yield f"{path} {name}", command
        if isinstance(command, click.Group):
            yield from commands(command, f"{path} {name}")


def command_line() -> str:
    """A section for each command: usage, what it does, its options."""
    parts = []
    for name, command in commands():
        context = click.Context(command, info_name=name, help_option_names=["-h", "--help"])
        usage = " ".join([name, *command.collect_usage_pieces(context)])
        help_text = inspect.cleandoc(command.help or "").replace("\b\n", "")
        options = [each for each in command.get_params(context) if isinstance(each, click.Option)]
        rows = [(_spelled(each, context), _plain(each.help or ""), _default(each)) for each in options]
        parts += [f"## {name}", f"`{usage}`", _plain(help_text), _table(("option", "what it does", "default"), rows)]
    return "\n\n".join(parts)


def clauses() -> str:
    """A table for each kind of clause, in the order of the page."""
    parts = []
    for kind, title in KINDS.items():
        rows = [
            (
                f'<a id="{each.id}"></a>`{each.id}`',
                f"**{_plain(each.title)}**<br>{_plain(each.text)}",
                _plain(each.source) + ("" if each.gates else "; *observed, never fails a run*"),
                f"`{each.feature}`" if each.feature else "",
            )
            for each in CLAUSES.values()
            if each.kind == kind
        ]
        parts += [f"## {title}", _table(("id", "statement", "source", "`--without`"), rows)]
    return f"There are {len(CLAUSES)} clauses.\n\n" + "\n\n".join(parts)


def dialects() -> str:
    """A section for each named dialect: the switches that differ from the specification's, and its defaults."""
    plain = DIALECTS["torch"]
    parts = []
    for each in DIALECTS.values():
        switches = [
            (f"`{name}`", f"`{_value(row.value(each))}`", _plain(row.position(row.value(each)).words))
            for name, row in SWITCHES.items()
            if each is plain or row.differs(each)
        ]
        defaults = [(f"`{it.name}`", _known(getattr(each.defaults, it.name))) for it in fields(Defaults)]
        shown = _table(("switch", "position", "what the dialect does"), switches) if switches else "No switch differs."
        parts += [f"## {each.name}", f"{_plain(each.title)}.", shown, _table(("default of", "is"), defaults)]
    return "\n\n".join(parts)


def subjects() -> str:
    """A table of the registered subjects, with the line that installs their framework."""
    rows = [
        (f"`{name}`", _plain(subject.title), f"`{framework.install}`" if framework.install else "")
        for framework in frameworks()
        for name, subject in framework.subjects.items()
    ]
    return _table(("name", "what it is", "its framework"), rows)


def formats() -> str:
    """A table of the number formats; a complex one has the figures of its parts."""
    rows = [
        (
            f"`{name}`",
            f"2^{_log2(each.part.unit_roundoff)}",
            f"2^{_log2(each.part.smallest_normal)}",
            f"2^{_log2(each.part.smallest_subnormal)}",
            f"{each.part.max_finite:.8g}",
        )
        for name, each in FORMATS.items()
    ]
    return _table(("format", "unit roundoff", "smallest normal", "smallest subnormal", "largest"), rows)


def policies() -> str:
    """A table of the hardware policies."""
    rows = [
        (
            f"`{name}`",
            f"{each.division_ulps:g} ulp",
            f"{each.sqrt_ulps:g} ulp",
            "may become 0" if each.flush_subnormals else "kept",
        )
        for name, each in POLICIES.items()
    ]
    return _table(("policy", "division within", "root within", "subnormal results"), rows)


def configuration() -> str:
    """A table of the keys of ``[tool.rmspec]``, from its schema."""
    rows = []
    for key, found in config_schema()["properties"].items():
        names = found.get("enum") or [
            name
            for each in found.get("anyOf", ())
            for option in each.get("items", {}).get("anyOf", ())
            for name in option.get("enum", ())
        ]
        kind = found.get("type", "string, or list of strings")
        rows.append(
            (
                f"`{key}`",
                kind,
                _plain(found["description"]),
                f"`{found['default']}`" if "default" in found else "",
                ", ".join(f"`{name}`" for name in names),
            )
        )
    return _table(("key", "type", "what it means", "default", "names there are"), rows)


def schemas() -> str:
    """A table of the published JSON Schemas."""
    rows = []
    for path in sorted(ROOT.glob("*/schemas/*.json")):
        data = json.loads(path.read_text("utf-8"))
        rows.append(
            (
                f"`{path.relative_to(ROOT).as_posix()}`",
                _plain(data.get("title", "")),
                _plain(data.get("description", "")),
            )
        )
    return _table(("file", "title", "what it describes"), rows)


def python() -> str:
    """A table for each package: its public names, and the first sentence of each."""
    parts = []
    for package in PACKAGES:
        module = importlib.import_module(f"rmspec.{package}")
        rows = [(f"`{name}`", _plain(_said(package, name, getattr(module, name)))) for name in module.__all__]
        parts += [f"## rmspec.{package}", _plain(_sentence(module)), _table(("name", "what it is"), rows)]
    return "\n\n".join(parts)


def report_formats() -> str:
    """A table of the formats that a check writes."""
    rows = []
    for row in REPORT_FORMATS.values():
        schema = f"<{row.schema}>" if row.schema.startswith("https:") else f"`{row.schema}`" if row.schema else ""
        dash = " or -" if row.stdout else ""
        rows.append((f"`--{row.option} {row.place}{dash}`", _plain(row.help), f"`{row.file}`", schema))
    return _table(("option", "what it does", "name in the folder of `--reports`", "follows"), rows)


def declared_blind_spots() -> str:
    """A list of the declared blind spots."""
    *spots, last = map(_plain, blind_spots())
    return "\n".join([*(f"- {spot};" for spot in spots), f"- {last}."])


TABLES: dict[str, Callable[[], str]] = {
    "command-line": command_line,
    "clauses": clauses,
    "dialects": dialects,
    "subjects": subjects,
    "formats": formats,
    "policies": policies,
    "configuration": configuration,
    "schemas": schemas,
    "python": python,
    "report-formats": report_formats,
    "blind-spots": declared_blind_spots,
}
"""What can be asked for by name."""


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join("| " + " | ".join(line) + " |" for line in (head, ["---"] * len(head), *rows))


_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "|": "&#124;"}
"""What HTML or a table would take for its own; in code it stays as it is."""


def _plain(text: str) -> str:
    """Text of a docstring for Markdown: double backquotes are code, what would be markup is not."""
    pieces = re.split(r"``(.+?)``", text, flags=re.S)
    for i in range(0, len(pieces), 2):
        escaped = re.sub(r"([\\*_\[\]`])", r"\\\1", pieces[i])
        pieces[i] = re.sub(r"[&<>|]", lambda found: _ENTITIES[found[0]], escaped)
    pieces[1::2] = [f"`{piece}`" for piece in pieces[1::2]]
    return "".join(pieces)


def _spelled(option: click.Option, context: click.Context) -> str:
    names = [*option.opts, *option.secondary_opts]
    value = "" if option.is_flag else " " + option.make_metavar(context)
    return ", ".join(f"`{name}{value}`" for name in names)


def _default(option: click.Option) -> str:
    return f"`{option.default}`" if option.show_default else ""


def _value(value: object) -> str:
    return ", ".join(sorted(value)) or "none" if isinstance(value, frozenset) else str(value)


def _known(value: float | bool | None) -> str:
    return "must be given" if value is None else f"`{value!r}`"


def _log2(value: float) -> int:
    return math.frexp(value)[1] - 1


def _sentence(thing: object) -> str:
    return _first(inspect.getdoc(thing) or "")


def _first(text: str) -> str:
    """The first sentence of a docstring."""
    return re.split(r"(?<=[.:;])\s", text.replace("\n", " "), maxsplit=1)[0].rstrip(":;")


def _said(package: str, name: str, thing: object) -> str:
    """What is said of a public name: its docstring, or for a constant the string after its assignment."""
    if callable(thing):
        return _sentence(thing)
    for path in sorted((ROOT / package).glob("*.py")):
        body = ast.parse(path.read_text("utf-8")).body
        for one, following in itertools.pairwise(body):
            if name in _targets(one) and isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant):
                return _first(str(following.value.value))
    return f"A constant: {type(thing).__name__}."


def _targets(statement: ast.stmt) -> set[str]:
    targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
    return {each.id for each in targets if isinstance(each, ast.Name)}
