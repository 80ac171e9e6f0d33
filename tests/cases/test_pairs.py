"""Two faults in one optimizer, as people write them: both are named, nothing besides, and what is said of them is true."""

from __future__ import annotations

from pathlib import Path

import pytest

from rmspec.properties.check import check
from rmspec.properties.events import Deviation, SubjectResult
from rmspec.properties.known import Known
from rmspec.reports.stored import program_file

torch = pytest.importorskip("torch")

SUBJECTS = Path(__file__).with_name("pairs.py")


def examined(name: str, *formats: str, known: tuple[Known, ...] = ()) -> SubjectResult:
    """The result on a subject of the stored programs."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return check(f"{SUBJECTS}:{name}", profile="smoke", formats=formats or ("float32",), programs=(), known=known)
    finally:
        torch.set_num_threads(threads)


def new(result: SubjectResult) -> list[Deviation]:
    """The deviations that nothing knows."""
    return [found for found in result.deviations if found.known is None]


def verdicts(result: SubjectResult) -> dict[str, str]:
    return {clause.id: clause.verdict for clause in result.clauses}


def test_hidden_state_is_no_fault() -> None:
    """Nor does it show everything: where lr never changes, a hidden buffer shows nothing of its place."""
    assert new(examined("Kept")) == []


@pytest.mark.parametrize(
    ("name", "clauses"),
    [("KeptStartsAtOne", {"init-square-avg"}), ("KeptEpsTwice", {"eps-placement"})],
)
def test_an_initial_value_is_blamed_where_it_explains_later_steps_too(name: str, clauses: set[str]) -> None:
    """Of a hidden state anything can be made to fit one step of one program."""
    assert {found.clause for found in new(examined(name))} == clauses


def test_an_unknown_quotient_of_hidden_state_is_no_initial_value() -> None:
    found = new(examined("KeptClampedNesterov"))
    assert (
        {"update", "momentum-update"}
        <= {each.clause for each in found}
        <= {"update", "momentum-update", "centered-variance"}
    )


def test_a_part_of_a_branch_is_no_explanation_where_the_rest_is_left() -> None:
    """The first step has no average yet, so that it is as if the variance were never centered."""
    found = new(examined("FixedWeightOldAverage"))
    assert [each.clause for each in found if each.clause in ("square-avg", "centered-variance")] == [
        "square-avg",
        "centered-variance",
    ]
    assert not any(each.amendment for each in found)


def test_a_line_made_right_may_show_the_fault_below_it() -> None:
    """The lines below a wrong average are blocked with weight decay: that they fail afterwards is no reason against it."""
    result = examined("OldDialectKeptLr")
    explained = {each.clause: dict(each.amendment) for each in new(result)}
    assert explained == {
        "init-square-avg": {"initial_square_avg": 1.0},
        "eps-placement": {"eps_place": "inside"},
        "scheduled-lr": {},
    }
    assert verdicts(result)["momentum-lr"] == "hidden"
    assert verdicts(result)["lr-place-seen"] == "hidden"


def test_a_role_that_is_kept_in_some_branches_is_judged_there() -> None:
    result = examined("UncenteredWithMomentum")
    assert {each.clause for each in new(result)} == {"centered-variance", "load-state-dict"}
    assert "grad_avg" in result.state_visible
    assert verdicts(result)["grad-avg"] == "conforms"


def test_a_line_without_weight_decay_is_told_so() -> None:
    """No line of the state multiplies the parameter; and two deviations of one clause have a file each."""
    found = [each for each in new(examined("RawAverages")) if each.clause == "weight-decay"]
    assert {"decay": "none", "lines": ["square_avg"]} in [dict(each.amendment) for each in found]
    files = [program_file("repro", ("A",), "A", each) for each in found]
    assert len(set(files)) == len(files) > 1
    assert files[0] == "repro/A-weight-decay.json"


def test_one_use_of_an_option_in_every_line_is_one_amendment() -> None:
    """Found in one line first, where another fault keeps the rest from being seen, it is found in all of them later."""
    explained = {found.clause: dict(found.amendment) for found in new(examined("DecayTimesLrEpsInside"))}
    assert explained == {"weight-decay": {"weight_decay": "times lr"}, "eps-placement": {"eps_place": "inside"}}


def test_a_known_fault_that_deviates_is_not_stale() -> None:
    """One program of few numbers fits other clauses by chance; the relation of two dialects neither passed nor failed."""
    first = examined("UnweightedLrInside")
    found = new(first)
    assert {each.clause for each in found} == {"square-avg", "momentum-lr"}
    assert verdicts(first)["lr-place-seen"] == "hidden"
    # What were wrong with several elements alone would look the same.
    assert verdicts(first)["elementwise"] == verdicts(first)["layout"] == "hidden"
    entries = tuple(
        Known(each.clause, each.clause, "*", "measured", witness=each.program, when={"kind": each.kind})
        for each in found
    )
    second = examined("UnweightedLrInside", known=entries)
    assert (new(second), second.stale) == ([], ())


def test_a_half_format_names_no_clause_by_chance() -> None:
    """Two wrong results fall on one half; a wider format tells them apart."""
    found = new(examined("ClampedDecayNotAveraged", "float32", "bfloat16"))
    assert {each.clause for each in found} == {"update", "momentum-buffer", "weight-decay"}


def test_what_passed_under_an_amendment_names_it() -> None:
    result = check(
        f"{SUBJECTS.with_name('optimizers.py')}:AsTensorFlow", profile="smoke", formats=("float32",), programs=()
    )
    given = {clause.id: clause.given for clause in result.clauses}
    assert given["update"] == given["momentum-buffer"] == ("eps is added inside the square root",)
    assert given["square-avg"] == given["grad-avg"] == ()
