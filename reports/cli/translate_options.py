"""The command line of ``rmspec translate``: its options, also under the names of every dialect."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from rmspec.impl.spec.dialect import SPECIFICATION
from rmspec.impl.spec.switches import SWITCHES, Switch
from rmspec.reports.problems import BadOption

__all__ = ["TranslateCommand", "translate_options", "with_options"]

_Command = TypeVar("_Command", bound=Callable[..., Any])


class TranslateCommand(click.Command):
    """A command with the names of every dialect's constructor for each hyperparameter."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """List the parameters, each number with its further names."""
        from rmspec.oracles.dialects import dialects

        params = super().get_params(ctx)
        reserved = {flag for param in params for flag in param.opts}
        for dialect in dialects().values():
            flags = {name: "--" + theirs.replace("_", "-") for name, theirs in dialect.constructor.names.items()}
            for param in params:
                flag = flags.get(param.name or "")
                if flag is not None and flag not in reserved:
                    param.opts.append(flag)
                    reserved.add(flag)
        return params


def _number_option(flag: str, *, help: str) -> Callable[[_Command], _Command]:
    """Make a number option with several names. It may be said again, but not differently: the last would win in silence."""

    def one(ctx: click.Context, param: click.Parameter, values: tuple[float, ...]) -> float | None:
        different = list(dict.fromkeys(values))
        if len(different) > 1:
            raise BadOption(
                f"{' or '.join(param.opts)} is {' and '.join(map(repr, different))}",
                "they are names of one option, and it has one value",
                "leave one of them out",
            )
        return values[0] if values else None

    return click.option(flag, type=float, multiple=True, callback=one, metavar="X", help=help)


def _switch_option(row: Switch) -> Callable[[_Command], _Command]:
    name = row.keyword.replace("_", "-")
    if isinstance(row.value(SPECIFICATION), float):
        return click.option(f"--{name}", type=float, metavar="X", help=row.question)
    return click.option(f"--{name}/--no-{name}", default=None, help=row.question)


def with_options(command: _Command, options: Sequence[Callable[[_Command], _Command]]) -> _Command:
    """Give a command these options, in this order."""
    for option in reversed(options):
        command = option(command)
    return command


def translate_options(command: _Command) -> _Command:
    """Give a command the options of ``rmspec translate``."""
    options = (
        click.option("--from", "source", metavar="DIALECT", help="Whose state or options they are."),
        click.option("--to", "target", metavar="DIALECT", help="Whose they shall be."),
        click.option("--out", metavar="FILE", help="Write the translated state there; the ending says how."),
        click.option("--force", is_flag=True, help="Replace a file that is there."),
        click.option("--json", metavar="FILE", help="Write the report as JSON; - is standard output."),
        _number_option("--lr", help="Learning rate of the source."),
        _number_option("--alpha", help="Its smoothing constant."),
        _number_option("--eps", help="Its eps."),
        _number_option("--weight-decay", help="Its weight decay."),
        _number_option("--momentum", help="Its momentum factor."),
        click.option("--centered/--no-centered", default=None, help="Whether it is centered."),
        *(_switch_option(row) for row in SWITCHES.values() if row.keyword),
        click.option("--defaults", is_flag=True, help="Let documented defaults stand for what FILE does not say."),
        click.option("--key", metavar="NAME", help="Where in a torch file the optimizer's state is."),
        click.option("--group", type=int, metavar="N", help="Translate this parameter group alone, counted from 0."),
        click.option("--order", metavar="N,...", help="The parameters' new order, by their old positions from 0."),
        click.option("--axes", multiple=True, metavar="P:N,...", help="Permute the axes of parameter P: 0:1,0."),
        click.option("--steps", type=int, metavar="N", help="How many steps were made, if FILE does not say."),
        click.option(
            "--eps-choice",
            default="better",
            show_default=True,
            metavar="better|moved|kept",
            help="Which eps the target gets where it stands elsewhere.",
        ),
        click.option("--decay-in-loss", is_flag=True, help="You add the weight decay to the loss: leave it out."),
        click.option("--loss-negated", is_flag=True, help="The target gets the negative of the source's loss."),
        click.option("--lr-changed", is_flag=True, help="The learning rate was not always what it is now."),
        click.option("--lr-constant-from-now", is_flag=True, help="It changed, and will not change again."),
        click.option(
            "--earlier", multiple=True, metavar="FILE", help="A state saved before a change of the learning rate."
        ),
    )
    return with_options(command, options)
