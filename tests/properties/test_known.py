"""The list of known deviations, checked both ways: an entry that no longer holds is as wrong as a deviation that none names."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import date
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from programs import Spoilt, create, program, result, step

from rmspec.impl.arithmetic.amendments import parse_amendment
from rmspec.impl.spec.clauses import CLAUSES
from rmspec.oracles.errors import InputProblem
from rmspec.oracles.program.program import Call, Param, Program, SetOption, Step, to_json
from rmspec.oracles.registry import registered_names
from rmspec.properties.events import Deviation
from rmspec.properties.known import (
    BadKnownList,
    Known,
    Locality,
    applies,
    expired,
    matches,
    placed,
    read_known,
    shipped,
    speaks_of,
)

ROOT = Path(__file__).parents[2]
WITNESS = program(create(lr=0.5), step(p=2.0), note="a witness")


def doubling(session: Any, call: Call) -> None:
    """Every step moves the parameters to twice their value."""
    if isinstance(call, Step):
        for parameter in session._params.values():
            parameter.data *= 2


WRONG = Spoilt(doubling)


def entry(**changes: Any) -> Known:
    return replace(Known("mine", "update", "spoilt", "because", witness=WITNESS), **changes)


def deviation(**changes: Any) -> Deviation:
    return replace(
        Deviation("update", "param is 1.0, outside [2.0, 3.0]", WITNESS, "value", 2, "A", "p", "param"), **changes
    )


def checked(*entries: Known, subject: Any = WRONG, **settings: Any) -> Any:
    return result(subject, known=entries, formats=("float32",), **settings)


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """A check of one program is enough: these tests are about the list."""
    module = import_module("rmspec.properties.examination.plan")
    monkeypatch.setattr(module, "corpus", lambda: (WITNESS,))
    monkeypatch.setattr(module, "differential", lambda formats: ())
    monkeypatch.setitem(module.PROFILES, "smoke", replace(module.PROFILES["smoke"], sweeps=0, branches=0, rounds=0))


# -- matching


@pytest.mark.parametrize(
    ("changes", "applies_here"),
    [
        ({}, True),
        ({"subject": "sp*"}, True),
        ({"subject": "torch*"}, False),
        ({"subject": "SPOILT"}, False),
        ({"versions": {"spoilt": ">=1,<2"}}, True),
        ({"versions": {"spoilt": ">=1.3"}}, False),
        ({"versions": {"spoilt": "==1.2"}}, True),
        ({"versions": {"torch": ">=2"}}, False),
        ({"versions": {"spoilt": ">=1", "torch": ">=2"}}, False),
    ],
)
def test_an_entry_speaks_of_a_subject_at_its_versions(changes: dict[str, Any], applies_here: bool) -> None:
    """The pattern is a shell's, case counts, and every range named must hold."""
    assert applies(entry(**changes), "spoilt", {"spoilt": "1.2"}) is applies_here


@pytest.mark.parametrize(
    ("version", "within"), [("2.13.0+cpu", True), ("2.13.0rc1", True), ("2.14.0.dev20250101", True), ("odd", False)]
)
def test_a_local_or_early_version_is_compared_as_one(version: str, within: bool) -> None:
    """The part behind the plus does not count, and a pre-release is inside a range."""
    assert applies(entry(versions={"torch": ">=2.6,<3"}), "spoilt", {"torch": version}) is within


@pytest.mark.parametrize(
    ("when", "named"),
    [
        ({}, True),
        ({"kind": "value"}, True),
        ({"kind": "raised"}, False),
        ({"kind": ["raised", "value"]}, True),
        ({"role": "param"}, True),
        ({"role": ["square_avg", "param"]}, True),
        ({"role": ["square_avg"]}, False),
        ({"message": "outside"}, True),
        ({"message": "KeyError"}, False),
        ({"formats": ["float32", "float64"]}, True),
        ({"formats": "float16"}, False),
        ({"call": "step"}, True),
        ({"call": ["load"]}, False),
        ({"options": ["lr"]}, True),
        ({"options": ["lr", "momentum"]}, False),
        ({"kind": "value", "role": "grad_avg"}, False),
    ],
)
def test_a_deviation_is_named_where_every_condition_holds(when: dict[str, Any], named: bool) -> None:
    """Kind, role, message, formats, call and options: all that are given count."""
    assert matches(entry(when=when), deviation()) is named


def test_the_formats_of_an_entry_are_those_of_the_parameter_that_deviates() -> None:
    """Another parameter of the program says nothing; where none deviates, all count."""
    both = replace(deviation().program, params=(Param("p", "float32"), Param("q", "float64")))
    named = entry(when={"formats": "float32"})
    assert matches(named, replace(deviation(), program=both, param="p"))
    assert not matches(named, replace(deviation(), program=both, param="q"))
    assert not matches(named, replace(deviation(), program=both, param=""))


def test_a_deviation_of_another_clause_is_not_named() -> None:
    """The clause is the first condition."""
    assert not matches(entry(), deviation(clause="step"))


INSIDE = {"eps_place": "inside"}


@pytest.mark.parametrize(
    ("accepted", "found", "named"),
    [
        (INSIDE, INSIDE, True),
        (INSIDE, {"eps_place": "outside"}, False),
        (INSIDE, {**INSIDE, "with_momentum": True, "lines": ["param"], "formats": ["float16"]}, True),
        ({**INSIDE, "with_momentum": True}, INSIDE, False),
        ({**INSIDE, "with_momentum": True}, {**INSIDE, "with_momentum": False}, False),
        ({**INSIDE, "lines": ["param", "momentum_buffer"]}, {**INSIDE, "lines": ["param"]}, True),
        ({**INSIDE, "formats": ["float16"]}, INSIDE, False),
        ({"alpha": "times 0.5"}, {"alpha": "times 0.50"}, True),
        ({"alpha": "times 0.5"}, {"alpha": "times 0.25"}, False),
        ({"default_eps": 1}, {"default_eps": 1.0}, True),
        (INSIDE, {**INSIDE, "alpha": "times 0.5"}, False),
    ],
)
def test_an_entry_accepts_its_cause_and_no_other(
    accepted: dict[str, object], found: dict[str, object], named: bool
) -> None:
    """The same change, or a part of it; then its clause and conditions say nothing more."""
    other = entry(amendment=parse_amendment(accepted, "update"), clause="eps-placement", when={"role": "square_avg"})
    assert matches(other, deviation(amendment=found)) is named


def test_what_no_amendment_explains_is_named_by_its_clause() -> None:
    """As where no amendments were looked for; but not beside an amendment, which leaves only other causes."""
    one = entry(amendment=parse_amendment(INSIDE, "update"))
    assert matches(one, deviation())
    assert not matches(one, deviation(clause="step"))
    assert not matches(one, deviation(given=("eps is added inside the square root",)))


def test_an_entry_by_clause_accepts_what_an_amendment_of_its_clause_explains() -> None:
    """And nothing that an amendment of another clause does."""
    assert matches(entry(), deviation(amendment=INSIDE))
    assert not matches(entry(clause="eps-placement"), deviation(amendment=INSIDE))


# -- both ways


def test_a_deviation_that_is_listed_is_known() -> None:
    """The verdict says so, with the entry's name and reason, and nothing is stale."""
    verdict = checked(entry())
    assert (verdict.verdict, verdict.stale) == ("known", ())
    assert [(each.known, each.reason) for each in verdict.deviations] == [("mine", "because")]
    assert next(each.verdict for each in verdict.clauses if each.id == "update") == "known"


def test_a_deviation_that_is_not_listed_is_a_deviation() -> None:
    """Without the entry, or with one of another clause, subject or version, the verdict is that it deviates."""
    for entries in (
        (),
        (entry(clause="momentum-update", witness=None),),
        (entry(subject="torch"),),
        (entry(versions={"spoilt": "<1"}),),
    ):
        assert result(WRONG, known=entries, formats=("float32",), fail_fast=True).verdict == "deviates"


def test_an_entry_whose_witness_conforms_is_stale() -> None:
    """It names what no longer occurs, whatever the search happened to find."""
    verdict = checked(entry(), subject=Spoilt())
    assert verdict.stale == ("mine: its witness no longer deviates",)


def test_an_entry_whose_witness_breaks_another_clause_is_stale() -> None:
    """The witness must show what the entry says."""
    assert checked(entry(when={"kind": "raised"})).stale == ("mine: its witness no longer deviates",)
    assert checked(entry(clause="eps-placement")).stale == ("mine: its witness no longer deviates",)


def test_an_entry_with_an_amendment_is_stale_by_the_same_rules() -> None:
    """With a witness that conforms, or without one where nothing was found."""
    cause = parse_amendment(INSIDE, "update")
    assert checked(entry(amendment=cause)).stale == ()
    assert checked(entry(amendment=cause), subject=Spoilt()).stale == ("mine: its witness no longer deviates",)
    (stale,) = checked(entry(amendment=cause, witness=None), subject=Spoilt()).stale
    assert "nothing that was found matches it" in stale


def test_an_entry_without_a_clause_is_stale() -> None:
    """A name that no clause has can match nothing."""
    (stale,) = checked(entry(clause="updaet")).stale
    assert "there is no clause 'updaet'" in stale


def test_an_entry_without_a_witness_must_be_found() -> None:
    """What the search finds keeps it alive; what it does not find makes it stale."""
    assert result(WRONG, known=(entry(witness=None),), formats=("float32",)).stale == ()
    (stale,) = checked(entry(witness=None, clause="momentum-lr")).stale
    assert "no witness" in stale


@pytest.mark.parametrize("changes", [{"subject": "torch*"}, {"versions": {"spoilt": ">=2"}}])
def test_an_entry_about_something_else_is_never_stale(changes: dict[str, Any]) -> None:
    """Other subjects and other versions are not its business."""
    assert checked(entry(**changes), subject=Spoilt()).stale == ()


def test_a_witness_that_cannot_be_asked_is_not_stale() -> None:
    """In a run without its format or its feature nothing is known of it."""
    assert (
        checked(
            entry(witness=program(create(), step(p=1.0), params=(replace(WITNESS.params[0], dtype="float64"),))),
            subject=Spoilt(),
        ).stale
        == ()
    )
    scheduled = program(create(), SetOption("A", 0, {"lr": 0.5}), step(p=1.0))
    assert checked(entry(witness=scheduled), subject=Spoilt(), without=frozenset({"schedule"})).stale == ()


def test_an_empty_list_knows_nothing() -> None:
    """--no-known is a list without entries, not the shipped one."""
    assert result(WRONG, known=(), formats=("float32",), fail_fast=True).verdict == "deviates"


# -- the shipped list


def test_the_shipped_list_is_complete_in_itself() -> None:
    """Every entry has an id of its own, a clause that exists, a reason, a version range and a witness.

    One for what is built on torch has none: torch itself does not show it (tests/cases/test_blamed.py has who does).
    """
    entries = shipped()
    assert len({each.id for each in entries}) == len(entries) > 5
    for each in entries:
        assert each.clause in CLAUSES
        assert len(each.reason) > 30
        assert each.versions
        assert each.witness is not None or each.id == "torch-add-halves-on-cpu"
        assert any(speaks_of(each, name) for name in registered_names())


@pytest.mark.parametrize("each", [each for each in shipped() if each.id.startswith("torch")], ids=lambda each: each.id)
def test_every_shipped_witness_still_deviates(each: Known) -> None:
    """On each registered subject of torch that an entry speaks of, its witness shows it (tests/frameworks has the others)."""
    pytest.importorskip("torch")
    from rmspec.oracles.loader import load

    for name in registered_names():
        if speaks_of(each, name) and name not in ("torch:compiled", "torch:capturable"):
            assert result(load(name), known=(each,)).stale == (), name


# -- reading a list


def written(folder: Path, text: str, witness: Program | None = None) -> Path:
    if witness is not None:
        (folder / "witness.json").write_text(json.dumps(to_json(witness)), encoding="utf-8")
    path = folder / "known.toml"
    path.write_text(text, encoding="utf-8")
    return path


FULL = """
[[known]]
id = "mine"
clause = "update"
subject = "mine.py:*"
versions = { torch = ">=2,<3" }
when = { kind = "value", formats = ["float16"] }
reason = "because"
link = "https://example.org"
witness = "witness.json"
inheritable = true
amendment = { alpha = "times 0.5", with_momentum = true }
"""


def test_a_list_is_read_with_its_witnesses(tmp_path: Path) -> None:
    """The witness stands beside the list."""
    (read,) = read_known(written(tmp_path, FULL, WITNESS))
    assert (read.id, read.clause, read.subject, read.reason, read.inheritable) == (
        "mine",
        "update",
        "mine.py:*",
        "because",
        True,
    )
    assert read.versions == {"torch": ">=2,<3"}
    assert read.amendment == parse_amendment({"with_momentum": True, "alpha": "times 0.5"}, "update")
    assert read.witness == WITNESS
    assert read_known(written(tmp_path, "")) == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("known = [", "is not TOML"),
        ("known = 3", "must hold [[known]] tables"),
        ("known = [1, 2]", "known.toml"),
        ('[[entry]]\nid = "x"', "must hold [[known]] tables"),
        (FULL.replace("reason", "raeson"), "entry mine: unknown key 'raeson'"),
        (FULL.replace('reason = "because"', ""), "entry mine: no 'reason'"),
        (FULL.replace('id = "mine"', ""), "entry 1: no 'id'"),
        (FULL.replace("kind =", "knid ="), "entry mine: unknown condition 'knid'"),
        (FULL.replace('">=2,<3"', '"two"'), "entry mine: 'two' is not a version range"),
        (FULL.replace("witness.json", "gone.json"), "entry mine: there is no witness gone.json"),
        (FULL.replace("witness.json", "."), "entry mine"),
        (FULL.replace('{ torch = ">=2,<3" }', '"2"'), "entry mine: versions is not a table"),
        (FULL.replace('{ kind = "value", formats = ["float16"] }', '"value"'), "entry mine: when is not a table"),
    ],
)
def test_a_list_that_cannot_be_used_is_refused_with_the_place(tmp_path: Path, text: str, said: str) -> None:
    """The entry and the key are named, and what would be right."""
    with pytest.raises(BadKnownList) as caught:
        read_known(written(tmp_path, text, WITNESS))
    assert said in caught.value.what


def test_a_witness_that_is_no_program_is_refused(tmp_path: Path) -> None:
    """The message names the entry, the witness and the place."""
    path = written(tmp_path, FULL)
    (tmp_path / "witness.json").write_text('{"schema": "rmspec.program/1"', encoding="utf-8")
    with pytest.raises(BadKnownList, match=r"entry mine: witness\.json is not JSON"):
        read_known(path)


def test_a_list_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """A missing file and one of bytes are bad input."""
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    for name in ("gone.toml", "bytes.toml"):
        with pytest.raises(InputProblem, match=name):
            read_known(tmp_path / name)


# -- entries that expire


def test_an_entry_counts_until_its_last_day_is_over() -> None:
    """On the day that it names it still counts, on the next it does not; without a date it counts for ever."""
    last = date(2027, 1, 31)
    assert not expired(entry(expires=last), last)
    assert expired(entry(expires=last), date(2027, 2, 1))
    assert not expired(entry(), date.max)


def test_a_deviation_whose_entry_has_expired_is_new_again() -> None:
    """It fails the run as if it were not listed, and the entry is named, with its date; found by the search or not."""
    for search in (True, False):
        subject = WRONG if search else Spoilt(_only_the_witness)
        witness = WITNESS if search else LATER
        verdict = checked(entry(expires=date(2020, 1, 31), witness=witness), subject=subject)
        assert verdict.verdict == "deviates"
        assert [each.known for each in verdict.deviations if each.clause == "update"] == [None]
        assert verdict.stale == ("mine: it expired on 2020-01-31, and no longer counts",)


LATER = program(create(lr=0.5), *(step(p=2.0) for _ in range(3)))


def _only_the_witness(session: Any, call: Call) -> None:
    """The third step goes wrong; the one program of the search has one."""
    if isinstance(call, Step):
        session.steps = getattr(session, "steps", 0) + 1
        if session.steps == 3:
            doubling(session, call)


def test_an_entry_that_has_not_expired_is_known() -> None:
    """A date to come changes nothing."""
    verdict = checked(entry(expires=date(2999, 12, 31)))
    assert (verdict.verdict, verdict.stale) == ("known", ())


def test_an_expired_entry_of_what_is_mended_is_stale_alone() -> None:
    """Nothing deviates: the entry is all that there is to say."""
    verdict = checked(entry(expires=date(2020, 1, 31)), subject=Spoilt())
    assert verdict.verdict == "conforms"
    assert len(verdict.stale) == 1
    assert checked(entry(expires=date(2020, 1, 31), subject="torch")).stale == ()


def test_a_date_is_read(tmp_path: Path) -> None:
    """As TOML writes one."""
    (read,) = read_known(written(tmp_path, f"{FULL}expires = 2027-01-31\n", WITNESS))
    assert read.expires == date(2027, 1, 31)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f'{FULL}expires = "2027-01-31"\n', "expires = '2027-01-31' is not a date"),
        (f"{FULL}expires = 2027-01-31T00:00:00\n", "is not a date"),
        (f"{FULL}exprires = 2027-01-31\n", "unknown key 'exprires'; did you mean expires?"),
        (FULL.replace("formats =", "fromats ="), "unknown condition 'fromats'; did you mean formats?"),
        (FULL.replace('"value"', '"vaule"'), "unknown value 'vaule' of kind; did you mean value?"),
        (FULL.replace('["float16"]', '["flaot16"]'), "unknown value 'flaot16' of formats; did you mean float16?"),
        (FULL.replace("inheritable = true", 'inheritable = "yes"'), "inheritable is not true or false"),
        (FULL.replace('"because"', "3"), "reason is not a string"),
        (
            FULL.replace("alpha =", "alhpa ="),
            "entry mine: amendment: an amendment has no alhpa = 'times 0.5'; did you mean",
        ),
        (
            FULL.replace('alpha = "times 0.5"', 'eps_place = "insdie"'),
            "entry mine: amendment: eps_place is never 'insdie'",
        ),
        (FULL.replace('"times 0.5"', '"half"'), "entry mine: amendment: alpha = 'half' is no use of an option"),
        (FULL.replace('alpha = "times 0.5", ', ""), "entry mine: amendment: an amendment changes something"),
        (FULL.replace('{ alpha = "times 0.5", with_momentum = true }', '"none"'), "amendment is not a table"),
        (FULL + FULL, "two entries with the id 'mine'"),
    ],
)
def test_a_typing_error_is_refused_with_the_closest_name(tmp_path: Path, text: str, said: str) -> None:
    """An entry that could never match, or never expire, is no entry."""
    with pytest.raises(BadKnownList) as caught:
        read_known(written(tmp_path, text, WITNESS))
    assert said in caught.value.what


# -- the versions on which a list was seen to hold

TESTED = {"spoilt": ("1.1", "1.3")}


@pytest.mark.parametrize(
    ("version", "untested"),
    [
        ("1.1", ""),
        ("1.3.4", ""),
        ("1.3.0+cpu", ""),
        ("1.2", "spoilt 1.2"),
        ("1.30", "spoilt 1.30"),
        ("1", "spoilt 1"),
    ],
)
def test_an_entry_says_where_it_is_untested(version: str, untested: str) -> None:
    """A version counts with all that follows it; the reason names those that ran, and the one that is here."""
    one = placed(entry(versions={"spoilt": ">=1,<2"}, tested=TESTED), {"spoilt": version})
    assert one.untested == untested
    if untested:
        said = f"untested here: it was seen with spoilt 1.1 and 1.3, and this is {version}"
        assert one.reason == f"because ({said})."
    else:
        assert one.reason == "because"


def test_a_package_that_an_entry_does_not_name_says_nothing_of_it() -> None:
    """A list may be of several packages: those of the other entries are theirs."""
    one = entry(versions={"other": ">=1"}, tested=TESTED)
    assert placed(one, {"spoilt": "7", "other": "1"}) == one


def test_an_untested_entry_is_known_and_says_so() -> None:
    """It counts as on any other version, so that a new version of a framework does not fail a gate by being new."""
    found = checked(entry(versions={"spoilt": ">=0"}, tested={"spoilt": ("0.1",)}))
    assert found.verdict == "known"
    assert found.stale == ()
    assert any("untested here" in each.reason for each in found.deviations if each.known == "mine")


@pytest.mark.parametrize("witness", [WITNESS, None])
def test_an_untested_entry_is_never_stale(witness: Program | None) -> None:
    """That it was mended in a version that nobody tried does not make the list wrong."""
    odd = entry(versions={"spoilt": ">=0"}, witness=witness)
    assert checked(odd, subject=Spoilt()).stale
    assert checked(replace(odd, tested={"spoilt": ("0.1",)}), subject=Spoilt()).stale == ()


def test_an_untested_entry_that_names_no_clause_is_stale() -> None:
    """That is a fault of the list on every version."""
    odd = entry(clause="upate", versions={"spoilt": ">=0"}, tested={"spoilt": ("0.1",)})
    assert "there is no clause" in checked(odd).stale[0]


def test_a_list_names_the_versions_on_which_it_was_seen(tmp_path: Path) -> None:
    """Once for the whole list, by package."""
    file = tmp_path / "list.toml"
    head = 'tested = { torch = ["2.11", "2.13"] }\n'
    body = '[[known]]\nid = "a"\nclause = "step"\nsubject = "torch"\nreason = "r"\n'
    file.write_text(head + body)
    assert read_known(file)[0].tested == {"torch": ("2.11", "2.13")}
    file.write_text(body)
    assert read_known(file)[0].tested == {}


@pytest.mark.parametrize("value", ['"2.13"', "[2.13]", "[]", "2"])
def test_versions_that_are_no_list_of_strings_are_refused(tmp_path: Path, value: str) -> None:
    """A number would lose its last zero: 2.10 is 2.1."""
    file = tmp_path / "list.toml"
    file.write_text(f"tested = {{ torch = {value} }}\n")
    with pytest.raises(BadKnownList, match=r"tested\.torch is no list of versions"):
        read_known(file)
    file.write_text("tested = 3\n")
    with pytest.raises(BadKnownList, match="tested is not a table"):
        read_known(file)


def test_the_shipped_lists_claim_only_versions_that_ran() -> None:
    """Those of constraints.txt, which the tests run with, and what was run by hand on another machine."""
    by_hand = {("torch", "2.11")}
    pinned = dict(
        line.split("==") for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines() if "==" in line
    )
    entries = [each for each in shipped() if not each.origin.startswith("lists")]
    assert entries
    for each in entries:
        assert set(each.versions) <= set(each.tested), each.id
        for package in each.versions:
            name = {"tensorflow": "tensorflow-cpu"}.get(package, package)
            for version in each.tested[package]:
                assert f"{pinned[name]}.".startswith(f"{version}.") or (package, version) in by_hand, each.id


# -- where an entry holds

CPU, CUDA, WINDOWS = {"device": "cpu"}, {"device": "cuda"}, {"platform": "Windows *"}
ON_CUDA = Spoilt(doubling, device="cuda:0")
SOUND_ON_CUDA = Spoilt(device="cuda:0")


@pytest.mark.parametrize(
    ("where", "subject", "reason"),
    [
        (CUDA, WRONG, "it holds with device cuda, and this is cpu"),
        (CPU, ON_CUDA, "it holds with device cpu, and this is cuda"),
        (WINDOWS, WRONG, f"it holds with platform Windows *, and this is {Locality().platform}"),
    ],
)
def test_an_entry_of_elsewhere_names_nothing_and_is_never_stale(
    where: dict[str, str], subject: Any, reason: str
) -> None:
    """A deviation that it would name is new, and one that is gone leaves it as it is; the result says why."""
    found = checked(entry(where=where), subject=subject)
    assert found.stale == ()
    assert found.elsewhere == (f"mine: {reason}",)
    assert {each.known for each in found.deviations if each.clause == "update"} == {None}
    gone = checked(entry(where=where), subject=SOUND_ON_CUDA if subject is ON_CUDA else Spoilt())
    assert (gone.stale, gone.elsewhere, gone.deviations) == ((), found.elsewhere, ())


@pytest.mark.parametrize(
    ("where", "subject", "sound"),
    [
        (CPU, WRONG, Spoilt()),
        ({"device": "cuda | cpu"}, WRONG, Spoilt()),
        ({"platform": "*"}, WRONG, Spoilt()),
        (CUDA, ON_CUDA, SOUND_ON_CUDA),
        ({"device": "cu*"}, ON_CUDA, SOUND_ON_CUDA),
    ],
)
def test_where_an_entry_holds_it_counts_and_can_be_stale(where: dict[str, str], subject: Any, sound: Any) -> None:
    """The device is that of the arrays, whatever was asked for."""
    found = checked(entry(where=where), subject=subject)
    assert (found.stale, found.elsewhere) == ((), ())
    assert {each.known for each in found.deviations if each.clause == "update"} == {"mine"}
    assert checked(entry(where=where), subject=sound).stale == ("mine: its witness no longer deviates",)


def test_where_an_entry_varies_it_counts_and_is_never_stale() -> None:
    """What depends on timing is known where it shows, and missed by nobody where it does not."""
    varying = entry(varies=CUDA)
    assert {each.known for each in checked(varying, subject=ON_CUDA).deviations} == {"mine"}
    assert checked(varying, subject=SOUND_ON_CUDA).stale == ()
    assert checked(replace(varying, witness=None), subject=SOUND_ON_CUDA).stale == ()
    assert checked(varying, subject=Spoilt()).stale == ("mine: its witness no longer deviates",)


def test_versions_that_an_entry_does_not_hold_for_are_said() -> None:
    """The reason names the range and the version here; of a package that is no part of the subject nothing is said."""
    assert checked(entry(versions={"spoilt": ">=1.3"})).elsewhere == (
        "mine: it holds with spoilt >=1.3, and this is 1.2",
    )
    assert checked(entry(versions={"torch": ">=2"})).elsewhere == ()


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ('where = { devices = "cpu" }', "unknown condition 'devices'"),
        ("varies = { device = 3 }", "varies.device is not a string"),
        ('where = "cpu"', "where is not a table"),
    ],
)
def test_a_place_that_cannot_be_read_is_refused(tmp_path: Path, line: str, fault: str) -> None:
    """With what is wrong, and the keys that there are."""
    path = tmp_path / "known.toml"
    path.write_text(f'[[known]]\nid = "a"\nclause = "update"\nsubject = "s"\nreason = "r"\n{line}\n')
    with pytest.raises(BadKnownList, match=fault):
        read_known(path)


def test_what_a_reason_says_of_a_cpu_holds_there_alone() -> None:
    """Each shipped entry whose reason speaks of a CPU says so where a program reads it."""
    assert {each.id for each in shipped() if "CPU" in each.reason} == {
        each.id for each in shipped() if each.where == CPU
    }


class StandIn(Spoilt):
    """The reference under the name of a subject of torch, as one that rounds no scalar, and steps no parameter twice."""

    def versions(self) -> dict[str, str]:
        return {"torch": "2.13.0"}


@pytest.mark.parametrize("name", ["torch", "torch:foreach"])
def test_entries_on_kernels_of_the_cpu_are_not_stale_on_a_gpu(name: str) -> None:
    """On the CPU they are, of an optimizer that does nothing of the kind."""
    about_cpu = {"torch-decay-halves-on-cpu", "torch-duplicate-stepped-twice"}
    about_cpu |= {"torch-foreach-halves-on-cpu" if name == "torch:foreach" else "torch-lr-halves-on-cpu"}
    settings: dict[str, Any] = {"known": shipped(), "formats": ("float16", "bfloat16", "float32"), "programs": ()}
    here = result(StandIn(name=name), **settings)
    there = result(StandIn(name=name, device="cuda:0"), **settings)
    assert about_cpu <= {text.partition(":")[0] for text in here.stale}
    assert not about_cpu & {text.partition(":")[0] for text in there.stale}
    assert here.elsewhere == ()
    elsewhere = {id for id in about_cpu if id.endswith("-on-cpu")} | {"torch-sqrt-on-cpu", "torch-add-halves-on-cpu"}
    assert {text.partition(":")[0] for text in there.elsewhere} == elsewhere
    assert (here.devices, there.devices) == ((), ("cuda:0",))


def test_a_witness_that_is_no_file_is_none(tmp_path: Path) -> None:
    """A pipe has no end that rmspec could wait for."""
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "known.toml").write_text(
        '[[known]]\nid = "a"\nclause = "update"\nsubject = "torch"\nreason = "b"\nwitness = "pipe.json"\n'
    )
    with pytest.raises(BadKnownList, match="there is no witness pipe"):
        read_known(tmp_path / "known.toml")


def test_a_key_of_too_many_parts_is_refused_before_it_is_read(tmp_path: Path) -> None:
    """The parser of Python takes memory by the square of its depth: 10 GB for 100 KB."""
    for deep in (f"{'.'.join(['a'] * 50_000)} = 1", f"[{'. '.join(['a'] * 201)}]", f"x.{'.'.join(['q'] * 300)} = 1"):
        (tmp_path / "known.toml").write_text(deep)
        with pytest.raises(BadKnownList, match="nested more than 200 deep"):
            read_known(tmp_path / "known.toml")
    (tmp_path / "known.toml").write_text(f"{'.'.join(['a'] * 100)} = 1")
    with pytest.raises(BadKnownList, match="nothing else"):
        read_known(tmp_path / "known.toml")
