"""What older versions wrote stays readable, and the names that they exported are still there."""

from __future__ import annotations

import importlib
import json
import re
import shutil
import tomllib
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from rmspec.oracles.checkpoints.files import read_checkpoint
from rmspec.oracles.dialects import dialect_named
from rmspec.oracles.program.program import Create, SetGrad, Step, parse, to_json
from rmspec.oracles.recordings.reader import is_recording, open_recording
from rmspec.properties.known import read_known
from rmspec.properties.recordings.verify import verify
from rmspec.reports.cli.main import main
from rmspec.reports.config.effective import merged
from rmspec.reports.config.options import resolve
from rmspec.reports.config.pyproject import read_config
from rmspec.reports.files.ndjson import read_log
from rmspec.reports.readers.json_reader import merged as merged_reports
from rmspec.reports.readers.json_reader import read, result_of

HERE = Path(__file__).parent
VERSIONS = sorted(each.name for each in HERE.iterdir() if each.is_dir() and re.fullmatch(r"\d+\.\d+\.\d+", each.name))
SCHEMAS = HERE.parents[1] / "reports" / "schemas"


@pytest.fixture(params=VERSIONS)
def folder(request, tmp_path):
    """A copy of the samples of one version."""
    return Path(shutil.copytree(HERE / request.param, tmp_path / request.param))


def test_there_are_samples_of_every_format_that_was_published():
    """A version without samples would prove nothing."""
    assert "0.1.0" in VERSIONS
    for version in VERSIONS:
        assert {each.name for each in (HERE / version).iterdir()} >= {
            "program.json",
            "report.json",
            "log.ndjson",
            "identification.json",
            "translation.json",
            "recording",
            "known.toml",
            "pyproject.toml",
            "checkpoint.npz",
            "checkpoint.safetensors",
            "public_names.json",
        }


def test_samples_say_which_version_wrote_them_and_nothing_of_its_machine():
    """No absolute path is in them."""
    for version in VERSIONS:
        report = json.loads((HERE / version / "report.json").read_text("utf-8"))
        assert report["environment"]["rmspec"] == version
        for file in (HERE / version).rglob("*.*"):
            assert not re.search(rb"/(?:home|root|tmp|work|Users)/", file.read_bytes()), file


def test_a_stored_program_is_read(folder):
    """Its calls, its clause, and the subject that it was found on."""
    text = (folder / "program.json").read_text("utf-8")
    program = parse(text)
    assert [type(call) for call in program.calls] == [Create, SetGrad, Step]
    assert (program.clause, program.subject, program.dialect) == ("eps-placement", "mine.py:RMSprop", "torch")
    assert program.params[0].values == (2.0,)
    assert parse(json.dumps(to_json(program))) == program


def test_a_stored_program_still_fails_where_it_did(folder, monkeypatch, capsys):
    """The replay says so, by the same clause."""
    pytest.importorskip("torch")
    monkeypatch.chdir(folder)
    assert main(["repro", "program.json", "--subject", "mine.py:RMSprop"]) == 1
    assert "eps-placement" in capsys.readouterr().out


def test_a_report_is_read_and_reported_on(folder, monkeypatch):
    """By the reader, and by the command that makes pages of it."""
    data = read(str(folder / "report.json"))
    result = result_of(data["subjects"][0])
    assert (result.name, result.verdict, result.programs, result.steps) == ("mine.py:RMSprop", "deviates", 194, 799)
    assert [each.clause for each in result.deviations] == ["eps-placement"]
    assert [each.clause for each in result.hazards] == ["square-avg"]
    assert result.deviations[0].program.calls
    assert merged_reports([("report.json", data)])["subjects"]
    monkeypatch.chdir(folder)
    assert main(["report", "--from", "report.json", "--out", "pages"]) == 1
    assert "eps-placement" in (folder / "pages" / "report.md").read_text("utf-8")


def test_a_log_is_read_and_summed_up(folder, capsys):
    """It ends in its footer, and the command says what it holds."""
    assert read_log(str(folder / "log.ndjson"))
    assert main(["log", str(folder / "log.ndjson")]) == 0
    assert "mine.py:RMSprop" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["identification", "translation"])
def test_a_document_still_follows_its_schema(folder, name):
    """What is only written is validated by those who read it: its schema has not become narrower."""
    document = json.loads((folder / f"{name}.json").read_text("utf-8"))
    schema = json.loads((SCHEMAS / f"{name}-1.json").read_text("utf-8"))
    assert document["schema"] == f"rmspec.{name}/1"
    program = json.loads((HERE.parents[1] / "oracles" / "schemas" / "program-1.json").read_text("utf-8"))
    import referencing

    registry = referencing.Registry().with_resources(
        [(each["$id"], referencing.Resource.from_contents(each)) for each in (program, schema) if "$id" in each]
    )
    jsonschema.Draft202012Validator(schema, registry=registry).validate(document)


def test_a_recording_is_verified(folder, monkeypatch, capsys):
    """Every step of it, bit by bit, and by the command."""
    assert is_recording(str(folder / "recording"))
    recording = open_recording(str(folder / "recording"))
    assert len(list(recording.steps())) == 3
    verified = verify(recording)
    assert verified.first is None
    monkeypatch.chdir(folder)
    assert main(["repro", "recording"]) == 0
    capsys.readouterr()


def test_a_known_list_with_its_witness_is_read(folder):
    """An entry without the keys that were added later means what it meant."""
    (entry,) = read_known(folder / "known.toml")
    assert (entry.id, entry.clause, entry.subject) == ("mine-rmsprop-eps-placement", "eps-placement", "mine.py:RMSprop")
    assert entry.versions == {"torch": ">=2.6,<3"}
    assert entry.tested == {}
    assert entry.witness is not None
    assert entry.witness.clause == "eps-placement"


def test_a_known_list_still_accepts_what_it_accepted(folder, monkeypatch, capsys):
    """The replay of the deviation that it names passes with it."""
    pytest.importorskip("torch")
    monkeypatch.chdir(folder)
    assert main(["repro", "program.json", "--subject", "mine.py:RMSprop", "--known", "known.toml"]) == 0
    assert "mine-rmsprop-eps-placement" in capsys.readouterr().out


def test_a_configuration_with_every_key_is_read(folder, monkeypatch):
    """Each key still has its meaning."""
    monkeypatch.chdir(folder)
    (folder / "out").mkdir()
    written = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))["tool"]["rmspec"]
    assert read_config(folder).keys() == {key.replace("-", "_") for key in written}
    settings = resolve(merged({}, folder))
    assert (settings.profile, settings.seed, settings.time_budget) == ("smoke", 7, 30.0)
    assert (settings.formats, settings.without) == (("float32", "float64"), frozenset({"complex", "sparse"}))
    assert (settings.dialect, settings.baseline, settings.framework, settings.fail_fast) == (
        "torch",
        "none",
        "torch",
        True,
    )
    assert settings.call_timeout == 45.5
    assert [each.id for each in settings.known][-1] == "mine-rmsprop-eps-placement"


@pytest.mark.parametrize("ending", ["npz", "safetensors"])
def test_a_checkpoint_is_read(folder, ending):
    """The arrays of rmspec's own layout, by the names of the optimizer that they are for."""
    if ending == "safetensors":
        pytest.importorskip("safetensors")
    saved = read_checkpoint(str(folder / f"checkpoint.{ending}"), dialect_named("tensorflow1"))
    (group,) = saved.groups
    (param,) = group.params
    arrays = {role: np.asarray(values) for role, values in param.arrays.items()}
    assert {role: values.shape for role, values in arrays.items()} == {"square_avg": (3,), "momentum_buffer": (3,)}
    assert all(np.isfinite(values).all() for values in arrays.values())
    assert (arrays["square_avg"] > 0).all()


@pytest.mark.parametrize(
    ("version", "module", "name"),
    [
        (version, module, name)
        for version in VERSIONS
        for module, names in json.loads((HERE / version / "public_names.json").read_text("utf-8")).items()
        for name in names
    ],
)
def test_a_public_name_is_still_exported(version, module, name):
    """From the same package."""
    found = importlib.import_module(module)
    assert name in found.__all__
    assert hasattr(found, name)
