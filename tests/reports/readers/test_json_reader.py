"""Reports read back: what is whole goes together, and everything else is refused with the reason."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from verifications import document, results, text, whole

from rmspec.reports.files.json import result_document
from rmspec.reports.gate import exit_code
from rmspec.reports.readers.json_reader import BadReport, merged, read, result_of


def stored(folder: Path, data: object, name: str = "a.json") -> str:
    path = folder / name
    path.write_text(data if isinstance(data, str) else json.dumps(data), "utf-8")
    return str(path)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    """A report of ``check`` and one of ``report`` alike; the verification of the latter is made anew."""
    assert read(stored(tmp_path, text(*results()))) == document()
    assert read(stored(tmp_path, whole())) == document()


def test_a_result_deserves_the_exit_code_that_it_had() -> None:
    """The gate says of what was read what it said of the run."""
    for data, result in zip(document()["subjects"], results(), strict=True):
        assert exit_code([result_of(data)]) == exit_code([result])
    assert exit_code([result_of(data) for data in document()["subjects"]]) == 1


def test_a_result_that_was_read_is_written_as_it_was() -> None:
    """Every key and number of a subject is read back, but for two: scripts are printed from the report itself."""
    unread = ("envelope_use", "trajectory")
    for data in document()["subjects"]:
        again = json.loads(json.dumps(result_document(result_of(data)), allow_nan=False))
        for each in (*data["deviations"], *data["hazards"], *again["deviations"], *again["hazards"]):
            del each["script"]
        assert list(again) == list(data)
        assert {key: again[key] for key in data if key not in unread} == {
            key: value for key, value in data.items() if key not in unread
        }


@pytest.mark.parametrize("share", [0.1, 0.5, 0.999])
def test_a_file_that_is_cut_off_is_refused(tmp_path: Path, share: float) -> None:
    """Wherever it was cut."""
    whole_text = text(*results()).rstrip()
    with pytest.raises(BadReport, match=r"cut off|not JSON"):
        read(stored(tmp_path, whole_text[: int(len(whole_text) * share)]))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "cut off"),
        ("[]", "schema is None"),
        ('{"schema": "rmspec.program/1"}', "not 'rmspec.report/1'"),
        ('{"schema": "rmspec.report/1"}', "does not follow the schema"),
        ("[" * 100_000, "nested more than 200 deep|cut off"),
        ("NaN", "not JSON"),
    ],
)
def test_what_is_no_report_is_refused(tmp_path: Path, content: str, told: str) -> None:
    """With what it is instead."""
    with pytest.raises(BadReport, match=told):
        read(stored(tmp_path, content))


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    """One that is not there, and one that is no text."""
    with pytest.raises(BadReport, match="No such file"):
        read(str(tmp_path / "x.json"))
    (tmp_path / "b").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadReport, match="is not text"):
        read(str(tmp_path / "b"))


def _version(data: Any) -> None:
    data["environment"]["rmspec"] = "0.0.1"


def _verdict(data: Any) -> None:
    data["subjects"][1]["verdict"] = "conforms"


def _deviations(data: Any) -> None:
    data["subjects"][1]["deviations"] = []


def _clause_verdict(data: Any) -> None:
    broken = data["subjects"][1]["deviations"][0]["clause"]
    next(each for each in data["subjects"][1]["clauses"] if each["id"] == broken)["verdict"] = "conforms"


def _clause_gone(data: Any) -> None:
    del data["subjects"][0]["clauses"][3]


def _counts(data: Any) -> None:
    data["subjects"][0]["clauses"][3]["inconclusive"] = data["subjects"][0]["clauses"][3]["checks"] + 1


def _all_counts(data: Any) -> None:
    data["subjects"][0]["inconclusive_checks"] = data["subjects"][0]["element_checks"] + 1


def _reasons(data: Any) -> None:
    data["subjects"][0]["inconclusive_reasons"] = {"hidden": data["subjects"][0]["inconclusive_checks"] + 1}


def _program(data: Any) -> None:
    del data["subjects"][1]["deviations"][0]["program"]["calls"][0]


def _call(data: Any) -> None:
    data["subjects"][1]["deviations"][0]["call"] = 99


def _twice(data: Any) -> None:
    data["subjects"].append(data["subjects"][0])


def _none(data: Any) -> None:
    data["subjects"] = []


@pytest.mark.parametrize(
    "change",
    [
        _version,
        _verdict,
        _deviations,
        _clause_verdict,
        _clause_gone,
        _counts,
        _all_counts,
        _reasons,
        _program,
        _call,
        _twice,
        _none,
    ],
)
def test_a_report_that_contradicts_itself_is_refused(tmp_path: Path, change: Callable[[Any], None]) -> None:
    """One part was changed, and another says otherwise; or another version wrote it."""
    data = document()
    change(data)
    with pytest.raises(BadReport) as refused:
        read(stored(tmp_path, data))
    assert refused.value.hint


class TestMerging:
    """Several reports as one."""

    def test_subjects_of_several_runs_stand_in_one(self) -> None:
        """In the order of the files; times add up, and each keeps the environment of its run."""
        good, bad, gone = results()
        one, two, three = document(good), document(bad), document(gone)
        two["environment"]["platform"] = "Darwin arm64"
        del three["environment"]["fingerprint"]
        found = merged([("a", one), ("b", two), ("c", three)])
        assert [each["name"] for each in found["subjects"]] == [good.name, bad.name, gone.name]
        assert found["seconds"] == 9.0
        assert found["subjects"][1]["environment"]["platform"] == "Darwin arm64"
        assert found["environment"]["platform"] == f"{one['environment']['platform']}; Darwin arm64"
        assert found["complete"]

    def test_one_that_is_incomplete_makes_all_incomplete(self) -> None:
        """An interrupted run is not hidden among others."""
        good, bad, _ = results()
        assert not merged([("a", document(good)), ("b", document(bad, complete=False))])["complete"]

    @pytest.mark.parametrize("key", ["seed", "profile", "policy", "fingerprint", "hypothesis", "dtype", "time_budget"])
    def test_runs_of_other_settings_do_not_go_together(self, key: str) -> None:
        """Verdicts of different searches are not comparable."""
        good, bad, _ = results()
        other = document(bad)
        other["environment"][key] = "7"
        with pytest.raises(BadReport, match=key):
            merged([("a", document(good)), ("b", other)])

    def test_a_subject_has_one_verdict(self) -> None:
        """The same subject from two files is refused, and both files are named."""
        good = results()[0]
        with pytest.raises(BadReport, match=r"reference is in a and in b"):
            merged([("a", document(good)), ("b", document(replace(good, seconds=1.0)))])
