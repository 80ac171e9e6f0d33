"""Subjects for the tests of identification: the reference in any dialect, showing less, or rounding what it is given."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

from programs import hidden

from rmspec.impl.arithmetic.formats import FORMATS
from rmspec.impl.spec.dialect import Dialect
from rmspec.oracles.numpy.subject import ReferenceSession, ReferenceSubject
from rmspec.oracles.program.program import Call, Create, Param, SetOption
from rmspec.oracles.subject import Capabilities, Observation, Outcome
from rmspec.properties.identify.explanation import SWITCHES, alternatives


def mixed(seed: int) -> Dialect:
    """A dialect drawn at random; v_0 may be a number that no named dialect has. Its first step divides by no zero."""
    rng = random.Random(seed)
    while True:
        drawn: dict[str, Any] = {each: rng.choice(alternatives(each)) for each in SWITCHES if each != "scalars"}
        drawn["initial_square_avg"] = rng.choice((0.0, 1.0, "eps", 0.1, 2.5))
        dialect = Dialect("mixed", "drawn at random", **drawn)
        if not (
            dialect.eps_place == "none"
            and dialect.bias_correction
            and dialect.centered_form != "never"
            and dialect.initial_square_avg == 0
        ):
            return dialect


class Limited(ReferenceSubject):
    """The reference without some options, features and formats; it shows its state or not."""

    def __init__(
        self,
        dialect: Dialect,
        *,
        without: frozenset[str] = frozenset(),
        formats: tuple[str, ...] = tuple(FORMATS),
        shows: bool = True,
        rounds: str = "",
    ) -> None:
        super().__init__(dialect)
        self._without, self._formats, self._shows, self._rounds = without, formats, shows, rounds

    def capabilities(self) -> Capabilities:
        able = super().capabilities()
        return replace(
            able,
            formats=self._formats,
            features=able.features - self._without,
            options=able.options - self._without,
            roles=able.roles if self._shows else frozenset(),
        )

    def session(self, params: tuple[Param, ...]) -> ReferenceSession:
        return _LimitedSession(params, self._dialect, self._shows, self._rounds)


class _LimitedSession(ReferenceSession):
    def __init__(self, params: tuple[Param, ...], dialect: Dialect, shows: bool, rounds: str) -> None:
        super().__init__(params, dialect)
        format = params[0].dtype if rounds == "storage" else rounds
        self._shows, self._format = shows, format

    def perform(self, call: Call) -> Outcome:
        if self._format and isinstance(call, Create | SetOption):
            fmt = FORMATS[self._format]
            rounded = {
                name: fmt.round(value) if isinstance(value, float) else value for name, value in call.options.items()
            }
            call = replace(call, options=rounded)
        return super().perform(call)

    def observe(self) -> Observation:
        seen = super().observe()
        return seen if self._shows else hidden(seen)
