"""Questions to a subject by probes, within its options and number formats."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rmspec.impl.arithmetic.formats import FORMATS
from rmspec.oracles.subject import OPTIONS, Capabilities
from rmspec.properties.identify.probes import Prober, Trace, Turn, probe

__all__ = ["DYADIC", "OFF", "Questions", "precise"]

DYADIC: Mapping[str, float] = {"lr": 2.0**-4, "alpha": 0.75, "eps": 2.0**-4}
"""What is given for these options unless a question is about them: no rounding of them can be mistaken for a switch."""

OFF: Mapping[str, float] = {"weight_decay": 0.0, "momentum": 0.0, "centered": False}
"""What is given for the options that are off."""


def precise(formats: Iterable[str]) -> list[str]:
    """List the real ones of these number formats, the one with the most digits first."""
    return sorted((name for name in formats if FORMATS[name].parts == 1), key=lambda name: FORMATS[name].unit_roundoff)


class Questions:
    """A subject for probes in one ``format``, limited to its own options."""

    def __init__(self, prober: Prober, capabilities: Capabilities, format: str) -> None:
        self.prober = prober
        self.capabilities = capabilities
        self.format = format

    def takes(self, option: str) -> bool:
        """Whether the subject takes an option."""
        return option in self.capabilities.options

    def options(self, given: Mapping[str, float | bool] = OFF) -> dict[str, float | bool]:
        """Choose the options of a probe, ``given`` included, as far as the subject takes them."""
        every = {**DYADIC, **OFF, **given}
        every.update({name: value for name, value in self.capabilities.instead.items() if not every[name]})
        return {name: every[name] for name in OPTIONS if self.takes(name)}

    def seen(
        self, *turns: Turn, given: Mapping[str, float | bool] = OFF, format: str = "", theta: float = 1.0
    ) -> Trace:
        """The trace of a probe with these turns and options."""
        return self.prober.run(probe(format or self.format, self.options(given), *turns, theta=theta))

    def plain(self) -> Trace:
        """The first probe: no weight decay, no momentum, not centered."""
        return self.seen(0.5, 0.25, 2.0)

    def small(self) -> Trace:
        """Probe with small gradients: they show an eps of the subject's own."""
        return self.seen(2.0**-13, 2.0**-14, 2.0**-12)

    def huge(self) -> Trace:
        """Probe with gradients too large for eps or the initial average to show."""
        size = {"float64": 2.0**100, "float16": 2.0**6}.get(self.format, 2.0**50)
        return self.seen(size, size / 4, size * 4)
