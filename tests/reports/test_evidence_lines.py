"""The evidence of paths, as a person reads it."""

from rmspec.impl.arithmetic.accuracy import Accuracy
from rmspec.properties.events import Evidence, OperationEvidence, PathEvidence
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


def test_operations_are_printed_by_format_and_alike_ones_together() -> None:
    """What is exact, what is not and how far, what allows it, contraction, and what is lost to subnormal numbers."""
    exact = {name: Accuracy(90, 0.5, 0, 10) for name in ("add", "divide")}
    form = Accuracy(90, 0.0, 0, 10, 3, 20, 80)
    root = Accuracy(90, 0.749, 12, 10)

    def measured(format: str, **accuracies: Accuracy) -> list[OperationEvidence]:
        return [
            OperationEvidence(
                name.replace("_", "-"), format, accuracy, 1.0 if accuracy.off else 0.5, "a page" if accuracy.off else ""
            )
            for name, accuracy in accuracies.items()
        ]

    operations = (
        *measured("float16", **exact, multiply_add=form),
        *measured("float32", **exact, sqrt=root),
        *measured("bfloat16", **exact, multiply_add=form),
    )
    assert evidence_lines(Evidence({}, operations=operations)) == [
        "operations in float16, bfloat16: add, divide correctly rounded; x*y + z rounded once in 25 %; "
        "3 results lost to subnormal numbers (100 inputs each)",
        "operations in float32: add, divide correctly rounded; sqrt off by up to 0.749 units in the last place, "
        "12 results not the nearest (judged within 1: a page); subnormal numbers kept (100 inputs each)",
    ]
