"""The README and the pages of docs are true: a reader who types what a page shows, from top to bottom, sees what it says."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from pages import PAGES, ROOT, Block, blocks_of

FOLLOWED = {"run", "transcript", "file", "edit", "python"}
"""What a reader does, or sees; ``test_snippets.py`` looks at the other kinds."""
KINDS = FOLLOWED | {"install", "config", "known", "yaml", "excerpt", "formula"}


def pages_to_follow() -> list[object]:
    """List the pages with something to do; those that need Keras belong to the environment that has it."""
    return [
        pytest.param(name, id=name, marks=[pytest.mark.frameworks] if "needs keras" in text else [])
        for name, text in PAGES.items()
        if any(block.kind in ("run", "python") for block in blocks_of(text))
    ]


def lines_of(text: str) -> Iterator[str]:
    """List the lines of an output, with its seconds and the clauses that it had time for made equal."""
    for line in text.splitlines():
        line = re.sub(r"\(\d+ of (\d+ clauses checked)", r"(N of \1", line.rstrip())
        yield re.sub(r" +\d+\.\d$", "  SECONDS", line)


class Desk:
    """A folder in which a page is followed: it holds what the page has made so far, and knows what was printed last."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self.environment = environment
        self.printed = ""

    def follow(self, block: Block) -> None:
        """Do what a reader does at this block, and see what the page promises."""
        match block.kind:
            case "file":
                (self.folder / block.name).write_text(block.text, "utf-8")
            case "edit":
                self.edit(self.folder / block.name, block.text)
            case "run":
                self.run(block)
            case "python":
                self.run_python(block)
            case "transcript":
                self.compare(block)

    def run(self, block: Block) -> None:
        """Run a block of shell; the page must have the exit code."""
        if "needs node" in block.asks and shutil.which("node") is None:
            return
        folder = ROOT if "from the clone" in block.asks else self.folder
        done = self.done(["sh", "-c", block.text], folder)
        assert done.returncode == block.code, f"line {block.line}: {block.text}{done.stdout}{done.stderr}"
        # What a command refuses it says on standard error; a framework warns there as it likes.
        assert done.stderr == "" or block.code == 2 or "python" in block.text, done.stderr
        self.printed = done.stdout + (done.stderr if block.code == 2 else "")

    def run_python(self, block: Block) -> None:
        """Run a snippet as a program of its own, warnings being errors; it prints something."""
        done = self.done(["python", "-W", "error", "-c", block.text], self.folder)
        assert done.returncode == 0, f"line {block.line}: {block.text}{done.stderr}"
        assert done.stdout, f"line {block.line}"

    def done(self, command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(command, cwd=folder, env=self.environment, capture_output=True, text=True, check=False)

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


@pytest.mark.slow
@pytest.mark.parametrize("name", pages_to_follow())
def test_a_page_can_be_followed_from_top_to_bottom(name: str, tmp_path: Path, environment: dict[str, str]) -> None:
    """Its files are written, its commands end with the code beside them, its snippets run, and the output is as shown."""
    pytest.importorskip("torch")
    if "needs keras" in PAGES[name]:
        pytest.importorskip("keras")
    desk = Desk(tmp_path, environment)
    for block in blocks_of(PAGES[name]):
        desk.follow(block)


@pytest.mark.parametrize("name", PAGES)
def test_every_block_of_a_page_says_what_it_is(name: str) -> None:
    """No block is left to trust, each fence is closed, and a transcript fits 80 columns, but for commands: they stand whole."""
    blocks = blocks_of(PAGES[name])
    assert [block.line for block in blocks if block.kind not in KINDS] == []
    assert len(re.findall(r"^```", PAGES[name], re.M)) == 2 * len(blocks)
    for block in blocks:
        if block.kind == "transcript":
            assert all(len(line) <= 80 or "rmspec repro" in line for line in block.text.splitlines())


@pytest.mark.parametrize("name", PAGES)
def test_every_command_of_a_page_is_one_that_runs(name: str) -> None:
    """A block of shell is executed or installs, and ``rmspec`` stands in no other block but a job of a CI."""
    for block in blocks_of(PAGES[name]):
        if block.language == "sh" or re.search(r"^\s*(\$ )?rmspec \w", block.text, re.M):
            assert block.kind in ("run", "transcript", "install", "yaml"), block.line


@pytest.mark.parametrize(
    "text",
    [
        "<!-- docs: run, exit 1 -->\n```sh\necho seen\n```",
        "<!-- docs: run, exit 0 -->\n```sh\necho seen\n```\n<!-- docs: transcript -->\n```text\nunseen\n```",
        "<!-- docs: file a.txt -->\n```text\none\n```\n<!-- docs: edit a.txt -->\n```diff\n- two\n+ three\n```",
        "<!-- docs: python -->\n```python\npass\n```",
        "<!-- docs: python -->\n```python\nprint(1)\nimport warnings\nwarnings.warn('old')\n```",
    ],
)
def test_a_page_that_promises_too_much_is_noticed(text: str, tmp_path: Path, environment: dict[str, str]) -> None:
    """Another exit code, another output, an edit of a line that is not there, a silent or a warning snippet fails."""
    desk = Desk(tmp_path, environment)
    *before, last = blocks_of(text)
    for block in before:
        desk.follow(block)
    with pytest.raises(AssertionError):
        desk.follow(last)
