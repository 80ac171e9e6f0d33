"""Readers of texts: programs, reports, logs, lists, configurations, command lines, names."""

from __future__ import annotations

import contextlib
import json
import sys
import zlib
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

from mutations import STRINGS, json_text, mutate_bytes
from reader import RMSPEC_ERROR, ROOT, SAMPLES, Documents, Files, Reader

# -- programs, reports, logs, lists, configurations


def _program_documents() -> list[Any]:
    texts = [(SAMPLES / "program.json").read_text("utf-8")]
    texts += [text for text in _texts(ROOT / "properties" / "corpus") if len(text) < 3000][::3]
    texts += [text for text in _texts(ROOT / "oracles" / "torch" / "known_deviations") if len(text) < 3000]
    texts += [text for text in _texts(ROOT / "oracles" / "keras" / "known_deviations") if len(text) < 3000][::2]
    documents = [json.loads(text) for text in texts]
    shows = {
        "kind": "value",
        "call": 2,
        "summary": "param is 1",
        "optimizer": "A",
        "param": "p",
        "role": "param",
        "element": 0,
        "allowed": ["0x1p-1", "0x1p+0"],
        "framework": "torch",
        "state_name": "square_avg",
        "hazard": False,
    }
    for kind in ("value", "base", "frame", "load", "closure", "hooks", "group", "grad", "silent", "raised"):
        for framework in ("torch", "keras", "tensorflow", "optax", "numpy"):
            document = documents[len(kind) % 7]
            call = len(document["calls"]) - 1
            param = document["params"][0]["name"]
            facts = {**shows, "kind": kind, "framework": framework, "call": call, "param": param}
            documents.append({**document, "subject": framework, "shows": facts})
    return documents


def _texts(folder: Path) -> list[str]:
    return [path.read_text("utf-8") for path in sorted(folder.glob("*.json")) if path.stat().st_size]


def programs_reader() -> Reader:
    from rmspec.impl.spec.dialect import SPECIFICATION, UnknownDialect
    from rmspec.oracles.dialects import dialect_named
    from rmspec.oracles.numpy.subject import ReferenceSubject
    from rmspec.properties.judge.runner import run
    from rmspec.reports.cli.repro import ReproOptions, _resolved, script
    from rmspec.reports.stored import counterexample_text, program_text, read_counterexample, read_program
    from rmspec.reports.text import element_count, program_lines

    documents = Documents(_program_documents())

    def read(files: Files) -> None:
        program = read_program("input.json")
        program_text(program)
        program_lines(program, mark=0)
        with contextlib.suppress(RMSPEC_ERROR):
            _resolved(ReproOptions(file="input.json"), "repro")
        if read_counterexample("input.json") is not None:
            with contextlib.suppress(RMSPEC_ERROR):
                script(ReproOptions(file="input.json"))
        if element_count(program) <= 4096 and len(program.calls) <= 60:
            try:
                dialect = dialect_named(program.dialect or SPECIFICATION.name)
            except UnknownDialect:
                dialect = SPECIFICATION
            run(program, ReferenceSubject(dialect), dialect)

    assert counterexample_text
    return Reader(lambda random: {"input.json": documents.text(random)}, read)


def _result_documents() -> list[Any]:
    """Reports of made-up runs, and the sample."""
    from runs import deviation, judged_under_amendments, record, subject

    from rmspec.impl.arithmetic.accuracy import Accuracy
    from rmspec.properties.events import Evidence, OperationEvidence, OtherDialect, PathEvidence, ScriptOutcome
    from rmspec.reports.environment import version
    from rmspec.reports.files import json as json_report

    found = deviation(
        script_run=ScriptOutcome(False, "it passes"), number=2, reason="why", given=("a", "b"), plain=(0.0, 1.0)
    )
    accuracy = Accuracy(10, 0.5, 1, 2, 1, 1, 3)
    evidence = Evidence(
        {"foreach": PathEvidence(3, 4, "entries", True)}, 1, 2, (OperationEvidence("sqrt", "float32", accuracy, 1.0),)
    )
    whole = subject(
        "mine.py:RMSprop",
        found,
        deviation("hooks", kind="hooks", hazard=True),
        evidence=evidence,
        stale=("x: y",),
        speaks=OtherDialect(("tensorflow",), ("eps inside",)),
        message="m",
        hint="h",
        other_paths={"fused": "no"},
        inconclusive_checks=3,
        inconclusive_reasons={"unbounded": 3},
    )
    small = replace(whole, clauses=(), deviations=(deviation(),), hazards=())
    documents = [json.loads((SAMPLES / "report.json").read_text("utf-8"))]
    for results in ((small,), (judged_under_amendments(),), (whole, subject("torch"))):
        document = json_report.document(record(*results))
        document["environment"]["rmspec"] = version()
        document["exit_code"] = 1
        documents.append(json.loads(json.dumps(document)))
    # Most mutations of a long list of clauses are refused alike: the short one is asked more often.
    return [documents[1]] * 16 + documents


def reports_reader() -> Reader:
    from rmspec.reports.cli.known_list import AddOptions, _from_report, add, prune
    from rmspec.reports.cli.report import files as report_files
    from rmspec.reports.documents import json_text as report_text
    from rmspec.reports.gate import decide
    from rmspec.reports.readers.json_reader import merged, result_of
    from rmspec.reports.readers.json_reader import read as read_report
    from rmspec.reports.stored import file_commands, program_file
    from rmspec.reports.terminal.failure_block import block
    from rmspec.reports.terminal.table import verdict_lines
    from rmspec.reports.verification import markdown
    from rmspec.reports.verification.document import verified

    documents = Documents(_result_documents())
    report_files(_result_documents()[1])  # its maps are calculated once, and its library looks for fonts

    def read(files: Files) -> None:
        chosen = zlib.crc32(files["input.json"])
        if chosen % 4 == 0:
            with contextlib.suppress(RMSPEC_ERROR):
                list(_from_report("input.json"))
                if chosen % 16 == 0:
                    add(AddOptions(report="input.json", known="known.toml", reason="x"), Path.cwd())
                    prune("known.toml", ["input.json"], Path.cwd())
        document = merged([("input.json", read_report("input.json"))])
        results = [result_of(subject) for subject in document["subjects"]]
        gate = decide(results, complete=document["complete"], fail_on_hazards=True)
        names = [result.name for result in results]
        verdict_lines(
            results,
            lambda name, new: file_commands(program_file("repro", names, name, new), name),
            fail_on_hazards=True,
        )
        for result in results:
            for found in (*result.deviations, *result.hazards):
                block(found, ["x", "y"])
        whole = verified({**document, "exit_code": gate.code.value})
        markdown.render(whole)
        report_text(whole)
        if chosen % 64 == 1:
            report_files({**document, "exit_code": gate.code.value})

    def make(random: Random) -> Files:
        return {"input.json": documents.text(random)}

    return Reader(make, read)


def logs_reader() -> Reader:
    from runs import deviation, events, subject

    from rmspec.reports.cli.log import log_summary
    from rmspec.reports.files.ndjson import EventLog

    log = EventLog("made.ndjson")
    small = replace(subject("mine.py:X", deviation()), clauses=())
    for event in events(small, subject("torch")):
        log.handle(event)
    texts = [Path("made.ndjson").read_text("utf-8"), (SAMPLES / "log.ndjson").read_text("utf-8")]
    Path("made.ndjson").unlink()
    logs = [[json.loads(line) for line in text.splitlines()] for text in texts]
    whole = Documents([logs[0]] * 8 + logs)
    raw = [text.encode() for text in texts]

    def make(random: Random) -> Files:
        if random.random() < 0.3:
            return {"input.ndjson": mutate_bytes(random, random.choice(raw), raw)}
        rows = whole.data(random)
        rows = rows if isinstance(rows, list) else [rows]
        return {"input.ndjson": b"".join(json_text(row) + b"\n" for row in rows)}

    def read(files: Files) -> None:
        log_summary("input.ndjson")

    return Reader(make, read)


def _known_documents() -> list[Any]:
    import tomllib

    texts = [(SAMPLES / "known.toml").read_text("utf-8")]
    texts += [
        (ROOT / place).read_text("utf-8")
        for place in ("oracles/keras/known_deviations/keras.toml", "oracles/optax/known_deviations/optax.toml")
    ]
    documents = []
    for text in texts:
        data = tomllib.loads(text)
        for table in data["known"]:
            table["witness"] = "witness.json"
        documents.append(data)
        documents.append({**data, "known": data["known"][:1]})
    entry = {
        "id": "x",
        "clause": "eps-placement",
        "subject": "mine.py:* | torch",
        "reason": "r",
        "link": "l",
        "expires": "2027-01-31",
        "amendment": {
            "eps_place": "inside",
            "alpha": "times 0.5",
            "default_lr": 0.5,
            "with_momentum": True,
            "lines": ["update"],
            "formats": ["float32"],
        },
        "when": {
            "kind": "value",
            "role": "param",
            "message": "is",
            "formats": ["float32"],
            "options": "momentum | eps",
            "call": "step",
        },
        "where": {"device": "cpu", "platform": "Linux*"},
        "varies": {"device": "cpu"},
        "inheritable": True,
        "versions": {"torch": ">=2.6,<3"},
    }
    documents += [{"known": [entry], "tested": {"torch": ["2.13"]}}] * 3
    return documents


def known_reader() -> Reader:
    from runs import deviation

    from rmspec.properties.known import Locality, absence, applies, matches, placed, read_known
    from rmspec.reports.cli.known_list import listing
    from rmspec.reports.files.known_toml import orphans, remove

    documents = Documents(_known_documents(), toml=True)
    witnesses = Documents(_program_documents()[:5])
    right = json_text(_program_documents()[0])
    deviations = (deviation(), deviation("hooks", amendment={"eps_place": "inside"}), deviation(given=("x",)))

    def make(random: Random) -> Files:
        witness = witnesses.text(random) if random.random() < 0.1 else right
        return {"known.toml": documents.text(random), "witness.json": witness}

    def read(files: Files) -> None:
        path = Path("known.toml")
        entries = read_known(path)
        listing("known.toml", Path.cwd(), ours=False)
        json.loads(listing("known.toml", Path.cwd(), ours=False, as_json=True))
        for entry in entries:
            absence(entry, {"torch": "2.13"}, Locality())
            applies(entry, "mine.py:RMSprop", {"torch": "2.13", "keras": "x"}, Locality())
            placed(entry, {"torch": "2.13", "keras": "x"})
            for found in deviations:
                matches(entry, found)
        if zlib.crc32(files["known.toml"]) % 4 == 0 and entries:
            orphans(path, [entries[0].id])
            remove(path, [entries[0].id])

    return Reader(make, read)


def configuration_reader() -> Reader:
    import tomllib

    from rmspec.reports.cli.check import _reporters  # noqa: F401 - what a check imports
    from rmspec.reports.config.effective import effective

    sample = tomllib.loads((SAMPLES / "pyproject.toml").read_text("utf-8"))
    table = {**sample["tool"]["rmspec"], "subjects": ["torch"], "known": "known.toml"}
    del table["framework"]
    outputs = ("json", "junit", "sarif", "badge", "ndjson", "html", "markdown", "repro-dir", "known", "quiet")
    for name in outputs:
        del table[name]
    more = {"paths": "all", "quiet": True, "verbose": False, "reports": "reports", "json": "-", "junit": "junit.xml"}
    documents = Documents(
        [{"tool.rmspec": table}, {"tool.rmspec": {**table, **more}}, {"tool": {"rmspec": {"seed": 1}}}], toml=True
    )

    def read(files: Files) -> None:
        effective({}, Path.cwd())
        json.loads(effective({}, Path.cwd(), as_json=True))

    return Reader(lambda random: {"pyproject.toml": documents.text(random)}, read)


def arguments_reader() -> Reader:
    """Command lines: every command that starts no subject, with one argument that is hostile."""
    from rmspec.reports.cli.main import main

    lines = [
        ["clauses", "update"],
        ["subjects", "torch"],
        ["config", "torch", "--seed", "3", "--dialect", "torch", "--dtype", "float32"],
        [
            "config",
            "mine.py:X",
            "--without",
            "momentum",
            "--paths",
            "foreach",
            "--baseline",
            "torch",
            "--policy",
            "strict",
        ],
        ["config", "torch", "--time-budget", "3", "--call-timeout", "4", "--device", "cpu", "--framework", "torch"],
        ["config", "torch", "--json", "a.json", "--html", "b.html", "--repro-dir", "r", "--reports", "s"],
        ["log", "no.ndjson"],
        ["script", "no.json", "--subject", "torch"],
        ["known", "list", "--known", "no.toml", "--no-shipped"],
        ["known", "prune", "--known", "no.toml", "--from", "no.json"],
        ["report", "--from", "no.json", "--out", "out"],
        [
            "known",
            "add",
            "no.json",
            "--known",
            "k.toml",
            "--reason",
            "r",
            "--expires",
            "2027-01-31",
            "--versions",
            "torch>=2",
            "--id",
            "x",
        ],
        [
            "translate",
            "--from",
            "torch",
            "--to",
            "keras3",
            "--lr",
            "0.1",
            "--eps",
            "1e-8",
            "--momentum",
            "0.9",
            "--defaults",
        ],
        [
            "translate",
            "--from",
            "keras3",
            "--to",
            "torch",
            "no.npz",
            "--axes",
            "0:1,0",
            "--order",
            "1,0",
            "--steps",
            "3",
            "--group",
            "0",
        ],
        ["repro", "no.json", "--dialect", "torch", "--policy", "strict", "--known", "no.toml"],
    ]

    def make(random: Random) -> Files:
        words = list(random.choice(lines))
        for _ in range(random.choice((1, 1, 2))):
            place = random.randrange(1, len(words))
            text = random.choice(
                (*STRINGS[7:], words[place] + random.choice(STRINGS[7:]), "-1", "nan", "1e999", "9" * 400, "-")
            )
            # The operating system takes no such words.
            words[place] = (
                text.replace("\0", "")
                .encode("utf-8", "surrogateescape" if "\udc80" <= text <= "\udcff" else "replace")
                .decode()
            )
        return {"words": json.dumps(words).encode()}

    def read(files: Files) -> None:
        code = main(json.loads(files["words"]))
        if code not in (0, 1, 2, 4, 5, 6):
            raise AssertionError(f"exit code {code}: {sys.stderr.getvalue()[-600:]}")  # type: ignore[attr-defined]

    return Reader(make, read)


def names_reader() -> Reader:
    """Names of subjects and of dialects: everything that is done with one before it is loaded."""
    from runs import deviation

    from rmspec.impl.spec.dialect import UnknownDialect
    from rmspec.oracles.dialects import check_dialect, dialect_named, dialects, statement
    from rmspec.oracles.loader import check_name
    from rmspec.oracles.names import parse_name, path_setting
    from rmspec.oracles.registry import registered_names
    from rmspec.reports.files.fingerprint import portable
    from rmspec.reports.files.locations import place
    from rmspec.reports.stored import file_command, program_file, would_run

    subjects = [
        *registered_names(),
        "mine.py:X",
        "a/b.py:C.D:foreach",
        "package.module:Attr",
        "process:sh -c x",
        "torch:no_foreach",
    ]
    spoken = [*dialects(), "specification", "torch,nesterov=true", "tensorflow,eps_place=inside,maximize=false"]
    parts = [
        *STRINGS,
        ":",
        "::",
        ",",
        "=",
        "=true",
        "=[1]",
        "={}",
        '="x"',
        "/",
        "..",
        ".py",
        "nesterov",
        "lr_place=1e999",
        "initial_accumulator=NaN",
    ]

    def make(random: Random) -> Files:
        words = random.choice((subjects, spoken))
        text = random.choice(words)
        for _ in range(random.choice((1, 1, 2, 3))):
            index = random.randrange(len(text) + 1)
            cut = random.choice((0, 0, 0, 1, 3, 300))
            text = text[:index] + random.choice((*parts, random.choice(words))) + text[index + cut :]
        return {"name": text.encode("utf-8", "surrogatepass")}

    def read(files: Files) -> None:
        name = files["name"].decode("utf-8", "surrogatepass")
        for question in (lambda: check_name(name), lambda: dialect_named(name), lambda: check_dialect(name)):
            with contextlib.suppress(RMSPEC_ERROR, UnknownDialect):
                question()
        statement("eps-placement", name)
        parts = parse_name(name)
        path_setting(parts.path)
        portable(name, [name, "x.py:Y"])
        place(name, Path.cwd())
        program_file("repro", [name, "x"], name, deviation())
        file_command("repro", "x.json", name)
        would_run(name)

    return Reader(make, read, written=False)
