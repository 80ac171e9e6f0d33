"""Files that want too much, or are not what they say: exit code 2, one message, nothing started, nothing written elsewhere."""

from __future__ import annotations

import io
import json
import shutil
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commandline import rmspec

SAMPLES = Path(__file__).parents[1] / "samples" / "0.1.0"

PROGRAM: dict[str, Any] = {
    "schema": "rmspec.program/1",
    "params": [{"name": "p", "values": ["0x1p+1"]}],
    "calls": [
        {"op": "create", "optimizer": "A", "groups": [{"params": ["p"]}], "form": "list"},
        {"op": "set_grad", "param": "p", "values": ["0x1p-1"]},
        {"op": "step", "optimizer": "A"},
    ],
    "subject": "torch",
    "dialect": "torch",
    "policy": "strict",
}


def param(**changes: object) -> dict[str, Any]:
    """The program with another parameter."""
    return {**PROGRAM, "params": [{**PROGRAM["params"][0], **changes}]}


def renamed(name: str) -> dict[str, Any]:
    """The program with another name for its parameter, throughout."""
    return json.loads(json.dumps(PROGRAM).replace('"p"', json.dumps(name)))


def options(**table: object) -> dict[str, Any]:
    """The program with options of its optimizer."""
    calls = [{**PROGRAM["calls"][0], "options": table}, *PROGRAM["calls"][1:]]
    return {**PROGRAM, "calls": calls}


PROGRAMS: dict[str, tuple[Any, str]] = {
    "200 dimensions": (param(shape=[1] * 200), "200 dimensions; at most 32"),
    "33 dimensions": (param(shape=[1] * 33), "33 dimensions; at most 32"),
    "huge and empty": (param(shape=[10**30, 0]), "a dimension of 1,000,000,000,000,000,000,000,000,000,000"),
    "empty beyond a count": (param(shape=[0, 2**40]), "a dimension of 1,099,511,627,776; at most 16,777,216"),
    "32 times a number of 300 digits": (param(shape=[10**299] * 32), "more than 10^30 elements"),
    "200,000 calls": ({**PROGRAM, "calls": PROGRAM["calls"][2:] * 200_000}, "200,000 calls; at most 20,000"),
    "a long name": (renamed("p" * 101), "101 characters, which are too many"),
    "a very long name": (renamed("p" * 100_000), "100,000 characters, which are too many"),
    "a name with a line break": (renamed("p1\n"), "params/0/name"),
    "a name with an escape": (renamed("p\x1b[31m"), "params/0/name"),
    "a name of letters that are none of ASCII": (renamed("\N{GREEK SMALL LETTER THETA}"), "params/0/name"),
    "an option that is a word of Python": (options(**{"import": "0x1p+0"}), "the option import, a word of Python"),
    "an option with code": (options(**{"lr=1); evil(": "0x1p+0"}), "calls/0/options"),
    "an option with a line break": (options(**{"lr\n": "0x1p+0"}), "calls/0/options"),
    "a device of the framework": ({**PROGRAM, "device": "meta"}, "unknown device 'meta'"),
    "a device with code": ({**PROGRAM, "device": 'cpu"); evil("'}, "at device"),
    "a dialect with code": ({**PROGRAM, "dialect": 'torch"""; evil()'}, "at dialect"),
    "a clause with code": ({**PROGRAM, "clause": '"""; evil()'}, "at clause"),
    "a clause with a line break": ({**PROGRAM, "clause": "update\n"}, "at clause"),
    "a number beyond float64": (options(lr="0x1p+99999999999999"), "beyond the largest number"),
    "a subject without an end": ({**PROGRAM, "subject": "x" * 5000}, "at subject"),
    "nested without end": ({**PROGRAM, "note": "@"}, "nested more than 200 deep"),
    "an integer of 5,000 digits": ({**PROGRAM, "bug_classes": ["@digits"]}, "a number of more than 300 digits"),
    "an integer of 301 digits": ({**PROGRAM, "bug_classes": [10**300]}, "a number of more than 300 digits"),
    "a number that JSON has none for": ({**PROGRAM, "bug_classes": [float("nan")]}, "NaN is no JSON number"),
    "a float beyond float64": ({**PROGRAM, "bug_classes": ["@beyond"]}, "1e999 is beyond the largest number"),
}


def one_message(ran: Any, words: str) -> None:
    """The command was refused with one message, which has these words and nothing that a terminal heeds."""
    assert (ran.code, ran.out) == (2, ""), ran.out + ran.err
    assert words in ran.err, ran.err
    assert ran.err.startswith("rmspec: ")
    assert ran.err.replace("\n", "").isprintable()
    assert len(ran.err) < 2000


@pytest.mark.parametrize("command", ["repro", "script"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_that_wants_too_much_is_refused(name: str, command: str, tmp_path: Path) -> None:
    """In words that say what is too much, before anything is made of it."""
    data, words = PROGRAMS[name]
    text = json.dumps(data).replace('"@"', "[" * 300 + "]" * 300).replace('"@digits"', "9" * 5000)
    (tmp_path / "given.json").write_text(text.replace('"@beyond"', "1e999"))
    one_message(rmspec(tmp_path, command, "given.json"), words)
    assert [path.name for path in tmp_path.iterdir()] == ["given.json"]


def test_a_program_within_the_bounds_is_read(tmp_path: Path) -> None:
    """The largest dimension, the longest name and 32 of them are right."""
    from rmspec.oracles.program.program import from_json

    assert from_json(param(shape=[1] * 31 + [2**24])).params[0].shape[-1] == 2**24
    assert from_json(renamed("p" * 100)).params[0].name == "p" * 100
    assert len(from_json({**PROGRAM, "calls": [*PROGRAM["calls"], *PROGRAM["calls"][2:] * 19_997]}).calls) == 20_000


# -- texts of every other kind


@pytest.mark.parametrize(
    ("file", "text", "words", "command"),
    [
        (
            "known.toml",
            "[[known]]\nid = " + "9" * 5000,
            "more than 300 digits",
            ("known", "list", "--known", "known.toml"),
        ),
        ("known.toml", "x = " + "[" * 3000, "nested", ("known", "list", "--known", "known.toml")),
        ("known.toml", "known = 3", "must hold [[known]] tables", ("known", "list", "--known", "known.toml")),
        ("pyproject.toml", "[tool.rmspec]\nseed = " + "9" * 5000, "more than 300 digits", ("config",)),
        ("pyproject.toml", "[tool.rmspec]\nseed = " + "[" * 3000, "nested", ("config",)),
        ("pyproject.toml", f"[tool.rmspec]\ntime-budget = {10**299}\n", "", ("config", "torch")),
        ("log.ndjson", '{"event": ' + "9" * 5000 + "}\n", "more than 300 digits", ("log", "log.ndjson")),
        ("log.ndjson", "[" * 3000 + "\n", "nested", ("log", "log.ndjson")),
        ("report.json", "[" * 3000, "nested", ("report", "--from", "report.json", "--out", "out")),
        (
            "report.json",
            '{"seconds": 1e999}',
            "beyond the largest",
            ("report", "--from", "report.json", "--out", "out"),
        ),
    ],
)
def test_a_text_that_wants_too_much_is_refused(
    file: str, text: str, words: str, command: tuple[str, ...], tmp_path: Path
) -> None:
    """Lists, configurations, logs and reports have the bounds of programs."""
    (tmp_path / file).write_text(text)
    ran = rmspec(tmp_path, *command)
    if words:
        one_message(ran, words)
    else:
        assert ran.code in (0, 2), ran.err


@pytest.mark.parametrize(
    "command", [("repro", "/dev/zero"), ("known", "list", "--known", "/dev/zero"), ("log", "/dev/zero")]
)
def test_a_file_without_an_end_is_refused(command: tuple[str, ...], tmp_path: Path) -> None:
    """As soon as it is longer than any text of rmspec is."""
    one_message(rmspec(tmp_path, *command), "more than 64 MiB")


# -- checkpoints


def npz(*members: tuple[str, bytes]) -> bytes:
    """An archive with these members."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in members:
            archive.writestr(name, data)
    return out.getvalue()


def npy(array: Any, *, allow_pickle: bool = False) -> bytes:
    """A file of one array."""
    out = io.BytesIO()
    np.save(out, array, allow_pickle=allow_pickle)
    return out.getvalue()


def header(shape: str, descr: str = "<f4") -> bytes:
    """A file of an array whose header says this, with four numbers."""
    text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + bytes(16)


SOUND = npz(("0.square_avg.npy", npy(np.ones(3, np.float32))))


def flagged(data: bytes, flags: int = 0, method: int | None = None, size: int | None = None) -> bytes:
    """The archive with other words on its one member: encrypted, packed otherwise, larger."""
    changed = bytearray(data)
    for mark, at, method_at, size_at in ((b"PK\x03\x04", 6, 8, 22), (b"PK\x01\x02", 8, 10, 24)):
        place = changed.find(mark)
        changed[place + at] |= flags
        if method is not None:
            struct.pack_into("<H", changed, place + method_at, method)
        if size is not None:
            struct.pack_into("<I", changed, place + size_at, size)
    return bytes(changed)


CHECKPOINTS = {
    "encrypted": (flagged(SOUND, flags=1), "encrypted"),
    "packed by nobody": (flagged(SOUND, method=77), "compression"),
    "patched": (flagged(SOUND, flags=0x20), "cannot be read as .npz"),
    "a bomb": (flagged(SOUND, size=2**32 - 2), "would become 4,294,967,294 in memory"),
    "a pickle": (npz(("0.square_avg.npy", npy(np.array([{}]), allow_pickle=True))), "pickle"),
    "no array": (npz(("0.square_avg.npy", b"text")), "cannot be read as .npz"),
    "a shape beyond its member": (npz(("0.square_avg.npy", header("(1099511627776,)"))), "is cut off"),
    "a negative shape": (npz(("0.square_avg.npy", header("(-1,)"))), "is cut off"),
    "a shape that is none": (npz(("0.square_avg.npy", header("(3.0,)"))), "cannot be read as .npz"),
    "code for a shape": (npz(("0.square_avg.npy", header("__import__('os')"))), "cannot be read as .npz"),
    "truth values": (npz(("0.square_avg.npy", npy(np.ones(3, bool)))), "is bool"),
    "text": (npz(("0.square_avg.npy", npy(np.array("x")))), "floating-point numbers"),
    "cut off": (SOUND[:-10], "cannot be read as .npz"),
}


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_a_checkpoint_that_is_not_what_it_says_is_refused(name: str, tmp_path: Path) -> None:
    """Nothing is unpickled, unpacked without end, or asked for beyond what there is."""
    data, words = CHECKPOINTS[name]
    (tmp_path / "saved.npz").write_bytes(data)
    ran = rmspec(tmp_path, "translate", "--from", "torch", "--to", "optax", "--lr", "0.1", "--defaults", "saved.npz")
    one_message(ran, words)


# -- recordings


def with_table(data: bytes, change: Any) -> bytes:
    """A chunk with a change in the table of its steps, and the checksum of the changed one."""
    (length,) = struct.unpack("<Q", data[:8])
    head, body = json.loads(data[8 : 8 + length]), data[8 + length :]
    table = json.loads(head["__metadata__"]["steps"])
    change(table)
    text = json.dumps(table)
    head["__metadata__"] |= {"steps": text, "crc32": str(zlib.crc32(text.encode()))}
    written = json.dumps(head).encode()
    return struct.pack("<Q", len(written)) + written + body


def set_row(**values: Any) -> Any:
    """A change of the first step."""
    return lambda table: table["rows"][0].update(values)


def _stranger(table: Any) -> None:
    table["tables"]["members"][0] = [[7]]


def _negative(table: Any) -> None:
    table["tables"]["members"][0] = [[-1]]


def _list_for_lr(table: Any) -> None:
    table["tables"]["options"][0][0]["lr"] = [1]


def _kept(table: Any) -> None:
    table["tables"]["layout"][0] = {"kept": [[0, "before", "param", 0]]}
    for row in table["rows"]:
        row.pop("crc32", None)


@pytest.mark.parametrize(
    "change",
    [
        set_row(step="1"),
        set_row(step=-1),
        set_row(step=True),
        set_row(layout=99),
        set_row(members="x"),
        set_row(options=None),
        set_row(events=[1]),
        set_row(skipped=["x"]),
        _stranger,
        _negative,
        _list_for_lr,
        _kept,
    ],
    ids=(
        "text",
        "negative",
        "truth",
        "layout",
        "members",
        "options",
        "events",
        "skipped",
        "stranger",
        "minus",
        "list",
        "kept",
    ),
)
def test_a_recording_whose_checksum_was_made_again_is_refused(change: Any, tmp_path: Path) -> None:
    """A checksum says that the bytes are those that were written, and not that they mean anything."""
    shutil.copytree(SAMPLES / "recording", tmp_path / "recording")
    chunk = tmp_path / "recording" / "chunk-000001.safetensors"
    chunk.write_bytes(with_table(chunk.read_bytes(), change))
    one_message(rmspec(tmp_path, "repro", "recording"), "is not a chunk of a recording, or is damaged")


# -- paths


def test_a_clause_that_leads_elsewhere_writes_nothing_there(tmp_path: Path) -> None:
    """The name of a witness is made from the clause of a program: one that is none is refused."""
    place = tmp_path / "in" / "here"
    place.mkdir(parents=True)
    (place / "given.json").write_text(json.dumps({**PROGRAM, "clause": "..-..-x"}))
    report = json.loads((SAMPLES / "report.json").read_text())
    report["subjects"][0]["deviations"][0]["clause"] = "no-such"
    (place / "report.json").write_text(json.dumps(report))
    for source in (("given.json",), ("--from", "report.json")):
        ran = rmspec(place, "known", "add", *source, "--known", "known.toml", "--reason", "r")
        one_message(ran, "unknown clause")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["given.json", "here", "in", "report.json"]


def test_a_subject_with_escapes_is_shown_and_not_heeded(tmp_path: Path) -> None:
    """In the refusal and in the command to type, which a shell reads as the name that it is."""
    (tmp_path / "given.json").write_text(json.dumps({**PROGRAM, "subject": "\x1b[31mred\x1b[0m:RMSprop"}))
    ran = rmspec(tmp_path, "repro", "given.json")
    one_message(ran, r"\x1b[31mred\x1b[0m:RMSprop, which is not registered")
    assert r"--subject $'\x1b[31mred\x1b[0m:RMSprop'" in ran.err
