"""The switches of a dialect are rows: complete, in step with ``Dialect``, and all that a new switch needs beside its branch."""

import dataclasses
import tomllib
import typing
from dataclasses import dataclass, replace

import numpy as np
import pytest

from rmspec.impl import CLAUSES, FORMATS, CannotTranslate, Hyperparameters, Saved, SavedGroup, Terms, translate
from rmspec.impl.arithmetic.envelope import Before, envelope
from rmspec.impl.arithmetic.intervals import Arithmetic, Scalars
from rmspec.impl.errors import RmspecError
from rmspec.impl.spec import switches
from rmspec.impl.spec.dialect import DIALECTS, SPECIFICATION, Dialect
from rmspec.impl.spec.signatures import adapted, call
from rmspec.impl.spec.switches import (
    ROUNDINGS,
    SWITCHES,
    Position,
    Switch,
    UnknownPosition,
    set_switches,
    spell_switches,
)
from rmspec.impl.spec.wording import statement

FIELDS = [
    each.name
    for each in dataclasses.fields(Dialect)
    if each.name not in ("name", "title", "defaults", "constructor", "amendments")
]
BUSY = Hyperparameters(lr=0.5, alpha=0.75, eps=0.25, weight_decay=0.125, momentum=0.5, centered=True)


def literal(name):
    """The positions that ``Dialect`` declares for a field, numbers aside."""
    declared = typing.get_type_hints(Dialect)[name]
    if declared is bool:
        return {False, True}
    parts = typing.get_args(declared)
    if not any(typing.get_args(part) for part in parts):
        return {part for part in parts if isinstance(part, str)} if declared != frozenset[str] else {frozenset()}
    return {value for part in parts for value in typing.get_args(part)}


def test_every_switch_of_a_dialect_has_one_row():
    """And no row is of anything else."""
    assert sorted(SWITCHES) == sorted(FIELDS)
    assert all(row.name == name for name, row in SWITCHES.items())


@pytest.mark.parametrize("name", SWITCHES)
def test_a_row_describes_every_position_that_the_dialect_declares(name):
    """In words, no two positions in the same; its clause is one of the page's."""
    row = SWITCHES[name]
    assert {each.value for each in row.positions} == literal(name)
    words = [each.words for each in row.positions]
    assert all(words)
    assert len(set(words)) == len(words)
    assert row.clause in CLAUSES
    assert row.position(row.value(SPECIFICATION)).words
    assert row.option in ("", *(each.name for each in dataclasses.fields(Hyperparameters)))
    assert row.term in ("", *(each.name for each in dataclasses.fields(Terms)))


@pytest.mark.parametrize("name", [name for name, row in SWITCHES.items() if row.questions])
def test_what_is_asked_of_a_switch_is_what_a_dialect_can_be(name):
    """Each position that parameters show as another one shows as one that is asked."""
    row = SWITCHES[name]
    for value in row.questions:
        assert row.position(value).words
        assert dataclasses.replace(SPECIFICATION, **{name: value})
    assert {each.resembles for each in row.positions} - {None} <= set(row.questions)


@pytest.mark.parametrize("name", [name for name in SWITCHES if name not in ("scalars", "single", "sparse")])
def test_every_position_of_a_switch_is_seen_in_the_step_or_in_the_state(name):
    """A row without a branch in the pseudocode would state what no dialect does."""
    row = SWITCHES[name]
    seen = set()
    for each in (*row.positions, *(Position(value, "") for value in row.questions)):
        dialect = replace(SPECIFICATION, **{name: each.value})
        results = []
        for hyper in (BUSY, replace(BUSY, momentum=0.0), replace(BUSY, centered=False)):
            start = dialect.initial("square_avg", hyper)
            values = Before(*(np.full(1, x) for x in (2.0, 0.5, 3.0 + start, 0.125, 0.25)))
            bounds = envelope(values, FORMATS["float32"], hyper, dialect, t=3)
            results.append(tuple(sorted((role, float(b.lo[0]), float(b.hi[0])) for role, b in bounds.items())))
        seen.add(tuple(results))
    assert len(seen) == len({each.value for each in row.positions} | set(row.questions))


def test_every_dialect_is_spelled_in_toml_and_read_back():
    """What differs from the specification, and no more."""
    for dialect in DIALECTS.values():
        table = spell_switches(dialect)
        text = "".join(f"{name} = {toml(value)}\n" for name, value in table.items())
        read = set_switches(SPECIFICATION, tomllib.loads(text))
        assert [row.value(read) for row in SWITCHES.values()] == [row.value(dialect) for row in SWITCHES.values()]
    assert spell_switches(SPECIFICATION) == {}
    assert spell_switches(DIALECTS["keras3"])["single"] == ["lr", "weight_decay"]


def toml(value):
    """A value of TOML."""
    return str(value).lower() if isinstance(value, bool) else repr(value)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"eps_placed": "inside"}, "no dialect has a switch 'eps_placed'; did you mean eps_place?"),
        ({"eps_place": "under"}, "its positions are 'outside', 'inside', 'none', 'moves'"),
        ({"nesterov": "yes"}, "nesterov is never 'yes'"),
        ({"decay": 1.0}, "decay is never 1.0"),
        ({"initial_square_avg": "lr"}, "initial_square_avg is never 'lr'"),
        ({"maximize": 1}, "maximize is never 1"),
        ({"single": ["lr", "rho"]}, "single is never ['lr', 'rho']"),
    ],
)
def test_what_is_no_switch_and_no_position_is_refused(table, words):
    """With the names that there are; the data ride along."""
    with pytest.raises(UnknownPosition) as caught:
        set_switches(SPECIFICATION, table)
    assert words in str(caught.value)
    assert isinstance(caught.value, RmspecError)
    assert [(caught.value.switch, caught.value.value)] == list(table.items())


def test_a_number_is_a_position_of_the_initial_average_alone():
    """An integer of TOML is the number."""
    assert set_switches(SPECIFICATION, {"initial_square_avg": 1}).initial_square_avg == 1.0


def test_a_constructor_spells_the_positions_that_its_option_can_say():
    """``eps_in_sqrt`` says two places, ``initial_scale`` any number, and neither says more."""
    eps, start = SWITCHES["eps_place"], SWITCHES["initial_square_avg"]
    assert [eps.keyword_value(each) for each in ("outside", "inside", "none", "moves")] == [False, True, None, None]
    assert [eps.position_of(each) for each in (False, True)] == ["outside", "inside"]
    assert (start.keyword_value(0.5), start.keyword_value("eps"), start.position_of(0.5)) == (0.5, None, 0.5)
    optax = DIALECTS["optax"]
    assert adapted(optax, replace(SPECIFICATION, initial_square_avg="eps"), BUSY).initial_square_avg == 0.0
    assert adapted(optax, replace(SPECIFICATION, eps_place="moves"), BUSY).eps_place == "inside"
    assert adapted(optax, DIALECTS["hinton"], BUSY).eps_place == "inside"
    made = adapted(optax, replace(SPECIFICATION, initial_square_avg=0.5, nesterov=True), BUSY)
    assert call(made, BUSY).endswith("eps_in_sqrt=False, initial_scale=0.5, nesterov=True)")
    assert call(made, BUSY, initial=False).endswith("eps_in_sqrt=False, nesterov=True)")


def test_every_position_of_scalars_has_its_rounding():
    """The arithmetic reads the rounding, and branches on no name."""
    assert set(ROUNDINGS) == set(typing.get_args(Scalars)) == {each.value for each in SWITCHES["scalars"].positions}
    assert len(set(ROUNDINGS.values())) == len(ROUNDINGS)
    widths = {}
    for name in ROUNDINGS:
        alpha = Arithmetic(FORMATS["bfloat16"], np.zeros(1), scalars=name).coefficient(0.999)
        widths[name] = float(alpha.hi - alpha.lo)
    assert widths["double"] == widths["float32"] < widths["cast"] == widths["storage"] == widths["float32-storage"]


def test_the_fast_filter_decides_where_every_position_lets_it():
    """Not under bias correction."""
    assert switches.has_filter(SPECIFICATION)
    assert not switches.has_filter(replace(SPECIFICATION, bias_correction=True))


@dataclass(frozen=True, slots=True)
class Wider(Dialect):
    """A dialect with a switch that rmspec has not: the average of squares takes their largest value so far."""

    amsgrad: bool = False


@pytest.fixture
def amsgrad(monkeypatch):
    """The specification with the new switch off, and with it on, its row among the others."""
    row = Switch(
        "amsgrad",
        "order-within-bound",
        (
            Position(False, "the denominator is made of the last average"),
            Position(True, "the denominator is made of the largest average so far", filtered=False),
        ),
        questions=(False, True),
    )
    monkeypatch.setitem(switches._ROWS, "amsgrad", row)
    monkeypatch.setattr(switches, "SPECIFICATION", Wider("torch", SPECIFICATION.title))
    return Wider("plain", "without it"), Wider("ams", "with it", amsgrad=True)


def test_a_new_switch_needs_its_row_and_its_branch_alone(amsgrad):
    """Its statement, its spelling, its refusal by ``translate`` and the question of ``identify`` follow from the row."""
    from rmspec.properties.identify.explanation import Hypothesis, alternatives, expand

    off, on = amsgrad
    assert statement("order-within-bound", on) == "the denominator is made of the largest average so far (ams)"
    assert statement("order-within-bound", off) == CLAUSES["order-within-bound"].title
    assert spell_switches(on) == {"amsgrad": True}
    assert set_switches(off, {"amsgrad": True}).amsgrad
    assert not switches.has_filter(on)
    assert translate(Saved((SavedGroup(off, BUSY),)), replace(off, name="other")).exact
    with pytest.raises(
        CannotTranslate, match="plain: the denominator is made of the last average; ams: the denominator"
    ):
        translate(Saved((SavedGroup(off, BUSY),)), on)
    assert alternatives("amsgrad") == (False, True)
    assert [each.value("amsgrad") for each in expand([Hypothesis(off)], "amsgrad")] == [False, True]
