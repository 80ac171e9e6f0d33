"""``rmspec known``: the tool writes the list, keeps what people wrote in it, and spoils nothing."""

import json
from pathlib import Path
from typing import Any

import pytest
from runs import PROGRAM, deviation, record, subject

from rmspec.impl.arithmetic.amendments import spell_amendment
from rmspec.oracles.program.program import to_json
from rmspec.properties.known import matches, read_known
from rmspec.reports.cli.main import main
from rmspec.reports.files import json as json_report
from rmspec.reports.files import known_toml
from rmspec.reports.stored import program_text

LIST = '''# Kept by the optimizer team.

# about a: ask Ann
[[known]]
id = "a" # the first
clause = "hooks"
subject = "torch"
reason = "r"

# a remark that belongs to no entry

# about b
[[known]]
id = "b"
clause = "hooks"
subject = "mine.py:*"
reason = """
[[known]]
# no comment
"""
when = {kind="value"}

[[known]]
subject = "torch"
clause = "no-such-clause"
id = "c"
reason = "x"

# the end
'''


OWN = """[[known]]
id = "x"
clause = "hooks"
subject = "torch"
reason = "r"
witness = "{where}"
expires = 2020-01-31
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a list, a report and a stored program, and no configuration above it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").write_text("")
    (tmp_path / "known.toml").write_text(LIST)
    found = subject("src/mine.py:X", deviation(), deviation("hooks"), deviation("update", known="b"))
    other = subject("torch", deviation("hooks", kind="silent"))
    (tmp_path / "report.json").write_text(json_report.render(record(found, other)))
    (tmp_path / "program.json").write_text(program_text(PROGRAM))
    return tmp_path


def stale_report(path: Path, *stale: str, alive: str | None = None) -> str:
    """A report that names these entries as stale for one subject, and one as met for another."""
    others = [subject("other", deviation("hooks", known=alive))] if alive else []
    path.write_text(json_report.render(record(subject("torch", stale=stale), *others)))
    return str(path)


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(("known", *arguments))
    out, err = capsys.readouterr()
    return code, out, err


class TestAdd:
    """From a report or a stored program to an entry with a witness."""

    def test_the_new_deviations_of_a_report_become_entries(self, folder: Path, capsys: Any) -> None:
        """Each with its clause, subject, kind and witness, that it then matches; what was known is not listed again."""
        given = ("--reason", "as ever", "--link", "https://example.org", "--versions", "torch>=2.6,<3")
        code, out, _ = run(
            capsys, "add", "--from", "report.json", "--known", "new.toml", "--expires", "2999-01-31", *given
        )
        assert code == 0
        entries = read_known(folder / "new.toml")
        assert [(each.id, each.clause, each.subject) for each in entries] == [
            ("mine-x-eps-placement", "eps-placement", "src/mine.py:X"),
            ("mine-x-hooks", "hooks", "src/mine.py:X"),
            ("torch-hooks", "hooks", "torch"),
        ]
        assert all(f"added {each.id}: " in out for each in entries)
        first, _, last = entries
        assert (first.reason, first.link, str(first.expires)) == ("as ever", "https://example.org", "2999-01-31")
        assert first.versions == {"torch": ">=2.6,<3"}
        assert (first.when, last.when) == ({"kind": "value"}, {"kind": "silent"})
        assert matches(first, deviation())
        assert first.witness is not None
        assert to_json(first.witness) == to_json(PROGRAM)

    def test_the_cause_becomes_part_of_the_entry(self, folder: Path, capsys: Any) -> None:
        """One entry for each cause, of one clause too; once on the list, and it says so; ``list`` shows what is accepted."""
        inside, halved = {"eps_place": "inside"}, {"eps": "times 0.5", "lines": ["param"], "with_momentum": True}
        causes = [deviation(amendment=cause) for cause in (inside, halved, {**inside, "formats": ["float32"]})]
        unexplained = deviation(given=("eps is added inside the square root",))
        (folder / "two.json").write_text(json_report.render(record(subject("mine.py:X", *causes, unexplained))))
        given = ("add", "--from", "two.json", "--known", "new.toml", "--reason", "so")
        code, out, _ = run(capsys, *given)
        assert (code, out.count("added "), out.count("on the list already")) == (0, 3, 1)
        entries = read_known(folder / "new.toml")
        assert [each.amendment and spell_amendment(each.amendment) for each in entries] == [inside, halved, None]
        assert run(capsys, *given)[1].count("on the list already") == 4
        _, out, _ = run(capsys, "list", "--known", "new.toml", "--no-shipped")
        assert "accepted: eps is added inside the square root\n" in out
        _, out, _ = run(capsys, "list", "--known", "new.toml", "--no-shipped", "--json")
        assert [each["amendment"] for each in json.loads(out)["known"]] == [inside, halved, None]

    def test_a_stored_program_becomes_an_entry(self, folder: Path, capsys: Any) -> None:
        """It names the clause and the subject itself, and is copied, so that its folder may go."""
        code, *_ = run(capsys, "add", "program.json", "--known", "known.toml", "--reason", "so", "--id", "mine")
        assert code == 0
        (folder / "program.json").unlink()
        entry = read_known(folder / "known.toml")[-1]
        assert (entry.id, entry.clause, entry.subject) == ("mine", "eps-placement", "torch")
        assert entry.witness == PROGRAM

    def test_the_rest_of_the_list_stays_as_it_is(self, folder: Path, capsys: Any) -> None:
        """Comments, order and spelling: the new entry comes after all that was there."""
        run(capsys, "add", "program.json", "--known", "known.toml", "--reason", 'say "so"')
        assert (folder / "known.toml").read_text() == LIST + (
            '\n[[known]]\nid = "torch-eps-placement"\nclause = "eps-placement"\nsubject = "torch"\n'
            'reason = "say \\"so\\""\nwitness = "witnesses/torch-eps-placement.json"\n'
        )

    def test_what_is_listed_is_not_listed_twice(self, folder: Path, capsys: Any) -> None:
        """A second time nothing changes, and it says so."""
        given = ("add", "--from", "report.json", "--known", "known.toml", "--reason", "so")
        run(capsys, *given)
        once = (folder / "known.toml").read_text()
        code, out, _ = run(capsys, *given)
        assert code == 0
        assert "eps-placement of src/mine.py:X is on the list already" in out
        assert "nothing was added" in out
        assert (folder / "known.toml").read_text() == once

    def test_a_choice_is_made_by_clause_and_subject(self, folder: Path, capsys: Any) -> None:
        """Of a report with several."""
        given = ("add", "--from", "report.json", "--known", "new.toml", "--reason", "so")
        run(capsys, *given, "--clause", "hooks", "--subject", "torch")
        assert [each.id for each in read_known(folder / "new.toml")] == ["torch-hooks"]

    def test_the_list_of_the_configuration_is_the_default(self, folder: Path, capsys: Any) -> None:
        """The one that check uses, named from its own folder."""
        (folder / "pyproject.toml").write_text('[tool.rmspec]\nknown = "configured.toml"\n')
        assert run(capsys, "add", "program.json", "--reason", "so")[0] == 0
        assert len(read_known(folder / "configured.toml")) == 1

    def test_a_name_is_no_pattern(self, folder: Path, capsys: Any) -> None:
        """Brackets of a path stand for themselves; a bar, which separates patterns, for any one character."""
        found = subject("a[1]/mine|x.py:X", deviation())
        (folder / "odd.json").write_text(json_report.render(record(found)))
        run(capsys, "add", "--from", "odd.json", "--known", "new.toml", "--reason", "so")
        assert read_known(folder / "new.toml")[0].subject == "a[[]1]/mine?x.py:X"

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (("program.json", "--known", "new.toml"), "no reason is given"),
            (("--known", "new.toml", "--reason", "so"), "nothing is named that could be added"),
            (("program.json", "--reason", "so"), "no list is named"),
            (("gone.json", "--known", "new.toml", "--reason", "so"), "cannot read gone.json"),
            (("report.json", "--known", "new.toml", "--reason", "so"), "is not a program"),
            (("--from", "program.json", "--known", "new.toml", "--reason", "so"), "is not a report: its schema is"),
            (("--from", "gone.json", "--known", "new.toml", "--reason", "so"), "cannot read gone.json"),
            (("--from", "cut.json", "--known", "new.toml", "--reason", "so"), "cut.json ends in the middle"),
            (
                ("--from", "report.json", "--known", "new.toml", "--reason", "so", "--clause", "hoks"),
                "did you mean hooks?",
            ),
            (("--from", "report.json", "--known", "new.toml", "--reason", "so", "--id", "x"), "3 would be added"),
            (("program.json", "--known", "known.toml", "--reason", "so", "--id", "a"), "there is an entry a already"),
            (("program.json", "--known", "new.toml", "--reason", "so", "--id", "../x"), "is not an id"),
            (
                ("program.json", "--known", "new.toml", "--reason", "so", "--versions", "torch"),
                "is not a version range",
            ),
            (("program.json", "--known", "new.toml", "--reason", "so", "--expires", "soon"), "is not a date"),
            (("program.json", "--known", "no/where.toml", "--reason", "so"), "there is no folder"),
            (("program.json", "--known", "report.json", "--reason", "so"), "report.json is not TOML"),
        ],
    )
    def test_bad_input_is_refused_and_nothing_is_written(
        self, arguments: tuple[str, ...], said: str, folder: Path, capsys: Any
    ) -> None:
        """Exit code 2, one message, and every file as it was."""
        (folder / "cut.json").write_text((folder / "report.json").read_text()[:500])
        before = {path: path.read_text() for path in folder.iterdir()}
        code, out, err = run(capsys, "add", *arguments)
        assert (code, out) == (2, "")
        assert said in err
        assert "Traceback" not in err
        assert {path: path.read_text() for path in folder.iterdir()} == before


class TestPrune:
    """What no longer holds is taken out, and nothing else."""

    def test_an_entry_goes_with_the_comment_above_it(self, folder: Path, capsys: Any) -> None:
        """Comments of others, blank lines, spelling and order stay."""
        report = stale_report(folder / "s.json", "a: its witness no longer deviates")
        code, out, _ = run(capsys, "prune", "--known", "known.toml", "--from", report)
        assert code == 0
        assert "removed a: its witness no longer deviates (torch)" in out
        assert "removed c: there is no clause 'no-such-clause'" in out
        text = LIST[: LIST.index("# about a")] + LIST[LIST.index("# a remark") :]
        head, tail = text[: text.index("\n[[known]]\nsubject")], "\n# the end\n"
        assert (folder / "known.toml").read_text() == head + tail

    @pytest.mark.parametrize("ids", [["a"], ["b"], ["c"], ["a", "b"], ["b", "c"], ["a", "c"], ["a", "b", "c"]])
    def test_every_entry_can_go(self, ids: list[str], folder: Path) -> None:
        """First, middle, last and all: the others are read as before, and no remark is lost."""
        path = folder / "known.toml"
        before = {entry.id: entry for entry in read_known(path)}
        gone = known_toml.remove(path, ids)
        assert [entry.id for entry in gone] == ids
        assert [entry.reason for entry in read_known(path)] == [
            entry.reason for id, entry in before.items() if id not in ids
        ]
        text = path.read_text()
        for remark in ("# Kept by the optimizer team.", "# a remark that belongs to no entry", "# the end"):
            assert remark in text
        assert ("# about a" in text, "# about b" in text) == ("a" not in ids, "b" not in ids)
        assert known_toml.remove(path, ["none"]) == ()

    def test_what_has_expired_goes_without_a_report(self, folder: Path, capsys: Any) -> None:
        """The date is enough."""
        (folder / "known.toml").write_text(LIST.replace('reason = "r"', 'reason = "r"\nexpires = 2020-01-31'))
        _, out, _ = run(capsys, "prune", "--known", "known.toml")
        assert "removed a: it expired on 2020-01-31" in out
        assert [each.id for each in read_known(folder / "known.toml")] == ["b"]

    def test_a_witness_goes_with_the_last_entry_that_names_it(self, folder: Path, capsys: Any) -> None:
        """It is said; the list stays, and holds nothing."""
        run(capsys, "add", "program.json", "--known", "new.toml", "--reason", "so", "--expires", "2020-01-31")
        (witness,) = (folder / "witnesses").iterdir()
        text = (folder / "new.toml").read_text()
        entry = text.replace('id = "torch-eps-placement"', 'id = "second"').replace("expires = 2020-01-31", "")
        (folder / "new.toml").write_text(f"{text}\n{entry}")
        code, out, _ = run(capsys, "prune", "--known", "new.toml")
        assert (code, "witnesses/" in out, witness.exists()) == (0, False, True)
        (folder / "new.toml").write_text(text)
        _, out, _ = run(capsys, "prune", "--known", "new.toml", "--dry-run")
        assert f"would remove witnesses/{witness.name}: no entry would name it" in out
        assert witness.exists()
        _, out, _ = run(capsys, "prune", "--known", "new.toml")
        assert f"removed witnesses/{witness.name}: no entry names it" in out
        assert "no entry is left; the file stays" in out
        assert (witness.exists(), read_known(folder / "new.toml")) == (False, ())

    @pytest.mark.parametrize("where", ["repro/p.json", "../p.json", "witnesses/deep/p.json", "witnesses/../p.json"])
    def test_a_witness_elsewhere_stays(self, where: str, folder: Path, capsys: Any) -> None:
        """Only what lies right in the folder of witnesses is rmspec's to delete."""
        inside = folder / "lists"
        (inside / "witnesses").mkdir(parents=True)
        assert self._prunes(inside, where, capsys) == "kept"

    def test_a_witness_that_rmspec_did_not_write_stays(self, folder: Path, capsys: Any) -> None:
        """One that was edited, one behind a link, one in a folder behind a link, and one that another list names."""
        assert self._prunes(folder, "witnesses/p.json", capsys) == "gone"
        assert self._prunes(folder, "witnesses/p.json", capsys, text=program_text(PROGRAM) + "\n") == "kept"
        (folder / "other.toml").write_text(OWN.format(where="witnesses/p.json"))
        assert self._prunes(folder, "witnesses/p.json", capsys) == "kept"
        (folder / "other.toml").unlink()
        (folder / "witnesses" / "link.json").symlink_to(folder / "witnesses" / "p.json")
        assert self._prunes(folder, "witnesses/link.json", capsys) == "kept"
        (folder / "lists").mkdir()
        (folder / "lists" / "witnesses").symlink_to(folder / "witnesses")
        assert self._prunes(folder / "lists", "witnesses/p.json", capsys) == "kept"

    def _prunes(self, folder: Path, where: str, capsys: Any, *, text: str = program_text(PROGRAM)) -> str:
        """Prune the one entry of a list, and say what became of its witness."""
        witness = folder / where
        witness.parent.mkdir(parents=True, exist_ok=True)
        witness.write_text(text)
        (folder / "own.toml").write_text(OWN.format(where=where))
        code, out, err = run(capsys, "prune", "--known", str(folder / "own.toml"))
        assert (code, "removed x: it expired" in out, read_known(folder / "own.toml")) == (0, True, ()), err
        return "kept" if witness.exists() else "gone"

    def test_what_one_subject_still_needs_stays(self, folder: Path, capsys: Any) -> None:
        """Stale for one subject and met by another: it is kept, and said."""
        report = stale_report(folder / "s.json", "a: its witness no longer deviates", alive="a")
        _, out, _ = run(capsys, "prune", "--known", "known.toml", "--from", report)
        assert "kept a: stale for torch, but another subject still needs it" in out
        assert "a" in [each.id for each in read_known(folder / "known.toml")]

    def test_a_dry_run_changes_nothing(self, folder: Path, capsys: Any) -> None:
        """It says what would go; entries of other lists are not its business."""
        report = stale_report(folder / "s.json", "a: gone", "elsewhere: gone")
        _, out, _ = run(capsys, "prune", "--known", "known.toml", "--from", report, "--dry-run")
        assert "would remove a: gone (torch)" in out
        assert "elsewhere" not in out
        assert (folder / "known.toml").read_text() == LIST

    def test_nothing_to_do_is_said(self, folder: Path, capsys: Any) -> None:
        """And the file is not touched."""
        (folder / "known.toml").write_text("# empty\n")
        assert "no entry has expired" in run(capsys, "prune", "--known", "known.toml")[1]
        report = stale_report(folder / "s.json")
        assert "no entry is stale" in run(capsys, "prune", "--known", "known.toml", "--from", report)[1]

    def test_a_list_in_one_line_is_edited_too(self, folder: Path) -> None:
        """An array of inline tables."""
        path = folder / "one.toml"
        path.write_text(
            'known = [{id = "x", clause = "hooks", subject = "t", reason = "r"},'
            ' {id = "y", clause = "hooks", subject = "t", reason = "r"}]\n'
        )
        known_toml.remove(path, ["x"])
        assert [entry.id for entry in read_known(path)] == ["y"]

    def test_an_edit_that_would_spoil_the_file_leaves_it(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """What is read back is not what was meant: the old file stays, and nothing is left beside it."""
        monkeypatch.setattr(known_toml.tomlkit, "parse", lambda text: known_toml.tomlkit.document())
        before = sorted(folder.iterdir())
        with pytest.raises(known_toml.BadKnownList, match="without spoiling it"):
            known_toml.remove(folder / "known.toml", ["a"])
        assert (folder / "known.toml").read_text() == LIST
        assert sorted(folder.iterdir()) == before


class TestList:
    """What counts here."""

    def test_entries_are_listed_with_their_state(self, folder: Path, capsys: Any) -> None:
        """Whether each counts, until when, and why not; at 80 columns, rmspec's own after them."""
        dated = LIST.replace('reason = "r"', 'reason = "r"\nexpires = 2020-01-31')
        (folder / "known.toml").write_text(dated.replace('reason = "x"', 'reason = "x"\nexpires = 2999-01-31'))
        _, out, _ = run(capsys, "list", "--known", "known.toml")
        assert "a: hooks of torch (EXPIRED on 2020-01-31)" in out
        assert "b: hooks of mine.py:* (counts, without a witness)" in out
        assert "c: no-such-clause of torch (STALE: there is no such clause)" in out
        assert "torch-load-shares-state: load-isolation of torch* (counts)" in out
        assert max(map(len, out.splitlines())) <= 80
        _, out, _ = run(capsys, "list", "--known", "known.toml", "--no-shipped", "--json")
        listed = {each["id"]: each for each in json.loads(out)["known"]}
        assert list(listed) == ["a", "b", "c"]
        assert (listed["a"]["expired"], listed["a"]["expires"]) == (True, "2020-01-31")
        assert listed["c"]["clause_exists"] is False

    def test_no_list_is_said(self, capsys: Any) -> None:
        """Where there is none at all."""
        assert "there is no list" in run(capsys, "list", "--no-shipped")[1]

    def test_a_configured_list_that_is_not_there_yet_is_said(self, folder: Path, capsys: Any) -> None:
        """It is no error: the shipped entries are listed, and ``known add`` will make it. One that was typed is."""
        (folder / "pyproject.toml").write_text('[tool.rmspec]\nknown = "later.toml"\n')
        code, out, _ = run(capsys, "list")
        assert (code, out.splitlines()[0]) == (0, "later.toml is not there yet: rmspec known add makes it")
        assert "torch-decay-halves-on-cpu: scalar-precision of torch | torch:foreach" in out
        assert "device cpu" in out
        assert run(capsys, "list", "--no-shipped")[1].splitlines() == out.splitlines()[:1]
        assert run(capsys, "list", "--known", "later.toml")[0] == 2

    @pytest.mark.parametrize("command", ["list", "prune"])
    @pytest.mark.parametrize(
        ("name", "what"),
        [
            ("nope.toml", "there is no list of known deviations nope.toml"),
            (".", "cannot read the list of known deviations .: Is a directory"),
            ("bytes.toml", "cannot read the list of known deviations bytes.toml: it is not text"),
        ],
    )
    def test_a_list_that_cannot_be_read_is_one_message(
        self, command: str, name: str, what: str, folder: Path, capsys: Any
    ) -> None:
        """What is wrong, why it matters, and what to type; exit code 2."""
        (folder / "bytes.toml").write_bytes(b"\xff\xfe")
        code, out, err = run(capsys, command, "--known", name)
        assert (code, out) == (2, "")
        first, why, hint = err.splitlines()
        assert first == f"rmspec: {what}"
        assert why == "  without it every deviation that it names would count as new"
        assert "rmspec known add makes" in hint
