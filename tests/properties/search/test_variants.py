"""Programs for a compiled path: so many variants in all, and what they cover."""

from __future__ import annotations

from programs import create, program, step

from rmspec.impl.arithmetic.formats import FORMATS
from rmspec.oracles.program.program import (
    AddParamGroup,
    EditState,
    Group,
    Load,
    Param,
    Program,
    Save,
    SetGrad,
    SetOption,
    Step,
)
from rmspec.oracles.subject import Capabilities
from rmspec.properties.examination.plan import Plan
from rmspec.properties.search.corpus import corpus, ordered
from rmspec.properties.search.variants import choose_programs, count_variants
from rmspec.properties.settings import Settings


def test_a_variant_is_a_step_with_other_options_parameters_or_state() -> None:
    """Numbers of gradients make none; a change, another optimizer, a load, a group and a missing gradient make one each."""
    both = (Param("p"), Param("q"))
    assert count_variants(program(create(), step(p=2.0), step(p=0.5))) == 1
    assert count_variants(program(create(), step(p=2.0), SetOption("A", 0, {"lr": 0.5}), step())) == 2
    assert count_variants(program(create(), create(name="B"), step("A", p=2.0), step("B"))) == 2
    assert count_variants(program(create(), step(p=2.0), Save("A", "s"), Load("A", "s"), step())) == 2
    assert count_variants(program(create(), step(p=2.0), SetGrad("p", None), step())) == 2
    added = AddParamGroup("A", Group(("q",)))
    assert count_variants(program(create(), step(p=2.0), added, step(q=1.0), params=both)) == 2
    assert count_variants(program(create())) == 0


def test_the_choice_keeps_to_its_variants_and_covers_every_branch_and_format() -> None:
    """Each branch of the pseudocode, in each format, sizes beside the width of a vector, options changed between steps."""
    everything = ordered(corpus(), tuple(FORMATS))
    chosen = choose_programs(everything, 64)
    assert 60 <= sum(map(count_variants, chosen)) <= 64
    assert chosen == choose_programs(everything, 64)
    assert [everything.index(each) for each in chosen] == sorted(everything.index(each) for each in chosen)
    stepped = [each for each in chosen if any(isinstance(call, Step) for call in each.calls)]
    assert {param.dtype for each in stepped for param in each.params} == set(FORMATS)
    assert {7, 17} <= {param.shape[0] for each in stepped for param in each.params if param.shape}
    changed = {
        option for each in chosen for call in each.calls if isinstance(call, SetOption) for option in call.options
    }
    assert changed == {"lr", "alpha", "eps", "weight_decay", "momentum", "centered"}


def test_a_path_that_compiles_is_asked_the_chosen_programs_alone() -> None:
    """What is left out is counted, and nothing goes on without end."""
    settings = Settings(profile="deep", time_budget=60.0, programs=())
    plan = Plan(Capabilities(formats=("float32",)), settings, compiles=True)
    (phase,) = plan.phases()
    assert phase.planned == len(list(phase.programs)) == plan.total
    assert plan.left_out > 1000
    assert not plan.endless


def test_a_checkpoint_is_told_from_one_changed_otherwise() -> None:
    """A changed entry, a missing one and another number of parameters are covered each; a value of an option is worth less."""

    def loaded(edit: EditState | None, **options: float) -> Program:
        edits = () if edit is None else (edit,)
        calls = (create("p", "q", **options), step(p=2.0), Save("A", "s"), *edits, Load("A", "s"))
        return program(*calls, params=(Param("p"), Param("q")))

    reshaped, absent = loaded(EditState("s", "reshape", 0)), loaded(EditState("s", "reshape", 1))
    plain, valued = loaded(None), loaded(None, lr=0.25)
    assert choose_programs((plain, valued, reshaped, absent), 3) == [valued, reshaped, absent]
    grown = program(
        create("p"), step(p=2.0), Save("A", "s"), create("p", "q"), Load("A", "s"), params=(Param("p"), Param("q"))
    )
    assert choose_programs((plain, plain, grown), 2) == [plain, grown]


def test_what_costs_less_is_chosen_where_it_covers_as_much() -> None:
    """Complex parameters and many of them take the compiler longest: every size in each complex format is left out."""
    costly = program(create(*"abcdefgh"), step("A"), params=tuple(Param(name, "complex64") for name in "abcdefgh"))
    cheap = program(create("a"), step("A"), params=(Param("a", "complex64"),))
    assert choose_programs((costly, cheap), 1) == [cheap]
    sizes = [each for each in choose_programs(ordered(corpus(), tuple(FORMATS)), 64) if len(each.params) > 8]
    assert {param.dtype for each in sizes for param in each.params}.isdisjoint({"complex64", "complex128"})
