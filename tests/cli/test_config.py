"""``rmspec config``: what check would run with and where it comes from; the schema says what the reader accepts."""

import json
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from configurations import CONFIGURATIONS

from rmspec.impl.spec.dialect import DIALECTS
from rmspec.reports.cli.main import main
from rmspec.reports.config.effective import Setting, settings
from rmspec.reports.config.keys import KEYS
from rmspec.reports.config.pyproject import read_config
from rmspec.reports.config.schema import config_schema, rendered
from rmspec.reports.files.formats import FORMATS
from rmspec.reports.problems import BadOption

SCHEMA = jsonschema.Draft7Validator(config_schema())
EVERY = {
    "subjects": ["torch"],
    "profile": "smoke",
    "seed": 3,
    "time-budget": 1.5,
    "dialect": "keras3",
    "device": "cpu",
    "dtype": ["float32", "float64"],
    "policy": "strict",
    "framework": "torch",
    "without": "momentum,centered",
    "paths": ["default"],
    "fail-fast": True,
    "known": "known.toml",
    "no-known": False,
    "baseline": "none",
    "fail-on": "hazards",
    "call-timeout": 30,
    "memory-limit": "4G",
    "reports": "reports",
    **{row.option: row.file for row in FORMATS.values()},
    "quiet": True,
    "verbose": True,
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder below an empty configuration, so that none above it counts."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").write_text("")
    return tmp_path


def configure(folder: Path, text: str) -> None:
    (folder / "pyproject.toml").write_text(f"[tool.rmspec]\n{text}\n")


def by_key(found: tuple[Setting, ...]) -> dict[str, Setting]:
    return {each.key: each for each in found}


class TestEffective:
    """Every value, and its origin."""

    def test_every_option_is_there_in_order(self, folder: Path) -> None:
        """Without anything said, all are defaults."""
        found = settings({}, folder)
        assert [each.key for each in found] == list(KEYS)
        assert {each.source for each in found} == {"default"}
        assert by_key(found)["profile"].value == "ci"
        assert by_key(found)["time-budget"].value is None

    def test_each_value_says_where_it_comes_from(self, folder: Path) -> None:
        """The command line wins over the file, which is named as it lies from here; a default is one."""
        configure(folder, 'profile = "deep"\nseed = 3\nknown = "k.toml"\ndevice = "cpu"')
        (folder / "below").mkdir()
        found = by_key(settings({"seed": 4, "quiet": True}, folder / "below"))
        assert found["profile"] == Setting("profile", "deep", "pyproject.toml", "../pyproject.toml")
        assert found["known"] == Setting("known", "../k.toml", "pyproject.toml", "../pyproject.toml")
        assert found["device"] == Setting("device", "cpu", "pyproject.toml", "../pyproject.toml")
        assert found["seed"] == Setting("seed", 4, "command line")
        assert found["quiet"] == Setting("quiet", True, "command line")
        assert found["policy"] == Setting("policy", "strict", "default")

    def test_what_is_typed_replaces_what_excludes_it(self, folder: Path) -> None:
        """--no-known puts a configured list aside, and the other way round."""
        configure(folder, 'known = "k.toml"')
        found = by_key(settings({"no_known": True}, folder))
        assert found["known"] == Setting("known", None, "default")
        assert found["no-known"] == Setting("no-known", True, "command line")
        configure(folder, "no-known = true")
        found = by_key(settings({"known": "k.toml"}, folder))
        assert found["no-known"] == Setting("no-known", False, "default")

    def test_the_command_prints_them(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """A line each, as TOML with the source as a comment; what is set reads back."""
        configure(folder, 'subjects = ["reference"]\nwithout = "complex"')
        assert main(["config", "--seed", "7", "--fail-fast"]) == 0
        lines = capsys.readouterr().out.splitlines()
        sources = {line.split(" ")[0]: line.rpartition("  # ")[2] for line in lines}
        assert sources == dict.fromkeys(KEYS, "default") | {
            "subjects": "pyproject.toml",
            "without": "pyproject.toml",
            "seed": "command line",
            "fail-fast": "command line",
        }
        data = tomllib.loads("\n".join(line for line in lines if " is not set" not in line))
        assert (data["subjects"], data["without"], data["seed"]) == (["reference"], ["complex"], 7)
        configure(folder, "\n".join(line for line in lines if " is not set" not in line))
        assert read_config(folder)["seed"] == 7

    def test_the_command_has_a_json_form(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """Value, source and file by key; the file of a report that the configuration asks for is among them."""
        configure(folder, 'json = "out.json"')
        assert main(["config", "--json"]) == 0
        found = json.loads(capsys.readouterr().out)["config"]
        assert found["json"] == {"value": "out.json", "source": "pyproject.toml", "file": "pyproject.toml"}
        assert found["seed"] == {"value": 0, "source": "default"}

    def test_a_typed_folder_replaces_configured_files(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """The command line wins: what ``--reports`` names has every report but those that are typed as well."""
        configure(folder, 'reports = "all"\njson = "out.json"\njunit = "out.xml"')
        assert main(["config"]) == 0
        out = capsys.readouterr().out
        assert 'reports = "all"' in out
        assert 'json = "out.json"' in out
        assert main(["config", "--reports", "typed", "--junit", "here.xml", "--json"]) == 0
        found = json.loads(capsys.readouterr().out)["config"]
        assert found["reports"] == {"value": "typed", "source": "command line"}
        assert found["json"] == {"value": None, "source": "default"}
        assert found["junit"] == {"value": "here.xml", "source": "command line"}

    @pytest.mark.parametrize(
        ("text", "arguments", "said"),
        [
            ('profil = "smoke"', [], "unknown key 'profil'"),
            ('profil = "smoke"', [], "did you mean profile?"),
            ('subjects = "torch"\nprofile = "smok"', [], "did you mean smoke?"),
            ("", ["--sed", "3"], "did you mean --seed?"),
            ("", ["torhc"], "did you mean torch?"),
        ],
    )
    def test_what_check_would_refuse_is_refused(
        self, folder: Path, capsys: pytest.CaptureFixture[str], text: str, arguments: list[str], said: str
    ) -> None:
        """Exit code 2, with the closest name."""
        configure(folder, text)
        assert main(["config", *arguments]) == 2
        assert said in capsys.readouterr().err


class TestSchema:
    """What an editor completes and underlines."""

    def test_the_command_prints_a_schema(self, capsys: pytest.CaptureFixture[str]) -> None:
        """The generated one, and a valid one; no copy of it is stored."""
        assert main(["config", "--schema"]) == 0
        printed = capsys.readouterr().out
        assert rendered() + "\n" == printed
        jsonschema.Draft7Validator.check_schema(json.loads(printed))

    def test_it_has_every_option_with_a_description(self) -> None:
        """And no other key."""
        found = config_schema()
        assert list(found["properties"]) == list(KEYS) == list(EVERY)
        assert all(each["description"] for each in found["properties"].values())
        assert set(DIALECTS) < set(found["properties"]["dialect"]["anyOf"][0]["enum"])

    def test_every_option_can_be_set(self, folder: Path) -> None:
        """A table with all of them is valid, and the reader takes it."""
        SCHEMA.validate(EVERY)
        configure(folder, "\n".join(f"{key} = {json.dumps(value)}" for key, value in EVERY.items()))
        assert len(read_config(folder)) == len(KEYS)

    @pytest.mark.parametrize(
        "text", [text for name, (text, _) in CONFIGURATIONS.items() if name not in ("not TOML", "key twice")]
    )
    def test_what_the_reader_refuses_the_schema_refuses(self, text: str) -> None:
        """An editor shows the error before rmspec does."""
        assert not SCHEMA.is_valid(tomllib.loads(text))

    @pytest.mark.parametrize("key", KEYS)
    def test_a_wrong_type_is_refused_by_both(self, key: str, folder: Path) -> None:
        """Key by key."""
        wrong: Any = {"x": 1}
        assert not SCHEMA.is_valid({key: wrong})
        configure(folder, f"{key} = {{ x = 1 }}")
        with pytest.raises(BadOption, match=key):
            read_config(folder)

    @pytest.mark.parametrize("key", ["profile", "dialect", "dtype", "policy", "framework", "fail-on"])
    def test_defaults_and_names_are_valid(self, key: str) -> None:
        """What the schema proposes it accepts."""
        found = config_schema()["properties"][key]
        several = key == "dtype"
        names = (found["anyOf"][1]["items"]["anyOf"][0] if several else found.get("anyOf", [found])[0])["enum"]
        for name in names:
            SCHEMA.validate({key: [name] if several else name})
        if "default" in found:
            SCHEMA.validate({key: found["default"]})
