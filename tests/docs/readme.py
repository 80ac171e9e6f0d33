"""A page as a list of blocks, each with what the comment before it asks for; the README above all."""

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
EXAMPLES = Path(__file__).parent / "examples"
TEXT = (ROOT / "README.md").read_text("utf-8")

_BLOCK = re.compile(r"(?:^<!-- docs: (?P<asks>[^\n]*?) -->\n)?^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.M | re.S)


class Block(NamedTuple):
    """A fenced block: what is asked for it, its language, its text, and the line of the page where it begins."""

    asks: tuple[str, ...]
    language: str
    text: str
    line: int

    @property
    def code(self) -> int:
        """The exit code that a block which runs must end with."""
        return next(int(each.removeprefix("exit ")) for each in self.asks if each.startswith("exit "))


def blocks_of(text: str) -> list[Block]:
    """The fenced blocks of a page, in order."""
    return [
        Block(
            tuple(each.strip() for each in (found["asks"] or "").split(",") if each.strip()),
            found["language"],
            found["text"],
            text.count("\n", 0, found.start("language")) + 1,
        )
        for found in _BLOCK.finditer(text)
    ]


BLOCKS = blocks_of(TEXT)


def asking(kind: str) -> list[Block]:
    """The blocks whose comment begins with this word."""
    return [block for block in BLOCKS if block.asks and block.asks[0].split()[0] == kind]


def section(title: str) -> str:
    """The text under a heading."""
    return re.split(r"^## ", TEXT.split(f"\n## {title}\n", 1)[1], maxsplit=1, flags=re.M)[0]
