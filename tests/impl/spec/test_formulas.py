"""The formulas of a dialect are those of the pseudocode, as text."""

import typing
from dataclasses import replace

import pytest

from rmspec.impl.spec.clauses import CLAUSES, Quantity
from rmspec.impl.spec.dialect import DIALECTS, SPECIFICATION
from rmspec.impl.spec.formulas import formula


@pytest.mark.parametrize("row", [row for row in CLAUSES.values() if row.formula], ids=lambda row: row.id)
def test_a_title_that_is_a_formula_is_the_pseudocodes(row):
    """Neither can change without the other."""
    assert row.title == formula(row.formula, SPECIFICATION)


def test_every_quantity_is_the_title_of_a_clause():
    """A formula that no clause states would be no statement of the page."""
    assert {row.formula for row in CLAUSES.values()} - {None} == set(typing.get_args(Quantity))


@pytest.mark.parametrize(
    ("dialect", "quantity", "text"),
    [
        (DIALECTS["keras-legacy"], "b", "b_t = mu b_{t-1} + gamma g_t / sqrt(v~_t + eps)"),
        (DIALECTS["keras-legacy"], "theta", "theta_t = theta_{t-1} - gamma g_t / (sqrt(v~_t) + eps)"),
        (DIALECTS["hinton"], "theta", "theta_t = theta_{t-1} - gamma g_t / sqrt(v~_t)"),
        (DIALECTS["tensorflow1"], "theta with b", "theta_t = theta_{t-1} - b_t"),
        (DIALECTS["torch-maximize"], "v", "v_t = alpha v_{t-1} + (1 - alpha) g_t^2"),
        (
            replace(SPECIFICATION, nesterov=True),
            "theta with b",
            "theta_t = theta_{t-1} - gamma (mu b_t + g_t / (sqrt(v~_t) + eps))",
        ),
        (
            replace(SPECIFICATION, nesterov=True, lr_place="inside"),
            "theta with b",
            "theta_t = theta_{t-1} - (mu b_t + gamma g_t / (sqrt(v~_t) + eps))",
        ),
        (
            replace(SPECIFICATION, bias_correction=True),
            "theta",
            "theta_t = theta_{t-1} - gamma g_t / (sqrt(v~_t / (1 - alpha^t)) + eps)",
        ),
    ],
)
def test_a_formula_reads_as_the_dialect_computes(dialect, quantity, text):
    """Parentheses where an operator needs them, and nowhere else."""
    assert formula(quantity, dialect) == text
