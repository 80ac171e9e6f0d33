"""The clause list is a contract: ids stay, and every entry is well formed."""

import dataclasses
import typing

import pytest

from rmspec.impl.spec.clauses import CLAUSES, Clause, ClauseKind, UnknownClause, clause

IDS = (
    "init-params",
    "init-square-avg",
    "init-momentum-buffer",
    "init-grad-avg",
    "descent",
    "weight-decay",
    "square-avg",
    "grad-avg",
    "centered-variance",
    "momentum-buffer",
    "momentum-lr",
    "momentum-update",
    "update",
    "eps-placement",
    "scheduled-lr",
    "default-lr",
    "default-alpha",
    "default-eps",
    "default-weight-decay",
    "default-momentum",
    "default-centered",
    "params",
    "step",
    "closure",
    "closure-failure",
    "grad-none",
    "grad-zero",
    "zero-grad-none",
    "zero-grad-zero",
    "add-param-group",
    "group-options",
    "group-defaults",
    "state-dict",
    "load-state-dict",
    "load-options",
    "load-mismatch",
    "grad-untouched",
    "frame",
    "isolation",
    "load-isolation",
    "state-dict-snapshot",
    "load-shape",
    "load-partial",
    "option-change",
    "scalar-precision",
    "subnormals",
    "elementwise",
    "layout",
    "complex-pairs",
    "duplicate-across-groups",
    "duplicate-in-group",
    "sparse-rows",
    "maximize",
    "hooks",
    "order-without-eps",
    "order-within-bound",
    "lr-place-unseen",
    "lr-place-seen",
    "first-average",
    "refuse-invalid",
    "caller-dict",
    "failed-step",
)

FEATURES = {
    "centered",
    "closure",
    "complex",
    "duplicates",
    "groups",
    "hooks",
    "layout",
    "maximize",
    "momentum",
    "schedule",
    "sparse",
    "state_dict",
    "weight_decay",
    "zero_grad",
}


def test_the_ids_are_these_and_none_has_been_removed_or_renamed():
    """Known deviations, baselines and stored programs refer to them: an id may be added here, never dropped."""
    assert tuple(CLAUSES) == IDS


@pytest.mark.parametrize("id", IDS)
def test_every_clause_is_complete_and_filed_under_its_id(id):
    """Id in lower case with hyphens, a title without a full stop, a text that is a sentence, a source, a legal kind."""
    each = CLAUSES[id]
    assert clause(id) is each
    assert each.id == id
    assert id.replace("-", "").isalnum()
    assert id == id.lower()
    assert each.title
    assert not each.title.endswith(".")
    assert each.text.endswith(".")
    assert each.source
    assert each.kind in typing.get_args(ClauseKind)
    assert each.feature is None or each.feature in FEATURES


def test_no_two_clauses_have_one_title():
    """A report that prints titles is unambiguous."""
    assert len({each.title for each in CLAUSES.values()}) == len(CLAUSES)


def test_every_feature_takes_some_clause_out():
    """A word for --without that no clause knows would be silently useless."""
    assert {each.feature for each in CLAUSES.values()} - {None} == FEATURES


def test_every_default_of_the_page_has_its_clause():
    """One clause for each of the six options, naming the value of the page."""
    page = {"lr": "1e-2", "alpha": "0.99", "eps": "1e-8", "weight-decay": "0", "momentum": "0", "centered": "False"}
    for name, value in page.items():
        assert CLAUSES[f"default-{name}"].kind == "default"
        assert f"is {value} when" in CLAUSES[f"default-{name}"].title


def test_only_readings_of_a_silent_page_do_not_gate():
    """What the page states fails a run; what it promises nothing about is only shown."""
    silent = [each for each in CLAUSES.values() if not each.gates]
    assert [each.id for each in silent] == ["refuse-invalid", "caller-dict", "failed-step"]
    assert all(each.kind == "interpretation" for each in silent)


@pytest.mark.parametrize(("typed", "closest"), [("squareavg", "square-avg"), ("weight_decay", "weight-decay")])
def test_an_unknown_clause_is_refused_with_the_closest_id(typed, closest):
    """The id that was typed and the nearest one ride along on the error."""
    with pytest.raises(UnknownClause) as caught:
        clause(typed)
    assert (caught.value.id, caught.value.closest) == (typed, closest)
    assert isinstance(caught.value, KeyError)


def test_an_unknown_clause_like_no_other_has_no_closest_id():
    """The error does not guess."""
    with pytest.raises(UnknownClause) as caught:
        clause("zzzzzz")
    assert caught.value.closest is None


def test_the_list_cannot_be_changed():
    """Neither the mapping nor a clause."""
    with pytest.raises(TypeError):
        CLAUSES["descent"] = CLAUSES["step"]  # type: ignore[index]
    with pytest.raises(dataclasses.FrozenInstanceError):
        CLAUSES["descent"].id = "ascent"  # type: ignore[misc]
    assert isinstance(CLAUSES["descent"], Clause)
