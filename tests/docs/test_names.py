"""What the README and the pages of docs name there is, and their tables are complete."""

import ast
import importlib
import re
from functools import cache

import pytest
from option_names import PLUGIN, options
from pages import PAGES, README, ROOT, section

from rmspec.impl import CLAUSES, DIALECTS, POLICIES
from rmspec.oracles import EXCLUDABLE, registered_names
from rmspec.properties import PROFILES, shipped
from rmspec.properties.known import _HOLDS, _KEYS
from rmspec.properties.verdict_table import VERDICTS
from rmspec.reports import ExitCode

FOREIGN = {"--help", "--strict", "--no-index", "--no-deps", "--no-build-isolation", "--wheel"}
"""Options of pip, of build and of mkdocs."""


@pytest.mark.parametrize("name", PAGES)
def test_tests_and_files_that_a_page_cites_exist(name: str) -> None:
    """An obligation is discharged by a test that there is."""
    for file, test in re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", PAGES[name]):
        assert (ROOT / file).is_file(), file
        assert not test or test in functions(file), f"{file}::{test}"
    for path in re.findall(r"`((?:tests|impl|oracles|properties|reports)/[\w./-]+)`", PAGES[name]):
        assert (ROOT / path).exists(), path
    for module in re.findall(r"`(rmspec\.(?:impl|oracles|properties|reports)(?:\.\w+)*)`", PAGES[name]):
        assert leads_somewhere(module), module


@cache
def functions(file: str) -> frozenset[str]:
    tree = ast.parse((ROOT / file).read_text("utf-8"))
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def leads_somewhere(dotted: str) -> bool:
    """Whether it is a module, or a name that a module or package has."""
    try:
        importlib.import_module(dotted)
    except ModuleNotFoundError:
        module, _, attribute = dotted.rpartition(".")
        return hasattr(importlib.import_module(module), attribute)
    return True


def test_links_of_the_readme_lead_somewhere() -> None:
    """To files of the clone, and to headings in them; mkdocs checks those of the other pages."""
    for target in re.findall(r"\]\((?!https?://)([^)]+)\)", PAGES[README]):
        file, _, anchor = target.partition("#")
        text = (ROOT / file).read_text("utf-8")
        headings = {
            re.sub(r"[^\w-]", "", title.lower().replace(" ", "-")) for title in re.findall(r"^#+ (.*)$", text, re.M)
        }
        assert not anchor or anchor in headings, target


@pytest.mark.parametrize("name", PAGES)
def test_features_options_and_subjects_that_a_page_names_exist(name: str) -> None:
    """An option is one of some command, a feature and a subject one that there is."""
    text = PAGES[name]
    for features in re.findall(r"--without[ =]([\w,]+)", text):
        assert set(features.split(",")) <= set(EXCLUDABLE)
    assert set(re.findall(r"(?<![\w-])--[a-z][\w-]+", text)) - PLUGIN - FOREIGN <= options()
    assert set(re.findall(r"`((?:torch|keras|tensorflow|reference):[\w-]+)`", text)) <= set(registered_names())


def test_the_readme_is_a_way_in() -> None:
    """It fits on a few screens; everything else stands in docs."""
    assert len(PAGES[README].splitlines()) <= 250
    assert f"{len(CLAUSES)} clauses" in PAGES[README]


def test_the_versions_that_are_promised_are_those_of_the_constraints() -> None:
    """What CI installs is what the README says it ran on."""
    pins = dict(re.findall(r"^([\w-]+)==([\d.]+)$", (ROOT / "constraints.txt").read_text("utf-8"), re.M))
    rows = dict(re.findall(r"^\| ([^|]+) \| ([^|]+) \|$", section(README, "Tested on"), re.M))
    assert rows["torch"].startswith(short(pins["torch"]))
    tensorflow = ", ".join(short(pins[name]) for name in ("tensorflow-cpu", "keras", "tf_keras"))
    assert rows["TensorFlow, Keras, tf_keras"].startswith(tensorflow)
    assert rows["JAX, optax"].startswith(f"{pins['jax']}, {pins['optax']}")


def short(version: str) -> str:
    return ".".join(version.split(".")[:2])


def test_nothing_is_left_to_fill_in() -> None:
    """No page has a placeholder for a name that nobody has chosen."""
    assert [name for name, text in PAGES.items() if re.search(r"your-org|TODO|FIXME|TBD|XXX", text)] == []


def test_the_table_of_exit_codes_is_complete() -> None:
    """Code by code, in order."""
    codes = re.findall(r"^\| (\d+) \|", PAGES["reference/exit-codes.md"], re.M)
    assert [int(code) for code in codes] == [int(code) for code in ExitCode]


def test_the_table_of_verdicts_is_complete() -> None:
    """Those that a subject can have."""
    rows = re.findall(r"^\| `([\w-]+)` \|", section("reference/glossary.md", "Verdicts of a subject"), re.M)
    assert sorted(rows) == sorted(row.word for row in VERDICTS.values() if "subject" in row.of)


def test_the_table_of_profiles_is_true() -> None:
    """The numbers of programs and sweeps are those that run."""
    rows = re.findall(r"^\| `(\w+)`[^|]*\| ([\d,]+) \| ([\d,]+) \|", PAGES["reference/profiles.md"], re.M)
    assert [
        (name, int(programs.replace(",", "")), int(sweeps.replace(",", ""))) for name, programs, sweeps in rows
    ] == [(profile.name, profile.programs, profile.sweeps) for profile in PROFILES.values()]


def test_features_dialects_policies_and_keys_are_all_named() -> None:
    """A reader need not guess a name, and none is out of date."""
    page = PAGES["how-to/own-optimizer.md"]
    [features] = re.findall(r"--without ([\w,]+_[\w,]+)", page)
    assert features.split(",") == list(EXCLUDABLE)
    assert {name for name in (*DIALECTS, *POLICIES) if f"`{name}`" not in page} == set()
    known = section("how-to/known-deviation.md", "The file by hand")
    assert {name for name in {*_KEYS, *_HOLDS} if f"`{name}`" not in known} == set()


def _begins(id: str, shown: str) -> bool:
    return id == shown or (shown.endswith("-...") and id.startswith(shown.removesuffix("...")))


def test_every_shipped_known_deviation_is_explained() -> None:
    """torch's table has each entry with its clause, and no other; the other table has each, some by what their ids begin with."""
    page = "reference/known-deviations.md"
    rows = re.findall(r"^\| `([\w-]+)` \| `([\w-]+)` \|", section(page, "torch 2.13"), re.M)
    assert sorted(rows) == sorted((entry.id, entry.clause) for entry in shipped() if entry.id.startswith("torch"))
    table = [row for row in section(page, "TensorFlow, Keras and optax").splitlines() if row.startswith("| `")]
    for entry in shipped():
        if not entry.id.startswith("torch"):
            explaining = [row for row in table if any(_begins(entry.id, id) for id in re.findall(r"`([\w.-]+)`", row))]
            assert [f"`{entry.clause}`" in row for row in explaining] == [True], entry.id
