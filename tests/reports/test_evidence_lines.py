"""The evidence of paths, as a person reads it."""

from rmspec.properties.events import Evidence, PathEvidence
from rmspec.reports.text import evidence_lines


def test_a_path_is_printed_with_its_counts_and_the_rest_beside_it() -> None:
    """Steps and entries of each path, steps on another one, programs that were not asked; nothing without evidence."""
    paths = {"compiled": PathEvidence(1200, 1300, "graphs of torch.compile entered", True)}
    assert evidence_lines(Evidence(paths)) == ["path compiled: 1,200 steps, 1,300 graphs of torch.compile entered"]
    assert evidence_lines(Evidence(paths, 3, 40))[1:] == [
        "steps on another path, which are no checks: 3",
        "programs not asked of this path, since each variant is compiled: 40",
    ]
    assert evidence_lines(None) == []
