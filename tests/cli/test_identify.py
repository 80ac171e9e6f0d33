"""``rmspec identify``: which RMSprop it is in words, as JSON that its schema allows, and in an exit code."""

import json
from pathlib import Path

import jsonschema
import pytest
from commandline import SUBJECTS, lines_over, rmspec, without_seconds

from rmspec.reports.cli.main import main
from rmspec.reports.documents import stored_json

OTHERS = """
import torch


class Ascent(torch.optim.Optimizer):
    def __init__(self, params, lr=0.01):
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                p.add_(group["lr"] * p.grad)


class Refuses(Ascent):
    def step(self, closure=None):
        raise NotImplementedError("not yet")


class Still(Ascent):
    def step(self, closure=None):
        pass
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with subjects that conform, crash, hang, or are no RMSprop."""
    made = tmp_path_factory.mktemp("identify")
    programs = "\ncrash.programs = hang.programs = 100\n"
    (made / "mine.py").write_text(SUBJECTS + programs)
    (made / "others.py").write_text(OTHERS)
    return made


def valid(path: Path) -> dict[str, object]:
    """A document that its schema allows."""
    document: dict[str, object] = json.loads(path.read_text("utf-8"))
    jsonschema.validate(document, stored_json("schemas/identification-1.json"), cls=jsonschema.Draft202012Validator)
    return document


def test_the_schema_is_one() -> None:
    """The published schema is itself valid."""
    jsonschema.Draft202012Validator.check_schema(stored_json("schemas/identification-1.json"))


def test_a_dialect_is_named_and_shown(folder: Path) -> None:
    """Exit code 0; every switch is answered, with a program, what was observed and what each position predicts."""
    ran = rmspec(folder, "identify", "reference:keras3", "--json", "keras3.json")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith("reference:keras3: RMSprop of the dialect keras3\n")
    assert "  eps_place           inside yes, outside no, none no\n" in ran.out
    assert "  decay               decoupled-lr yes, l2 no, decoupled no, none no\n" in ran.out
    assert "    p.grad = 0.5\n    A.step()    # <- here\n    observed      " in ran.out
    assert "    with eps_place outside      0." in ran.out
    assert lines_over(ran.out, 80) == []
    document = valid(folder / "keras3.json")
    assert (document["standing"], document["dialects"]) == ("dialect", ["keras3"])


def test_the_same_subject_gives_the_same_bytes(folder: Path) -> None:
    """Seconds aside, in both outputs."""
    first, second = (rmspec(folder, "identify", "reference", "--json", "-", "--dtype", "float32").out for _ in range(2))
    assert without_seconds(json.loads(first)) == without_seconds(json.loads(second))


def test_json_goes_to_standard_output_alone(folder: Path) -> None:
    """The text is then on standard error."""
    ran = rmspec(folder, "identify", "mine.py:wrong", "--json", "-")
    assert json.loads(ran.out)["dialects"] == ["tensorflow"]
    assert ran.err.startswith("mine.py:wrong: RMSprop of the dialect tensorflow\n")


def test_what_it_does_otherwise_is_said_first(folder: Path) -> None:
    """In the first sentence, with the programs below, and in JSON with the amendment as a list of known deviations has it."""
    pytest.importorskip("torch")
    subject = f"{Path(__file__).parents[1] / 'cases' / 'optimizers.py'}:SubtractsEps"
    ran = rmspec(folder, "identify", subject, "--dtype", "float64,float32", "--json", "eps.json")
    assert ran.code == 1
    printed = " ".join(ran.out.split())
    assert (
        "SubtractsEps: RMSprop of the dialect tensorflow, except that eps has the other sign, with centered" in printed
    )
    assert "SubtractsEps --dialect tensorflow finds the clause that it breaks" in printed
    assert (
        "eps-placement: eps is added inside the square root (tensorflow) eps has the other sign, with centered"
        in printed
    )
    document = valid(folder / "eps.json")
    assert (document["standing"], document["base"]) == ("unexplained", "tensorflow")
    (difference,) = document["differences"]  # type: ignore[misc]
    assert difference["clause"] == "eps-placement"  # type: ignore[index]
    assert difference["amendment"] == {"eps": "times -1.0", "with_centered": True}  # type: ignore[index]
    assert document["remainders"] == []


def test_no_rmsprop_is_exit_code_1(folder: Path) -> None:
    """The clause that rules it out is named with its program."""
    pytest.importorskip("torch")
    ran = rmspec(folder, "identify", "torch.optim:Adam", "--json", "adam.json")
    assert ran.code == 1
    assert ran.out.startswith("torch.optim:Adam: no RMSprop; it is Adam\n")
    assert "  update: theta_t = theta_{t-1} - gamma g_t" in ran.out
    assert valid(folder / "adam.json")["family"] == "Adam"


def test_what_climbs_is_seen_to_climb(folder: Path) -> None:
    """No family is named that it is not."""
    pytest.importorskip("torch")
    ran = rmspec(folder, "identify", "others.py:Ascent", "--json", "ascent.json")
    assert ran.code == 1
    assert ran.out.startswith("others.py:Ascent: no RMSprop, nor an optimizer that rmspec knows\n")
    switches = {each["name"]: each["value"] for each in valid(folder / "ascent.json")["switches"]}  # type: ignore[attr-defined]
    assert switches["maximize"] is True


def test_what_never_moves_is_said_to_change_nothing(folder: Path) -> None:
    """With the clause that rules RMSprop out, and no word of dialects that might explain it."""
    pytest.importorskip("torch")
    ran = rmspec(folder, "identify", "others.py:Still", "--json", "still.json")
    assert ran.code == 1
    assert ran.out.startswith("others.py:Still: no RMSprop: its steps change nothing\n")
    assert "  step: step() performs one step of every parameter with a gradient\n" in ran.out
    assert "no dialect" not in ran.out
    assert valid(folder / "still.json")["message"] == "its steps change nothing"


def test_what_tells_nothing_is_exit_code_5(folder: Path) -> None:
    """With the exception that it raised."""
    pytest.importorskip("torch")
    ran = rmspec(folder, "identify", "others.py:Refuses", "--json", "refuses.json")
    assert ran.code == 5
    assert "cannot tell: it raises NotImplementedError: not yet" in " ".join(ran.out.split())
    assert valid(folder / "refuses.json")["standing"] == "unknown"


def test_a_crash_and_a_hang_are_exit_code_4(folder: Path) -> None:
    """They are told, and leave no half-written file."""
    crashed = rmspec(folder, "identify", "mine.py:crash", "--json", "crash.json")
    assert crashed.code == 4
    assert "crashed" in crashed.out
    hung = rmspec(folder, "identify", "mine.py:hang", "--call-timeout", "1", "--json", "hang.json")
    assert hung.code == 4
    assert "hung" in hung.out
    assert not {"crash.json", "hang.json"} & {each.name for each in folder.iterdir()}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["torhc"], "did you mean torch?"),
        (["mien.py:good"], "did you mean mine.py?"),
        (["mine.py:goood"], "did you mean good?"),
        (["reference", "--dtype", "floa64"], "did you mean float64?"),
        (["reference", "--framework", "trch"], "did you mean torch?"),
        (["reference", "--framework", "torch"], "reference has the framework numpy"),
        (["torch", "--framework", "keras"], "leave it out, or name your class"),
        (["reference", "--dtype", ""], "names no format"),
        (["reference", "--device", " "], "names no device"),
        (["reference", "--call-timeout", "0"], "--call-timeout 0"),
        (["reference", "--json", "no/where.json"], "mkdir -p"),
        (["reference", "--jsn", "x"], "did you mean --json?"),
        ([], "missing argument 'SUBJECT'"),
    ],
)
def test_bad_input_is_refused(
    arguments: list[str],
    expected: str,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Exit code 2, one message, and no file."""
    monkeypatch.chdir(folder)
    before = sorted(folder.iterdir())
    assert main(["identify", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("rmspec: ")
    assert expected in err
    assert sorted(folder.iterdir()) == before


def test_an_unsupported_device_is_exit_code_5(folder: Path) -> None:
    """As for a check: nothing was looked at."""
    ran = rmspec(folder, "identify", "reference", "--device", "cuda")
    assert (ran.code, ran.err) == (5, "")
    assert "leave out --device" in " ".join(ran.out.split())
