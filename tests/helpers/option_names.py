"""What a page may name: the options of the command line and of the pytest plugin."""

from collections.abc import Iterator

import click

from rmspec.reports.cli.main import _group
from rmspec.reports.pytest.plugin import _OPTIONS

PLUGIN = {"--rmspec", *(f"--rmspec-{name}" for name in _OPTIONS)}


def commands(group: click.Group) -> Iterator[tuple[str, click.Command]]:
    """List the commands of a group with their names, those of its sub-groups after it."""
    for name, command in group.commands.items():
        yield name, command
        if isinstance(command, click.Group):
            yield from commands(command)


def options(*names: str) -> set[str]:
    """List the options of these commands, or of all."""
    assert isinstance(_group, click.Group)
    return {
        option
        for name, command in commands(_group)
        if not names or name in names
        for param in command.get_params(click.Context(command, help_option_names=["-h", "--help"]))
        if isinstance(param, click.Option)
        for option in (*param.opts, *param.secondary_opts)
    }
