"""Two faults in one optimizer, as people write them: both are named, nothing besides, and what is said of them is true."""

from __future__ import annotations

from pathlib import Path

import pytest
from programs import create, program

from rmspec.impl.arithmetic.amendments import parse_amendment
from rmspec.oracles.program.program import Param, SetGrad, Step
from rmspec.properties.check import check
from rmspec.properties.events import Deviation, SubjectResult
from rmspec.properties.examination import plan
from rmspec.properties.known import Known
from rmspec.properties.peeling.peeling import Adoption, Peeling
from rmspec.properties.settings import PROFILES, Profile
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


def test_a_near_miss_in_a_half_is_explained_by_no_rule_that_other_numbers_do_not_confirm() -> None:
    """Half of all values of eps undo what a parameter kept in a wider format does to a half: eps is not to blame."""
    half = Param("p", dtype="float16", values=(0.5,))
    made = create(eps=0.25, momentum=0.5)
    first, later = SetGrad("p", (-1.25,)), SetGrad("p", (-0.06201171875,))
    asked = program(made, first, Step("A"), Step("A"), later, Step("A"), params=(half,))
    result = check(f"{SUBJECTS}:MasterCopy", profile="smoke", formats=("float16", "float32"), programs=(asked,))
    # A load leaves the parameter alone, and the copy moves it.
    assert {each.clause for each in new(result)} == {"load-state-dict", "update"}


def test_a_deviation_of_its_own_is_not_inherited_with_what_a_wider_amendment_explains(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Rounding to float32 explains a double; to the storage format as well, that and a half which torch rounds alike."""
    narrow, wide = (
        Adoption(parse_amendment({"scalars": scalars}, "scalar-precision"))
        for scalars in ("float32", "float32-storage")
    )
    monkeypatch.setattr(Peeling, "run", lambda peeling: peeling.adopt([narrow, wide]))
    for programs in ("corpus", "differential", "ladders", "sizes"):
        monkeypatch.setattr(plan, programs, lambda *_, **__: ())
    monkeypatch.setitem(PROFILES, "none", Profile("none", 0, 0, 0))
    half, double = Param("p", dtype="bfloat16", values=(-1.0,)), Param("p", dtype="float64")
    made = create(eps=0.25, momentum=0.5)
    asked = (
        program(made, SetGrad("p", (0.75,)), *[Step("A")] * 3, params=(half,)),
        program(create(), SetGrad("p", (2.0,)), Step("A"), params=(double,)),
    )
    result = check(f"{SUBJECTS}:MasterCopyRoundedDoubles", profile="none", programs=asked)
    own = [each for each in new(result) if each.clause == "scalar-precision"]
    assert [(dict(each.amendment), each.program.params[0].dtype) for each in own] == [
        ({"scalars": "float32"}, "float64")
    ]


@pytest.mark.parametrize(
    ("name", "clauses"), [("EpsInside", set()), ("EpsTwice", {"eps-placement"}), ("EpsInsideButLast", {"elementwise"})]
)
def test_an_entry_with_an_amendment_accepts_nothing_that_it_does_not_explain(name: str, clauses: set[str]) -> None:
    """Nor where no amendment explains what there is: the deviation of another cause is a new one."""
    amendment = parse_amendment({"eps_place": "inside"}, "eps-placement")
    entry = Known("eps", "eps-placement", "*", "accepted", when={"kind": "value"}, amendment=amendment)
    wide = Param("p", shape=(96,), values=(2.0, -1.0, 0.5))
    asked = program(create(eps=0.5), SetGrad("p", (0.25, 0.5)), Step("A"), params=(wide,))
    result = check(f"{SUBJECTS}:{name}", profile="smoke", formats=("float32",), programs=(asked,), known=(entry,))
    assert {each.clause for each in new(result)} == clauses


def test_what_passed_under_an_amendment_names_it() -> None:
    result = check(
        f"{SUBJECTS.with_name('optimizers.py')}:AsTensorFlow", profile="smoke", formats=("float32",), programs=()
    )
    given = {clause.id: clause.given for clause in result.clauses}
    assert given["update"] == given["momentum-buffer"] == ("eps is added inside the square root",)
    assert given["square-avg"] == given["grad-avg"] == ()
