"""Text from outside reaches no terminal, page, table, log or path as more than text, whatever report it is in."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
from commandline import rmspec
from markdown_it import MarkdownIt
from runs import PROGRAM, deviation, events, record, subject

from rmspec.oracles.program.program import Program
from rmspec.properties.events import Evidence, OtherDialect, PathEvidence, ScriptOutcome, SubjectResult
from rmspec.reports.environment import version
from rmspec.reports.escapes import commands_stopped, escape_json, one_line, plain, shell_word
from rmspec.reports.files import github, html, junit, markdown, sarif
from rmspec.reports.files import json as json_report
from rmspec.reports.files.formats import FORMATS
from rmspec.reports.terminal.terminal import Terminal, console
from rmspec.reports.verification import markdown as verification_markdown
from rmspec.reports.verification import page
from rmspec.reports.verification.document import verified

TEXTS = {
    "escape": "\x1b[31mred\x1b[0m\x9b1m\x07",
    "line break": "a\r\nb\n\n# heading\n",
    "runner": "\n::error::owned\n##[error]owned\n%0A::warning::x",
    "html": "<script>alert(1)</script><img src=x onerror=alert(1)>\"'><a href='javascript:x'>",
    "table": "a | b |\n|---|---|\n| c | d |",
    "link": "[x](http://evil.example) ![y](http://evil.example) <http://evil.example> http://evil.example www.evil.example",
    "list": "- a",
    "numbered": "1. a",
    "heading": "===",
    "fence": "```\n</pre>\n```` x",
    "code": "`x` ~~y~~ **z** __w__ &lt; \\",
    "mathematics": "$x^{$ \\frac",
    "direction": "a\u202eb\u2066c\u200bd\u2028e",
    "half": "half \ud800 of a pair",
    "null": "a\x00b\x0bc\ufffe",
    "quotes": "\"\"\" '''",
    "path": "../../../etc/x",
    "braces": "{{ 7 * 7 }} {% raw %} {0} %s",
}


def hostile(text: str) -> SubjectResult:
    """A result with this text wherever text of a subject, of a list or of a message stands."""
    program = replace(PROGRAM, note=text, subject=f"dir/{text}.py:X")
    entries = (
        deviation(
            summary=text,
            reason=text,
            program=program,
            script_run=ScriptOutcome(False, text),
            given=(text,),
            observed=text,
        ),
        deviation("hooks", known=text or "x", reason=text, summary=text, program=program),
        deviation("update", hazard=True, summary=text, program=program, state_name=text, observed=text),
    )
    return subject(
        f"dir/{text}.py:X",
        *entries,
        message=text,
        hint=text,
        search=text,
        stale=(f"{text}: {text}",),
        elsewhere=(f"{text}: {text}",),
        versions={text: text},
        speaks=OtherDialect(("torch",), (text,)),
        other_paths={text: text},
        evidence=Evidence({text: PathEvidence(1, 1, text)}),
        inconclusive_checks=1,
        inconclusive_reasons={text: 1},
    )


@pytest.fixture(params=TEXTS, ids=str)
def text(request: pytest.FixtureRequest) -> str:
    """One hostile text after the other."""
    return TEXTS[request.param]


def shown(line: str) -> bool:
    """Whether a terminal shows all of a text, and heeds nothing in it."""
    return all(char == "\n" or char.isprintable() for char in line)


# -- the terminal


def test_the_terminal_shows_it(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Every line that a run prints, with everything in full."""
    with Terminal(console(), verbose=True) as terminal:
        for event in events(hostile(text)):
            terminal.handle(event)
    out = capsys.readouterr().out
    assert shown(out)
    assert len(out.splitlines()) > 20


def test_a_command_to_type_names_what_it_should(text: str) -> None:
    """A shell reads the word as it was, and the terminal shows all of it."""
    import shlex
    import subprocess

    word = shell_word(text)
    assert shown(word)
    assert "\n" not in word
    if text.isprintable():
        assert shlex.split(word) == [text]
    if "\0" not in text:
        command = ["bash", "-c", f"printf %s {word}"]
        done = subprocess.run(command, capture_output=True, check=True)
        assert done.stdout == text.encode("utf-8", "surrogatepass")


# -- pages


class Tags(HTMLParser):
    """The tags of a page, with the attributes that could run something."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.risky: list[tuple[str, str | None]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.risky += [
            (name, value)
            for name, value in attributes
            if name.startswith("on") or (name in ("href", "src") and not (value or "").startswith("#"))
        ]


def test_a_page_has_no_tag_of_it(text: str) -> None:
    """The page of a run has the tags that it has with harmless text."""
    page_of = {words: Tags(html.render(record(hostile(words)))) for words in (text, "harmless")}
    assert page_of[text].tags == page_of["harmless"].tags
    assert page_of[text].risky == []


def verification(text: str) -> dict[str, object]:
    document = json_report.document(record(hostile(text)))
    document["environment"] |= {"rmspec": version(), "note": text}
    return verified(json.loads(json.dumps(document)))


def test_a_verification_report_has_no_tag_of_it() -> None:
    """Nor has the page of a verification report, with all of them at once: it takes long to draw."""
    tags = {words: Tags(page.render(verification(words))) for words in ("\n".join(TEXTS.values()), "harmless")}
    first, second = tags.values()
    assert first.tags == second.tags
    assert first.risky == []


# -- Markdown


def structure(text: str) -> list[str]:
    """The structure of a Markdown text: the kinds of its blocks and of what is in its lines, but for plain text."""
    kinds = []
    for token in MarkdownIt("commonmark").enable("table").enable("strikethrough").parse(text):
        kinds.append(token.type)
        kinds += [
            child.type for child in token.children or () if child.type not in ("text", "text_special", "softbreak")
        ]
    return kinds


@pytest.mark.parametrize(
    "render",
    [
        lambda text: markdown.render(record(hostile(text))),
        lambda text: verification_markdown.render(verification(text)),
    ],
    ids=("report", "verification"),
)
def test_markdown_has_no_markup_of_it(text: str, render: object) -> None:
    """No link, image, tag, table or list that there is not with harmless text."""
    written, harmless = render(text), render("harmless")  # type: ignore[operator]
    kinds = structure(written)
    assert not {"html_inline", "html_block", "link_open", "image"} & set(kinds)
    assert kinds == structure(harmless)
    assert shown(written)
    # Where addresses become links by themselves, none of these does.
    prose = re.sub(r"^(`{3,})[^`\n]*\n.*?^\1$", "", written, flags=re.M | re.S)
    assert not re.search(r"https?://evil|www\.evil", prose)


# -- what machines read


def test_xml_and_json_hold_it_as_text(text: str) -> None:
    """JUnit is XML, and JSON is shown whole; both are read back."""
    ElementTree.fromstring(junit.render(record(hostile(text))))
    for written in (sarif.render(record(hostile(text))), json_report.render(record(hostile(text)))):
        assert json.loads(written)
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b\u2028\u202e\u2066]", written)
    assert json.loads(escape_json(json.dumps(text, ensure_ascii=False))) == text


def test_the_runner_of_github_hears_no_command_of_it(text: str, tmp_path: Path) -> None:
    """Each annotation is one line, and one command, and whatever a command prints is no command."""
    for line in github.annotation_lines(record(hostile(text)), tmp_path):
        assert line.startswith("::error ")
        assert shown(line)
        assert "\n" not in line
        properties, _, message = line.removeprefix("::error ").partition("::")
        assert not re.search(r"%(?!25|0D|0A|3A|2C)", properties)
        assert not re.search(r"%(?!25|0D|0A)", message)


def test_a_command_on_github_stops_the_runner_from_listening(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before it prints anything, and until it has: a refusal as well."""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    (tmp_path / "known.toml").write_text(
        '[[known]]\nid = "x"\nclause = "update"\nsubject = "a"\nreason = "x\\n::error::owned"\n'
    )
    ran = rmspec(tmp_path, "known", "list", "--known", "known.toml", "--no-shipped")
    assert re.fullmatch(r"::stop-commands::(\w{32})\n::\1::\n", ran.err)
    ran = rmspec(tmp_path, "repro", "no\n::error::owned")
    assert ran.code == 2
    assert len(set(re.findall(r"^::stop-commands::(\w{32})$", ran.err, re.M))) == 2
    last = ran.err.splitlines()
    assert re.fullmatch(
        r"::stop-commands::\w{32}", last[-1 - next(i for i, line in enumerate(last[::-1]) if "stop" in line)]
    )
    with commands_stopped():
        print("said")
    assert capsys.readouterr().out == "said\n"


# -- files


def test_stored_programs_stay_in_their_folder(text: str, tmp_path: Path) -> None:
    """Whatever a subject or an entry of a list is called."""
    place = tmp_path / "a" / "repro"
    reporter = FORMATS["repro-dir"].reporter(str(place))
    for event in events(hostile(text)):
        reporter.handle(event)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) == 3
    assert all(path.is_relative_to(place) for path in files)
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+", path.name) for path in files)


def test_no_line_begins_with_the_command_of_a_runner() -> None:
    """GitHub takes one behind blanks as well, Azure two more spellings; a name in a sentence stays on its line."""
    for command in ("::error::x", "##vso[task.setvariable variable=PATH]x", "##[error]x"):
        assert not re.search(r"(?m)^\s*(::|##(vso)?\[)", plain(f"{command}\n  {command}\n{command}"))
    assert plain("a ::note\n## Title\n") == "a ::note\n## Title\n"
    assert one_line("x\n::error::y") == "x\\n::error::y"


def test_plain_text_is_as_it_was() -> None:
    """Nothing is escaped that a terminal shows as it is."""
    for line in ("a b", "θ_t ← θ_{t-1}", "日本", "a\nb", "C:\\x"):
        assert plain(line) == line


def test_a_program_of_a_hostile_subject_is_still_data() -> None:
    """What is stored of it is read back as it was."""
    from rmspec.reports.stored import counterexample_text

    stored = counterexample_text(deviation(program=replace(PROGRAM, subject=TEXTS["escape"])))
    assert isinstance(stored, str)
    assert json.loads(stored)["subject"] == TEXTS["escape"]
    assert isinstance(PROGRAM, Program)
