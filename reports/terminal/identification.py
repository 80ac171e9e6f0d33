"""An identification as printed: the answer, every switch, and the shortest programs as evidence."""

from __future__ import annotations

from collections.abc import Sequence

from rmspec.impl.spec.dialect import SPECIFICATION
from rmspec.oracles.dialects import statement
from rmspec.oracles.program.program import Program
from rmspec.properties.identify.answer import Contradiction, Evidence, Identification, Neighbour, Switch
from rmspec.properties.identify.explanation import Value
from rmspec.reports.escapes import shell_word
from rmspec.reports.terminal.failure_block import count, wrapped
from rmspec.reports.text import hexadecimal, plain, program_lines

__all__ = ["headline", "lines", "position"]

_INDENT = 22


def lines(found: Identification) -> list[str]:
    """Format an identification, in 80 columns if its numbers allow it."""
    printed = wrapped(plain(f"{found.name}: {headline(found)}"), hang=2)
    if found.standing == "unexplained":
        against = f" --dialect {found.base}" if found.base not in ("", SPECIFICATION.name) else ""
        printed += [f"  rmspec check {shell_word(found.name)}{against}", "  finds the clause that it breaks"]
    if found.options:
        values = ", ".join(f"{name}={value!r}" for name, value in found.options.items())
        printed += wrapped(f"found out from its steps: {values}", indent=2, hang=4)
    # Of what no dialect explains from the start, what cannot be told is the rule, and says nothing.
    told = [each for each in found.switches if each.evidence or each.value is not None or found.standing == "dialect"]
    if told and found.standing != "other":
        printed += ["", *(line for switch in told for line in _switch(switch))]
    for contradiction in (*found.contradictions, *_evidence_of_differences(found)):
        printed += ["", *_contradiction(contradiction, found.base)]
    printed += _evidence(found.switches)
    if found.programs:
        printed += ["", f"  {count(found.programs, 'program')} in {found.format}, {found.seconds:.1f} s"]
    return printed


def headline(found: Identification) -> str:
    """Name the subject's dialect in a sentence, with the differences from it."""
    stated = [difference.amendment.words() for difference in found.differences]
    rest = [remainder.words() for remainder in found.remainders]
    if not stated:
        return "; ".join([_named(found), *rest])
    if found.standing == "unexplained":
        base = (
            f"the dialect {found.base}"
            if found.base
            else f"a dialect without a name (closest: {_closest(found.nearest)})"
        )
        rest += [found.message] if found.message else []
        return f"RMSprop of {base}, except that {'; '.join([*stated, *rest])}"
    if len(found.named) == 1:
        return f"{_named(found)}, except that {'; '.join([*stated, *rest])}"
    return "; ".join([_named(found), f"unlike {found.base}, {stated[0]}", *stated[1:], *rest])


def _named(found: Identification) -> str:
    match found.standing:
        case "dialect" if len(found.named) == 1:
            return f"RMSprop of the dialect {found.named[0]}"
        case "dialect" if found.named:
            return f"RMSprop of the dialect {_or(found.named)}: what would tell them apart cannot be seen"
        case "dialect":
            return f"RMSprop of a dialect without a name; closest: {_closest(found.nearest)}"
        case "other" if found.message:
            return f"no RMSprop: {found.message}"
        case "unexplained" if found.message:
            return found.message
        case "unexplained":
            closest = f"; closest: {_closest(found.nearest)}" if found.nearest else ""
            return f"no dialect of RMSprop explains what it does{closest}"
        case "other":
            return (
                f"no RMSprop; it is {found.family}"
                if found.family
                else "no RMSprop, nor an optimizer that rmspec knows"
            )
        case _:
            return f"cannot tell: {found.message}"


def position(value: Value) -> str:
    """A position of a switch in words."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) and value.is_integer() else str(value)


def _or(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"


def _closest(neighbours: Sequence[Neighbour]) -> str:
    return ", ".join(
        f"{each.name} (but for {', '.join(each.differs)})" if each.differs else each.name for each in neighbours
    )


def _switch(switch: Switch) -> list[str]:
    if switch.value is None:
        told = f"cannot tell ({_or([position(each) for each in switch.left])})"
        if switch.ruled_out:
            told += f", {', '.join(f'{position(each)} no' for each in switch.ruled_out)}"
    elif isinstance(switch.value, bool):
        told = position(switch.value)
    else:
        told = ", ".join([f"{position(switch.value)} yes", *(f"{position(each)} no" for each in switch.ruled_out)])
    reason = f": {switch.reason}" if switch.reason else ""
    return wrapped(f"{switch.name.ljust(_INDENT - 2)}{plain(told + reason)}", indent=2, hang=_INDENT)


def _evidence_of_differences(identification: Identification) -> list[Contradiction]:
    """List the programs of differences and remainders, but for clauses of a contradiction."""
    clauses = {contradiction.clause for contradiction in identification.contradictions}
    every = [
        *(difference.evidence for difference in identification.differences),
        *(remainder.evidence for remainder in identification.remainders),
    ]
    return [evidence for evidence in every if evidence is not None and evidence.clause not in clauses]


def _contradiction(found: Contradiction, base: str) -> list[str]:
    call = len(found.program.calls) - 1
    return [
        *wrapped(f"{found.clause}: {statement(found.clause, base)}", indent=2, hang=4),
        *wrapped(plain(found.summary), indent=4),
        *_program(found.program, call),
        _field(_observed(found.role), hexadecimal(found.observed)),
        _field("allowed", _range(found.allowed)),
    ]


def _evidence(switches: Sequence[Switch]) -> list[str]:
    """Format the evidence, program by program, with the candidates ruled out by each."""
    shown: dict[tuple[str, str], list[tuple[str, Evidence]]] = {}
    for switch in switches:
        for each in switch.evidence:
            shown.setdefault((repr(each.program), each.role), []).append((switch.name, each))
    printed: list[str] = []
    for found in shown.values():
        first = found[0][1]
        printed += [
            "",
            *_program(first.program, first.call),
            _field(_observed(first.role), hexadecimal(first.observed)),
        ]
        expected = dict.fromkeys(each.expected for _, each in found)
        printed += [_field("expected", _range(bounds)) for bounds in expected]
        printed += [_field(f"with {name} {position(each.value)}", _range(each.predicted)) for name, each in found]
    return printed


def _observed(role: str) -> str:
    return f"observed {role}" if role not in ("", "param") else "observed"


def _field(name: str, value: str) -> str:
    return f"    {name:<27} {value}"


def _range(bounds: tuple[float, float]) -> str:
    return f"{bounds[0]!r} to {bounds[1]!r}"


def _program(program: Program, call: int) -> list[str]:
    return [line for each in program_lines(program, mark=call) for line in wrapped(each, indent=4, hang=8)]
