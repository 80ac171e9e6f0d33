"""A witness shows its own reason: it is fixed where that alone is mended, and deviates where all else is."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rmspec.oracles.dialects import dialects
from rmspec.oracles.loader import load
from rmspec.oracles.numpy.subject import ReferenceSubject
from rmspec.properties.check import replay
from rmspec.properties.known import shipped
from rmspec.properties.settings import Settings

ENTRIES = shipped()
# What the compiler does no class can mend: tests/oracles/torch/test_evidence.py has its entries, which eager steps mend.
# Nor can it mend torch's operations: tests/oracles/torch/test_operations.py does.
OWN = [
    entry
    for entry in ENTRIES
    if entry.id.startswith("torch-") and entry.subject != "torch:compiled" and entry.clause != "operation-rounding"
]
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


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.id)
def test_a_witness_is_fixed_where_the_specification_is_kept(entry: Any) -> None:
    """The reference, in the dialect of the witness, mends every deviation; and a script needs no word more than the file."""
    witness = entry.witness
    assert witness.subject
    assert witness.clause == entry.clause
    dialect = witness.dialect or "torch"
    mended = ReferenceSubject(dialects()[dialect])
    deviations = replay(mended, witness, Settings(known=(), dialect=dialect))
    assert [deviation.summary for deviation in deviations] == []
