"""The subject of an examination, with its capabilities and its dialect."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from rmspec.impl.spec.dialect import Dialect
from rmspec.oracles.dialects import dialect_named
from rmspec.oracles.host.evidence import has_variants
from rmspec.oracles.host.perform import Driven, Performer, Transcript, perform
from rmspec.oracles.host.primitives import with_operations
from rmspec.oracles.names import dialect_of_path, parse_name
from rmspec.oracles.program.program import Program
from rmspec.oracles.subject import Capabilities
from rmspec.properties.judge.findings import Tally
from rmspec.properties.judge.runner import Run, judge, without_options
from rmspec.properties.known import Locality
from rmspec.properties.search.fitting import restrict
from rmspec.properties.settings import Settings

__all__ = ["Examinee"]


@dataclass(frozen=True, slots=True)
class Examinee:
    """A subject under these settings, with the capabilities left by them, and the ``devices`` of its arrays so far."""

    subject: Driven
    settings: Settings
    capabilities: Capabilities
    dialect: Dialect
    devices: set[str] = field(default_factory=set, compare=False)

    @classmethod
    def of(cls, subject: Driven, settings: Settings) -> Examinee:
        """The subject as these settings ask for it."""
        own = subject.capabilities() if isinstance(subject, Performer) else with_operations(subject)
        capabilities = restrict(own, settings.formats, settings.without)
        spoken = dialect_of_path(dialect_named(settings.dialect or subject.dialect), parse_name(subject.name).path)
        return cls(subject, settings, capabilities, without_options(spoken, capabilities.options))

    @property
    def compiles(self) -> bool:
        """Whether each variant of options, formats and shapes costs a compilation: it is asked chosen programs alone."""
        return has_variants(self.subject.framework, self.capabilities.paths)

    def perform(self, program: Program) -> Transcript:
        """Perform one program on the subject."""
        transcript = perform(program, self.subject)
        self.devices.update(transcript.devices)
        return transcript

    def locality(self) -> Locality:
        """The device of its arrays, or the one asked for before any was seen, and the platform."""
        return Locality(min(self.devices, default=self.settings.device).partition(":")[0])

    def judge(self, transcript: Transcript, tally: Tally | None = None) -> Run:
        """Judge a transcript by the specification in force."""
        return judge(transcript, self.dialect, policy=self.settings.policy, tally=tally)

    def run(self, program: Program, tally: Tally | None = None) -> Run:
        """Run one program on the subject and judge it."""
        return self.judge(self.perform(program), tally)

    def under(self, dialect: Dialect) -> Examinee:
        """The same subject, judged by another specification."""
        return replace(self, dialect=dialect)
