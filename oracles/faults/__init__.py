"""Optimizers that are wrong on purpose: each has one fault, and proves that a check of the suite can fail.

``FAULTS`` lists them without importing a framework. The classes are ordinary optimizers for torch, called like
``torch.optim.RMSprop``; they derive from the two correct ones in ``base``. ``composed`` makes one optimizer of several.
"""

from __future__ import annotations

from rmspec.oracles.faults.listing import FAULTS, Fault

__all__ = ["FAULTS", "Fault"]
