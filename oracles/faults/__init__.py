"""Optimizers with one fault each, made on purpose: they prove the checks of the suite able to fail.

``FAULTS`` lists them without importing a framework. The classes are ordinary optimizers for torch, called like
``torch.optim.RMSprop``; they derive from the two correct ones in ``base``. ``composed`` makes one optimizer of several.
"""

from __future__ import annotations

from rmspec.oracles.faults.listing import FAULTS, Fault

__all__ = ["FAULTS", "Fault"]
