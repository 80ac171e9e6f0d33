"""The settings of a check: what ``rmspec check`` and ``rmspec.properties.check`` take."""

from __future__ import annotations

from dataclasses import dataclass

from rmspec.impl.arithmetic.policy import STRICT, Policy
from rmspec.oracles.program.program import Program
from rmspec.properties.known import Known

__all__ = ["PROFILES", "Profile", "Settings"]


@dataclass(frozen=True, slots=True)
class Profile:
    """How much is searched: ``programs`` from the state machine and ``sweeps`` from seeds, with ``wide`` tensors.

    The corpus is replayed in float32 whole, and in every other format one in ``every`` of its programs.
    ``endless`` keeps sweeping until the time budget is spent, when there is one.
    """

    name: str
    programs: int
    sweeps: int
    wide: int
    endless: bool = False
    every: int = 1


PROFILES: dict[str, Profile] = {
    each.name: each
    for each in (
        Profile("smoke", 30, 16, 512, every=3),
        Profile("ci", 400, 400, 4096),
        Profile("deep", 2000, 4000, 16384, endless=True),
    )
}
"""The profiles of ``--profile`` by name."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How subjects are checked; the fields are the options of ``rmspec check``."""

    profile: str = "ci"
    seed: int = 0
    time_budget: float | None = None
    dialect: str | None = None
    device: str = "cpu"
    formats: tuple[str, ...] = ()
    without: frozenset[str] = frozenset()
    fail_fast: bool = False
    known: tuple[Known, ...] | None = None
    baseline: str | None = None
    policy: Policy = STRICT
    framework: str | None = None
    programs: tuple[Program, ...] | None = None
