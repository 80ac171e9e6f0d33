"""Why a clause was not checked is said by its row."""

from dataclasses import replace

import pytest

from rmspec.impl.arithmetic.policy import STRICT
from rmspec.impl.spec.clauses import CLAUSES
from rmspec.impl.spec.dialect import DIALECTS
from rmspec.oracles.program.program import Program
from rmspec.oracles.subject import Capabilities
from rmspec.properties.events import Deviation
from rmspec.properties.judge.findings import Tally
from rmspec.properties.lines.cells import Cell
from rmspec.properties.verdicts import ClauseVerdicts


def reason(id, dialect="torch", **capabilities):
    """The reason of a clause that no check counts for."""
    return ClauseVerdicts(Capabilities(**capabilities), DIALECTS[dialect], STRICT, Tally()).of(id, ()).reason


@pytest.mark.parametrize(
    ("id", "dialect", "roles", "words"),
    [
        ("square-avg", "torch", {"grad_avg"}, "it shows no square_avg"),
        ("square-avg", "torch", set(), "its state is hidden"),
        ("load-shape", "torch", set(), "its state is hidden"),
        ("load-shape", "torch", {"grad_avg"}, "no program exercised it"),
        ("init-square-avg", "torch", set(), "no program exercised it"),
        ("default-lr", "optax", set(), "the dialect optax documents no default"),
        ("default-alpha", "optax", set(), "no program exercised it"),
        ("maximize", "torch", set(), "the dialect torch does not maximize"),
        ("maximize", "torch-maximize", set(), "no program exercised it"),
    ],
)
def test_the_row_says_what_a_check_would_have_needed(id, dialect, roles, words):
    """A role of the state, a documented default, a switch that is on; else no program asked."""
    assert reason(id, dialect, roles=frozenset(roles)) == words


def test_a_feature_that_the_subject_lacks_comes_first():
    """With the sentence of the subject, where it has one."""
    every = Capabilities()
    assert reason("closure", features=every.features - {"closure"}) == "the subject has no closure"
    lacking = replace(every, features=every.features - {"hooks"}, missing={"hooks": "it has no hooks"})
    verdict = ClauseVerdicts(lacking, DIALECTS["torch"], STRICT, Tally()).of("hooks", ())
    assert (verdict.verdict, verdict.reason) == ("not-checked", "it has no hooks")


@pytest.mark.parametrize("id", [id for id, clause in CLAUSES.items() if clause.shows_in])
@pytest.mark.parametrize(
    ("amendment", "later", "verdict"),
    [({}, True, "hidden"), ({}, False, "conforms"), ({"eps_place": "inside"}, True, "conforms")],
    ids=["unexplained", "elsewhere", "explained"],
)
def test_what_a_call_leaves_unseen_is_hidden_by_an_unexplained_failure_of_the_steps_after_it(
    id, amendment, later, verdict
):
    """That the call itself changed nothing in sight is not all: skipped-step-drops-buffer with eps-twice."""
    circumstances = frozenset({CLAUSES[id].shows_in} if later else ())
    cell = Cell(momentum=True, centered=False, decay=False, half=False, pairs=False, circumstances=circumstances)
    eps = Deviation("eps-placement", "param is 2.0", Program((), ()), "value", 1, amendment=amendment)
    tally = Tally(checks={id: 5}, exact={id: 5})
    spoils = {"eps-placement": {("param", cell)}}
    result = ClauseVerdicts(Capabilities(), DIALECTS["torch"], STRICT, tally, spoils=spoils).of(id, (eps,))
    assert (result.verdict, result.hidden_by) == (verdict, ("eps-placement",) if verdict == "hidden" else ())
