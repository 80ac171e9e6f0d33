"""Evidence: what is claimed of an execution path was run on it, by torch's own count."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from programs import create, findings, program, result, step

pytest.importorskip("torch")

import torch

from rmspec.oracles.loader import load
from rmspec.oracles.program.program import Program, SetOption
from rmspec.oracles.registry import registered_names
from rmspec.oracles.torch.evidence import _watched_compiler
from rmspec.oracles.torch.script import statements
from rmspec.oracles.torch.subject import TorchSubject
from rmspec.properties.events import Deviation
from rmspec.properties.judge.findings import Tally
from rmspec.properties.known import shipped

SHORT = program(create(lr=0.5, momentum=0.5), step(p=2.0), step(p=0.5), SetOption("A", 0, {"lr": 0.25}), step(p=1.0))
SQUARES = program(create(lr=0.5, alpha=0.5, eps=0.0), *(step(p=grad) for grad in (2.0, 0.5, 1.0, 4.0)))


def tally_of(run: Program, subject: Any) -> Tally:
    """The counts of a program without findings."""
    tally = Tally()
    assert findings(run, subject, subject.dialect, tally) == ()
    return tally


@pytest.mark.parametrize(
    ("name", "path"),
    [(name, path) for name, owner in registered_names().items() for path in owner.subjects[name].paths],
)
def test_every_step_of_a_registered_path_takes_it(name: str, path: str) -> None:
    """A path counts its steps, and each of them entered it."""
    if not name.startswith("torch") or path in ("compiled", "capturable"):
        pytest.skip("another framework, a GPU, or seconds of compilation")
    tally = tally_of(SHORT, load(name))
    assert (tally.steps, tally.paths[path], tally.astray) == (3, 3, 0)


def test_every_path_that_a_subject_must_take_is_counted() -> None:
    """A required path without a counter would never be taken."""
    for name, owner in registered_names().items():
        assert set(owner.subjects[name].paths) <= {counter.path for counter in owner.counters}, name


def test_the_kernels_are_as_before_once_they_were_counted() -> None:
    """Counting leaves nothing behind in torch."""
    import torch.optim.rmsprop as module

    kernels = (module._single_tensor_rmsprop, module._multi_tensor_rmsprop)
    tally_of(SHORT, load("torch"))
    tally_of(SHORT, load("torch:foreach"))
    assert (module._single_tensor_rmsprop, module._multi_tensor_rmsprop) == kernels


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("torch:foreach", {"foreach": False}),
        ("torch", {"foreach": True}),
        ("torch:maximize", {"foreach": False}),
    ],
)
def test_a_path_that_is_never_taken_conforms_in_nothing(name: str, options: dict[str, bool]) -> None:
    """The kernel of another path was entered throughout: inconclusive, with the reason, and no check is claimed."""
    subject = TorchSubject(name, partial(torch.optim.RMSprop, **options))
    done = result(subject, profile="smoke", formats=("float32",), programs=(), without=frozenset({"state_dict"}))
    assert done.verdict == "inconclusive"
    assert "no step took the path" in done.message
    assert not any(each.verdict == "conforms" for each in done.clauses)
    assert (done.element_checks, done.inconclusive_checks) == (0, 0)
    assert done.evidence is not None
    assert done.evidence.astray > 100


# -- a class of the user's that compiles its own update


@pytest.fixture(autouse=True)
def _fresh_compiler() -> Iterator[None]:
    """What one test compiles, or fails to, is no part of the next."""
    yield
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    _watched_compiler().refused.clear()


def mean(v: torch.Tensor, g: torch.Tensor, alpha: float) -> torch.Tensor:
    """The square average, wrong wherever it runs without the compiler."""
    wrong = 0 if torch.compiler.is_compiling() else 8
    return v * alpha + g * g * (1 - alpha) + wrong


class Compiled(torch.optim.Optimizer):
    """A plain RMSprop; ``square`` is its compiled function."""

    square: Any = None
    limit = 1000

    def __init__(self, params: Any, lr: float = 0.01, alpha: float = 0.99, eps: float = 1e-8) -> None:
        super().__init__(params, {"lr": lr, "alpha": alpha, "eps": eps})

    def squared(self, v: torch.Tensor, g: torch.Tensor, alpha: float) -> torch.Tensor:
        with torch._dynamo.config.patch(recompile_limit=self.limit):
            return self.square(v, g, alpha)

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    state = self.state[p]
                    v = state.setdefault("square_avg", torch.zeros_like(p))
                    v.copy_(self.squared(v, p.grad, group["alpha"]))
                    p.sub_(group["lr"] * p.grad / (v.sqrt() + group["eps"]))


def compiled_class(**parts: Any) -> TorchSubject:
    """A subject of the class with its own compiled function."""
    function = torch.compile(mean, backend="eager", dynamic=False)
    return TorchSubject("mine", type("Mine", (Compiled,), {"square": staticmethod(function), **parts}))


SHAPES = [program(create(alpha=alpha), *(step(p=grad) for grad in (2.0, 0.5, 1.0))) for alpha in (0.5, 0.75, 0.25)]


def test_a_class_that_compiles_its_update_says_so() -> None:
    """Its graphs are counted, and it is asked chosen programs."""
    subject = compiled_class()
    assert subject.capabilities().paths == {"compiled"}
    tally = tally_of(SHAPES[0], subject)
    assert (tally.steps, tally.paths["compiled"], tally.astray) == (3, 3, 0)
    assert tally.entries["graphs"] >= 1


def test_a_step_that_fell_back_to_eager_fails_nothing_and_is_no_check() -> None:
    """Beyond the limit of recompilations the wrong function runs: those steps are counted apart."""
    subject = compiled_class(limit=1)
    tallies = [tally_of(each, subject) for each in SHAPES]
    assert sum(tally.astray for tally in tallies) >= 6
    assert sum(tally.steps for tally in tallies) + sum(tally.astray for tally in tallies) == 9
    assert all(not tally.element_checks for tally in tallies if not tally.steps)


def test_the_limit_is_raised_so_that_every_variant_is_compiled() -> None:
    """With the limit of the process twelve values of alpha are twelve graphs, and nothing falls back."""
    subject = compiled_class(squared=lambda self, v, g, alpha: self.square(v, g, alpha))
    runs = [program(create(alpha=place / 16), step(p=2.0)) for place in range(2, 14)]
    tallies = [tally_of(each, subject) for each in runs]
    assert sum(tally.astray for tally in tallies) == 0
    assert sum(tally.paths["compiled"] for tally in tallies) == 12


def test_a_step_is_astray_where_one_of_its_two_functions_fell_back() -> None:
    """The graph of the other function does not make it a compiled step."""
    other = torch.compile(lambda v: v + 0, backend="eager")

    def squared(self: Any, v: torch.Tensor, g: torch.Tensor, alpha: float) -> torch.Tensor:
        with torch._dynamo.config.patch(recompile_limit=1):
            return self.square(other(v), g, alpha)

    subject = compiled_class(squared=squared)
    tallies = [tally_of(each, subject) for each in SHAPES]
    assert sum(tally.astray for tally in tallies) >= 6


def test_a_branch_that_is_not_compiled_by_choice_is_checked() -> None:
    """A class that compiles for some values alone has no step astray, and what is wrong in the others is a finding."""

    def squared(self: Any, v: torch.Tensor, g: torch.Tensor, alpha: float) -> torch.Tensor:
        return self.square(v, g, alpha) if alpha == 0.5 else mean(v, g, alpha)

    subject = compiled_class(squared=squared)
    assert tally_of(SHAPES[0], subject).astray == 0
    assert [each.clause for each in findings(SHAPES[1], subject)][:1] == ["square-avg"]


def test_what_is_wrong_in_the_compiled_function_alone_is_found() -> None:
    """Right without the compiler, wrong with it."""

    def square(v: torch.Tensor, g: torch.Tensor, alpha: float) -> torch.Tensor:
        return v * alpha + g * g * (0.75 if torch.compiler.is_compiling() else 1 - alpha)

    subject = compiled_class(square=staticmethod(torch.compile(square, backend="eager", dynamic=False)))
    assert [each.clause for each in findings(SHAPES[0], subject)][:1] == ["square-avg"]


# -- torch under the compiler


@pytest.mark.slow
def test_the_witnesses_of_the_compiled_path_deviate(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each by itself, through its own line, on a step that entered a graph; the same steps without the compiler conform."""
    try:
        torch.compile(lambda x: x + 1)(torch.ones(1))
    except Exception as error:
        pytest.skip(f"torch.compile does not work here: {str(error).splitlines()[0]}")
    entries = [entry for entry in shipped() if entry.subject == "torch:compiled" and not entry.where]
    if torch.__version__ < "2.13":
        pytest.skip("the entries speak of later versions")
    assert len(entries) == 4
    subject = load("torch:compiled")
    for entry in entries:
        assert entry.witness is not None
        assert findings(entry.witness, load("torch")) == ()
        torch._dynamo.reset()
        monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / entry.id))
        tally = Tally()
        broken = {each.clause for each in findings(entry.witness, subject, tally=tally)}
        assert {entry.clause, "step"} & broken
        # A graph whose guard fails is never entered.
        refused = entry.id == "torch-compiled-guards-alpha"
        assert (tally.steps - refused, tally.astray) == (tally.paths["compiled"], 0)


def test_a_script_of_the_compiled_path_compiles() -> None:
    """Without torch.compile it would show nothing."""
    witness = next(entry.witness for entry in shipped() if entry.id == "torch-compiled-keeps-alpha")
    assert witness is not None
    _, lines = statements(
        Deviation("square-avg", "", witness, "value", 6, "A", "p0", "square_avg", observed=0.0, allowed=(1.0, 2.0))
    )
    assert "A_step = torch.compile(A.step)" in lines
    assert lines.count("A_step()") == 3


def test_a_script_of_the_compiled_path_reads_no_earlier_graphs() -> None:
    """A graph of the cache lacks the guard that fails: run again, the script would pass."""
    witness = next(entry.witness for entry in shipped() if entry.id == "torch-compiled-guards-alpha")
    assert witness is not None
    imports, _ = statements(Deviation("step", "", witness, "raised", 5, "A"))
    assert imports[:2] == ["import os, tempfile, torch", 'os.environ["TORCHINDUCTOR_CACHE_DIR"] = tempfile.mkdtemp()']


def test_what_failed_to_compile_elsewhere_in_the_process_is_no_matter_of_an_eager_class(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An optimizer that is handed over shares its process with whatever else its caller compiles there."""
    compiler = _watched_compiler()
    monkeypatch.setattr(compiler, "made", compiler.made + 1)
    monkeypatch.setattr(type(compiler), "_failures", lambda self: 1)
    tally = tally_of(SHORT, TorchSubject("mine", torch.optim.RMSprop))
    assert (tally.steps, tally.astray) == (3, 0)
