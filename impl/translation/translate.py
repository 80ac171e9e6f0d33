"""One dialect's hyperparameters and saved state as another's: exact, else bounded, else refused.

``translate`` goes through the groups of a saved optimizer. ``switched`` translates the hyperparameters, ``carried`` the state;
each leaves a line for whatever it touched, so that nothing is silent: *exact* (to the bit, under a condition that is
named), *rounded* (but for one rounding; a relative bound), *bounded* (another update; a bound on the difference for this
very state, and when it holds). What is none of these raises ``CannotTranslate``.
Source: issue "rmspec translate"; the algebra is in ``eps_placement``, ``rescaling`` and ``lr_history``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from rmspec.impl.spec.dialect import Dialect
from rmspec.impl.spec.signatures import adapted, call
from rmspec.impl.translation.lines import CannotTranslate, Line, Terms
from rmspec.impl.translation.options import switched
from rmspec.impl.translation.saved import Saved, SavedGroup, SavedParam, check_saved, formats_of
from rmspec.impl.translation.state import carried

__all__ = ["Translation", "translate"]


@dataclass(frozen=True, slots=True)
class Translation:
    """A saved optimizer in the target dialect, with a line for each translated part and the constructor calls."""

    source: str
    target: str
    saved: Saved
    lines: tuple[Line, ...]

    @property
    def exact(self) -> bool:
        """Whether every line is exact."""
        return all(line.kind == "exact" for line in self.lines)

    def calls(self) -> tuple[str, ...]:
        """For each group, the constructor call to type."""
        return tuple(
            call(group.dialect, group.hyper, initial=not any(param.arrays for param in group.params))
            for group in self.saved.groups
        )


def translate(saved: Saved, target: Dialect, terms: Terms | None = None) -> Translation:
    """Translate ``saved`` to the dialect ``target``, its constructor options set as the source needs them.

    The source's dialect is that of each group. A state without parameters translates the hyperparameters alone. Raises
    ``IncompleteState`` for a state with missing or unfitting entries, ``CannotTranslate`` where nothing exact or bounded exists.
    """
    terms = terms or Terms()
    check_saved(saved)
    for earlier in terms.earlier:
        check_saved(earlier)
    groups = _merged(saved, target)
    terms = replace(terms, earlier=tuple(Saved(_merged(state, target)) for state in terms.earlier))
    formats = formats_of(saved)
    new: list[SavedGroup] = []
    lines: list[Line] = []
    for index, group in enumerate(groups):
        variant = adapted(target, group.dialect, group.hyper)
        hyper, options = switched(index, group, variant, formats, terms)
        params, roles = carried(index, group, variant, hyper, terms)
        params, steps = _steps(index, group, variant, params)
        new.append(SavedGroup(variant, hyper, params))
        lines += [*options, *roles, *_start(index, group, new[-1]), *steps]
    source = "/".join(dict.fromkeys(group.dialect.name for group in saved.groups))
    return Translation(source, target.name, Saved(tuple(new)), tuple(lines))


def _merged(saved: Saved, target: Dialect) -> tuple[SavedGroup, ...]:
    """The groups; merged to one for a constructor with one set of options."""
    groups = saved.groups
    if target.constructor.groups or len(groups) <= 1:
        return groups
    first = groups[0]
    if any((group.dialect, group.hyper) != (first.dialect, first.hyper) for group in groups):
        raise CannotTranslate(
            f"the {len(groups)} parameter groups have different options",
            f"an optimizer of {target.name} has one set of options for all its parameters",
            "translate them one at a time with --group 0, --group 1 and so on, each for an optimizer of its own",
        )
    changed = next((group.lr_changed for group in groups if group.lr_changed), "")
    return (replace(first, params=saved.params(), lr_changed=changed),)


def _start(index: int, old: SavedGroup, new: SavedGroup) -> list[Line]:
    """The line of the initial accumulator, for an optimizer without a state to load."""
    if any(param.arrays for param in new.params):
        return []
    was, becomes = (group.dialect.initial("square_avg", group.hyper) for group in (old, new))
    if was == becomes:
        return [Line(index, "initial square_avg", "exact", repr(was), repr(becomes))]
    alpha = new.hyper.alpha
    return [
        Line(
            index,
            "initial square_avg",
            "bounded",
            repr(was),
            repr(becomes),
            bound=abs(becomes - was),
            absolute=True,
            note=f"v differs by alpha^t * {abs(becomes - was)!r} after t steps: by {alpha * abs(becomes - was):.3g} after one",
            condition="the optimizer starts anew; a state that is loaded brings its own average",
        )
    ]


def _steps(
    index: int, old: SavedGroup, target: Dialect, params: tuple[SavedParam, ...]
) -> tuple[tuple[SavedParam, ...], list[Line]]:
    if not any(param.arrays for param in params):
        return params, []
    counts = [param.steps for param in params]
    known = [count for count in counts if count is not None]
    if len(known) != len(counts) and target.bias_correction:
        raise CannotTranslate(
            "the file does not say how many steps were made", "the bias correction needs it", "say --steps N"
        )
    text = "unknown" if not known else f"{min(known)}" if len(set(known)) == 1 else f"{min(known)} to {max(known)}"
    if not target.constructor.one_count or (len(known) == len(counts) and len(set(known)) == 1):
        return params, [Line(index, "steps", "exact", text, text, note="" if known else "no update reads it")]
    if target.bias_correction and len(set(known)) > 1:
        raise CannotTranslate(
            f"the parameters have made {text} steps", f"{target.name} has one count for all", "translate groups apart"
        )
    most = max(known, default=0)
    line = Line(index, "steps", "exact", text, str(most), note=f"{target.name} has one count, which no update reads")
    return tuple(replace(param, steps=most) for param in params), [line]
