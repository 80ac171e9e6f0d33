"""What a clause states in each dialect: never the opposite of what the dialect demands."""

import pytest

from rmspec.impl.spec.clauses import CLAUSES
from rmspec.impl.spec.dialect import DIALECTS
from rmspec.oracles.dialects import statement


@pytest.mark.parametrize("id", CLAUSES)
def test_the_page_states_its_own_titles(id: str) -> None:
    """And so does a dialect that has no name here."""
    assert statement(id, "torch") == statement(id) == statement(id, "mine") == CLAUSES[id].title


@pytest.mark.parametrize(
    ("id", "dialect", "words"),
    [
        ("eps-placement", "keras3", "eps is added inside the square root (keras3)"),
        ("eps-placement", "hinton", "there is no eps (hinton)"),
        ("eps-placement", "keras-legacy", "without momentum, inside with it"),
        ("momentum-lr", "keras3", "the learning rate is inside the buffer (keras3)"),
        ("momentum-buffer", "keras3", "b_t = mu b_{t-1} + gamma g_t / sqrt(v~_t + eps) (keras3)"),
        ("momentum-update", "keras3", "theta_t = theta_{t-1} - b_t (keras3)"),
        ("update", "tensorflow", "theta_t = theta_{t-1} - gamma g_t / sqrt(v~_t + eps) (tensorflow)"),
        ("init-square-avg", "tensorflow1", "v_0 = 1 (tensorflow1)"),
        ("weight-decay", "keras3", "multiplies the parameter by 1 - gamma * lambda (keras3)"),
        ("weight-decay", "tensorflow1", "there is no weight decay (tensorflow1)"),
        ("descent", "torch-maximize", "the step goes with the gradient (torch-maximize)"),
        ("default-lr", "keras3", "lr is 0.001 when it is not given (keras3)"),
    ],
)
def test_a_dialect_states_what_it_demands(id: str, dialect: str, words: str) -> None:
    """With its name, so that nobody takes it for the page's sentence."""
    assert words in statement(id, dialect)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_where_a_dialect_agrees_the_pages_sentence_stands(dialect: str) -> None:
    """A clause that no switch touches reads alike everywhere."""
    assert statement("square-avg", dialect) == CLAUSES["square-avg"].title
    assert statement("no-clause", dialect) == ""
