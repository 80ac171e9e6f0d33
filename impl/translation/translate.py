"""One dialect's hyperparameters and saved state as another's: exact where algebra allows, bounded where not, or refused.

``translate`` goes through the groups of a saved optimizer. ``switched`` turns the hyperparameters, ``carried`` the state;
each leaves a line for whatever it touched, so that nothing is silent: *exact* (to the bit, under a condition that is
named), *rounded* (but for one rounding; a relative bound), *bounded* (another update; a bound on the difference for this
very state, and when it holds). What is none of these raises ``CannotTranslate``.
Source: issue "rmspec translate"; the algebra is in ``epsplace``, ``rescaling`` and ``history``.
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
    """A saved optimizer in the target dialect, a line for everything that was translated, and the calls that construct it."""

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
    """``saved`` in the dialect ``target``, whose constructor options are set as the source needs them.

    The source's dialect is that of each group. A state without parameters translates the hyperparameters alone. Raises
    ``IncompleteState`` for a state with missing or unfitting entries, ``CannotTranslate`` where nothing exact or bounded exists.
    """
    terms = terms or Terms()
    check_saved(saved)
    for earlier in terms.earlier:
        check_saved(earlier)
    groups = _merged(saved, target)
    terms = replace(terms, earlier=tuple(Saved(_merged(each, target)) for each in terms.earlier))
    formats = formats_of(saved)
    new: list[SavedGroup] = []
    lines: list[Line] = []
    for index, group in enumerate(groups):
        wanted = adapted(target, group.dialect, group.hyper)
        hyper, options = switched(index, group, wanted, formats, terms)
        params, roles = carried(index, group, wanted, hyper, terms)
        params, steps = _steps(index, group, wanted, params)
        new.append(SavedGroup(wanted, hyper, params))
        lines += [*options, *roles, *_start(index, group, new[-1]), *steps]
    source = "/".join(dict.fromkeys(group.dialect.name for group in saved.groups))
    return Translation(source, target.name, Saved(tuple(new)), tuple(lines))


def _merged(saved: Saved, target: Dialect) -> tuple[SavedGroup, ...]:
    """The groups; one alone where the target's constructor takes one set of options."""
    groups = saved.groups
    if target.constructor.groups or len(groups) <= 1:
        return groups
    first = groups[0]
    if any((each.dialect, each.hyper) != (first.dialect, first.hyper) for each in groups):
        raise CannotTranslate(
            f"the {len(groups)} parameter groups have different options",
            f"an optimizer of {target.name} has one set of options for all its parameters",
            "translate them one at a time with --group 0, --group 1 and so on, each for an optimizer of its own",
        )
    changed = next((each.lr_changed for each in groups if each.lr_changed), "")
    return (replace(first, params=saved.params(), lr_changed=changed),)


def _start(index: int, old: SavedGroup, new: SavedGroup) -> list[Line]:
    """The initial accumulator: it matters to an optimizer that is constructed and has no state to load."""
    if any(param.arrays for param in new.params):
        return []
    was, becomes = (each.dialect.initial("square_avg", each.hyper) for each in (old, new))
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
