"""The words of a translation: the user's terms beside the state, a line for each part, and refusals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rmspec.impl.errors import RmspecError
from rmspec.impl.translation.saved import Saved

__all__ = ["CannotTranslate", "Kind", "Line", "Terms"]

Kind = Literal["exact", "rounded", "bounded"]
"""To the bit (under the condition); but for one rounding; or a different update, with a bound on the difference."""


class CannotTranslate(RmspecError):
    """No translation would be exact or bounded. Nothing is written."""


@dataclass(frozen=True, slots=True)
class Terms:
    """The user's knowledge and wishes beyond the saved state.

    ``lr_changed``: the learning rate was not always what it is now. ``lr_constant_from_now``: it will not change any more,
    and the target need only continue as the source would. ``earlier``: states saved at each change of the learning rate, before
    it was changed. ``eps``: which choice of eps to take where its place differs. ``decay_in_loss``: the user adds weight
    decay to the loss, so that the target need not have it. ``loss_negated``: the target gets the negative of the source's loss.
    """

    lr_changed: bool = False
    lr_constant_from_now: bool = False
    earlier: tuple[Saved, ...] = ()
    eps: Literal["better", "moved", "kept"] = "better"
    decay_in_loss: bool = False
    loss_negated: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """One hyperparameter, or one role of the state, of a group before and after the translation.

    ``bound`` is a relative error unless ``absolute``; 0 where exact. ``elements`` real numbers were carried, ``inexact`` of
    them are not exact. ``note`` gives the reason or the inequality, ``condition`` what must hold besides.
    """

    group: int
    quantity: str
    kind: Kind
    source: str
    target: str
    bound: float = 0.0
    absolute: bool = False
    elements: int = 0
    inexact: int = 0
    note: str = ""
    condition: str = ""
