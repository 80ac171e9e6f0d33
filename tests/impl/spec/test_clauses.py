"""The clause list is a contract: ids stay, and every entry is well formed."""

import dataclasses
import typing

import pytest

from rmspec.impl.spec.clauses import (
    CLAUSE_OF_DEFAULT,
    CLAUSE_OF_ROLE,
    CLAUSE_OF_START,
    CLAUSES,
    Clause,
    ClauseKind,
    PageLine,
    Quantity,
    UnknownClause,
    clause,
    option_clause,
)
from rmspec.impl.spec.dialect import Dialect

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
    "closure-call",
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
    "lr-untouched",
    "frame",
    "isolation",
    "load-isolation",
    "state-dict-snapshot",
    "state-dict-copy",
    "load-shape",
    "load-partial",
    "load-version",
    "load-device",
    "optimizer-copy",
    "step-counter",
    "option-change",
    "scalar-precision",
    "subnormals",
    "operation-rounding",
    "elementwise",
    "layout",
    "complex-pairs",
    "duplicate-across-groups",
    "duplicate-in-group",
    "sparse-rows",
    "maximize",
    "hooks",
    "differentiable-step",
    "order-without-eps",
    "order-within-bound",
    "lr-place-unseen",
    "lr-place-seen",
    "first-average",
    "refuse-invalid",
    "caller-dict",
    "load-without-option",
    "failed-step",
)

FEATURES = {
    "centered",
    "closure",
    "complex",
    "copy",
    "derivatives",
    "duplicates",
    "groups",
    "hooks",
    "layout",
    "maximize",
    "momentum",
    "operations",
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
    assert [each.id for each in silent] == ["refuse-invalid", "caller-dict", "load-without-option", "failed-step"]
    assert all(each.kind == "interpretation" for each in silent)


def test_only_what_the_page_states_is_a_promise_of_the_api():
    """What it does not say of closures, gradients, other calls and other optimizers is a reading, and its source says so."""
    api = {each.id for each in CLAUSES.values() if each.kind == "api"}
    readings = {"closure-call", "closure-failure", "grad-untouched", "frame", "isolation", "load-mismatch"}
    assert not api & readings
    assert "closure" in api
    assert CLAUSES["isolation"].kind == CLAUSES["load-isolation"].kind
    for each in CLAUSES.values():
        if each.kind == "interpretation":
            assert each.source.startswith("silent"), each.id


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


ROLES = ("square_avg", "grad_avg", "momentum_buffer")


def test_every_line_of_the_pseudocode_has_the_clauses_that_stand_at_it():
    """And nothing but a line of the page is named; the notes and the API stand where their lines are, or nowhere."""
    named = {line for row in CLAUSES.values() for line in row.lines}
    assert named == set(typing.get_args(PageLine))
    assert all(row.lines for row in CLAUSES.values() if row.kind in ("pseudocode", "default"))


@pytest.mark.parametrize("role", ROLES)
def test_every_role_of_the_state_is_started_and_computed_by_a_clause_of_its_own(role):
    """The one that computes it can be checked only where the role is shown."""
    start, computed = CLAUSES[CLAUSE_OF_START[role]], CLAUSES[CLAUSE_OF_ROLE[role]]
    assert (start.id, start.counted_by) == (f"init-{role.replace('_', '-')}", "init-params")
    assert (computed.id, computed.needs_role) == (role.replace("_", "-"), role)


def test_an_option_has_the_value_that_the_clause_of_its_source_says():
    """A default has a clause of its own, what a group was given or changed to is the group's, what was loaded is loaded."""
    sources = ("default", "constructor", "group", "changed", "loaded")
    found = [option_clause(source, "weight_decay") for source in sources]
    assert found == ["default-weight-decay", "group-defaults", "group-options", "group-options", "load-options"]
    assert tuple(CLAUSE_OF_DEFAULT) == ("lr", "alpha", "eps", "weight_decay", "momentum", "centered")
    with pytest.raises(KeyError):
        option_clause("somewhere", "lr")


def ids(**fields):
    """The ids of the clauses that have these values in these fields."""
    return {id for id, row in CLAUSES.items() if all(getattr(row, name) == value for name, value in fields.items())}


def test_what_each_clause_needs_and_how_its_violation_reads():
    """One row says it, and what reads the row is told no id."""
    refused = {id for id, row in CLAUSES.items() if row.refusal}
    assert refused == {"load-mismatch", "load-shape", "duplicate-across-groups"}
    assert ids(needs_role="any") == {"state-dict-snapshot", "load-shape"}
    assert ids(counted_by="step") == {"subnormals", "elementwise"}
    assert ids(expects="none") == {"zero-grad-none"}
    assert ids(expects="initial") == {"load-partial"}
    assert ids(compares="element") == {"sparse-rows"}
    assert ids(decided=True) == {"duplicate-in-group"}
    assert {id for id, row in CLAUSES.items() if row.cause} == {"scalar-precision"}
    usual = Clause("", "", "api", "", "").circumstance
    assert set(CLAUSES) - ids(circumstance=usual) == {"grad-none", "isolation", "load-isolation", "optimizer-copy"}


def test_every_field_names_something_that_there_is():
    """Clauses, options, switches and roles: a row with a slip of the pen would be passed over in silence."""
    switches = {each.name for each in dataclasses.fields(Dialect)}
    for row in CLAUSES.values():
        assert row.counted_by in ("", *CLAUSES)
        assert row.switch in ("", *switches)
        assert bool(row.switch) == bool(row.absent)
        assert row.needs_role in ("", "any", "groups", *ROLES)
        assert row.formula in (None, *typing.get_args(Quantity))
