"""``record`` and the verification of a recording: what is kept of a real run, and what is found in it."""

import json
import os
import shutil
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from training import digits, network, train  # noqa: E402

from rmspec.oracles import InputProblem  # noqa: E402
from rmspec.oracles.recordings.reader import BadRecording, Lost, open_recording  # noqa: E402
from rmspec.oracles.torch.recorder import positions  # noqa: E402
from rmspec.properties import record, shipped  # noqa: E402
from rmspec.properties.recordings.verify import Verified, verify  # noqa: E402

RMSprop = torch.optim.RMSprop


def verified(folder: Path, **options: Any) -> Verified:
    return verify(open_recording(str(folder)), known=shipped(), **options)


def recorded(folder: Path, steps: int = 20, *, each: Any = lambda number: None, arguments: Any = None, **options: Any):
    """A recording of a run with these options of RMSprop."""
    model = network(torch)
    optimizer = RMSprop(model.parameters(), **options)
    with record(optimizer, folder, named_parameters=model.named_parameters(), **(arguments or {})):
        train(torch, model, optimizer, steps, each=each)
    return model, optimizer


# ---- correct runs


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"foreach": True},
        {"momentum": 0.9},
        {"centered": True},
        {"weight_decay": 0.01},
        {"maximize": True, "lr": 1e-4},
        {"lr": torch.tensor(0.003)},
        {"momentum": 0.5, "centered": True, "weight_decay": 0.1, "foreach": True, "alpha": 0.9},
    ],
    ids=lambda options: "-".join(options) or "defaults",
)
def test_a_correct_run_conforms(tmp_path: Path, options: dict[str, Any]) -> None:
    """Every step of torch's RMSprop is inside its envelope, and its state stays as it is between steps."""
    recorded(tmp_path / "run", **options)
    found = verified(tmp_path / "run")
    assert (found.steps, found.deviations, found.tally.inconclusive_checks) == (20, [], 0)
    assert found.frames == 19 * 4
    assert found.tally.element_checks >= 20 * (64 + 16 + 64 + 10) * 2


def test_a_thousand_steps_have_no_deviation(tmp_path: Path) -> None:
    """With a schedule and momentum, a thousand steps are verified and none deviates."""
    model = network(torch)
    optimizer = RMSprop(model.parameters(), lr=0.003, momentum=0.9)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.003, total_steps=1001, cycle_momentum=True)
    optimizer.step()
    with record(optimizer, tmp_path / "run"):
        train(torch, model, optimizer, 1000, each=lambda number: schedule.step())
    found = verified(tmp_path / "run")
    assert (found.steps, found.deviations, found.tally.inconclusive_checks) == (1000, [], 0)


@pytest.mark.parametrize("foreach", [False, True])
def test_bfloat16_is_verified_and_what_torch_rounds_is_known(tmp_path: Path, foreach: bool) -> None:
    """In bfloat16 torch's early rounding of the weight decay is found, and named by the shipped list."""
    model = network(torch).to(torch.bfloat16)
    optimizer = RMSprop(model.parameters(), lr=0.003, weight_decay=0.3, foreach=foreach)
    with record(optimizer, tmp_path / "run"):
        train(torch, model, optimizer, 60, dtype=torch.bfloat16)
    found = verified(tmp_path / "run")
    assert found.first is None
    assert found.tally.element_checks > 10_000
    assert {each.deviation.known for each in found.deviations} <= {
        "torch-decay-halves-on-cpu",
        "torch-foreach-halves-on-cpu",
    }
    assert verify(open_recording(str(tmp_path / "run"))).first is not None


def test_complex_parameters_are_pairs(tmp_path: Path) -> None:
    """Each part of a complex element is verified."""
    p = torch.tensor([1 + 2j, -0.5 + 0.25j], dtype=torch.complex64, requires_grad=True)
    optimizer = RMSprop([p], momentum=0.9)
    with record(optimizer, tmp_path / "run"):
        for _ in range(5):
            p.grad = torch.tensor([0.5 - 1j, 0.25 + 0.125j])
            optimizer.step()
    found = verified(tmp_path / "run")
    assert (found.deviations, found.tally.element_checks) == ([], 5 * 3 * 4)


def test_groups_may_be_added_and_gradients_missing(tmp_path: Path) -> None:
    """A group that is added, its own options, and a gradient of ``None`` are followed."""
    model = network(torch)
    optimizer = RMSprop(model[0].parameters(), lr=0.01)

    def each(number: int) -> None:
        if number == 5:
            optimizer.add_param_group({"params": list(model[2].parameters()), "lr": 0.001, "momentum": 0.9})
        if number in (7, 8):
            model[0].bias.grad = None

    with record(optimizer, tmp_path / "run", named_parameters=model.named_parameters()):
        train(torch, model, optimizer, 12, each=each)
    found = verified(tmp_path / "run")
    assert found.deviations == []
    assert found.tally.checks["grad-none"] == 2
    assert [each.name for each in found.recording.params] == ["0.weight", "0.bias", "2.weight", "2.bias"]


def test_a_group_may_have_no_recorded_parameter(tmp_path: Path) -> None:
    """One of a format without clauses is noted, and the other groups are verified."""
    model = network(torch)
    strange = torch.zeros(2, dtype=torch.float8_e5m2, requires_grad=True)
    optimizer = RMSprop([{"params": [strange]}, {"params": list(model.parameters())}])
    with record(optimizer, tmp_path / "run"):
        train(torch, model, optimizer, 3)
    found = verified(tmp_path / "run")
    assert (found.steps, found.deviations) == (3, [])
    assert "float8_e5m2" in found.recording.notes[0]


def test_an_option_changed_in_a_step_without_gradients_is_the_news_of_the_next(tmp_path: Path) -> None:
    """A step that uses the lr of the last one that it made breaks the clause on scheduled learning rates."""

    class Stale(RMSprop):
        def step(self, closure: Any = None) -> Any:
            group = self.param_groups[0]
            now, group["lr"] = group["lr"], 0.01
            loss = super().step(closure)
            group["lr"] = now
            return loss

    p = torch.ones(3, requires_grad=True)
    optimizer = Stale([p])
    with record(optimizer, tmp_path / "run"):
        for number in range(6):
            p.grad = None if number == 4 else torch.ones(3)
            optimizer.param_groups[0]["lr"] = 0.01 if number < 4 else 0.005
            optimizer.step()
    first = verified(tmp_path / "run").first
    assert first is not None
    assert (first.step.number, first.deviation.clause) == (6, "scheduled-lr")


def test_a_checkpoint_may_be_loaded(tmp_path: Path) -> None:
    """``load_state_dict`` changes the state between steps, which is no deviation."""
    model = network(torch)
    optimizer = RMSprop(model.parameters(), lr=0.01, momentum=0.5)
    train(torch, model, optimizer, 3)
    saved = {"optimizer": optimizer.state_dict(), "lr": 0.01}
    kept = {key: value.clone() for key, value in model.state_dict().items()}
    text = __import__("copy").deepcopy(saved["optimizer"])

    def each(number: int) -> None:
        if number == 6:
            optimizer.load_state_dict(text)
            model.load_state_dict(kept)

    with record(optimizer, tmp_path / "run"):
        train(torch, model, optimizer, 10, each=each)
    found = verified(tmp_path / "run")
    assert (found.steps, found.deviations) == (10, [])
    assert set(found.changed_outside.values()) == {1}


def test_a_closure_is_waited_for(tmp_path: Path) -> None:
    """The gradients that count are those that the closure has made, and its loss is returned."""
    model = network(torch)
    optimizer = RMSprop(model.parameters())
    images, labels = digits(torch)

    def closure() -> Any:
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(images), labels)
        loss.backward()
        return loss

    with record(optimizer, tmp_path / "run"):
        losses = [optimizer.step(closure).item(), optimizer.step(closure=closure).item()]
    found = verified(tmp_path / "run")
    assert losses[1] < losses[0]
    assert (found.steps, found.deviations) == (2, [])


class Wrapped(RMSprop):
    """Calls the step of its base class, which torch hooks as well; the third call raises."""

    calls = 0

    def step(self, closure: Any = None) -> Any:
        self.calls += 1
        if self.calls == 3:
            raise ZeroDivisionError
        return super().step(closure)


def test_a_step_inside_a_step_is_one_step(tmp_path: Path) -> None:
    """The hooks of a base class do not count twice, and a step that raised is none."""
    p = torch.ones(3, requires_grad=True)
    optimizer = Wrapped([p])
    p.grad = torch.ones(3)
    with record(optimizer, tmp_path / "run"):
        for number in range(5):
            if number == 2:
                with pytest.raises(ZeroDivisionError):
                    optimizer.step()
            else:
                optimizer.step()
    found = verified(tmp_path / "run")
    assert [step.number for step in found.recording.steps()] == [1, 2, 4, 5]
    assert found.deviations == []


def test_recording_changes_nothing(tmp_path: Path) -> None:
    """The parameters after a recorded run are those of one that is not recorded, bit for bit, and so is the random state."""
    model, optimizer = recorded(tmp_path / "run", momentum=0.9)
    state = torch.get_rng_state()
    other = network(torch)
    train(torch, other, RMSprop(other.parameters(), momentum=0.9), 20)
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), other.parameters(), strict=True))
    assert not optimizer._optimizer_step_pre_hooks
    assert not optimizer._optimizer_step_post_hooks


def test_a_longer_recording_needs_no_more_memory(tmp_path: Path) -> None:
    """A recording may be larger than memory: one chunk is read at a time, one step judged at a time."""
    peaks = []
    for steps in (30, 120):
        p = torch.ones(20_000, dtype=torch.float64, requires_grad=True)
        optimizer = RMSprop([p])
        with record(optimizer, tmp_path / str(steps), elements=None):
            for number in range(steps):
                p.grad = torch.full_like(p, number + 1.0)
                optimizer.step()
        tracemalloc.start()
        found = verified(tmp_path / str(steps))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert (found.steps, found.deviations) == (steps, [])
    assert peaks[1] < 1.2 * peaks[0]
    assert peaks[1] < size(tmp_path / "120") / 2


class TwoModels(RMSprop):
    """Leaves alone what the model of this number would have it step."""

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        before = self.param_groups[0]["params"][1].clone()
        loss = super().step(closure)
        self.param_groups[0]["params"][1].copy_(before)
        return loss


def test_parameters_of_one_name_are_told_apart(tmp_path: Path) -> None:
    """Two models in one optimizer name their parameters alike; each of them is verified by itself."""
    models = [torch.nn.Linear(2, 1, bias=False) for _ in range(2)]
    parameters = [(name, p) for model in models for name, p in model.named_parameters()]
    optimizer = TwoModels([p for _, p in parameters])
    with record(optimizer, tmp_path / "run", named_parameters=parameters):
        for _ in range(3):
            for _, p in parameters:
                p.grad = torch.ones_like(p)
            optimizer.step()
    found = verified(tmp_path / "run")
    assert found.tally.element_checks == 3 * 2 * 2 * 2
    assert [(each.param, each.deviation.param) for each in found.deviations] == [(1, "weight")]


class IdleBuffer(RMSprop):
    """Makes a momentum buffer that is not zero, without momentum."""

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        loss = super().step(closure)
        for p in self.param_groups[0]["params"]:
            self.state[p].setdefault("momentum_buffer", torch.ones_like(p))
        return loss


def test_state_that_appears_in_a_step_without_a_use_for_it_is_found(tmp_path: Path) -> None:
    """At that step, as a check finds it."""
    model = network(torch)
    optimizer = IdleBuffer(model.parameters())
    with record(optimizer, tmp_path / "run", named_parameters=model.named_parameters()):
        train(torch, model, optimizer, 3)
    first = verified(tmp_path / "run").first
    assert first is not None
    assert (first.step.number, first.deviation.clause, first.deviation.role) == (1, "frame", "momentum_buffer")


# ---- faults


class Renamed(torch.optim.Optimizer):
    """RMSprop whose state has other names."""

    def __init__(self, params: Any, lr: float = 0.01) -> None:
        super().__init__(params, {"lr": lr, "alpha": 0.9, "eps": 1e-3, "momentum": 0.5})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        for group in self.param_groups:
            for p in group["params"]:
                s = self.state[p]
                if not s:
                    s["second"], s["push"] = torch.zeros_like(p), torch.zeros_like(p)
                s["second"].mul_(0.9).addcmul_(p.grad, p.grad, value=0.1)
                s["push"].mul_(0.5).addcdiv_(p.grad, s["second"].sqrt().add_(1e-3))
                p.sub_(s["push"], alpha=group["lr"])


def test_state_under_other_names_is_recognized(tmp_path: Path) -> None:
    """By its values, so that every role is verified."""
    model = network(torch)
    optimizer = Renamed(model.parameters())
    with record(optimizer, tmp_path / "run"):
        train(torch, model, optimizer, 10)
    found = verified(tmp_path / "run")
    assert found.roles == {"second": "square_avg", "push": "momentum_buffer"}
    assert (found.deviations, found.tally.inconclusive_checks) == ([], 0)


class Hidden(torch.optim.Optimizer):
    """RMSprop whose state cannot be seen."""

    def __init__(self, params: Any) -> None:
        super().__init__(params, {"lr": 0.01})
        self.v: dict[Any, Any] = {}

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        for p in self.param_groups[0]["params"]:
            v = self.v.setdefault(p, torch.zeros_like(p))
            v.mul_(0.99).addcmul_(p.grad, p.grad, value=0.01)
            p.addcdiv_(p.grad, v.sqrt().add_(1e-8), value=-0.01)


def test_hidden_state_is_never_called_a_pass(tmp_path: Path) -> None:
    """Where the state cannot be seen it may be anything: what that leaves open is no deviation, and the bounds are wide."""
    model = network(torch)
    optimizer = Hidden(model.parameters())
    with record(optimizer, tmp_path / "run"):
        train(torch, model, optimizer, 4)
    found = verified(tmp_path / "run")
    assert (found.deviations, found.roles) == ([], {})
    assert "square-avg" not in found.tally.checks


TAMPERING: dict[str, tuple[Callable[[Any, Any], None], str, str]] = {
    "state": (lambda model, optimizer: optimizer.state[model[2].bias]["square_avg"].mul_(0.5), "frame", "square_avg"),
    "gone": (lambda model, optimizer: optimizer.state.pop(model[2].bias), "frame", "square_avg"),
}


@pytest.mark.parametrize("what", TAMPERING)
def test_state_that_changes_between_steps_is_found(tmp_path: Path, what: str) -> None:
    """Nobody but ``load_state_dict`` may change it."""
    model = network(torch)
    optimizer = RMSprop(model.parameters())
    tamper, clause, role = TAMPERING[what]

    def each(number: int) -> None:
        if number == 7:
            tamper(model, optimizer)

    with record(optimizer, tmp_path / "run", named_parameters=model.named_parameters()):
        train(torch, model, optimizer, 10, each=each)
    first = verified(tmp_path / "run").first
    assert first is not None
    assert (first.step.number, first.deviation.clause, first.deviation.role) == (7, clause, role)
    assert first.deviation.param == "2.bias"


class Careless(RMSprop):
    """Negates the gradient, or moves a parameter that has none."""

    negates = False
    moves = False

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        loss = super().step(closure)
        for p in self.param_groups[0]["params"]:
            if p.grad is not None and self.negates:
                p.grad.neg_()
            if p.grad is None and self.moves:
                p.add_(1)
        return loss


@pytest.mark.parametrize(("switch", "clause"), [("negates", "grad-untouched"), ("moves", "grad-none")])
def test_what_a_step_must_not_change_is_watched(tmp_path: Path, switch: str, clause: str) -> None:
    """Gradients, and parameters without one."""
    model = network(torch)
    optimizer = Careless(model.parameters())

    def each(number: int) -> None:
        model[0].bias.grad = None
        setattr(optimizer, switch, number == 4)

    with record(optimizer, tmp_path / "run"):
        train(torch, model, optimizer, 5, each=each)
    first = verified(tmp_path / "run").first
    assert first is not None
    assert (first.step.number, first.deviation.clause) == (4, clause)


def test_an_old_learning_rate_is_named(tmp_path: Path) -> None:
    """A step that uses the lr of before breaks the clause on scheduled learning rates."""

    class Stale(RMSprop):
        def step(self, closure: Any = None) -> Any:
            group = self.param_groups[0]
            now, group["lr"] = group["lr"], self.held
            loss = super().step(closure)
            group["lr"] = now
            return loss

    model = network(torch)
    optimizer = Stale(model.parameters(), lr=0.01)
    optimizer.held = 0.01

    def each(number: int) -> None:
        if number == 6:
            optimizer.param_groups[0]["lr"] = 0.005

    with record(optimizer, tmp_path / "run"):
        train(torch, model, optimizer, 8, each=each)
    first = verified(tmp_path / "run").first
    assert first is not None
    assert (first.step.number, first.deviation.clause) == (6, "scheduled-lr")


# ---- what is kept


def test_every_nth_step_is_kept(tmp_path: Path) -> None:
    """The first and every n-th after it; nothing is said of what is between them."""
    recorded(tmp_path / "run", 10, arguments={"every": 4})
    found = verified(tmp_path / "run")
    assert [step.number for step in found.recording.steps()] == [1, 5, 9]
    assert (found.frames, found.deviations, found.recording.seen) == (0, [], 10)


def test_the_sample_is_the_same_each_time_and_stratified() -> None:
    """First and last, the extremes of parameter and gradient, the tail; no element twice."""
    p = torch.linspace(1, 2, 1003, requires_grad=True)
    p.grad = torch.ones(1003)
    p.grad[417], p.grad[611] = 50.0, 1e-9
    chosen = positions(p, 32)
    assert chosen is not None
    assert {0, 1002, 417, 611, 1000, 999, 991} <= set(chosen)
    assert len(set(chosen)) == 32
    assert chosen == positions(p, 32)
    assert positions(p, 1003) is None
    assert positions(p, None) is None
    assert positions(p, 1) == (0,)


def test_all_elements_can_be_kept(tmp_path: Path) -> None:
    """``elements=None`` verifies every element."""
    recorded(tmp_path / "run", 2, arguments={"elements": None})
    assert verified(tmp_path / "run").tally.element_checks == 2 * 2 * (64 * 16 + 16 + 160 + 10)


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


@pytest.mark.parametrize(("when_full", "first"), [("drop-oldest", False), ("stop", True)])
def test_a_recording_stays_within_its_size(tmp_path: Path, when_full: str, first: bool) -> None:
    """The oldest steps make room for the newest, or nothing more is recorded."""
    recorded(tmp_path / "run", 300, arguments={"max_bytes": 200_000, "when_full": when_full})
    found = verified(tmp_path / "run")
    assert size(tmp_path / "run") <= 200_000
    assert found.steps > 20
    assert (found.first_step == 1) is first
    assert (found.last_step == 300) is not first
    assert found.deviations == []


def test_a_chunk_is_a_safetensors_file(tmp_path: Path) -> None:
    """The library reads what is written."""
    from safetensors.numpy import load_file

    recorded(tmp_path / "run", 3)
    arrays = load_file(tmp_path / "run" / "chunk-000001.safetensors")
    assert {name.rpartition("/")[2] for name in arrays} == {"float32"}


# ---- cut off


def test_a_recording_that_is_cut_off_anywhere_yields_its_complete_steps(tmp_path: Path) -> None:
    """Whatever is left of the last chunk, the steps that are whole are verified, and no other."""
    recorded(tmp_path / "run", 130)
    last = tmp_path / "run" / "chunk-000002.safetensors"
    whole = last.read_bytes()
    counts = []
    for part in (0, 5, len(whole) // 3, len(whole) * 2 // 3, len(whole) - 1, len(whole)):
        last.write_bytes(whole[:part])
        found = verified(tmp_path / "run")
        assert found.deviations == []
        counts.append(found.steps)
    assert counts[:2] == [100, 100]
    assert counts == sorted(counts)
    assert 100 < counts[3] < 130
    assert counts[-2:] == [129, 130]


def damaged(path: Path, at: int) -> bytes:
    """The bytes of a file, with one of them turned over."""
    data = bytearray(path.read_bytes())
    data[at] ^= 0xFF
    return bytes(data)


def test_one_damaged_byte_is_never_blamed_on_the_optimizer(tmp_path: Path) -> None:
    """Wherever it is in a chunk: the recording is refused, and the chunk is named."""
    recorded(tmp_path / "run", 3)
    chunk = tmp_path / "run" / "chunk-000001.safetensors"
    whole = chunk.read_bytes()
    for at in (*range(8), *range(8, len(whole), 211), len(whole) - 1):
        chunk.write_bytes(damaged(chunk, at))
        with pytest.raises(BadRecording, match=r"chunk-000001\.safetensors is (damaged|not a chunk)"):
            verified(tmp_path / "run")
        chunk.write_bytes(whole)
    assert verified(tmp_path / "run").steps == 3


def test_a_changed_option_is_damage_too(tmp_path: Path) -> None:
    """What the header says of a step has a checksum as the numbers have."""
    recorded(tmp_path / "run", 3, eps=1e-3)
    chunk = tmp_path / "run" / "chunk-000001.safetensors"
    assert chunk.read_bytes().count(b"p-10") == 1
    chunk.write_bytes(chunk.read_bytes().replace(b"p-10", b"p-11"))
    with pytest.raises(BadRecording, match="the table of its steps is not what was written"):
        verified(tmp_path / "run")


def test_a_step_of_a_file_that_was_cut_off_is_checked_for_damage(tmp_path: Path) -> None:
    """Each step has a checksum of its own, so those before the cut have theirs."""
    recorded(tmp_path / "run", 10)
    chunk = tmp_path / "run" / "chunk-000001.safetensors"
    size_ = chunk.stat().st_size
    chunk.write_bytes(chunk.read_bytes()[: size_ * 3 // 4])
    assert 3 < verified(tmp_path / "run").steps < 10
    chunk.write_bytes(damaged(chunk, size_ * 6 // 10))
    with pytest.raises(BadRecording, match=r"what it holds of step \d is not what was written"):
        verified(tmp_path / "run")


def test_a_recording_without_checksums_is_read(tmp_path: Path) -> None:
    """One that an earlier version wrote, whose index does not say which chunks there are either."""
    from safetensors import safe_open
    from safetensors.numpy import load_file, save_file

    recorded(tmp_path / "run", 130)
    for path in (tmp_path / "run").glob("chunk-*"):
        with safe_open(path, "np") as file:
            told = json.loads(file.metadata()["steps"])
        for row in told["rows"]:
            del row["crc32"]
        save_file(load_file(path), path, {"schema": "rmspec.recording/1", "steps": json.dumps(told)})
    index = json.loads((tmp_path / "run" / "recording.json").read_text())
    del index["chunks"]
    (tmp_path / "run" / "recording.json").write_text(json.dumps(index))
    found = verified(tmp_path / "run")
    assert (found.steps, found.deviations, found.lost) == (130, [], [])


def names(*numbers: int) -> tuple[str, ...]:
    return tuple(f"chunk-{number:06d}.safetensors" for number in numbers)


LOSSES: dict[str, tuple[Callable[[Path], None], list[Lost]]] = {
    "first cut off": (lambda run: cut(run, 1, 300), [Lost(1, 100, cut_off=names(1))]),
    "middle cut off": (lambda run: cut(run, 2, 300), [Lost(101, 200, cut_off=names(2))]),
    "middle gone": (lambda run: gone(run, 2), [Lost(101, 200, gone=names(2))]),
    "first gone": (lambda run: gone(run, 1), [Lost(1, 100, gone=names(1))]),
    "last gone": (lambda run: gone(run, 3), [Lost(201, 300, gone=names(3))]),
    "last cut off": (lambda run: cut(run, 3, 300), [Lost(201, 300, cut_off=names(3))]),
    "two empty": (lambda run: cut(run, 1, 0) or cut(run, 2, 0), [Lost(1, 200, cut_off=names(1, 2))]),
    "gone and cut off": (lambda run: gone(run, 1) or cut(run, 2, 0), [Lost(1, 200, gone=names(1), cut_off=names(2))]),
    "two places": (
        lambda run: gone(run, 1) or cut(run, 3, 0),
        [Lost(1, 100, gone=names(1)), Lost(201, 300, cut_off=names(3))],
    ),
    "all gone": (
        lambda run: [gone(run, number) for number in (1, 2, 3)],
        [Lost(1, 300, gone=("chunk-000001.safetensors to chunk-000003.safetensors",))],
    ),
}


def cut(run: Path, number: int, length: int) -> None:
    os.truncate(run / names(number)[0], length)


def gone(run: Path, number: int) -> None:
    (run / names(number)[0]).unlink()


@pytest.fixture(scope="module")
def long_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording of 300 steps in three chunks."""
    folder = tmp_path_factory.mktemp("long") / "run"
    recorded(folder, 300)
    return folder


@pytest.mark.parametrize("what", LOSSES)
def test_what_is_lost_is_told(tmp_path: Path, long_run: Path, what: str) -> None:
    """Which steps, and the files that held them; the steps of the others are verified."""
    harm, lost = LOSSES[what]
    shutil.copytree(long_run, tmp_path / "run")
    harm(tmp_path / "run")
    found = verified(tmp_path / "run")
    assert found.lost == lost
    assert all(each.harmed for each in lost)
    assert found.steps == 300 - sum(each.last - each.first + 1 for each in lost if each.last)
    assert found.deviations == []


def test_every_nth_step_is_counted_among_the_lost(tmp_path: Path) -> None:
    """The first and the last are steps that were recorded."""
    recorded(tmp_path / "run", 900, arguments={"every": 3})
    gone(tmp_path / "run", 2)
    assert verified(tmp_path / "run").lost == [Lost(301, 598, gone=names(2))]


def test_steps_that_made_room_are_told_from_missing_ones(tmp_path: Path) -> None:
    """The index says which chunk was the oldest; of a run that was killed the reason is left open."""
    recorded(tmp_path / "run", 300, arguments={"max_bytes": 200_000})
    run = tmp_path / "run"
    there = sorted(path.name for path in run.glob("chunk-*"))
    (lost,) = verified(run).lost
    assert (lost.harmed, lost.gone, len(lost.dropped), lost.last) == (False, (), 1, verified(run).first_step - 1)
    (run / there[0]).unlink()
    (lost,) = verified(run).lost
    assert (lost.harmed, lost.gone, len(lost.dropped)) == (True, (there[0],), 1)
    index = json.loads((run / "recording.json").read_text())
    (run / "recording.json").write_text(json.dumps({**index, "chunks": None, "seen": None, "ended": ""}))
    (lost,) = verified(run).lost
    assert (lost.harmed, lost.or_dropped, lost.dropped) == (False, True, ())


KILLED = """
import os, sys, torch
sys.path.append({tests!r})
from training import network, train
from rmspec.properties import record
model = network(torch)
optimizer = torch.optim.RMSprop(model.parameters())
with record(optimizer, "run"):
    train(torch, model, optimizer, 250, each=lambda number: os._exit(9) if number == 230 else None)
"""


def test_a_run_that_is_killed_leaves_its_steps(tmp_path: Path) -> None:
    """A process that ends without warning leaves the chunks that were written, and the recording says that it was cut off."""
    code = KILLED.format(tests=str(Path(__file__).parents[2] / "helpers"))
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=False, env={**os.environ})
    assert done.returncode == 9
    found = verified(tmp_path / "run")
    assert (found.steps, found.recording.ended, found.recording.seen, found.deviations) == (200, "", None, [])


def test_an_exception_of_the_run_is_noted(tmp_path: Path) -> None:
    """Every step until then is kept, and the exception goes on its way."""
    model = network(torch)
    optimizer = RMSprop(model.parameters())

    def each(number: int) -> None:
        if number == 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), record(optimizer, tmp_path / "run"):
        train(torch, model, optimizer, 10, each=each)
    found = verified(tmp_path / "run")
    assert (found.steps, found.recording.ended) == (7, "KeyboardInterrupt")


def test_a_failing_disk_ends_the_recording_and_not_the_training(tmp_path: Path) -> None:
    """It is told in a warning, and the steps that were written before can be read."""
    model = network(torch)
    optimizer = RMSprop(model.parameters())

    def each(number: int) -> None:
        if number == 150:
            (tmp_path / "run").rename(tmp_path / "gone")

    with pytest.warns(UserWarning, match="stopped recording at step 200"), record(optimizer, tmp_path / "run"):
        train(torch, model, optimizer, 210, each=each)
    assert verified(tmp_path / "gone").steps == 100


# ---- bad input


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"every": 0}, "every=0"),
        ({"elements": True}, "elements=True"),
        ({"max_bytes": 1.5}, "max_bytes=1.5"),
        ({"when_full": "burst"}, "choose from drop-oldest, stop"),
    ],
)
def test_an_argument_that_cannot_be_used_is_refused(tmp_path: Path, arguments: dict[str, Any], words: str) -> None:
    """Before anything is written, with what to type."""
    optimizer = RMSprop([torch.ones(1, requires_grad=True)])
    with pytest.raises(InputProblem, match=words), record(optimizer, tmp_path / "run", **arguments):
        pass
    assert not (tmp_path / "run").exists()


def test_what_is_no_optimizer_of_torch_is_refused(tmp_path: Path) -> None:
    """Steps are recorded through torch's hooks."""
    with pytest.raises(InputProblem, match=r"no torch\.optim\.Optimizer"), record(object(), tmp_path / "run"):  # type: ignore[arg-type]
        pass


def test_two_runs_do_not_mix(tmp_path: Path) -> None:
    """A folder that holds anything is refused."""
    recorded(tmp_path / "run", 1)
    with pytest.raises(BadRecording, match="not empty"):
        recorded(tmp_path / "run", 1)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda run: (run / "recording.json").unlink(), "is no recording"),
        (lambda run: (run / "recording.json").write_text("{"), "cannot be read"),
        (lambda run: (run / "recording.json").write_text(json.dumps({"schema": "other"})), "cannot be read"),
        (lambda run: (run / "chunk-000001.safetensors").write_bytes(b"\x10" + b"\0" * 40), "not a chunk"),
    ],
)
def test_what_is_no_recording_is_refused(tmp_path: Path, damage: Any, words: str) -> None:
    """With the file that is wrong."""
    recorded(tmp_path / "run", 1)
    damage(tmp_path / "run")
    with pytest.raises(BadRecording, match=words):
        verified(tmp_path / "run")
