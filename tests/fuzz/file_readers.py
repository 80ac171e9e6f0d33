"""Readers of files of numbers: recordings and checkpoints."""

from __future__ import annotations

import contextlib
import io
import json
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from mutations import json_text, mutate_bytes
from reader import SAMPLES, Documents, Files, Reader, is_there

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


def recordings_reader() -> Reader:
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
    if is_there("torch"):
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
                changed[place : place + 8] = struct.pack(
                    "<d", random.choice((0.0, -1.0, 1e300, float("nan"), float("inf"), 1e-310))
                )
            table = json.loads(header["__metadata__"]["steps"])
            for row in table["rows"]:
                del row["crc32"]
            files[chunk] = _safetensors(_described(random, header, json.dumps(table)), bytes(changed[: len(body)]))
        if random.random() < 0.05:
            files[
                f"chunk-{random.choice((2, 3, 999999))}{random.choice(('', '0' * 5))}.safetensors".replace(
                    "chunk-", "chunk-00000"
                )
            ] = random.choice(raw)
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
    return _zipped(
        members,
        comment,
        packed=random.choice((zipfile.ZIP_STORED, zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA)),
    )


def _npy(text: str, body: bytes, version: tuple[int, int] = (1, 0)) -> bytes:
    header = text.encode("latin-1", "replace")
    size = struct.pack("<H" if version == (1, 0) else "<I", min(len(header), 65535))
    return b"\x93NUMPY" + bytes(version) + size + header + body


def npz_reader() -> Reader:
    dialects = ("torch", "keras3", "optax", "tensorflow1")
    samples = [(SAMPLES / "checkpoint.npz").read_bytes(), *_saved_samples(".npz", dialects)]
    parts = [part for sample in samples for part in _members(sample).values()]
    described = [
        json.loads(str(np.load(io.BytesIO(sample))["rmspec"])) for sample in samples if "rmspec.npy" in _members(sample)
    ]
    descriptions = Documents(described)
    numbered = Documents(
        [
            json.loads(zipfile.ZipFile(io.BytesIO(sample)).comment)
            for sample in samples
            if zipfile.ZipFile(io.BytesIO(sample)).comment
        ]
    )
    types = (
        "<f4",
        "<f8",
        "<f2",
        "|O",
        "<U9999999",
        "|S0",
        "<i8",
        "<M8[s]",
        "|V2",
        "<c8",
        "|b1",
        ">f4",
        "[('a','<f4')]",
        "x" * 50,
        "<f16",
        "<c32",
    )
    shapes = (
        "(3,)",
        "()",
        "(2,3)",
        "(1099511627776,)",
        "(-1,)",
        "(0, 99999999999)",
        "(1,)*99",
        "[3]",
        "None",
        "(True,)",
        "(3.0,)",
        "(" * 200,
    )

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
            order = random.choice(("False", "True", "3"))
            text = f"{{'descr': '{random.choice(types)}', 'fortran_order': {order}, 'shape': {random.choice(shapes)}}}"
            members[name] = _npy(
                text + random.choice(("", " " * 20 + "\n")),
                members[name][128:],
                random.choice(((1, 0), (2, 0), (3, 0), (9, 9))),
            )
            return _zipped(members)
        return _mutate_zip(random, data, samples, parts)

    return _checkpoint("saved.npz", dialects, samples, make)


def safetensors_files() -> Reader:
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
        lambda: torch.ones(3),
        lambda: torch.ones(1).expand(2**31),
        lambda: torch.ones(3, dtype=torch.int8),
        lambda: torch.ones(3).to_sparse(),
        lambda: torch.ones(3, dtype=torch.complex64).conj(),
        lambda: torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8),
        lambda: torch.empty(3, device="meta"),
        lambda: torch.ones(3, requires_grad=True),
        lambda: torch.ones([1] * 60),
        lambda: torch.ones(3).to(torch.float8_e4m3fn),
        lambda: torch.ones(0),
        lambda: torch.tensor(float("nan")),
        lambda: torch.tensor(float("inf")),
        lambda: torch.ones(3, dtype=torch.complex128).imag,
        lambda: torch.ones(2, 3).t(),
        lambda: torch.nn.Parameter(torch.ones(3)),
    )
    odd = (
        None,
        True,
        -1,
        1.5,
        float("nan"),
        float("inf"),
        10**400,
        "x",
        [],
        {},
        [1],
        (1,),
        {"a": 1},
        b"x",
        2**64,
        set(),
    )

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
        whole = random.choice(
            ({"optimizer": whole}, [whole], {**whole, "state": value()}, {**whole, "param_groups": value()}, value())
        )
    return whole


def torch_files() -> Reader:
    import warnings

    import torch

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    samples = _saved_samples(".pt", ("torch",))
    for legacy in (False,):
        out = io.BytesIO()
        state = {
            "state": {0: {"step": torch.tensor(1.0), "square_avg": torch.ones(3)}},
            "param_groups": [{"params": [0], "lr": 0.1}],
        }
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
    config = {
        "optimizer_config": {
            "class_name": "RMSprop",
            "config": {
                "name": "rmsprop",
                "learning_rate": 0.5,
                "rho": 0.9,
                "momentum": 0.0,
                "epsilon": 1e-7,
                "centered": False,
            },
        }
    }
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
            opened.attrs["training_config"] = random.choice(
                (
                    "{",
                    "[]",
                    "[" * 3000,
                    '{"optimizer_config": 3}',
                    np.ones(3),
                    b"{}",
                    "9" * 5000,
                    '{"optimizer_config": {"class_name": "RMSprop", "config": {"rho": [1]}}}',
                )
            )
        group = opened.create_group(random.choice(("optimizer/vars", "optimizer_weights", "x")))
        odd = (
            np.int64(3),
            np.float32(0.5),
            np.ones(3, np.float32),
            np.ones((0, 5)),
            "text",
            np.ones(3, "S3"),
            np.ones(2, [("a", "<f4")]),
            np.ones(3, np.complex64),
            np.uint64(2**64 - 1),
            np.float16(1),
            np.float64("nan"),
            np.int8(-1),
            h5py.Empty("f"),
        )
        for index in range(random.randrange(6)):
            name = str(index) if random.random() < 0.9 else "x"
            with contextlib.suppress(Exception):
                chance = random.random()
                if chance < 0.1:
                    group[name] = random.choice(
                        (
                            h5py.SoftLink("/x"),
                            h5py.SoftLink("/optimizer/vars/" + name),
                            h5py.ExternalLink("/etc/passwd", "/"),
                        )
                    )
                elif chance < 0.2:
                    group.create_dataset(
                        name, (random.choice((2**40, 2**30, 3)),), "<f4", chunks=(1024,), compression="gzip"
                    )
                elif chance < 0.25:
                    group.create_dataset(name, (64,), "u1", external=[("/etc/passwd", 0, 64)])
                elif chance < 0.3:
                    group.create_group(name)
                else:
                    group.create_dataset(name, data=odd[index] if chance < 0.5 else random.choice(odd))
        if random.random() < 0.4:
            with contextlib.suppress(Exception):
                group.attrs["weight_names"] = random.choice(
                    ([b"0", b"1", b"2"], ["0", "1", "2"], 3, np.ones(3), "x", [b"/", b".."], [b"\xff"], [])
                )
    return out.getvalue()


def hdf5_reader() -> Reader:
    import h5py

    samples = _hdf5_samples()

    def make(random: Random) -> bytes:
        if random.random() < 0.25:
            return _hdf5_objects(random, h5py)
        return mutate_bytes(random, random.choice(samples), samples)

    return _checkpoint("saved.h5", ("keras3",), samples, make)


def keras_archives_reader() -> Reader:
    import h5py

    weights = _hdf5_samples()
    table = {
        "class_name": "RMSprop",
        "config": {
            "name": "x",
            "learning_rate": 0.5,
            "rho": 0.9,
            "momentum": 0.0,
            "epsilon": 1e-7,
            "centered": False,
            "use_ema": False,
            "clipnorm": None,
        },
    }
    config = {"module": "keras", "config": {}, "compile_config": {"optimizer": table, "loss": "mse"}}
    documents = Documents([config])
    samples = [
        _zipped({"metadata.json": b"{}", "config.json": json_text(config), "model.weights.h5": data})
        for data in weights
    ]

    def make(random: Random) -> bytes:
        chance = random.random()
        if chance < 0.45:
            data = documents.text(random)
            return _zipped({"config.json": data, "model.weights.h5": random.choice(weights)})
        if chance < 0.6:
            return _zipped({"config.json": json_text(config), "model.weights.h5": _hdf5_objects(random, h5py)})
        return _mutate_zip(random, random.choice(samples), samples, weights)

    return _checkpoint("saved.keras", ("keras3",), samples, make)
