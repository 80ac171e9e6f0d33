"""Hardware policies: the errors allowed beyond correct rounding.

The default is strict: every operation correctly rounded, subnormals kept. The others are for accelerators whose
division, root or handling of subnormals is documented to be weaker (docs/reference/formats.md); a report prints the policy by name.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from rmspec.impl.arithmetic.accuracy import Operation

__all__ = ["POLICIES", "STRICT", "Allowance", "Policy"]


@dataclass(frozen=True, slots=True)
class Allowance:
    """An error in ulps allowed for one operation in one format, beyond a policy: the measured one of a path."""

    operation: Operation
    format: str
    ulps: float


@dataclass(frozen=True, slots=True)
class Policy:
    """A named weakening of correct rounding.

    ``division_ulps`` and ``sqrt_ulps`` are the most ulps by which a quotient or a root may be off (0.5 is correct
    rounding); with ``flush_subnormals`` any subnormal result may be replaced by zero. ``allowances`` amend it for what a path
    was measured to do.
    """

    name: str
    division_ulps: float = 0.5
    sqrt_ulps: float = 0.5
    flush_subnormals: bool = False
    allowances: tuple[Allowance, ...] = ()

    @property
    def strict(self) -> bool:
        """Whether nothing beyond correct rounding is allowed."""
        return self.division_ulps <= 0.5 and self.sqrt_ulps <= 0.5 and not self.flush_subnormals

    def stated(self, operation: Operation) -> float:
        """The most ulps allowed an operation, the allowances left out."""
        return {"divide": self.division_ulps, "sqrt": self.sqrt_ulps}.get(operation, 0.5)

    def ulps(self, operation: Operation, format: str) -> float:
        """The most ulps allowed an operation in a format, the allowances counted in."""
        allowed = (entry.ulps for entry in self.allowances if (entry.operation, entry.format) == (operation, format))
        return max((self.stated(operation), *allowed))

    def amended(self, allowances: Iterable[Allowance]) -> Policy:
        """The policy with these allowances."""
        return replace(self, allowances=tuple(allowances))


STRICT = Policy("strict")
POLICIES: dict[str, Policy] = {
    policy.name: policy
    for policy in (
        STRICT,
        Policy("approximate-division", division_ulps=2.0, sqrt_ulps=2.0),
        Policy("flush-subnormals", flush_subnormals=True),
        Policy("fast-math", division_ulps=2.0, sqrt_ulps=2.0, flush_subnormals=True),
    )
}
"""Every policy by name: ``strict`` first, the default."""
