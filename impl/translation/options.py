"""The hyperparameters of one group in another dialect, each with a line of the account, or a refusal."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from rmspec.impl.arithmetic.formats import FORMATS, Format, as_reals
from rmspec.impl.spec.dialect import Dialect, Hyperparameters
from rmspec.impl.spec.switches import ROUNDINGS, SWITCHES
from rmspec.impl.translation.eps_placement import EpsChoice, choices, nearer, worst_change
from rmspec.impl.translation.lines import CannotTranslate, Line, Terms
from rmspec.impl.translation.saved import SavedGroup

__all__ = ["switched"]


@dataclass(frozen=True, slots=True)
class _Pair:
    group: int
    source: Dialect
    target: Dialect
    hyper: Hyperparameters
    formats: tuple[Format, ...]

    @property
    def fmt(self) -> Format:
        """The coarsest format."""
        return self.formats[0].part

    def line(self, option: str, old: object, new: object, **more: object) -> Line:
        names = self.source.constructor.names, self.target.constructor.names
        texts = [f"{terms.get(option, option)} {value!r}" for terms, value in zip(names, (old, new), strict=True)]
        return Line(self.group, option, **{"kind": "exact", "source": texts[0], "target": texts[1], **more})  # type: ignore[arg-type]


def switched(
    index: int, group: SavedGroup, target: Dialect, formats: tuple[str, ...], terms: Terms
) -> tuple[Hyperparameters, tuple[Line, ...]]:
    """The group's options for ``target``, and a line for each; ``formats`` are those of the state, the coarsest first.

    Raises ``CannotTranslate``.
    """
    pair = _Pair(index, group.dialect, target, group.hyper, tuple(FORMATS[name] for name in formats))
    _check_structure(pair, terms)
    hyper = group.hyper
    coarse = any(_precision(target, fmt, "lr").name != "float64" for fmt in pair.formats)
    single = ROUNDINGS[target.scalars].stored or "lr" in target.single
    lr = float(np.float32(hyper.lr)) if single and coarse else hyper.lr
    if hyper.lr > 0 and not 0 < lr < math.inf:
        raise CannotTranslate(
            f"the learning rate {hyper.lr!r} is {lr!r} in float32",
            f"{target.name} holds it as float32",
            "choose a learning rate that float32 can hold",
        )
    momentum = hyper.momentum if group.dialect.reads_momentum(hyper) else 0.0
    centered = group.dialect.centered(hyper)
    eps, eps_lines = _eps(pair, group, terms)
    decay, decay_lines = _decay(pair, lr, terms)
    new = Hyperparameters(lr, hyper.alpha, eps, decay, momentum, centered)
    lines = [_rounded_lr(pair, lr), _alpha(pair), *eps_lines, *decay_lines]
    lines += [_carry(pair, "momentum", momentum), pair.line("centered", centered, centered)]
    condition = "the target is given the negative of the source's loss"
    lines += _made_up(pair, "maximize", "either negates one of gradient and loss, which is exact", condition)
    if momentum:
        condition = f"the learning rate stays {lr!r}; when it changes, the dialects part"
        lines += _made_up(pair, "lr_place", "the buffers differ by the factor lr", condition)
    return new, tuple(lines)


def _made_up(pair: _Pair, switch: str, note: str, condition: str) -> list[Line]:
    """The line of a switch in another position in the target, with an exact rule for the difference."""
    row = SWITCHES[switch]
    if row.value(pair.source) == row.value(pair.target):
        return []
    return [
        Line(pair.group, switch.replace("_", " "), "exact", *_briefly(pair, switch), note=note, condition=condition)
    ]


def _briefly(pair: _Pair, switch: str) -> tuple[str, str]:
    row = SWITCHES[switch]
    return row.position(row.value(pair.source)).brief, row.position(row.value(pair.target)).brief


def _check_structure(pair: _Pair, terms: Terms) -> None:
    """Raise ``CannotTranslate`` for a target with a switch in another position, unless a rule makes up for it."""
    source, hyper = pair.source, pair.hyper
    momentum = hyper.momentum if source.reads_momentum(hyper) else 0.0
    settled = replace(hyper, momentum=momentum, centered=source.centered(hyper))
    for row in SWITCHES.values():
        if row.term and getattr(terms, row.term):
            continue
        refusal = row.refusal(source, pair.target, settled)
        if refusal:
            raise CannotTranslate(refusal, row.why, row.hint)
    if not hyper.lr >= 0 or not math.isfinite(hyper.lr):
        raise CannotTranslate(f"the learning rate is {hyper.lr!r}", "it must be finite, and 0 or larger")


# -- eps


def _eps(pair: _Pair, group: SavedGroup, terms: Terms) -> tuple[float, list[Line]]:
    old, new, eps = pair.source.eps_at(pair.hyper), pair.target.eps_at(pair.hyper), pair.hyper.eps
    if eps == 0 or old == "none":
        return 0.0, [pair.line("eps", 0.0, 0.0, note="without eps its place does not matter")]
    if new == "none":
        raise CannotTranslate(
            f"eps is {eps!r}, {pair.target.name} has none",
            "without it the update is unbounded where the average is zero",
            "choose a target with eps",
        )
    if old == new:
        return eps, [_carry(pair, "eps", eps)]
    root, why = _smallest_root(pair, group)
    candidates = choices(eps, old, root, pair.fmt)
    allowed = [choice for choice in candidates if terms.eps in ("better", choice.kind)]
    if not allowed:
        raise CannotTranslate(
            f"eps {eps!r} {old} the root has no {'other' if candidates else 'nonzero'} counterpart in {pair.fmt.name}",
            f"what {new} would need rounds to zero in that format, and the update would be unbounded",
            "choose --eps-choice kept" if candidates else "train with an eps that the format can hold",
        )
    best = min(allowed, key=lambda choice: _worst_here(pair, group, choice))
    return best.eps, [
        pair.line(
            "eps",
            eps,
            best.eps,
            kind="bounded",
            bound=best.bound,
            note=_eps_note(best, old, candidates)
            + "".join(_eps_nearer(pair, group, best, choice) for choice in candidates if choice.eps != best.eps),
            condition=why,
        )
    ]


def _eps_note(choice: EpsChoice, old: str, candidates: tuple[EpsChoice, ...]) -> str:
    places = "sqrt(v) + eps became sqrt(v + eps')" if old == "outside" else "sqrt(v + eps) became sqrt(v) + eps'"
    how = {
        ("moved", "outside"): "eps' = eps^2; each update is larger by a factor in [1, sqrt 2]",
        ("moved", "inside"): "eps' = sqrt(eps); each update is smaller by a factor in [1/sqrt 2, 1]",
        ("kept", "outside"): "eps' = eps; each update changes by a factor in [min(sqrt eps, 1), sqrt(1 + eps)]",
        ("kept", "inside"): "eps' = eps; each update changes by a factor in [1/sqrt(1 + eps), max(1/sqrt eps, 1)]",
    }[choice.kind, old]
    alternatives = "".join(
        f"; {row.kind} it would be {100 * row.bound:.3g} %, or {100 * row.anywhere:.3g} %"
        for row in candidates
        if row is not choice
    )
    return f"{places}: {how}, by at most {100 * choice.anywhere:.3g} % whatever v is{alternatives}"


def _worst_here(pair: _Pair, group: SavedGroup, choice: EpsChoice) -> float:
    """The largest change of an update in the state at hand; 0 for hidden denominators."""
    squares, place = _visible_squares(pair, group), pair.source.eps_at(pair.hyper)
    if place == "none":
        return 0.0
    return max((worst_change(choice, pair.hyper.eps, place, np.sqrt(values)) for values in squares), default=0.0)


def _visible_squares(pair: _Pair, group: SavedGroup) -> list[NDArray[np.float64]]:
    """The square averages under the denominators; none if the mean is subtracted from them."""
    if pair.source.centered(pair.hyper):
        return []
    arrays = [param.arrays["square_avg"] for param in group.params if "square_avg" in param.arrays]
    return [as_reals(values) for values in arrays if np.size(values)]


def _eps_nearer(pair: _Pair, group: SavedGroup, best: EpsChoice, alternative: EpsChoice) -> str:
    """Count the elements of the state with the other choice nearer: a bound is the one of the worst element."""
    worst = "; a bound is that of the worst element"
    reals, place = _visible_squares(pair, group), pair.source.eps_at(pair.hyper)
    if place == "none" or not reals:
        return f"{worst}, and {alternative.kind} may be nearer on those that matter: compare both"
    count = sum(nearer(alternative, best, pair.hyper.eps, place, np.sqrt(squares)) for squares in reals)
    size = sum(squares.size for squares in reals)
    return f"{worst}; {alternative.kind} is nearer for {count:,} of {size:,} here" + (": compare both" if count else "")


def _smallest_root(pair: _Pair, group: SavedGroup) -> tuple[float, str]:
    """A lower bound of sqrt(v~) in the next step, and the condition under it to hold for later steps."""
    if pair.source.centered(pair.hyper):
        return 0.0, ""
    arrays = [param.arrays.get("square_avg") for param in group.params]
    if not arrays or any(values is None for values in arrays):
        return 0.0, ""
    smallest = math.inf
    for values in arrays:
        assert values is not None
        reals = as_reals(values)
        if reals.size:
            smallest = min(smallest, float(np.nan_to_num(reals, nan=0.0).min()))
    if smallest == math.inf:
        return 0.0, ""
    # The product and the sum with a square that is not negative are rounded; the hyperparameter may be too.
    u = max(pair.fmt.unit_roundoff, 2.0**-24)
    least = max(0.0, (pair.hyper.alpha - 8 * u) * smallest - 4 * pair.fmt.smallest_subnormal)
    root = math.sqrt(least)
    if root == 0:
        return 0.0, ""
    return root, f"v is nowhere below alpha * {smallest:.6g}, alpha times its smallest here, as in the next step"


# -- weight decay


def _decay(pair: _Pair, lr: float, terms: Terms) -> tuple[float, list[Line]]:
    old, new, decay = pair.source.decay, pair.target.decay, pair.hyper.weight_decay
    if old == new == "none":
        return 0.0, []
    if old == "none" or decay == 0:
        return 0.0, [pair.line("weight_decay", 0.0, 0.0)]
    if terms.decay_in_loss and old == "l2":
        return 0.0, [
            pair.line(
                "weight_decay",
                decay,
                0.0,
                note="left out of the optimizer, as asked",
                condition=f"the loss has the term {decay / 2!r} * sum(param^2), whose gradient is {decay!r} * param",
            )
        ]
    if old == new:
        return decay, [_carry(pair, "weight_decay", decay)]
    if {old, new} == {"decoupled", "decoupled-lr"}:
        if pair.hyper.lr == 0:
            raise CannotTranslate("the learning rate is 0, and the decay would have to be divided by it")
        exact = Fraction(decay) * Fraction(pair.hyper.lr) if new == "decoupled" else Fraction(decay) / Fraction(lr)
        value = float(exact)
        same = Fraction(value) == exact
        return value, [
            pair.line(
                "weight_decay",
                decay,
                value,
                kind="exact" if same else "rounded",
                bound=0.0 if same else 2.0**-53,
                note="times lr" if new == "decoupled" else "over lr",
                condition=f"the learning rate stays {lr!r}",
            )
        ]
    half, words = decay / 2, _briefly(pair, "decay")
    raise CannotTranslate(
        f"weight decay {decay!r} is {words[0]}, and {pair.target.name} has {words[1]}",
        "the two move the parameters differently, and nothing bounds the difference",
        f"add {half!r} * sum(param^2) to the loss and say --decay-in-loss (in Keras: keras.regularizers.L2({half!r}))"
        if old == "l2"
        else "choose a target with the same decay, or decay the parameters outside the optimizer and name 0",
    )


# -- the precision in which hyperparameters are held


def _precision(dialect: Dialect, fmt: Format, option: str) -> Format:
    half = fmt.unit_roundoff > FORMATS["float32"].unit_roundoff
    rounding = ROUNDINGS[dialect.scalars]
    if half and rounding.to_format:
        return fmt.part
    wide = not rounding.single and option not in dialect.single
    return FORMATS["float64" if wide and fmt.part.name == "float64" else "float32"]


def _errors(pair: _Pair, value: float, option: str) -> float:
    """The largest relative difference between ``value`` held in the precisions of the two dialects."""
    worst = 0.0
    for fmt in pair.formats:
        old, new = (
            _round_to(_precision(dialect, fmt, option), value, option) for dialect in (pair.source, pair.target)
        )
        if old != new:
            worst = max(worst, float(abs(Fraction(new) - Fraction(old)) / abs(Fraction(old or value))))
    return worst


def _round_to(fmt: Format, value: float, option: str) -> float:
    """A value as it is held in a format. Raises ``CannotTranslate`` for one beyond its largest number."""
    rounded = fmt.round(value)
    if not math.isfinite(rounded):
        raise CannotTranslate(
            f"{option} {value!r} is beyond the largest number of {fmt.name}",
            "the optimizer would go on with an infinity",
            "correct it",
        )
    return rounded


def _carry(pair: _Pair, option: str, value: float) -> Line:
    error = _errors(pair, value, option)
    if not error:
        return pair.line(option, value, value)
    note = f"held as {_narrow(pair, option).name} by one of the two"
    return pair.line(option, value, value, kind="rounded", bound=error, note=note)


def _narrow(pair: _Pair, option: str) -> Format:
    candidates = [_precision(dialect, fmt, option) for dialect in (pair.source, pair.target) for fmt in pair.formats]
    return max(candidates, key=lambda fmt: fmt.unit_roundoff)


def _rounded_lr(pair: _Pair, lr: float) -> Line:
    old = pair.hyper.lr
    if lr == old:
        return pair.line("lr", old, lr)
    error = float(abs(Fraction(lr) - Fraction(old)) / Fraction(old))
    note = f"{pair.target.name} holds it as float32: each move changes by this"
    return pair.line("lr", old, lr, kind="rounded", bound=error, note=note)


def _alpha(pair: _Pair) -> Line:
    """The line of alpha, with the error of 1 - alpha formed after alpha was rounded.

    v_t is a sum of two terms that are not negative, so its relative error is at most the larger of theirs.
    """
    alpha = pair.hyper.alpha
    error = _errors(pair, alpha, "alpha")
    narrow = _narrow(pair, "alpha")
    stored = Fraction(narrow.round(alpha))
    after = any(ROUNDINGS[dialect.scalars].stored for dialect in (pair.source, pair.target))
    if after and pair.source.scalars != pair.target.scalars and stored != Fraction(alpha) != 1:
        formed, exact = Fraction(narrow.round(float(1 - stored))), 1 - Fraction(alpha)
        error = max(error, float(abs(formed - exact) / abs(exact)) + narrow.unit_roundoff)
    if not error:
        return pair.line("alpha", alpha, alpha)
    note = f"{narrow.name} holds it in one of the two, where 1 - alpha may be formed after that: v changes by this in a step"
    return pair.line("alpha", alpha, alpha, kind="rounded", bound=error, note=note)
