"""The reference pages hold what the code holds, and the pages build without a warning and ask no other host."""

import html
import importlib.util
import re
import shutil
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from types import ModuleType

import click
import pytest
from pages import DOCS, ROOT

import rmspec.impl
import rmspec.oracles
import rmspec.properties
import rmspec.reports
from rmspec.impl import CLAUSES, DIALECTS, FORMATS, POLICIES, Dialect
from rmspec.oracles import registered_names
from rmspec.reports.config.keys import KEYS
from rmspec.reports.files.formats import FORMATS as REPORT_FORMATS


@pytest.fixture(scope="module")
def generated() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generated", DOCS / "generated.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages, built as tox builds them."""
    pytest.importorskip("mkdocs")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def first_cells(table: str) -> list[str]:
    return re.findall(r"^\| (?:<a [^>]*></a>)?`([^`]+)`", table, re.M)


def test_every_generated_part_is_used_and_every_use_is_generated(generated: ModuleType) -> None:
    """No table is made for nobody, and no page asks for one that there is not."""
    used = {
        name
        for page in DOCS.rglob("*.md")
        for name in re.findall(r"<!-- generated: ([\w-]+) -->", page.read_text("utf-8"))
    }
    assert used == set(generated.TABLES)


def test_a_name_that_is_not_generated_is_an_error(generated: ModuleType) -> None:
    """A typing error in a marker does not leave a hole in a page."""
    with pytest.raises(KeyError):
        generated.filled("<!-- generated: claws -->")


def test_every_clause_has_a_row(generated: ModuleType) -> None:
    """In one of the tables of its kind; ids once each."""
    assert sorted(first_cells(generated.clauses())) == sorted(CLAUSES)


def test_every_dialect_has_its_switches(generated: ModuleType) -> None:
    """The specification all of them, the others those that differ."""
    sections = dict(re.findall(r"^## (\S+)\n(.*?)(?=^## |\Z)", generated.dialects(), re.M | re.S))
    assert list(sections) == list(DIALECTS)
    for name, section in sections.items():
        for each in fields(Dialect):
            if each.name not in ("name", "title", "defaults", "constructor", "amendments"):
                differs = getattr(DIALECTS[name], each.name) != getattr(DIALECTS["torch"], each.name)
                assert (f"`{each.name}`" in section) == (differs or name == "torch")


def test_every_command_and_option_has_a_row(generated: ModuleType) -> None:
    """With its help; sub-commands too."""
    text = generated.command_line()
    found = list(generated.commands())
    assert {"rmspec check", "rmspec known add"} <= {name for name, _ in found}
    for name, command in found:
        section = re.search(rf"^## {name}$\n(.*?)(?=^## |\Z)", text, re.M | re.S)[1]
        for option in command.params:
            if isinstance(option, click.Option):
                assert all(f"`{each}" in section for each in (*option.opts, *option.secondary_opts))


def test_the_other_tables_are_complete(generated: ModuleType) -> None:
    """Keys, subjects, formats of numbers and of reports, policies, schemas, public names."""
    assert first_cells(generated.configuration()) == list(KEYS)
    assert sorted(first_cells(generated.subjects())) == sorted(registered_names())
    assert first_cells(generated.formats()) == list(FORMATS)
    assert first_cells(generated.policies()) == list(POLICIES)
    options = re.findall(r"^\| `--([\w-]+) ", generated.report_formats(), re.M)
    assert options == list(REPORT_FORMATS)
    assert first_cells(generated.schemas()) == sorted(
        path.relative_to(ROOT).as_posix() for path in ROOT.glob("*/schemas/*.json")
    )
    packages = (rmspec.impl, rmspec.oracles, rmspec.properties, rmspec.reports)
    assert first_cells(generated.python()) == [name for package in packages for name in package.__all__]


def test_the_figures_of_a_format_are_powers_of_two(generated: ModuleType) -> None:
    """The page says 2^-24, which is exact."""
    for name, fmt in FORMATS.items():
        row = re.search(rf"^\| `{name}` \|(.*)$", generated.formats(), re.M)[1]
        figures = [2.0 ** int(power) for power in re.findall(r"2\^(-\d+)", row)]
        assert figures == [fmt.part.unit_roundoff, fmt.part.smallest_normal, fmt.part.smallest_subnormal]


def test_the_pages_build_without_a_warning(site: Path) -> None:
    """Every page is in the navigation, every link and anchor leads somewhere."""
    pages = {path.relative_to(DOCS).with_suffix(".html").as_posix() for path in DOCS.rglob("*.md")}
    assert pages <= {path.relative_to(site).as_posix() for path in site.rglob("*.html")}


def test_no_page_asks_another_host(site: Path) -> None:
    """No script, style, font or picture comes from elsewhere."""
    for page in site.rglob("*.html"):
        loaded = re.findall(
            r"<(?:script|link|img|iframe)\b[^>]*?\b(?:src|href)=[\"']?([^\"' >]+)", page.read_text("utf-8")
        )
        assert [each for each in loaded if re.match(r"(https?:)?//", each)] == [], page
    for style in site.rglob("*.css"):
        assert not re.search(r"(@import|url\()\s*[\"']?(https?:)?//", style.read_text("utf-8")), style


def test_no_generated_part_is_left_out_of_a_page(site: Path) -> None:
    """Each marker was replaced."""
    assert [page for page in site.rglob("*.html") if "<!-- generated:" in page.read_text("utf-8")] == []


def test_generated_text_is_shown_as_it_was_written(site: Path) -> None:
    """No character of a clause, an option or a title is taken for markup, and none is escaped in vain."""
    for page, wanted in {
        "clauses": [text for each in CLAUSES.values() for text in (each.title, each.text, each.source)],
        "dialects": [each.title for each in DIALECTS.values()],
        "command-line": ["--baseline SUBJECT|none", "tool.rmspec] of pyproject.toml"],
    }.items():
        seen = shown(site / "reference" / f"{page}.html")
        assert [each for each in wanted if each not in seen] == []


def shown(page: Path) -> str:
    """What a reader sees of a page, in one line."""
    text = re.sub(r"<br[^>]*>", " ", page.read_text("utf-8"))
    return " ".join(html.unescape(re.sub(r"<[^>]+>", "", text)).split())


def test_a_link_to_an_anchor_that_is_not_there_is_a_warning(tmp_path: Path) -> None:
    """Also to one of a generated table: so the strict build checks each link to a clause."""
    pytest.importorskip("mkdocs")
    for name in ("docs", "mkdocs.yml", "README.md", "impl", "oracles", "properties", "reports"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "docs").unlink()
    shutil.copytree(DOCS, tmp_path / "docs")
    page = tmp_path / "docs" / "tutorial.md"
    page.write_text(page.read_text("utf-8").replace("clauses.md#momentum-lr", "clauses.md#momentum-rl"), "utf-8")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "momentum-rl" in done.stderr
