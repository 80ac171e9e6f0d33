"""Bad input to the command line: exit code 2, one message that says what, why and what to type, and nothing written."""

import json
from pathlib import Path

import pytest
from commandline import SUBJECTS
from configurations import CONFIGURATIONS

from rmspec.reports import problems
from rmspec.reports.cli import check
from rmspec.reports.cli.main import _check, main
from rmspec.reports.config.effective import merged, settings
from rmspec.reports.config.keys import KEYS
from rmspec.reports.config.options import CheckOptions, resolve

PROGRAM = {
    "schema": "rmspec.program/1",
    "params": [{"name": "p", "dtype": "float32", "shape": [1], "values": ["0x1.0p+0"]}],
    "calls": [{"op": "create", "optimizer": "A", "groups": [{"params": ["p"]}], "form": "list"}],
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run every test in a folder with a few files, and no configuration above it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(SUBJECTS)
    (tmp_path / "taken" / "report.json").mkdir(parents=True)
    (tmp_path / "broken.py").write_text("import nothing_of_this_name\n")
    (tmp_path / "interrupts.py").write_text("raise KeyboardInterrupt\n")
    (tmp_path / "syntax.py").write_text("def f(:\n")
    (tmp_path / "program.json").write_text(json.dumps(PROGRAM))
    (tmp_path / "cut.json").write_text(json.dumps(PROGRAM)[:60])
    (tmp_path / "other.json").write_text('{"schema": "rmspec.program/2"}')
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "empty.toml").write_text("known = []\n")
    (tmp_path / "list.toml").write_text('[[known]]\nid = "x"\nclauses = "y"\n')
    return tmp_path


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The message with which a command line is refused."""
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "Traceback" not in err
    assert err.startswith("rmspec: ")
    assert err.count("rmspec: ") == 1
    assert 2 <= len(err.splitlines()) <= 3
    return err


CASES = {
    "no subject": (["check"], "no subject is named"),
    "unknown command": (["chekc", "torch"], "did you mean check?"),
    "unknown option": (["check", "torch", "--sed", "3"], "unknown option --sed; did you mean --seed?"),
    "option without its end": (
        ["check", "torch", "--profil", "ci"],
        "unknown option --profil; did you mean --profile?",
    ),
    "option with letters swapped": (
        ["check", "torch", "--knwon", "x"],
        "unknown option --knwon; did you mean --known?",
    ),
    "option that begins another": (["check", "torch", "--repro", "x"], "--repro; did you mean --repro-dir?"),
    "class without a place": (["check", ":X"], "':X' names neither a file nor a module"),
    "folder that cannot be made": (
        ["check", "torch", "--repro-dir", "/proc/x/y"],
        "--repro-dir /proc/x/y: it cannot be made",
    ),
    "option without its value": (["check", "torch", "--json"], "--json"),
    "unknown subject": (["check", "torhc"], "unknown subject 'torhc'; did you mean torch?"),
    "unknown path of a framework": (["check", "torch:forech"], "did you mean torch:foreach?"),
    "second subject unknown": (["check", "reference", "torhc"], "did you mean torch?"),
    "no such file": (["check", "mien.py:good"], "did you mean mine.py?"),
    "file without a class": (["check", "mine.py"], "write mine.py:ClassName"),
    "profile": (["check", "torch", "--profile", "smok"], "unknown profile 'smok'; did you mean smoke?"),
    "dialect": (["check", "torch", "--dialect", "kears3"], "did you mean keras3?"),
    "dtype": (
        ["check", "torch", "--dtype", "float32,floa64"],
        "unknown format 'floa64' in --dtype; did you mean float64?",
    ),
    "feature": (["check", "torch", "--without", "momentm"], "did you mean momentum?"),
    "policy": (["check", "torch", "--policy", "fastmath"], "did you mean fast-math?"),
    "empty dtype": (["check", "torch", "--dtype", ""], "--dtype '' names no format"),
    "empty dtype beside another": (["check", "torch", "--dtype", "float32", "--dtype", ","], "--dtype ',' names no"),
    "framework": (["check", "torch", "--framework", "trch"], "did you mean torch?"),
    "framework of another subject": (
        ["check", "torch", "--framework", "keras"],
        "--framework 'keras' is for classes of your own, and torch has the framework torch",
    ),
    "framework of one of several": (
        ["check", "keras", "torch", "--framework", "keras"],
        "and torch has the framework torch",
    ),
    "framework of a process": (["check", "process:true", "--framework", "torch"], "is a process of its own"),
    "baseline": (["check", "torch", "--baseline", "trch"], "did you mean torch?"),
    "fail-on": (["check", "torch", "--fail-on", "hazard"], "did you mean hazards?"),
    "seed that is no number": (["check", "torch", "--seed", "x"], "'x' is not a valid integer"),
    "negative seed": (["check", "torch", "--seed", "-1"], "--seed -1 is negative"),
    "negative budget": (["check", "torch", "--time-budget", "-3"], "--time-budget -3"),
    "budget that is no number": (["check", "torch", "--time-budget", "nan"], "--time-budget nan"),
    "memory limit in words": (["check", "torch", "--memory-limit", "much"], "--memory-limit much is not a size"),
    "memory limit without a unit": (["identify", "torch", "--memory-limit", "4"], "as in --memory-limit 4G"),
    "timeout of zero": (["check", "torch", "--call-timeout", "0"], "--call-timeout 0"),
    "known and no-known": (["check", "torch", "--known", "list.toml", "--no-known"], "exclude each other"),
    "no list": (["check", "torch", "--known", "none.toml"], "none.toml"),
    "list that is no TOML": (["check", "torch", "--known", "mine.py"], "is not TOML"),
    "list with an unknown key": (["check", "torch", "--known", "list.toml"], "'clauses'"),
    "output in no folder": (["check", "torch", "--json", "no/where.json"], "mkdir -p"),
    "output that is a folder": (["check", "torch", "--html", "."], "that is a folder"),
    "output under a file": (["check", "torch", "--junit", "mine.py/x.xml"], "mine.py"),
    "output where nobody may write": (["check", "torch", "--markdown", "/proc/report.md"], "cannot be written"),
    "two outputs in one file": (["check", "torch", "--json", "a", "--html", "./a"], "would go to one file"),
    "report in the place of the subject": (
        ["check", "mine.py:Mine", "--json", "./mine.py"],
        "--json ./mine.py is what rmspec reads: the subject mine.py:Mine",
    ),
    "report in the place of the list": (
        ["check", "torch", "--known", "empty.toml", "--html", "empty.toml"],
        "--html empty.toml is what rmspec reads: --known empty.toml",
    ),
    "timeout beyond every clock": (["check", "torch", "--call-timeout", "1e10"], "and at most 1,000,000,000"),
    "page to standard output": (["check", "torch", "--html", "-"], "only --json can go to standard output"),
    "programs into a file": (["check", "torch", "--repro-dir", "mine.py"], "is not a folder"),
    "reports into a file": (
        ["check", "torch", "--reports", "mine.py"],
        "mine.py is not a folder\n  name a folder, as in --reports reports",
    ),
    "reports below a file": (["check", "torch", "--reports", "mine.py/x"], "mine.py is not a folder"),
    "reports where nobody may write": (["check", "torch", "--reports", "/proc/x"], "the reports would be lost"),
    "report whose place is a folder": (["check", "torch", "--reports", "taken"], "--json taken/report.json: that is a"),
    "report in the place of another": (
        ["check", "torch", "--reports", "out", "--html", "out/junit.xml"],
        "--html out/junit.xml",
    ),
    "what is Python only": (["record", "train.py"], "record is no command: it is Python only"),
    "repro of nothing": (["repro"], "missing argument 'FILE'"),
    "repro of no file": (["repro", "none.json"], "cannot read none.json"),
    "repro of a folder": (["repro", "."], "is no recording"),
    "truncated program": (["repro", "cut.json"], "cut.json is not JSON"),
    "program of another schema": (["repro", "other.json"], "other.json is not a program"),
    "program that is not text": (["repro", "bytes.json"], "bytes.json is not text"),
    "script of a truncated program": (["script", "cut.json"], "cut.json is not JSON"),
    "program of no subject": (["repro", "program.json"], "--subject torch"),
    "repro on an unknown subject": (["repro", "program.json", "--subject", "torhc"], "did you mean torch?"),
    "script of rmspec's own subject": (["script", "program.json", "--subject", "torhc"], "did you mean torch?"),
}


@pytest.mark.parametrize(("arguments", "expected"), CASES.values(), ids=CASES.keys())
def test_bad_input_is_refused(
    arguments: list[str], expected: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Bad input ends with exit code 2 and one message, and leaves no file behind."""
    before = sorted(folder.iterdir())
    assert expected in refused(capsys, *arguments)
    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("broken.py:X",), "broken.py does not import"),
        (("syntax.py:X", "broken.py:X"), "syntax.py does not import: SyntaxError: invalid syntax (line 1)\n"),
        (("reference", "mine.py:goood"), "did you mean good?"),
        (("mine.py:number",), "is not an optimizer: it is an int"),
        (("reference", "nothing_of_this_name:X"), "there is no module 'nothing_of_this_name'"),
    ],
)
def test_a_subject_that_does_not_load_is_refused_before_any_is_checked(
    names: tuple[str, ...], expected: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What only shows when a subject is loaded is refused as well: a wrong name, or every subject of the run."""
    message = refused(capsys, "check", *names, "--profile", "smoke", "--json", "report.json")
    assert expected in message
    assert not (folder / "report.json").exists()


def test_a_file_that_interrupts_when_it_is_imported_fails_alone(folder: Path) -> None:
    """Its process raises what a Ctrl-C raises, and the other subject is checked."""
    assert (
        main(["check", "interrupts.py:X", "reference", "--profile", "smoke", "--dtype", "float32", "--json", "r.json"])
        == 4
    )
    subjects = json.loads((folder / "r.json").read_text())["subjects"]
    assert [(subject["name"], subject["verdict"]) for subject in subjects] == [
        ("interrupts.py:X", "errored"),
        ("reference", "conforms"),
    ]
    assert subjects[0]["message"] == "the subject raised KeyboardInterrupt"


@pytest.mark.parametrize(("text", "expected"), CONFIGURATIONS.values(), ids=CONFIGURATIONS.keys())
def test_a_bad_configuration_is_refused(
    text: str, expected: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A table [tool.rmspec] with a wrong key or a wrong type is exit code 2, and the message names what is wrong."""
    (folder / "pyproject.toml").write_text(f"[tool.rmspec]\n{text}\n")
    assert expected in refused(capsys, "check", "reference")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("seed = -1", ["seed -1 is negative", "seed is set in [tool.rmspec]", "as in seed = 1"]),
        ('profile = "smok"', ["unknown profile 'smok'", "profile is set in [tool.rmspec]"]),
        (
            "memory-limit = 'much'",
            ["memory-limit much is not a size", "memory-limit is set in [tool.rmspec]", "as in memory-limit = 4G"],
        ),
        ("call-timeout = 0", ["call-timeout 0 is not", "write it as call-timeout = 30"]),
        ('reports = "mine.py"', ["reports mine.py: ", "reports is set in [tool.rmspec]", "as in reports = reports"]),
        ('repro-dir = "mine.py"', ["repro-dir mine.py: ", "repro-dir is set in [tool.rmspec]"]),
    ],
)
def test_a_configured_value_is_told_by_its_key(
    text: str, expected: list[str], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody typed an option: the message names the key and its table."""
    (folder / "pyproject.toml").write_text(f"[tool.rmspec]\n{text}\n")
    told = refused(capsys, "check", "reference")
    assert all(each in told for each in expected), told
    assert "--" not in told


def test_a_typed_value_is_told_as_it_was_typed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever the configuration says of the same option."""
    (folder / "pyproject.toml").write_text("[tool.rmspec]\nseed = -1\n")
    assert "--seed -2 is negative" in refused(capsys, "check", "reference", "--seed", "-2")


def test_the_command_alone_prints_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    """It is no check, so that the exit code is 2, and nothing is told as an error."""
    assert main([]) == 2
    out, err = capsys.readouterr()
    assert out.startswith("Usage: rmspec ")
    assert err == ""


@pytest.mark.parametrize(
    ("place", "value", "expected"),
    [
        (("calls", 1, "op"), "stepp", 'unknown op "stepp"; did you mean step?'),
        (("calls", 1, "op"), "zzzzzzz", "the ops are create, set_grad, step"),
        (("calls", 0, "options"), {"lr": "abc"}, '"abc" is neither true or false nor a float in hexadecimal'),
        (("calls", 0, "options"), {"lr": 0.5}, "0.5 is neither true or false nor a float in hexadecimal"),
        (("params", 0, "values"), ["abc"], '"abc" is neither a float in hexadecimal'),
        (("params", 0, "shape"), [10**12], "1,000,000,000,000 elements"),
        (("params", 0, "shape"), [10**6] * 4, "elements together; at most 16,777,216"),
        (("calls",), [], "holds no calls"),
    ],
)
def test_a_malformed_program_is_refused_in_the_words_of_the_vocabulary(
    place: tuple[str | int, ...], value: object, expected: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The message says what stands there, and what may."""
    data = json.loads(json.dumps({**PROGRAM, "subject": "mine.py:good"}))
    data["calls"].append({"op": "step", "optimizer": "A"})
    spot = data
    for part in place[:-1]:
        spot = spot[part]
    spot[place[-1]] = value
    (folder / "odd.json").write_text(json.dumps(data))
    assert expected in refused(capsys, "repro", "odd.json")


def test_a_program_that_was_cut_off_is_told_to_be(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Wherever it ends: between two values, in a name, or in a number."""
    text = json.dumps(PROGRAM)
    for end in (30, 60, 61, 62, 63, len(text) - 1):
        (folder / "cut.json").write_text(text[:end])
        assert "it may have been cut off" in refused(capsys, "repro", "cut.json"), text[:end]


def test_a_table_that_is_none_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A key tool.rmspec that is no table is exit code 2."""
    (folder / "pyproject.toml").write_text("[tool]\nrmspec = 3\n")
    assert "is not a table" in refused(capsys, "check", "reference")


def test_the_command_line_wins_over_the_configuration(folder: Path) -> None:
    """An option that is typed replaces the configured one; the others keep what the configuration says."""
    (folder / "pyproject.toml").write_text(
        '[tool.rmspec]\nprofile = "deep"\nseed = 3\nsubjects = ["torch"]\ndtype = "float32,float64"\nno_known = true\n'
    )
    options = merged({"seed": 4, "subjects": ("reference",), "known": "list.toml"}, folder)
    assert (options.profile, options.seed, options.subjects) == ("deep", 4, ("reference",))
    assert (options.known, options.no_known, options.dtype) == ("list.toml", False, ("float32,float64",))


def test_a_framework_is_about_classes_of_ones_own(folder: Path) -> None:
    """Beside one a registered subject is no contradiction, and what a project configures is not about a registered one alone."""
    for subjects in (("torch", "mine.py:good"), ("mine.py:good",), ("keras",)):
        resolve(CheckOptions(subjects=subjects, framework="keras"))
    (folder / "pyproject.toml").write_text('[tool.rmspec]\nsubjects = ["mine.py:good"]\nframework = "keras"\n')
    assert merged({}, folder).framework == "keras"
    typed = {"subjects": ("torch",)}
    assert merged(typed, folder).framework is None
    (found,) = [each for each in settings(typed, folder) if each.key == "framework"]
    assert (found.value, found.source) == (None, "default")


def test_the_nearest_configuration_holds_and_names_files_from_its_own_folder(folder: Path) -> None:
    """A pyproject.toml above holds, its subjects and files are found from below, and a nearer one hides it."""
    (folder / "pyproject.toml").write_text('[tool.rmspec]\nsubjects = "mine.py:good"\njson = "out.json"\n')
    below = folder / "a" / "b"
    below.mkdir(parents=True)
    options = merged({}, below)
    assert (options.subjects, options.value("json")) == (("../../mine.py:good",), "../../out.json")
    (folder / "a" / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    assert merged({}, below).subjects == ()


def test_every_option_of_check_can_be_configured() -> None:
    """The keys of the configuration are the options of check, and the subjects."""
    options = {parameter.name for parameter in _check.params}
    assert {key.replace("-", "_") for key in KEYS} == options


def test_a_fault_of_rmspec_is_told_briefly(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An exception inside rmspec is exit code 3, a short message, and the traceback in a file that it names."""

    def fail(options: object) -> None:
        raise RuntimeError("a fault on purpose")

    monkeypatch.setattr(check, "resolve", fail)
    monkeypatch.setattr(problems.tempfile, "tempdir", str(folder))
    assert main(["check", "reference"]) == 3
    err = capsys.readouterr().err
    assert err.startswith("rmspec: internal error: RuntimeError: a fault on purpose\n")
    assert "Traceback" not in err
    [log] = folder.glob("*.log")
    assert str(log) in err
    assert "Traceback" in log.read_text()


def test_a_fault_of_rmspec_is_shown_when_debugging(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With RMSPEC_DEBUG=1 the traceback is printed."""

    def fail(options: object) -> None:
        raise RuntimeError("a fault on purpose")

    monkeypatch.setattr(check, "resolve", fail)
    monkeypatch.setenv("RMSPEC_DEBUG", "1")
    assert main(["check", "reference"]) == 3
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--help"], ["check", "--help"], ["repro", "--help"], ["--version"]])
def test_help_and_version_are_no_errors(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Help and version go to standard output, exit code 0."""
    assert main(arguments) == 0
    out, err = capsys.readouterr()
    assert "rmspec" in out
    assert err == ""


@pytest.mark.parametrize("command", ["subjects", "clauses"])
def test_listings_fit_the_page_and_have_a_json_form(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The listings are at most 80 columns wide, and say the same as JSON."""
    assert main([command]) == 0
    text = capsys.readouterr().out
    assert max(len(line) for line in text.splitlines()) <= 80
    assert main([command, "--json"]) == 0
    entries = json.loads(capsys.readouterr().out)[command]
    names = [entry.get("name", entry.get("id")) for entry in entries]
    assert len(set(names)) == len(names) > 5
    assert all(name in text for name in names)
