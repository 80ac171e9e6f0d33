"""What a run prints at 80 columns, from the header to the verdicts; what is brief, and what ``-v`` prints whole."""

import re
from dataclasses import replace
from io import StringIO

from rich.console import Console
from runs import PROGRAM

from rmspec.properties.events import (
    ClauseResult,
    Deviation,
    DeviationFound,
    Progress,
    RunFinished,
    RunStarted,
    SubjectFinished,
    SubjectResult,
    SubjectStarted,
)
from rmspec.reports.terminal.table import clause_sum, verdict_phrase
from rmspec.reports.terminal.terminal import Terminal

NEW = Deviation(
    "eps-placement",
    "param is 0.5, outside [0.25, 0.375]",
    PROGRAM,
    "value",
    2,
    "A",
    "p",
    "param",
    0,
    1,
    0.5,
    (0.25, 0.375),
)
LONGER = replace(
    NEW,
    clause="momentum-lr",
    program=replace(PROGRAM, calls=(*PROGRAM.calls, *PROGRAM.calls[1:])),
    summary="param is 1",
)
KNOWN = replace(NEW, clause="load-shape", known="torch-load", reason="a reason that takes a sentence", allowed=None)
INHERITED = replace(NEW, clause="hooks", known="inherited:torch")
HAZARD = replace(NEW, clause="centered-variance", hazard=True)
CLAUSES = (
    ClauseResult("update", 10, 0, "conforms"),
    ClauseResult("load-shape", 3, 0, "known"),
    ClauseResult("square-avg", 5, 5, "inconclusive", reason="the hidden state may be any number by then (5)"),
    ClauseResult("refuse-invalid", 2, 0, "observed", None, "accepts lr=-1 in add_param_group (2)"),
    ClauseResult("maximize", 0, 0, "not-checked", None, "the dialect torch does not maximize"),
)
GOOD = SubjectResult(
    "torch",
    "known",
    "torch",
    framework="torch",
    seconds=1.25,
    programs=7,
    steps=20,
    element_checks=2000,
    inconclusive_checks=5,
    inconclusive_reasons={"the hidden state may be any number by then": 5},
    clauses=CLAUSES,
    deviations=(KNOWN,),
    hazards=(HAZARD,),
    formats=("float32",),
    versions={"torch": "2.13"},
)
BAD = replace(
    GOOD,
    name="mine.py:Mine",
    verdict="deviates",
    deviations=(LONGER, NEW, INHERITED),
    clauses=(
        ClauseResult("eps-placement", 4, 0, "deviates"),
        ClauseResult("momentum-lr", 4, 0, "deviates"),
        ClauseResult("hooks", 4, 0, "known"),
        *CLAUSES[:1],
    ),
    inconclusive_checks=0,
    inconclusive_reasons={},
    hazards=(),
)


def printed(*results: SubjectResult, repro_dir: str | None = None, hazards: bool = False, verbose: bool = False) -> str:
    """Print a run with these results."""
    out = StringIO()
    console = Console(file=out, width=80, markup=False, highlight=False, emoji=False, soft_wrap=True)
    started = RunStarted(tuple(result.name for result in results), {"rmspec": "1"}, hazards, repro_dir)
    with Terminal(console, verbose=verbose) as terminal:
        terminal.handle(started)
        for result in results:
            terminal.handle(SubjectStarted(result.name, "torch", "torch", result.formats, result.versions, ""))
            for deviation in (*result.deviations, *result.hazards):
                terminal.handle(DeviationFound(result.name, deviation))
            terminal.handle(SubjectFinished(result))
        terminal.handle(RunFinished(True, 2.5))
    return out.getvalue()


def test_a_passing_run_fits_a_screen() -> None:
    """The whole of it, as somebody reads it: what was checked, what is known, and what could not be judged and why."""
    assert (
        printed(GOOD)
        == """\
rmspec 1: RMSprop implementations against their specification
programs not generated

torch: against the dialect torch; torch 2.13; float32
  known deviations (1): load-shape
  hazards of the formula (1): centered-variance
  observed only, as the page promises nothing (1): refuse-invalid
  not checked (1):
    maximize: the dialect torch does not maximize
  inconclusive (1):
    square-avg: the hidden state may be any number by then (5)

torch: conforms (2 of 5 clauses checked, 1 known deviation)
  1 conform + 1 known + 1 inconclusive + 1 observed only + 1 not checked = 5
    clauses
  against the dialect torch, policy strict: 7 programs, 20 steps, 2,000 element
    checks, 1 hazard, 1.2 s
  5 element checks inconclusive (0.2 %): the hidden state may be any number by
    then (5)
"""
    )


def test_verbose_prints_reasons_whole() -> None:
    """With ``-v`` what is known comes with its id and its reason, hazards and observations with their summaries."""
    text = printed(GOOD, verbose=True)
    for entry in (
        "  known deviations (1):\n    load-shape (torch-load): a reason that takes a sentence\n",
        "  hazards of the formula (1):\n    centered-variance: param is 0.5",
        "(1):\n    refuse-invalid: accepts lr=-1 in add_param_group (2)\n",
    ):
        assert entry in text


def test_a_check_on_a_gpu_says_so_and_what_does_not_apply_there() -> None:
    """The device of the arrays, and each known deviation of another one with the reason; of the CPU nothing is said."""
    text = "torch-decay-halves-on-cpu: it holds with device cpu, and this is cuda"
    there = printed(replace(GOOD, devices=("cuda:0",), elsewhere=(text,)))
    assert "policy strict, on cuda:0: 7 programs" in there
    assert f"known deviations that hold elsewhere (1):\n    {text}" in there
    assert printed(replace(GOOD, devices=("cpu",))) == printed(GOOD)


def test_what_two_subjects_share_is_printed_once() -> None:
    """The second refers to the first, brief or whole; what it has alone is printed."""
    second = replace(
        GOOD, name="torch:foreach", deviations=(KNOWN, replace(KNOWN, clause="option-change", reason="other"))
    )
    for verbose in (False, True):
        text = printed(GOOD, second, verbose=verbose)
        assert "  hazards of the formula (1): as torch\n" in text
        assert text.count("the dialect torch does not maximize") == 1
    assert text.count("a reason that takes a sentence") == 1
    assert "    option-change (torch-load): other\n    as torch: load-shape\n" in text


def test_the_same_deviation_of_two_subjects_is_printed_once() -> None:
    """The block of the second names the first, and how to reproduce its own."""
    other = replace(NEW, program=replace(PROGRAM, subject="other"), seconds_to_first=3.0)
    text = printed(BAD, replace(BAD, name="other", deviations=(other,)))
    assert text.count("  observed  0.5") == 2  # the two deviations of the first
    second = text[text.index("DEVIATION of other") :]
    assert "(the same program and the same numbers as of mine.py:Mine, above)" in second
    assert "rmspec repro repro/other-eps-placement.json" in second


def test_the_last_lines_name_what_is_new() -> None:
    """The ids of the new deviations, the shortest program first, each with its command; first the one that stores them."""
    assert printed(BAD).endswith(
        """
mine.py:Mine: deviates from 2 clauses (4 of 4 clauses checked, 1 inherited
  deviation)
  1 conform + 2 deviate + 1 known = 4 clauses
  against the dialect torch, policy strict: 7 programs, 20 steps, 2,000 element
    checks, 0 hazards, 1.2 s
  new deviations, the shortest program first:
    eps-placement  rmspec repro repro/mine.py-Mine-eps-placement.json --subject mine.py:Mine
    momentum-lr    rmspec repro repro/mine.py-Mine-momentum-lr.json --subject mine.py:Mine
    (first store the programs: rmspec check mine.py:Mine --repro-dir repro)
"""
    )
    assert "first store" not in printed(BAD, repro_dir="out")


def test_a_hazard_that_fails_the_run_is_named_at_the_end() -> None:
    """With ``--fail-on hazards`` it stands after the deviations, and says what it is."""
    line = "    centered-variance (hazard)  rmspec repro out/hazards/torch-centered-variance.json --subject torch\n"
    assert line in printed(GOOD, repro_dir="out", hazards=True)
    assert line not in printed(GOOD, repro_dir="out")


def test_every_block_names_the_command_that_explains_its_clause() -> None:
    """One line for each new deviation."""
    assert re.findall(r"rmspec clauses (\S+)", printed(BAD)) == ["momentum-lr", "eps-placement"]


def test_clause_verdicts_add_up() -> None:
    """The verdicts of a sum are those of all clauses, and what is known counts as conforming with known deviations."""
    numbers = [int(number) for number in re.findall(r"\d+", clause_sum(GOOD))]
    assert sum(numbers[:-1]) == numbers[-1] == len(GOOD.clauses)
    assert verdict_phrase(replace(GOOD, deviations=(), verdict="conforms")) == "conforms (2 of 5 clauses checked)"
    assert verdict_phrase(SubjectResult("x", "errored")) == "errored"


def test_progress_is_of_the_whole_run() -> None:
    """One line with the share of the run and an estimate of what is left, on a terminal, and not where it is quiet."""
    for quiet in (False, True):
        out = StringIO()
        console = Console(file=out, width=80, force_terminal=True, color_system=None)
        with Terminal(console, quiet=quiet) as terminal:
            terminal.handle(Progress("torch", "sweep", 3, 16, of_subject=0.75, of_run=0.25))
        text = out.getvalue()
        assert ("torch: sweep" in text and "25%" in text and "left" in text) is not quiet
