"""Evidence: the execution paths of a step, counted by the means of its framework."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager

from rmspec.oracles.framework import EvidenceCounter, import_reference
from rmspec.oracles.registry import framework_named, registered_names

__all__ = ["StepCounters", "counter_titles", "has_variants", "required_paths"]


def required_paths(name: str) -> tuple[str, ...]:
    """List the paths required of each step of a registered subject; none for any other."""
    framework = registered_names().get(name)
    return () if framework is None else framework.subjects[name].paths


def has_variants(framework: str, paths: Iterable[str]) -> bool:
    """Whether a subject on these paths compiles each variant of options, formats and shapes."""
    return any(counter.variants and counter.path in paths for counter in _counters(framework))


def counter_titles(framework: str) -> dict[str, str]:
    """Name the things counted by a framework, by path."""
    return {counter.path: counter.title for counter in _counters(framework)}


class StepCounters:
    """The counters of a subject: those of its required paths, and its framework's constant ones.

    ``paths`` are its own, as its capabilities say: a process may have left one that this subject never takes.
    """

    def __init__(self, name: str, framework: str, paths: frozenset[str]) -> None:
        self._required = required_paths(name)
        self._paths = paths
        self._counters = {
            counter.path: import_reference(counter.counts)
            for counter in _counters(framework)
            if counter.always or counter.path in self._required
        }

    @contextmanager
    def counting(self) -> Iterator[Callable[[], Mapping[str, int]]]:
        """Count during one step, and yield a function for the entries by path: 0 for a required path left out."""
        with ExitStack() as stack:
            counts = {path: stack.enter_context(count()) for path, count in self._counters.items()}
            yield lambda: {
                path: max(number, 0)
                for path, count in counts.items()
                if (number := count()) > 0 or path in self._required or (number < 0 and path in self._paths)
            }


def _counters(framework: str) -> tuple[EvidenceCounter, ...]:
    described = framework_named(framework)
    return () if described is None else described.counters
