"""The commands ``rmspec known list``, ``add`` and ``prune``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from rmspec.reports.escapes import say
from rmspec.reports.exit_codes import ExitCode

__all__ = ["known"]


@click.group("known")
def known() -> None:
    """List, add and prune known deviations.

    The list is the file given with --known, or the one set in [tool.rmspec] of pyproject.toml.
    """


@known.command("list")
@click.option("--known", metavar="FILE", help="The list (TOML).")
@click.option("--shipped/--no-shipped", default=True, help="With rmspec's own entries, or without.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def _list(known: str | None, shipped: bool, as_json: bool) -> int:
    """List the entries, and whether each counts."""
    from rmspec.reports.cli.known_list import listing

    say(listing(known, Path.cwd(), ours=shipped, as_json=as_json))
    return ExitCode.CONFORMS


@known.command("add")
@click.argument("programs", nargs=-1, metavar="[PROGRAM]...")
@click.option("--from", "report", metavar="REPORT", help="Add the new deviations of a report that check --json wrote.")
@click.option("--known", metavar="FILE", help="The list (TOML); it is made where there is none.")
@click.option("--reason", default="", metavar="TEXT", help="Why it is accepted. There must be one.")
@click.option("--link", default="", metavar="URL", help="Where it is discussed.")
@click.option("--expires", metavar="DATE", help="The last day on which the entry counts, as 2027-01-31.")
@click.option("--versions", multiple=True, metavar="RANGE", help="Of these versions alone, as 'torch>=2.6,<3'.")
@click.option("--clause", "clauses", multiple=True, metavar="ID", help="Of the report, these clauses alone.")
@click.option("--subject", "subjects", multiple=True, metavar="NAME", help="Of the report, these subjects alone.")
@click.option("--id", metavar="ID", help="What to call the entry.")
def _add(**values: Any) -> int:
    """Add deviations to the list, each with a witness.

    PROGRAM is a file that check --repro-dir wrote.
    """
    from rmspec.reports.cli.known_list import AddOptions, add

    say(add(AddOptions(**values), Path.cwd()))
    return ExitCode.CONFORMS


@known.command("prune")
@click.option("--from", "reports", multiple=True, metavar="REPORT", help="Reports that name stale entries.")
@click.option("--known", metavar="FILE", help="The list (TOML).")
@click.option("--dry-run", is_flag=True, help="Say what would be removed, and remove nothing.")
def _prune(reports: tuple[str, ...], known: str | None, dry_run: bool) -> int:
    """Remove stale and expired entries."""
    from rmspec.reports.cli.known_list import prune

    say(prune(known, reports, Path.cwd(), dry_run=dry_run))
    return ExitCode.CONFORMS
