"""The README and the pages of docs as lists of blocks, each with what the comment before it asks for."""

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
README = "README.md"
PAGES = {README: (ROOT / README).read_text("utf-8")} | {
    path.relative_to(DOCS).as_posix(): path.read_text("utf-8") for path in sorted(DOCS.rglob("*.md"))
}
"""The text of each page, by its path in ``docs``."""

_BLOCK = re.compile(r"(?:^<!-- docs: (?P<asks>[^\n]*?) -->\n)?^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.M | re.S)


class Block(NamedTuple):
    """A fenced block: what is asked for it, its language, its text, and the line of the page where it begins."""

    asks: tuple[str, ...]
    language: str
    text: str
    line: int

    @property
    def kind(self) -> str:
        """The first word of the comment, empty without one."""
        return self.asks[0].split()[0] if self.asks else ""

    @property
    def name(self) -> str:
        """The file or the CI that the comment names."""
        return self.asks[0].partition(" ")[2]

    @property
    def code(self) -> int:
        """The exit code that a block which runs must end with."""
        return next(int(ask.removeprefix("exit ")) for ask in self.asks if ask.startswith("exit "))


def blocks_of(text: str) -> list[Block]:
    """List the fenced blocks of a page, in order."""
    return [
        Block(
            tuple(ask.strip() for ask in (match["asks"] or "").split(",") if ask.strip()),
            match["language"],
            match["text"],
            text.count("\n", 0, match.start("language")) + 1,
        )
        for match in _BLOCK.finditer(text)
    ]


def blocks_of_kind(*kinds: str) -> list[tuple[str, Block]]:
    """List the blocks of all pages whose comment begins with one of these words, each with the name of its page."""
    return [(name, block) for name, text in PAGES.items() for block in blocks_of(text) if block.kind in kinds]


def section(page: str, title: str) -> str:
    """Return the text under a heading of a page."""
    return re.split(r"^## ", PAGES[page].split(f"\n## {title}\n", 1)[1], maxsplit=1, flags=re.M)[0]
