"""A subject that speaks another dialect throughout: every report that a person reads says so before its deviations."""

from io import StringIO

import jsonschema
from rich.console import Console
from runs import deviation, events, record, subject

from rmspec.properties.events import OtherDialect, SubjectResult
from rmspec.reports.documents import stored_json
from rmspec.reports.files import html, markdown
from rmspec.reports.files.json import result_document
from rmspec.reports.readers.json_reader import result_of
from rmspec.reports.terminal.terminal import Terminal

NAMED = OtherDialect(("tensorflow", "optax"), ("eps is added inside the square root",))
UNNAMED = OtherDialect((), ("eps is added inside the square root", "the learning rate is inside the buffer"))
COMMANDS = ("rmspec identify mine.py:X", "rmspec check mine.py:X --dialect tensorflow")


def speaking(speaks: OtherDialect | None) -> SubjectResult:
    """A subject with one deviation."""
    return subject("mine.py:X", deviation(), speaks=speaks)


def printed(result: SubjectResult, *, quiet: bool = False) -> str:
    """All that the terminal prints, with its lines joined."""
    out = StringIO()
    with Terminal(Console(file=out, width=80, soft_wrap=True), quiet=quiet) as terminal:
        for event in events(result):
            terminal.handle(event)
    return " ".join(out.getvalue().split())


def test_the_terminal_says_it_before_the_deviations_and_at_the_end() -> None:
    """With the commands that follow; ``--quiet`` prints the end alone."""
    text = printed(speaking(NAMED))
    sentence = "it speaks the dialect tensorflow or optax throughout: eps is added inside the square root"
    assert text.index(f"mine.py:X: {sentence} {' '.join(COMMANDS)}") < text.index("DEVIATION of")
    assert text.count(sentence) == 2
    assert text.rindex(sentence) < text.index("new deviations, the shortest program first")
    assert printed(speaking(NAMED), quiet=True).count(sentence) == 1


def test_a_dialect_without_a_name_is_left_to_identify() -> None:
    """There is no dialect to check against."""
    text = printed(speaking(UNNAMED))
    assert "it speaks another dialect throughout, one without a name: eps is added inside the square root; the" in text
    assert COMMANDS[0] in text
    assert "--dialect" not in text


def test_pages_say_it_before_the_deviations() -> None:
    """Markdown and HTML, with the commands."""
    for page, heading in ((markdown, "### Deviation"), (html, "<h3>Deviations")):
        text = page.render(record(speaking(NAMED)))
        place = text.index("t speaks the dialect tensorflow or optax throughout")
        assert place < text.index(COMMANDS[0]) < text.index(COMMANDS[1]) < text.index(heading)
        assert "throughout" not in page.render(record(speaking(None)))


def test_json_has_it_where_there_is_one() -> None:
    """As the schema allows; it is read back, and a report without it is as it was."""
    schema = {**stored_json("schemas/report-1.json"), "required": [], "properties": {}}
    for speaks in (NAMED, UNNAMED, None):
        data = result_document(speaking(speaks))
        jsonschema.validate(data, {**schema, "$ref": "#/$defs/subject"}, cls=jsonschema.Draft202012Validator)
        assert result_of(data).speaks == speaks
        assert ("speaks" in data) == (speaks is not None)
