"""Text from outside, made harmless for its destination: a terminal, a shell, a JSON document, the log of a CI runner."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shlex
import sys
from collections.abc import Iterator, Mapping

__all__ = ["commands_stopped", "escape_json", "on_github", "one_line", "plain", "say", "shell_word"]


_COMMAND = re.compile(r"^([ \t]*)(?=::|##(?:vso)?\[)", re.MULTILINE)
"""Where a line begins that a CI runner would take for a command."""


def plain(text: str) -> str:
    """Text from outside with its control characters escaped, and the commands of CI runners; line breaks are kept."""
    if not text.isprintable():
        text = "".join(
            char if char == "\n" or char.isprintable() else char.encode("unicode_escape").decode() for char in text
        )
    return _COMMAND.sub(r"\1\\", text)


def one_line(text: str) -> str:
    """A name from outside, for the middle of a line: its line breaks are escaped as well."""
    return plain(text.replace("\n", "\\n"))


def shell_word(text: str) -> str:
    """A word of a command to type: quoted for the shell, with no control sequence of a terminal in it."""
    if text.isprintable():
        return shlex.quote(text)
    return f"$'{''.join(map(_shell_character, text))}'"


def _shell_character(char: str) -> str:
    if char in ("\\", "'"):
        return f"\\{char}"
    if char.isprintable():
        return char
    return "".join(f"\\x{byte:02x}" for byte in char.encode("utf-8", "surrogatepass"))


def say(text: str, *, error: bool = False) -> None:
    """Print lines for a person, on standard output or standard error, with their control characters escaped."""
    print(plain(text), file=sys.stderr if error else sys.stdout)


_UNSEEN = re.compile("[\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")
"""What JSON may hold as it is, and a terminal or a page does not show: controls, marks of direction, joints without a width."""


def escape_json(text: str) -> str:
    """The text of a JSON document with its invisible characters escaped; its data stay the same."""
    return _UNSEEN.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def on_github(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether this runs in a job of GitHub Actions."""
    return environment.get("GITHUB_ACTIONS") == "true"


@contextlib.contextmanager
def commands_stopped() -> Iterator[None]:
    """In a job of GitHub the runner takes no line for a command, as long as this is open."""
    if not on_github():
        yield
        return
    token = secrets.token_hex(16)
    sys.stdout.flush()
    print(f"::stop-commands::{token}", file=sys.stderr, flush=True)
    try:
        yield
    finally:
        sys.stdout.flush()
        print(f"::{token}::", file=sys.stderr, flush=True)
