"""The plan of an examination: the corpus, the programs of the differential clauses, ranges and sizes, the state machine's, sweeps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice

from rmspec.impl.spec.dialect import Hyperparameters
from rmspec.oracles.names import parse_name
from rmspec.oracles.program.program import Create, Group, Param, Program
from rmspec.oracles.subject import Capabilities
from rmspec.properties.judge.differential import programs as differential
from rmspec.properties.search.corpus import corpus, ordered
from rmspec.properties.search.fingerprint import fingerprint
from rmspec.properties.search.fitting import lacks_derivatives
from rmspec.properties.search.ladders import ladders
from rmspec.properties.search.sizes import sizes
from rmspec.properties.search.variants import choose_programs
from rmspec.properties.settings import PROFILES, Profile, Settings

__all__ = ["Phase", "Plan", "generated", "part_for"]


@dataclass(frozen=True, slots=True)
class Phase:
    """A part of the search: its programs, and their number; ``None`` for no end.

    ``fingerprint`` identifies the programs that the state machine made. Those of a phase without ``keep`` have large
    transcripts: they are performed again where one is needed.
    """

    name: str
    planned: int | None
    programs: Iterable[Program]
    fingerprint: str = ""
    keep: bool = True


def generated(settings: Settings) -> tuple[Program, ...]:
    """The state machine's programs for these settings: a pure function of profile, seed and versions."""
    # Imports Hypothesis, which a process that is given its programs has no need of.
    from rmspec.properties.search.machine import generate

    return generate(settings.seed, PROFILES[settings.profile].programs)


def part_for(name: str, settings: Settings) -> Settings:
    """The settings of a subject, with as many of the generated programs as are asked of its execution path."""
    if settings.programs is None or not parse_name(name).path:
        return settings
    return replace(settings, programs=settings.programs[:: _share(PROFILES[settings.profile])])


def _share(profile: Profile) -> int:
    return 1 if profile.endless else _SHARE


_MACHINE, _SWEEPS = 200, 40
"""Programs for a compiled path are chosen from so many of the state machine, and so many sweeps."""


_SMALL = 2**12
"""The largest tensor of a subject that writes its numbers down, one by one."""

_SHARE = 5
"""Of the state machine's programs and of the sweeps one in so many is asked of another path than the one of the defaults."""


class Plan:
    """The phases of one examination.

    No program depends on the subject, apart from the formats that it can be asked in, and the values that it
    may not take; one that ``compiles`` every variant of a
    step is asked chosen programs alone. Of another path than that of the defaults, asked ``partly``, the later phases are shorter.
    A subject that is not asked for ``large`` tensors has those of a few thousand elements.
    ``total`` is the number of programs, of the sweeps those of the profile; ``left_out`` is how many are not asked.
    """

    def __init__(
        self,
        capabilities: Capabilities,
        settings: Settings,
        *,
        compiles: bool = False,
        partly: bool = False,
        large: bool = True,
    ) -> None:
        self._settings = settings
        profile = PROFILES[settings.profile]
        self._share = _share(profile) if partly else 1
        self._profile = replace(
            profile,
            sweeps=-(-profile.sweeps // self._share),
            branches=-(-profile.branches // self._share),
        )
        stored = [program for program in corpus() if not lacks_derivatives(program, capabilities)]
        self._stored = (*_refused(capabilities), *ordered(stored, capabilities.formats, every=self._profile.every))
        self._pairs = tuple(differential(capabilities.formats))
        self._ladders = tuple(ladders(settings.seed, capabilities.formats, branches=self._profile.branches))
        largest = self._profile.largest if large else _SMALL
        rounds = sizes(settings.seed, capabilities.formats, largest=largest, rounds=self._profile.rounds)
        self._sizes = tuple(rounds)
        self._machine = None if settings.programs is None else tuple(settings.programs)
        self._chosen: list[Program] | None = None
        self.left_out = 0
        machine = -(-profile.programs // self._share) if self._machine is None else len(self._machine)
        ranges = len(self._ladders) + len(self._sizes)
        self.total = len(self._stored) + len(self._pairs) + ranges + machine + self._profile.sweeps
        if compiles:
            self._choose()

    @property
    def endless(self) -> bool:
        """Whether the sweeps go on until the time budget is used up."""
        return self._profile.endless and self._settings.time_budget is not None and self._chosen is None

    def _choose(self) -> None:
        """Choose from all programs but the later ones of the state machine, and the later sweeps."""
        if self._machine is None:
            self._machine = generated(self._settings)[:: self._share]
        sweeps = [*islice(self._sweeps(), min(self._profile.sweeps, _SWEEPS))]
        everything = [*self._stored, *self._pairs, *self._machine[:_MACHINE], *sweeps]
        self._chosen = choose_programs(everything, self._profile.variants)
        self.left_out, self.total = self.total - len(self._chosen), len(self._chosen)

    def phases(self) -> Iterator[Phase]:
        """The phases in their order; nothing is generated before its phase begins."""
        if self._chosen is not None:
            yield Phase(
                "chosen programs", len(self._chosen), self._chosen, fingerprint(tuple(self._machine or ())[:20])
            )
            return
        yield Phase("corpus", len(self._stored), self._stored)
        yield Phase("differential", len(self._pairs), self._pairs)
        yield Phase("ranges", len(self._ladders), self._ladders)
        yield Phase("sizes", len(self._sizes), self._sizes, keep=False)
        machine = generated(self._settings)[:: self._share] if self._machine is None else self._machine
        yield Phase("state machine", len(machine), machine, fingerprint(machine[:20]))
        yield Phase("sweep", None if self.endless else self._profile.sweeps, self._sweeps(), keep=False)

    def _sweeps(self) -> Iterator[Program]:
        from rmspec.properties.search.sweeps import sweep

        index = 0
        while self.endless or index < self._profile.sweeps:
            yield sweep(self._settings.seed, index, wide=self._profile.wide if index % 2 else 0)
            index += 1


def _refused(capabilities: Capabilities) -> tuple[Program, ...]:
    """The programs to ask for options off, against a subject's refusal: in all others these are on."""
    return tuple(
        Program(
            (Param("p", capabilities.formats[0]),), (Create("A", (Group(("p",)),), {name: page.option(name)}, "list"),)
        )
        for page in (Hyperparameters(),)
        for name in capabilities.instead
    )
