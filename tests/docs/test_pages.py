"""The pages of docs are true: a reader who types what a page shows, from top to bottom, sees what it says."""

import ast
import importlib
import re
import subprocess
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from pathlib import Path

import click
import pytest
from docs.readme import ROOT, Block, blocks_of

from rmspec.oracles import FEATURES
from rmspec.reports.cli.main import _group
from rmspec.reports.pytest.plugin import _OPTIONS

DOCS = ROOT / "docs"
PAGES = {path.relative_to(DOCS).as_posix(): path.read_text("utf-8") for path in sorted(DOCS.rglob("*.md"))}
KINDS = {"run", "transcript", "file", "edit", "formula"}


def every(kind: str) -> list[object]:
    """The pages that have a block of this kind; those that need Keras belong to the environment that has it."""
    return [
        pytest.param(name, id=name, marks=[pytest.mark.frameworks] if "needs keras" in text else [])
        for name, text in PAGES.items()
        if any(block.asks and block.asks[0].split()[0] == kind for block in blocks_of(text))
    ]


def lines_of(text: str) -> Iterator[str]:
    """The lines of an output with its seconds made equal."""
    for line in text.splitlines():
        yield re.sub(r" +\d+\.\d$", "  SECONDS", line.rstrip())


class Desk:
    """A folder in which a page is followed: it holds what the page has made so far, and knows what was printed last."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self.environment = environment
        self.printed = ""

    def follow(self, block: Block) -> None:
        """Do what a reader does at this block, and see what the page promises."""
        kind, _, name = block.asks[0].partition(" ")
        match kind:
            case "file":
                (self.folder / name).write_text(block.text, "utf-8")
            case "edit":
                self.edit(self.folder / name, block.text)
            case "run":
                self.run(block)
            case "transcript":
                self.compare(block)

    def run(self, block: Block) -> None:
        folder = ROOT if "from the clone" in block.asks else self.folder
        done = subprocess.run(
            ["sh", "-c", block.text], cwd=folder, env=self.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == block.code, f"line {block.line}: {block.text}{done.stdout}{done.stderr}"
        # What a command refuses it says on standard error; a framework warns there as it likes.
        assert done.stderr == "" or block.code == 2 or "python" in block.text, done.stderr
        self.printed = done.stdout + (done.stderr if block.code == 2 else "")

    def compare(self, block: Block) -> None:
        """Line after line; only what ``...`` stands for is left out."""
        printed = iter(lines_of(self.printed))
        for wanted in lines_of(block.text):
            if wanted.strip() != "...":
                assert any(line == wanted for line in printed), f"line {block.line}: {wanted}\n{self.printed}"

    @staticmethod
    def edit(file: Path, diff: str) -> None:
        """Replace the lines after ``-`` by those after ``+``."""
        old, new = ("".join(line[2:] for line in diff.splitlines(keepends=True) if line[0] == sign) for sign in "-+")
        text = file.read_text("utf-8")
        assert text.count(old) == 1, old
        file.write_text(text.replace(old, new), "utf-8")


@pytest.fixture(scope="module")
def followed(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]
) -> dict[str, Future[None]]:
    """Each page that was chosen, followed at a desk of its own; two at a time, the longest first."""
    chosen = {
        item.callspec.params["name"]
        for item in request.session.items
        if item.name.startswith("test_a_page_can_be_followed")
    }

    def follow(name: str) -> None:
        desk = Desk(tmp_path_factory.mktemp("desk"), environment)
        for block in blocks_of(PAGES[name]):
            desk.follow(block)

    with ThreadPoolExecutor(2) as pool:
        return {name: pool.submit(follow, name) for name in sorted(chosen, key=lambda name: -PAGES[name].count("exit"))}


@pytest.mark.slow
@pytest.mark.parametrize("name", every("run"))
def test_a_page_can_be_followed_from_top_to_bottom(name: str, request: pytest.FixtureRequest) -> None:
    """Its files are written, its commands end with the code beside them and print what is shown."""
    pytest.importorskip("torch")
    if "needs keras" in PAGES[name]:
        pytest.importorskip("keras")
    request.getfixturevalue("followed")[name].result()


@pytest.mark.parametrize("name", PAGES)
def test_every_block_of_a_page_says_what_it_is(name: str) -> None:
    """No block is left to trust, each fence is closed, and a transcript fits a terminal of 80 columns."""
    blocks = blocks_of(PAGES[name])
    assert [each.line for each in blocks if not each.asks or each.asks[0].split()[0] not in KINDS] == []
    assert len(re.findall(r"^```", PAGES[name], re.M)) == 2 * len(blocks)
    for block in blocks:
        if block.asks[0] == "transcript":
            assert all(len(line) <= 80 for line in block.text.splitlines())


@pytest.mark.parametrize("name", PAGES)
def test_every_command_of_a_page_is_one_that_runs(name: str) -> None:
    """A block of shell is a block that is executed, and ``rmspec`` stands in no other block."""
    for block in blocks_of(PAGES[name]):
        if block.language == "sh" or re.search(r"^\s*(\$ )?rmspec \w", block.text, re.M):
            assert block.asks[0] in ("run", "transcript"), block.line


@pytest.mark.parametrize("name", PAGES)
def test_tests_and_files_that_a_page_cites_exist(name: str) -> None:
    """An obligation is discharged by a test that there is."""
    for file, test in re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", PAGES[name]):
        assert (ROOT / file).is_file(), file
        assert not test or test in functions(file), f"{file}::{test}"
    for path in re.findall(r"`((?:impl|oracles|properties|reports)/[\w./-]+)`", PAGES[name]):
        assert (ROOT / path).exists(), path
    for module in re.findall(r"`(rmspec\.(?:impl|oracles|properties|reports)(?:\.\w+)*)`", PAGES[name]):
        assert leads_somewhere(module), module


@cache
def functions(file: str) -> frozenset[str]:
    return frozenset(
        each.name for each in ast.walk(ast.parse((ROOT / file).read_text("utf-8"))) if isinstance(each, ast.FunctionDef)
    )


def leads_somewhere(dotted: str) -> bool:
    """Whether it is a module, or a name that a module or package has."""
    try:
        importlib.import_module(dotted)
    except ModuleNotFoundError:
        module, _, attribute = dotted.rpartition(".")
        return hasattr(importlib.import_module(module), attribute)
    return True


@pytest.mark.parametrize("name", PAGES)
def test_features_and_options_that_a_page_names_exist(name: str) -> None:
    """An option is one of some command, a feature one that there is. (Links and anchors are checked where the pages build.)"""
    text = PAGES[name]
    for features in re.findall(r"--without[ =]([\w,]+)", text):
        assert set(features.split(",")) <= set(FEATURES)
    known = {
        name
        for command in commands(_group)
        for option in command.params
        for name in (*option.opts, *option.secondary_opts)
    }
    plugin = {"--rmspec", *(f"--rmspec-{each}" for each in _OPTIONS)}
    assert set(re.findall(r"(?<![\w-])--[a-z][\w-]+", text)) - plugin - {"--help", "--strict"} <= known


def commands(group: click.Group) -> Iterator[click.Command]:
    for command in group.commands.values():
        yield command
        if isinstance(command, click.Group):
            yield from commands(command)


def test_a_page_that_promises_too_much_is_noticed(tmp_path: Path, environment: dict[str, str]) -> None:
    """Another exit code, another output, or an edit of a line that is not there fails."""
    desk = Desk(tmp_path, environment)
    for text in (
        "<!-- docs: run, exit 1 -->\n```sh\necho seen\n```",
        "<!-- docs: run, exit 0 -->\n```sh\necho seen\n```\n<!-- docs: transcript -->\n```text\nunseen\n```",
        "<!-- docs: file a.txt -->\n```text\none\n```\n<!-- docs: edit a.txt -->\n```diff\n- two\n+ three\n```",
    ):
        *before, last = blocks_of(text)
        for block in before:
            desk.follow(block)
        with pytest.raises(AssertionError):
            desk.follow(last)
