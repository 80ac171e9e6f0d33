"""The state machine's programs: a function of the seed, whatever else is imported, and programs all of them."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path

import hypothesis
import pytest
from hypothesis.internal.conjecture import providers
from packaging.requirements import Requirement

from rmspec.oracles.errors import Unsupported
from rmspec.oracles.program.program import _OPS, from_json, op, to_json
from rmspec.properties.search.fingerprint import fingerprint
from rmspec.properties.search.machine import generate

PRINT = """
from rmspec.properties.search.fingerprint import fingerprint
from rmspec.properties.search.machine import generate
print(fingerprint(generate(3, 12)))
"""


@pytest.fixture(scope="module")
def programs():
    return generate(3, 40)


def printed(*lines: str, folder: Path) -> str:
    code = "\n".join((*lines, PRINT))
    environment = {**os.environ, "PYTHONHASHSEED": str(len(lines))}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=folder, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_one_seed_gives_the_same_programs(programs) -> None:
    """Twice in one process, and another seed gives others."""
    assert generate(3, 40) == programs
    assert generate(4, 40) != programs


def test_what_is_imported_changes_no_program(tmp_path: Path) -> None:
    """Local modules full of constants, imported before, are not drawn from: another process has the same cases."""
    (tmp_path / "constants_of_mine.py").write_text(
        "\n".join(f"C{n}, F{n} = {n}, {n}.0625" for n in range(100, 300)) + "\nTEXT = 'momentum'\n", encoding="utf-8"
    )
    imports = ["import sys", f"sys.path.append({str(tmp_path)!r})", "import constants_of_mine, decimal, fractions"]
    here = fingerprint(generate(3, 12))
    assert printed(folder=tmp_path) == here
    assert printed(*imports, folder=tmp_path) == here


@pytest.mark.parametrize("seed", range(3))
def test_as_many_programs_as_were_asked_for(seed: int) -> None:
    """Each follows the schema and starts with an optimizer: an example that Hypothesis gives up leaves none behind."""
    programs = generate(seed, 40)
    assert len(programs) == 40
    for program in programs:
        assert from_json(to_json(program)) == program
        assert op(program.calls[0]) == "create"


def test_every_call_of_the_vocabulary_occurs(programs) -> None:
    """In forty programs each kind of call on an optimizer comes up, but for edits and copies, which are rare; steps most of all."""
    counts = Counter(op(call) for program in programs for call in program.calls)
    assert set(counts) | {"edit_state", "copy", "operate", "record", "differentiate"} == set(_OPS)
    assert counts["step"] > 60


def test_programs_are_long_enough_to_have_a_history(programs) -> None:
    """Most of them step several times."""
    steps = sorted(sum(op(call) == "step" for call in program.calls) for program in programs)
    assert steps[len(steps) // 2] >= 3


def test_a_fingerprint_tells_programs_apart(programs) -> None:
    """One digit of one number makes another one."""
    assert fingerprint(programs) == fingerprint(tuple(programs))
    assert fingerprint(programs) != fingerprint(programs[1:])
    assert len(fingerprint(programs)) == 16


def test_no_constant_of_a_module_is_looked_for(programs, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither for a new program nor for the beginning of one that differs from those before; afterwards they are again."""
    looked = []
    monkeypatch.setattr(providers, "_get_local_constants", lambda: looked.append(1))
    assert generate(3, 40) == programs
    assert looked == []
    assert providers.HypothesisProvider(None)._local_constants is None
    assert looked == [1]


@pytest.mark.parametrize(
    ("thing", "name"),
    [
        (providers.HypothesisProvider, "_local_constants"),
        (providers, "CONSTANTS_CACHE"),
        (providers, "HypothesisProvider"),
    ],
)
def test_an_unknown_hypothesis_is_refused(thing: object, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where its constants are kept otherwise, no program is made that an import could change."""
    monkeypatch.delattr(thing, name)
    with pytest.raises(Unsupported, match=f"does not know Hypothesis {hypothesis.__version__}"):
        generate(0, 2)


def test_the_oldest_supported_hypothesis_is_tested() -> None:
    """An environment of tox has the lowest version that pyproject.toml allows; the version here is allowed, too."""
    root = Path(__file__).parents[3]
    dependencies = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]["dependencies"]
    [required] = [Requirement(each) for each in dependencies if each.startswith("hypothesis")]
    assert required.specifier.contains(hypothesis.__version__)
    [oldest] = [bound.version for bound in required.specifier if bound.operator == ">="]
    assert f"hypothesis=={oldest}" in (root / "tox.ini").read_text("utf-8").split()
