"""The readers of rmspec: for each one inputs that are right, mutations of them, and all that is done with what was read.

A reader may raise ``RmspecError``. Whatever else it raises is a fault of rmspec; so is an input that takes long, or a lot of memory.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shlex
import struct
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from mutations import STRINGS, json_text, mutate_bytes, mutate_data, paths_in, toml_text, values_in

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "tests" / "samples" / "0.1.0"

Files = dict[str, bytes]
"""An input: files by name."""


@dataclass(frozen=True)
class Reader:
    """``make`` makes an input, right or wrong, and ``read`` reads it; ``written``: from the files in the current folder."""

    make: Callable[[Random], Files]
    read: Callable[[Files], None]
    written: bool = True


@dataclass(frozen=True)
class Row:
    """How a reader is made ready, and its share of the inputs of a run.

    ``needs`` is a module without which it is left out; ``starts``: it starts processes, as it is meant to.
    """

    prepare: Callable[[], Reader]
    share: float = 1.0
    needs: str = ""
    starts: bool = False


class Documents:
    """JSON documents that are right, to be made wrong."""

    def __init__(self, documents: Sequence[Any], *, toml: bool = False) -> None:
        self._documents = [(data, paths_in(data)) for data in documents]
        self._donors = [value for data, _ in self._documents for value in values_in(data)]
        self._write: Callable[[Any], bytes] = toml_text if toml else json_text
        self._texts = [self._write(data) for data, _ in self._documents]

    def data(self, random: Random, changes: Sequence[int] = (1, 1, 1, 2, 2, 3, 6)) -> Any:
        """One document, changed."""
        data, paths = random.choice(self._documents)
        for _ in range(random.choice(changes)):
            data = mutate_data(random, data, paths, self._donors)
        return data

    def text(self, random: Random) -> bytes:
        """The text of one, changed as data or as bytes."""
        if random.random() < 0.15:
            return mutate_bytes(random, random.choice(self._texts), self._texts)
        return self._write(self.data(random))


# -- programs, reports, logs, lists, configurations


def _program_documents() -> list[Any]:
    texts = [(SAMPLES / "program.json").read_text("utf-8")]
    texts += [text for text in _texts(ROOT / "properties" / "corpus") if len(text) < 3000][::3]
    texts += [text for text in _texts(ROOT / "oracles" / "torch" / "known_deviations") if len(text) < 3000]
    texts += [text for text in _texts(ROOT / "oracles" / "keras" / "known_deviations") if len(text) < 3000][::2]
    documents = [json.loads(text) for text in texts]
    shows = {
        "kind": "value", "call": 2, "summary": "param is 1", "optimizer": "A", "param": "p", "role": "param", "element": 0,
        "allowed": ["0x1p-1", "0x1p+0"], "framework": "torch", "state_name": "square_avg", "hazard": False,
    }  # fmt: skip
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


def _programs() -> Reader:
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

    found = deviation(script_run=ScriptOutcome(False, "it passes"), number=2, reason="why", given=("a", "b"), plain=(0.0, 1.0))
    accuracy = Accuracy(10, 0.5, 1, 2, 1, 1, 3)
    evidence = Evidence({"foreach": PathEvidence(3, 4, "entries", True)}, 1, 2, (OperationEvidence("sqrt", "float32", accuracy, 1.0),))
    whole = subject(
        "mine.py:RMSprop", found, deviation("hooks", kind="hooks", hazard=True), evidence=evidence, stale=("x: y",),
        speaks=OtherDialect(("tensorflow",), ("eps inside",)), message="m", hint="h", other_paths={"fused": "no"},
        inconclusive_checks=3, inconclusive_reasons={"unbounded": 3},
    )  # fmt: skip
    small = replace(whole, clauses=(), deviations=(deviation(),), hazards=())
    documents = [json.loads((SAMPLES / "report.json").read_text("utf-8"))]
    for results in ((small,), (judged_under_amendments(),), (whole, subject("torch"))):
        document = json_report.document(record(*results))
        document["environment"]["rmspec"] = version()
        document["exit_code"] = 1
        documents.append(json.loads(json.dumps(document)))
    # Most mutations of a long list of clauses are refused alike: the short one is asked more often.
    return [documents[1]] * 16 + documents


def _reports() -> Reader:
    from rmspec.reports.cli.known_list import AddOptions, _from_report, add, prune
    from rmspec.reports.cli.report import files as report_files
    from rmspec.reports.gate import decide
    from rmspec.reports.readers.json_reader import merged, read as read_report, result_of
    from rmspec.reports.stored import file_commands, program_file
    from rmspec.reports.terminal.failure_block import block
    from rmspec.reports.documents import json_text as report_text
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
        verdict_lines(results, lambda name, new: file_commands(program_file("repro", names, name, new), name), fail_on_hazards=True)
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


def _logs() -> Reader:
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
    texts += [(ROOT / place).read_text("utf-8") for place in ("oracles/keras/known_deviations/keras.toml", "oracles/optax/known_deviations/optax.toml")]
    documents = []
    for text in texts:
        data = tomllib.loads(text)
        for table in data["known"]:
            table["witness"] = "witness.json"
        documents.append(data)
        documents.append({**data, "known": data["known"][:1]})
    entry = {
        "id": "x", "clause": "eps-placement", "subject": "mine.py:* | torch", "reason": "r", "link": "l", "expires": "2027-01-31",
        "amendment": {"eps_place": "inside", "alpha": "times 0.5", "default_lr": 0.5, "with_momentum": True, "lines": ["update"], "formats": ["float32"]},
        "when": {"kind": "value", "role": "param", "message": "is", "formats": ["float32"], "options": "momentum | eps", "call": "step"},
        "where": {"device": "cpu", "platform": "Linux*"}, "varies": {"device": "cpu"}, "inheritable": True, "versions": {"torch": ">=2.6,<3"},
    }  # fmt: skip
    documents += [{"known": [entry], "tested": {"torch": ["2.13"]}}] * 3
    return documents


def _known() -> Reader:
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


def _configuration() -> Reader:
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
    documents = Documents([{"tool.rmspec": table}, {"tool.rmspec": {**table, **more}}, {"tool": {"rmspec": {"seed": 1}}}], toml=True)

    def read(files: Files) -> None:
        effective({}, Path.cwd())
        json.loads(effective({}, Path.cwd(), as_json=True))

    return Reader(lambda random: {"pyproject.toml": documents.text(random)}, read)


def _arguments() -> Reader:
    """Command lines: every command that starts no subject, with one argument that is hostile."""
    from rmspec.reports.cli.main import main

    lines = [
        ["clauses", "update"], ["subjects", "torch"], ["config", "torch", "--seed", "3", "--dialect", "torch", "--dtype", "float32"],
        ["config", "mine.py:X", "--without", "momentum", "--paths", "foreach", "--baseline", "torch", "--policy", "strict"],
        ["config", "torch", "--time-budget", "3", "--call-timeout", "4", "--device", "cpu", "--framework", "torch"],
        ["config", "torch", "--json", "a.json", "--html", "b.html", "--repro-dir", "r", "--reports", "s"], ["log", "no.ndjson"],
        ["script", "no.json", "--subject", "torch"], ["known", "list", "--known", "no.toml", "--no-shipped"],
        ["known", "prune", "--known", "no.toml", "--from", "no.json"], ["report", "--from", "no.json", "--out", "out"],
        ["known", "add", "no.json", "--known", "k.toml", "--reason", "r", "--expires", "2027-01-31", "--versions", "torch>=2", "--id", "x"],
        ["translate", "--from", "torch", "--to", "keras3", "--lr", "0.1", "--eps", "1e-8", "--momentum", "0.9", "--defaults"],
        ["translate", "--from", "keras3", "--to", "torch", "no.npz", "--axes", "0:1,0", "--order", "1,0", "--steps", "3", "--group", "0"],
        ["repro", "no.json", "--dialect", "torch", "--policy", "strict", "--known", "no.toml"],
    ]  # fmt: skip

    def make(random: Random) -> Files:
        words = list(random.choice(lines))
        for _ in range(random.choice((1, 1, 2))):
            place = random.randrange(1, len(words))
            text = random.choice((*STRINGS[7:], words[place] + random.choice(STRINGS[7:]), "-1", "nan", "1e999", "9" * 400, "-"))
            # The operating system takes no such words.
            words[place] = text.replace("\0", "").encode("utf-8", "surrogateescape" if "\udc80" <= text <= "\udcff" else "replace").decode()
        return {"words": json.dumps(words).encode()}

    def read(files: Files) -> None:
        code = main(json.loads(files["words"]))
        if code not in (0, 1, 2, 4, 5, 6):
            raise AssertionError(f"exit code {code}: {sys.stderr.getvalue()[-600:]}")  # type: ignore[attr-defined]

    return Reader(make, read)


def _names() -> Reader:
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

    subjects = [*registered_names(), "mine.py:X", "a/b.py:C.D:foreach", "package.module:Attr", "process:sh -c x", "torch:no_foreach"]
    spoken = [*dialects(), "specification", "torch,nesterov=true", "tensorflow,eps_place=inside,maximize=false"]
    parts = [*STRINGS, ":", "::", ",", "=", "=true", "=[1]", "={}", '="x"', "/", "..", ".py", "nesterov", "lr_place=1e999", "initial_accumulator=NaN"]

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


# -- recordings


def _safetensors(header: Any, body: bytes) -> bytes:
    text = json_text(header)
    return struct.pack("<Q", len(text)) + text + body


def _safetensors_parts(data: bytes) -> tuple[Any, bytes]:
    (length,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def _more_recordings() -> list[Files]:
    """A recording of two optimizer groups with momentum, made with torch."""
    import torch

    from rmspec.properties.recordings.record import record

    torch.set_num_threads(1)
    made = []
    for settings in ({"centered": True}, {"weight_decay": 0.1}):
        params = [torch.ones(3, requires_grad=True), torch.ones(2, dtype=torch.float64, requires_grad=True)]
        groups = [{"params": params[:1]}, {"params": params[1:], "lr": 0.5, "momentum": 0.9}]
        optimizer = torch.optim.RMSprop(groups, lr=0.01, **settings)
        with record(optimizer, "made"):
            for number in range(3):
                for param in params:
                    param.grad = torch.full_like(param, number - 0.5)
                optimizer.step()
        folder = Path("made")
        made.append({path.name: path.read_bytes() for path in sorted(folder.iterdir())})
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
    return made


def _recordings() -> Reader:
    from rmspec.impl.arithmetic.policy import STRICT
    from rmspec.oracles.recordings.onestep import Reproduction
    from rmspec.oracles.recordings.reader import open_recording
    from rmspec.oracles.torch.onestep_script import onestep_script
    from rmspec.properties.recordings.reproduction import question
    from rmspec.properties.recordings.verify import verify
    from rmspec.reports.cli.repro_recording import _lines, _Reduced, document
    from rmspec.reports.documents import json_text as report_text

    sample = SAMPLES / "recording"
    samples = [{path.name: path.read_bytes() for path in sorted(sample.iterdir())}]
    if _is_there("torch"):
        samples += _more_recordings()
    chunk = "chunk-000001.safetensors"
    indices = Documents([json.loads(files["recording.json"]) for files in samples])
    chunks = [_safetensors_parts(files[chunk]) for files in samples]
    tables = [Documents([json.loads(header["__metadata__"]["steps"])]) for header, _ in chunks]
    headers = [Documents([header]) for header, _ in chunks]
    raw = [files[chunk] for files in samples]

    def make(random: Random) -> Files:
        number = random.randrange(len(samples))
        files = dict(samples[number])
        header, body = chunks[number]
        chance = random.random()
        if chance < 0.15:
            files["recording.json"] = indices.text(random)
        elif chance < 0.25:
            files[chunk] = mutate_bytes(random, files[chunk], raw)
        elif chance < 0.40:
            files[chunk] = _safetensors(headers[number].data(random), body)
        elif chance < 0.80:
            text = json_text(tables[number].data(random)).decode()
            files[chunk] = _safetensors(_described(random, header, text), body)
        else:
            # Other numbers, and no checksum, or the right one.
            changed = bytearray(body)
            for _ in range(random.choice((1, 2, 8))):
                place = random.randrange(len(changed))
                changed[place : place + 8] = struct.pack("<d", random.choice((0.0, -1.0, 1e300, float("nan"), float("inf"), 1e-310)))
            table = json.loads(header["__metadata__"]["steps"])
            for row in table["rows"]:
                del row["crc32"]
            files[chunk] = _safetensors(_described(random, header, json.dumps(table)), bytes(changed[: len(body)]))
        if random.random() < 0.05:
            files[f"chunk-{random.choice((2, 3, 999999))}{random.choice(('', '0' * 5))}.safetensors".replace("chunk-", "chunk-00000")] = random.choice(raw)
        return files

    def read(files: Files) -> None:
        verified = verify(open_recording("."))
        first = verified.first or next(iter(verified.hazards), None)
        _lines("x", "rmspec repro x", verified, first, _Reduced(why="x"))
        report_text(document(verified, first, "", ""))
        if first is not None and (ask := question(first, verified.roles, STRICT, "cpu")) is not None:
            onestep_script(first.deviation, "torch", Reproduction(ask.step, 0.0, (0.0, 1.0), 0))

    return Reader(make, read)


def _described(random: Random, header: Mapping[str, Any], text: str) -> dict[str, Any]:
    """The header of a chunk with another table of steps, and the checksum of that."""
    checksum = str(zlib.crc32(text.encode("utf-8", "surrogatepass")))
    metadata = {**header["__metadata__"], "steps": text, "crc32": checksum if random.random() < 0.97 else "x"}
    return {**header, "__metadata__": metadata}


# -- checkpoints


def _checkpoint(
    name: str, dialects: Sequence[str], samples: list[bytes], make: Callable[[Random], bytes], *, steps: bool = True
) -> Reader:
    from rmspec.impl.translation.lines import Terms
    from rmspec.impl.translation.translate import translate
    from rmspec.oracles.checkpoints.files import checkpoint_bytes, read_checkpoint
    from rmspec.oracles.checkpoints.hyperparameters import Given
    from rmspec.oracles.dialects import dialect_named
    from rmspec.reports.terminal.translation import Told, as_json, as_text

    given = Given(options={"lr": 0.5}, defaults=True, steps=7 if steps else None)
    bare = Given()
    targets = ("torch", "keras3", "tensorflow1", "optax")

    def made(random: Random) -> Files:
        return {name: make(random) if samples else b""}

    def read(files: Files) -> None:
        chosen = zlib.crc32(files[name])
        dialect = dialect_named(dialects[chosen % len(dialects)])
        saved = read_checkpoint(name, dialect, bare if chosen % 3 else given)
        translated = translate(saved, dialect_named(targets[chosen // 7 % 4]), Terms(lr_constant_from_now=True))
        told = Told(translated, name, "x.npz", "")
        as_text(told)
        as_json(told)
        if chosen % 8 == 0:
            checkpoint_bytes("x.npz", translated.saved)

    return Reader(made, read)


def _saved_samples(ending: str, dialects: Sequence[str]) -> list[bytes]:
    from checkpoints import optimizer

    from rmspec.impl import Hyperparameters
    from rmspec.oracles.checkpoints.files import checkpoint_bytes

    samples = []
    for dialect in dialects:
        for centered, momentum in ((False, 0.0), (True, 0.5)):
            saved = optimizer(dialect, Hyperparameters(0.5, 0.9, 1e-8, 0.0, momentum, centered))
            samples.append(checkpoint_bytes(f"x{ending}", saved))
    return samples


def _zipped(members: Mapping[str, bytes], comment: bytes = b"", *, packed: int = zipfile.ZIP_STORED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", packed) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
        archive.comment = comment[:60000]
    return out.getvalue()


def _members(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _mutate_zip(random: Random, data: bytes, samples: list[bytes], parts: list[bytes]) -> bytes:
    """A zip with another member, whose checksum is right, or with other bytes."""
    if random.random() < 0.35:
        return mutate_bytes(random, data, samples)
    members = _members(data)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        comment = archive.comment
    for _ in range(random.choice((1, 1, 2))):
        name = random.choice(list(members) or ["x"])
        chance = random.random()
        if chance < 0.75:
            members[name] = mutate_bytes(random, members.get(name, b""), parts)
        elif chance < 0.85:
            members.pop(name, None)
        else:
            value = members.pop(name, b"")
            members[random.choice(("x.npy", "0.npy", "rmspec.npy", "..", name + "x", "a" * 300, "config.json"))] = value
    if random.random() < 0.1:
        comment = mutate_bytes(random, comment, parts)
    return _zipped(members, comment, packed=random.choice((zipfile.ZIP_STORED, zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA)))


def _npy(text: str, body: bytes, version: tuple[int, int] = (1, 0)) -> bytes:
    header = text.encode("latin-1", "replace")
    size = struct.pack("<H" if version == (1, 0) else "<I", min(len(header), 65535))
    return b"\x93NUMPY" + bytes(version) + size + header + body


def _npz() -> Reader:
    dialects = ("torch", "keras3", "optax", "tensorflow1")
    samples = [(SAMPLES / "checkpoint.npz").read_bytes(), *_saved_samples(".npz", dialects)]
    parts = [part for sample in samples for part in _members(sample).values()]
    described = [json.loads(str(np.load(io.BytesIO(sample))["rmspec"])) for sample in samples if "rmspec.npy" in _members(sample)]
    descriptions = Documents(described)
    numbered = Documents([json.loads(zipfile.ZipFile(io.BytesIO(sample)).comment) for sample in samples if zipfile.ZipFile(io.BytesIO(sample)).comment])
    types = ("<f4", "<f8", "<f2", "|O", "<U9999999", "|S0", "<i8", "<M8[s]", "|V2", "<c8", "|b1", ">f4", "[('a','<f4')]", "x" * 50, "<f16", "<c32")
    shapes = ("(3,)", "()", "(2,3)", "(1099511627776,)", "(-1,)", "(0, 99999999999)", "(1,)*99", "[3]", "None", "(True,)", "(3.0,)", "(" * 200)

    def make(random: Random) -> bytes:
        data = random.choice(samples)
        chance = random.random()
        if chance < 0.25:
            members = _members(data)
            if "rmspec.npy" not in members:
                return _zipped(members, json_text(numbered.data(random)))
            out = io.BytesIO()
            np.save(out, np.array(json_text(descriptions.data(random)).decode()))
            return _zipped({**members, "rmspec.npy": out.getvalue()})
        if chance < 0.45:
            members = _members(data)
            name = random.choice(list(members))
            text = f"{{'descr': '{random.choice(types)}', 'fortran_order': {random.choice(('False', 'True', '3'))}, 'shape': {random.choice(shapes)}}}"
            members[name] = _npy(text + random.choice(("", " " * 20 + "\n")), members[name][128:], random.choice(((1, 0), (2, 0), (3, 0), (9, 9))))
            return _zipped(members)
        return _mutate_zip(random, data, samples, parts)

    return _checkpoint("saved.npz", dialects, samples, make)


def _safetensors_files() -> Reader:
    dialects = ("torch", "keras3", "optax")
    samples = [(SAMPLES / "checkpoint.safetensors").read_bytes(), *_saved_samples(".safetensors", dialects)]
    split = [_safetensors_parts(sample) for sample in samples]
    headers = [Documents([header]) for header, _ in split]
    descriptions = [Documents([json.loads(header["__metadata__"]["rmspec"])]) for header, _ in split]

    def make(random: Random) -> bytes:
        number = random.randrange(len(samples))
        header, body = split[number]
        chance = random.random()
        if chance < 0.3:
            return mutate_bytes(random, samples[number], samples)
        if chance < 0.6:
            return _safetensors(headers[number].data(random), body)
        text = json_text(descriptions[number].data(random)).decode()
        return _safetensors({**header, "__metadata__": {**header["__metadata__"], "rmspec": text}}, body)

    return _checkpoint("saved.safetensors", dialects, samples, make)


def _torch_objects(random: Random, torch: Any) -> Any:
    """A state dict with something odd in it, that ``torch.load`` reads."""
    tensors = (
        lambda: torch.ones(3), lambda: torch.ones(1).expand(2**31), lambda: torch.ones(3, dtype=torch.int8), lambda: torch.ones(3).to_sparse(),
        lambda: torch.ones(3, dtype=torch.complex64).conj(), lambda: torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8),
        lambda: torch.empty(3, device="meta"), lambda: torch.ones(3, requires_grad=True), lambda: torch.ones([1] * 60),
        lambda: torch.ones(3).to(torch.float8_e4m3fn), lambda: torch.ones(0), lambda: torch.tensor(float("nan")), lambda: torch.tensor(float("inf")),
        lambda: torch.ones(3, dtype=torch.complex128).imag, lambda: torch.ones(2, 3).t(), lambda: torch.nn.Parameter(torch.ones(3)),
    )  # fmt: skip
    odd = (None, True, -1, 1.5, float("nan"), float("inf"), 10**400, "x", [], {}, [1], (1,), {"a": 1}, b"x", 2**64, set())

    def value() -> Any:
        return random.choice(tensors)() if random.random() < 0.5 else random.choice(odd)

    def tensor() -> Any:
        return torch.rand(3) if random.random() < 0.7 else value()

    entry: dict[Any, Any] = {"step": torch.tensor(3.0) if random.random() < 0.7 else value(), "square_avg": tensor()}
    if random.random() < 0.5:
        entry["momentum_buffer"] = tensor()
    if random.random() < 0.2:
        entry[random.choice(("grad_avg", "exp_avg", 3, None, (1,)))] = value()
    options = {"lr": 0.1, "alpha": 0.9, "eps": 1e-8, "weight_decay": 0, "momentum": 0.5, "centered": False}
    group: dict[Any, Any] = {**options, "maximize": False, "foreach": None, "params": [0, 1]}
    state: dict[Any, Any] = {0: entry, 1: dict(entry)}
    for table, chance in ((group, 0.6), (state, 0.3)):
        if random.random() < chance:
            key = random.choice(list(table))
            table[random.choice((key, key, key, "x", 7, None, (1, 2), 2**70, True))] = value()
        if random.random() < 0.2:
            table.pop(random.choice(list(table)))
    if random.random() < 0.3:
        group["params"] = random.choice(([[1]], [0, 0], [{}], ["0"], [], [0, 1, 2], 3, [None], [1.0, 0], (0, 1)))
    whole: Any = {"state": state, "param_groups": [group] * random.choice((1, 1, 1, 2))}
    if random.random() < 0.2:
        whole = random.choice(({"optimizer": whole}, [whole], {**whole, "state": value()}, {**whole, "param_groups": value()}, value()))
    return whole


def _torch_files() -> Reader:
    import warnings

    import torch

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    samples = _saved_samples(".pt", ("torch",))
    for legacy in (False,):
        out = io.BytesIO()
        state = {"state": {0: {"step": torch.tensor(1.0), "square_avg": torch.ones(3)}}, "param_groups": [{"params": [0], "lr": 0.1}]}
        torch.save(state, out, _use_new_zipfile_serialization=legacy)
        samples.append(out.getvalue())
    parts = [part for sample in samples[:-1] for part in _members(sample).values()]

    def make(random: Random) -> bytes:
        chance = random.random()
        if chance < 0.35:
            out = io.BytesIO()
            torch.save(_torch_objects(random, torch), out, _use_new_zipfile_serialization=random.random() < 0.8)
            return out.getvalue()
        if chance < 0.55:
            return mutate_bytes(random, samples[-1], samples)
        return _mutate_zip(random, random.choice(samples[:-1]), samples, parts)

    return _checkpoint("saved.pt", ("torch",), samples, make)


def _hdf5_samples() -> list[bytes]:
    import h5py

    samples = _saved_samples(".h5", ("keras3",))
    config = {"optimizer_config": {"class_name": "RMSprop", "config": {"name": "rmsprop", "learning_rate": 0.5, "rho": 0.9, "momentum": 0.0, "epsilon": 1e-7, "centered": False}}}
    out = io.BytesIO()
    with h5py.File(out, "w", libver="earliest") as opened:
        opened.attrs["training_config"] = json.dumps(config)
        group = opened.create_group("optimizer_weights")
        names = [b"iteration", b"learning_rate", b"a", b"b"]
        group.attrs["weight_names"] = names
        group.create_dataset("iteration", data=np.int64(3))
        group.create_dataset("learning_rate", data=np.float32(0.5))
        group.create_dataset("a", data=np.ones((2, 2), np.float32))
        group.create_dataset("b", data=np.ones(40, np.float32), chunks=(10,), compression="gzip")
    return [*samples, out.getvalue()]


def _hdf5_objects(random: Random, h5py: Any) -> bytes:
    """A file with odd parts that the library itself writes."""
    out = io.BytesIO()
    with h5py.File(out, "w") as opened:
        if random.random() < 0.6:
            opened.attrs["training_config"] = random.choice(("{", "[]", "[" * 3000, '{"optimizer_config": 3}', np.ones(3), b"{}", "9" * 5000, '{"optimizer_config": {"class_name": "RMSprop", "config": {"rho": [1]}}}'))
        group = opened.create_group(random.choice(("optimizer/vars", "optimizer_weights", "x")))
        odd = (
            np.int64(3), np.float32(0.5), np.ones(3, np.float32), np.ones((0, 5)), "text", np.ones(3, "S3"), np.ones(2, [("a", "<f4")]),
            np.ones(3, np.complex64), np.uint64(2**64 - 1), np.float16(1), np.float64("nan"), np.int8(-1), h5py.Empty("f"),
        )  # fmt: skip
        for index in range(random.randrange(6)):
            name = str(index) if random.random() < 0.9 else "x"
            with contextlib.suppress(Exception):
                chance = random.random()
                if chance < 0.1:
                    group[name] = random.choice((h5py.SoftLink("/x"), h5py.SoftLink("/optimizer/vars/" + name), h5py.ExternalLink("/etc/passwd", "/")))
                elif chance < 0.2:
                    group.create_dataset(name, (random.choice((2**40, 2**30, 3)),), "<f4", chunks=(1024,), compression="gzip")
                elif chance < 0.25:
                    group.create_dataset(name, (64,), "u1", external=[("/etc/passwd", 0, 64)])
                elif chance < 0.3:
                    group.create_group(name)
                else:
                    group.create_dataset(name, data=odd[index] if chance < 0.5 else random.choice(odd))
        if random.random() < 0.4:
            with contextlib.suppress(Exception):
                group.attrs["weight_names"] = random.choice(([b"0", b"1", b"2"], ["0", "1", "2"], 3, np.ones(3), "x", [b"/", b".."], [b"\xff"], []))
    return out.getvalue()


def _hdf5() -> Reader:
    import h5py

    samples = _hdf5_samples()

    def make(random: Random) -> bytes:
        if random.random() < 0.25:
            return _hdf5_objects(random, h5py)
        return mutate_bytes(random, random.choice(samples), samples)

    return _checkpoint("saved.h5", ("keras3",), samples, make)


def _keras_archives() -> Reader:
    import h5py

    weights = _hdf5_samples()
    table = {"class_name": "RMSprop", "config": {"name": "x", "learning_rate": 0.5, "rho": 0.9, "momentum": 0.0, "epsilon": 1e-7, "centered": False, "use_ema": False, "clipnorm": None}}
    config = {"module": "keras", "config": {}, "compile_config": {"optimizer": table, "loss": "mse"}}
    documents = Documents([config])
    samples = [_zipped({"metadata.json": b"{}", "config.json": json_text(config), "model.weights.h5": data}) for data in weights]

    def make(random: Random) -> bytes:
        chance = random.random()
        if chance < 0.45:
            data = documents.text(random)
            return _zipped({"config.json": data, "model.weights.h5": random.choice(weights)})
        if chance < 0.6:
            return _zipped({"config.json": json_text(config), "model.weights.h5": _hdf5_objects(random, h5py)})
        return _mutate_zip(random, random.choice(samples), samples, weights)

    return _checkpoint("saved.keras", ("keras3",), samples, make)


# -- what subjects send


def _conversation_program() -> Any:
    from rmspec.oracles.program.program import Create, Group, Load, Param, Program, Save, SetGrad, Step

    return Program(
        (Param("p", "float32", (2,), (1.0, 2.0)), Param("q", "bfloat16", (1,), (1.0,))),
        (
            Create("A", (Group(("p",), {"momentum": 0.5}), Group(("q",), {"centered": True})), {"lr": 0.5}),
            SetGrad("p", (0.5, 1.0)),
            SetGrad("q", (1.0,)),
            Step("A"),
            Step("A", "returns", {"p": (2.0,)}, 1.0, hooks=True),
            Save("A", "saved"),
            Load("A", "saved"),
            Step("A"),
        ),
        clause="update",
    )


def _judge(transcript: Any) -> None:
    """All that a check asks of a transcript: its findings, and what becomes of them."""
    from rmspec.impl.spec.dialect import SPECIFICATION
    from rmspec.properties.judge.runner import judge

    judge(transcript, SPECIFICATION)
    if len(transcript.answers) > 3:
        judge(transcript, SPECIFICATION, live=True)


def _replies(program: Any) -> list[Any]:
    """The replies of a sound peer to the requests of one program."""
    from rmspec.oracles.numpy.subject import ReferenceSubject
    from rmspec.oracles.program.program import Call, Param, _converter
    from rmspec.oracles.serve import Server, serve

    converter = _converter()
    requests: list[dict[str, Any]] = [{"request": "hello", "protocol": "rmspec.wire/1"}]
    requests.append({"request": "start", "params": [converter.unstructure(param, unstructure_as=Param) for param in program.params]})
    requests += [{"request": "perform", "call": converter.unstructure(call, unstructure_as=Call)} for call in program.calls]
    requests += [{"request": "close"}]
    given = "".join(json.dumps({"id": number, **request}) + "\n" for number, request in enumerate(requests, 1))
    out = io.BytesIO()
    serve(Server(ReferenceSubject), io.BytesIO(given.encode()), out)
    return [json.loads(line) for line in out.getvalue().splitlines()]


def _wire() -> Reader:
    from rmspec.oracles.host.perform import perform
    from rmspec.oracles.wire.subject import ProcessSubject

    program = _conversation_program()
    replies = _replies(program)
    documents = Documents([replies])
    heads = Documents([replies[:2]])
    lines = [json_text(reply) for reply in replies]

    def make(random: Random) -> Files:
        chance = random.random()
        if chance < 0.2:
            place = random.randrange(len(lines))
            changed = [*lines[:place], mutate_bytes(random, lines[place], lines), *lines[place + 1 :]]
        elif chance < 0.4:
            start = heads.data(random)
            changed = [json_text(row) for row in (start if isinstance(start, list) else [start])] + lines[2:]
        else:
            rows = documents.data(random)
            changed = [json_text(row) for row in (rows if isinstance(rows, list) else [rows])]
        return {"replies": b"".join(line.replace(b"\n", b" ") + b"\n" for line in changed)}

    def read(files: Files) -> None:
        with ProcessSubject("process:cat replies", timeout=4.0) as subject:
            capabilities = subject.capabilities()
            assert capabilities.missing is not None
            subject.state_names()
            subject.versions()
            _judge(perform(program, subject))

    return Reader(make, read)


class _Channel:
    """A connection with bytes to read."""

    def __init__(self, data: bytes) -> None:
        self._stream = io.BytesIO(data)

    def recv(self, size: int) -> bytes:
        return self._stream.read(size)


def _frame(kind: int, number: int, payload: bytes) -> bytes:
    from rmspec.oracles.host.frames import _HEAD, _MAGIC

    return _HEAD.pack(_MAGIC, kind, number, len(payload), zlib.crc32(payload)) + payload


def _transcripts() -> Reader:
    """The frames that the process of a subject sends: its description, transcripts, trajectories, steps, errors."""
    from rmspec.impl.spec.dialect import dialect_named
    from rmspec.oracles.host import host as host_module
    from rmspec.oracles.host.descent import Descend
    from rmspec.oracles.host.frames import Kind, receive
    from rmspec.oracles.host.perform import perform
    from rmspec.oracles.host.primitives import with_operations
    from rmspec.oracles.host.transcripts import encode_error, encode_transcript
    from rmspec.oracles.numpy.subject import ReferenceSubject
    from rmspec.oracles.recordings.onestep import OneStep
    from rmspec.oracles.errors import SubjectFailed

    program = _conversation_program()
    reference = ReferenceSubject()
    sound = encode_transcript(perform(program, reference))
    wrong = encode_transcript(perform(program, ReferenceSubject(dialect_named("tensorflow"))))
    capabilities = with_operations(reference)
    described = {
        name: dict(value) if isinstance(value, Mapping) else sorted(value) if isinstance(value, frozenset) else list(value)
        for name in type(capabilities).__dataclass_fields__
        for value in (getattr(capabilities, name),)
    }
    description = {"framework": "numpy", "dialect": "torch", "baselines": [], "capabilities": described, "versions": {"numpy": "2"}, "state_names": {}}
    heads = Documents([_transcript_head(sound)[0], _transcript_head(wrong)[0]])
    bodies = [_transcript_head(sound)[1], _transcript_head(wrong)[1]]
    descriptions = Documents([description])
    trajectories = Documents([[[1.0, 0.5, 0.25], ""]])
    steps = Documents([[{"param": ["<f4", [1.0]], "state/square_avg": ["bfloat16", [0.5]]}, {"param": ["<f4", [1.0]]}]])
    fits = Documents([[["lr"], [], []]])
    errors = Documents([encode_error(SubjectFailed("a", "b", "c")), encode_error(ValueError("x"))])
    raw = [sound, wrong]
    started = json_text(description)
    step = OneStep("float32", (1.0,), (0.5,), {"lr": 0.5})

    def make(random: Random) -> Files:
        chance = random.random()
        kind, first, asked = Kind.REPLY, started, "perform"
        if chance < 0.5:
            head = json_text(heads.data(random))
            payload = struct.pack("!I", len(head)) + head
            payload += bytes(-len(payload) % 16) + random.choice(bodies)
        elif chance < 0.65:
            payload = mutate_bytes(random, random.choice(raw), raw)
        elif chance < 0.75:
            payload, first = sound, descriptions.text(random)
        elif chance < 0.82:
            payload, asked = trajectories.text(random), "descend"
        elif chance < 0.89:
            payload, asked = steps.text(random), "step"
        elif chance < 0.92:
            payload, asked = fits.text(random), "fitted"
        else:
            payload, kind = errors.text(random), Kind.ERROR
        frames = _frame(Kind.REPLY, 1, first) + _frame(Kind.BEAT, 2, b"") * random.choice((0, 1)) + _frame(kind, 2, payload)
        if random.random() < 0.1:
            frames = mutate_bytes(random, frames, raw)
        return {"frames": frames, "asked": asked.encode()}

    def read(files: Files) -> None:
        channel = _Channel(files["frames"])

        class Process(host_module._Process):
            """A process that has written all it will."""

            def __init__(self, modules: Sequence[str]) -> None:
                self._number = 0
                self.end = lambda: None  # type: ignore[assignment,misc]

            def caches(self) -> dict[str, str]:
                return {}

            def ask(self, *arguments: Any) -> Any:
                self._number += 1
                while True:
                    frame = receive(channel)  # type: ignore[arg-type]
                    if frame is None:
                        raise SubjectFailed("it crashed")
                    if frame.number != self._number or frame.kind is Kind.REQUEST:
                        raise SubjectFailed("its process answered what was not asked")
                    if frame.kind is not Kind.BEAT:
                        return frame

        before, host_module._Process = host_module._Process, Process  # type: ignore[misc]
        try:
            host = host_module.Host("reference")
        finally:
            host_module._Process = before  # type: ignore[misc]
        match files["asked"]:
            case b"perform":
                _judge(host.perform(program))
            case b"descend":
                host.descend(Descend("float32", 1.0, {}, 2))
            case b"step":
                host.step(step)
            case _:
                host.fitted(step)

    return Reader(make, read, written=False)


def _transcript_head(data: bytes) -> tuple[Any, bytes]:
    (length,) = struct.unpack("!I", data[:4])
    end = 4 + length
    return json.loads(data[4:end]), data[end + -end % 16 :]


def _last_words() -> Reader:
    """What a subject's process printed, with the place where it was."""
    from rmspec.oracles.host.crash import last_words
    from rmspec.reports.text import plain

    texts = [
        b'said\nCurrent thread 0x00007f (most recent call first):\n  File "/x/mine.py", line 3 in step\n  File "<string>", line 1 in <module>\n',
        b'\xff\x1b[31m\nStack (most recent call first):\n  File "mine.py", line 99999999999999 in f\n',
    ]

    def read(files: Files) -> None:
        printed, where = last_words(files["printed"].decode("utf-8", "replace"))
        plain(printed + where)

    return Reader(lambda random: {"printed": mutate_bytes(random, random.choice(texts), texts)}, read, written=False)


def _is_there(module: str) -> bool:
    import importlib.util

    return importlib.util.find_spec(module) is not None


def _errors() -> type[Exception]:
    from rmspec.impl.errors import RmspecError

    return RmspecError


RMSPEC_ERROR = _errors()

READERS: dict[str, Row] = {
    "programs": Row(_programs, 9),
    "reports": Row(_reports, 5),
    "logs": Row(_logs, 5),
    "known-lists": Row(_known, 9),
    "configuration": Row(_configuration, 12),
    "arguments": Row(_arguments, 2),
    "names": Row(_names, 14),
    "recordings": Row(_recordings, 6),
    "npz": Row(_npz, 10),
    "safetensors": Row(_safetensors_files, 9, "safetensors"),
    "pt": Row(_torch_files, 5, "torch"),
    "h5": Row(_hdf5, 6, "h5py"),
    "keras": Row(_keras_archives, 6, "h5py"),
    "wire": Row(_wire, 1, starts=True),
    "transcripts": Row(_transcripts, 12),
    "last-words": Row(_last_words, 5),
}
"""Every reader, with its share of the inputs."""


@contextlib.contextmanager
def reading(folder: Path) -> Iterator[None]:
    """In this folder, with nothing printed."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        yield


def write_files(files: Files) -> None:
    """Put an input into the current folder, in the place of the last one."""
    for entry in os.scandir("."):
        if entry.is_file(follow_symlinks=False):
            os.unlink(entry.path)
    for name, data in files.items():
        Path(name).write_bytes(data)


def command_of(reader: str, seed: int, number: int) -> str:
    """The line that reads one input again."""
    return f"python tests/fuzz/fuzz.py --reader {shlex.quote(reader)} --seed {seed} --first {number} --count 1"
