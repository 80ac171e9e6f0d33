"""Hardware policies: the errors allowed beyond correct rounding.

The default is strict: every operation correctly rounded, subnormals kept. The others are for accelerators whose
division, root or handling of subnormals is documented to be weaker (docs/reference/formats.md); a report prints the policy by name.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["POLICIES", "STRICT", "Policy"]


@dataclass(frozen=True, slots=True)
class Policy:
    """A named weakening of correct rounding.

    ``division_ulps`` and ``sqrt_ulps`` are the most ulps by which a quotient or a root may be off (0.5 is correct
    rounding); with ``flush_subnormals`` any subnormal result may be replaced by zero.
    """

    name: str
    division_ulps: float = 0.5
    sqrt_ulps: float = 0.5
    flush_subnormals: bool = False

    @property
    def strict(self) -> bool:
        """Whether nothing beyond correct rounding is allowed."""
        return self.division_ulps <= 0.5 and self.sqrt_ulps <= 0.5 and not self.flush_subnormals


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
