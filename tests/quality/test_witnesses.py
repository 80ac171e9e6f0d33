"""A witness shows its own reason: it is fixed where that alone is mended, and deviates where all else is."""

from __future__ import annotations

import math
import runpy
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from rmspec.oracles.dialects import dialects
from rmspec.oracles.loader import load
from rmspec.oracles.numpy.subject import ReferenceSubject
from rmspec.oracles.program.program import Call, Param, SetGrad, Step
from rmspec.oracles.registry import registered_names
from rmspec.oracles.subject import Outcome, Raised
from rmspec.properties.check import replay
from rmspec.properties.known import shipped, speaks_of
from rmspec.properties.search.fitting import lacks_derivatives
from rmspec.properties.settings import Settings

ENTRIES = [entry for entry in shipped() if entry.witness is not None]
# What the compiler does no class can mend: tests/oracles/torch/test_evidence.py has its entries, which eager steps mend.
# Nor can it mend torch's operations: tests/oracles/torch/test_operations.py does.
OWN = [
    entry
    for entry in ENTRIES
    if entry.id.startswith("torch-") and entry.subject != "torch:compiled" and entry.clause != "operation-rounding"
]
# The reference has no derivatives to be asked for.
ASKED = [entry for entry in ENTRIES if not lacks_derivatives(entry.witness, ReferenceSubject().capabilities())]
MENDED = Path(__file__).parent / "mended" / "torch_entries.py"


@pytest.fixture
def clauses(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Any], set[str]]:
    """The clauses broken in the entry's witness by its subject, made of a class of ``MENDED`` instead of torch's."""
    torch = pytest.importorskip("torch")

    def broken(name: str, entry: Any) -> set[str]:
        with monkeypatch.context() as patch:
            mended = runpy.run_path(str(MENDED))
            patch.setattr(torch.optim, "RMSprop", mended[f"{name}_{entry.id.replace('-', '_')}"])
            return {
                deviation.clause for deviation in replay(load(entry.witness.subject), entry.witness, Settings(known=()))
            }

    return broken


@pytest.mark.parametrize("entry", OWN, ids=lambda entry: entry.id)
def test_a_witness_of_torch_shows_its_reason_and_no_other(entry: Any, clauses: Callable[[str, Any], set[str]]) -> None:
    """Two mended classes: with only this one the witness conforms, with all but this one it deviates by the entry's clause."""
    assert clauses("Only", entry) == set()
    assert clauses("But", entry) == {entry.clause}


@pytest.mark.parametrize("entry", ASKED, ids=lambda entry: entry.id)
def test_a_witness_is_fixed_where_the_specification_is_kept(entry: Any) -> None:
    """The reference, in the dialect of the witness, mends every deviation; and a script needs no word more than the file."""
    witness = entry.witness
    assert witness.subject
    assert witness.clause == entry.clause
    dialect = witness.dialect or "torch"
    mended = ReferenceSubject(dialects()[dialect])
    deviations = replay(mended, witness, Settings(known=(), dialect=dialect))
    assert [deviation.summary for deviation in deviations] == []


# -- entries of the other frameworks with one clause on one subject: the reference with the deviation of one of them alone

Change = Callable[[Param, SetGrad], tuple[SetGrad, int]]
"""Of a row-sparse gradient: what is taken in its place, and how often the next step is done with it; never: it is refused."""


class WithOne(ReferenceSubject):
    """The reference in a dialect, with one deviation of row-sparse gradients."""

    def __init__(self, dialect: str, change: Change) -> None:
        super().__init__(dialects()[dialect])
        self.change = change

    def session(self, params: tuple[Param, ...]) -> Any:
        session, declared = super().session(params), {param.name: param for param in params}
        perform, times = session.perform, {"step": 1}

        def changed(call: Call) -> Outcome:
            if isinstance(call, SetGrad) and call.rows is not None:
                call, times["step"] = self.change(declared[call.param], call)
            elif isinstance(call, Step):
                if not times["step"]:
                    return Outcome(raised=Raised("NotFoundError", "no kernel"))
                return [perform(call) for _ in range(times["step"])][-1]
            return perform(call)

        session.perform = changed
        return session


def no_bfloat16(param: Param, call: SetGrad) -> tuple[SetGrad, int]:
    return call, param.dtype != "bfloat16"


def each_of_repeated_rows(param: Param, call: SetGrad) -> tuple[SetGrad, int]:
    assert call.rows is not None
    return call, max(call.rows.count(row) for row in call.rows)


def dense(param: Param, call: SetGrad) -> tuple[SetGrad, int]:
    assert call.values is not None
    assert call.rows is not None
    values = tuple(call.values[0] if row in call.rows else 0.0 for row in range(math.prod(param.shape)))
    return replace(call, rows=None, values=values), 1


DEVIATIONS: dict[str, Change] = {
    "tensorflow-no-sparse-bfloat16": no_bfloat16,
    "tensorflow-repeated-rows": each_of_repeated_rows,
    "keras-legacy-no-sparse-bfloat16": no_bfloat16,
    "keras-legacy-sparse-decays-other-rows": dense,
}
"""By entry, the one deviation that is left where all else is mended."""


def test_every_entry_beside_another_of_its_clause_has_its_deviation_alone() -> None:
    """Beside it on one subject: there one could pass for the other."""
    others = [entry for entry in ENTRIES if not entry.id.startswith("torch-")]
    beside = {
        entry.id
        for pair in combinations(others, 2)
        if pair[0].clause == pair[1].clause
        and any(speaks_of(pair[0], name) and speaks_of(pair[1], name) for name in registered_names())
        for entry in pair
    }
    assert beside == DEVIATIONS.keys()


@pytest.mark.parametrize("id", DEVIATIONS)
def test_a_witness_beside_another_of_its_clause_shows_its_reason_and_no_other(id: str) -> None:
    """With its deviation alone it deviates by the entry's clause; with that of any other entry alone it conforms."""
    (entry,) = (each for each in ENTRIES if each.id == id)
    assert entry.witness is not None
    assert entry.witness.dialect
    for change in DEVIATIONS.values():
        subject = WithOne(entry.witness.dialect, change)
        deviations = replay(subject, entry.witness, Settings(known=(), dialect=entry.witness.dialect))
        broken = {deviation.clause for deviation in deviations if not deviation.hazard}
        assert broken == ({entry.clause} if change is DEVIATIONS[id] else set()), change.__name__
