"""The base: the groups, options and initial state of a new optimizer. Source: DESIGN 2."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from rmspec.impl.arithmetic.formats import as_reals
from rmspec.impl.spec.clauses import CLAUSE_OF_START, option_clause
from rmspec.oracles.subject import GroupView, Observation
from rmspec.properties.judge.expected import InitialState, OtherGroups, ShownGroups
from rmspec.properties.judge.findings import Finding
from rmspec.properties.judge.followed import Followed
from rmspec.properties.judge.ledger import OptimizerLedger

__all__ = ["compare_groups", "compare_initial_state", "compare_other_groups"]


def compare_groups(run: Followed, part: ShownGroups, after: Observation) -> list[Finding]:
    """Compare the number of groups, their parameters, then their options.

    The ledger takes over the options that are shown, so that none is findings twice.
    """
    ledger, added = run.ledgers[part.optimizer], part.added
    shown = after.groups.get(ledger.name)
    if shown is None or ledger.unlike:
        return []
    if len(shown) != len(ledger.groups) and len(shown) == sum(bool(group.params) for group in ledger.groups):
        # Nobody promises that a group without parameters is there.
        ledger.groups = [group for group in ledger.groups if group.params]
    expected = ledger.groups
    if len(shown) != len(expected):
        ledger.unlike = True
        summary = f"the optimizer has {len(shown)} groups instead of {len(expected)}"
        return [
            run.finding(
                "group",
                "add-param-group" if added else "params",
                summary,
                ledger.name,
                role="groups",
                observed=float(len(shown)),
                allowed=(float(len(expected)),) * 2,
            )
        ]
    for index, (view, group) in enumerate(zip(shown, expected, strict=True)):
        if view.params and tuple(dict.fromkeys(view.params)) != tuple(dict.fromkeys(group.params)):
            summary = f"group {index} holds the parameters {', '.join(view.params)}, not {', '.join(group.params)}"
            clause = "add-param-group" if added else "params"
            ledger.unlike = True
            return [run.finding("group", clause, summary, ledger.name, role="params", element=index)]
    findings = _options_as_expected(run, ledger, shown, added=added)
    for index, (view, group) in enumerate(zip(shown, expected, strict=True)):
        own = {option for option in view.options if _source(ledger, shown, index, option) == "default"}
        group.show(view.options)
        ledger.own_defaults |= {option: value for option in own if (value := group.options[option]) is not None}
    return findings


def _options_as_expected(
    run: Followed, ledger: OptimizerLedger, shown: Sequence[GroupView], *, added: bool
) -> list[Finding]:
    expected = ledger.groups
    for index, (view, group) in enumerate(zip(shown, expected, strict=True)):
        for option, value in group.options.items():
            if value is None or option not in view.options or option in group.odd:
                continue
            clause = option_clause(_source(ledger, shown, index, option), option)
            if added and index < len(expected) - 1:
                clause = "add-param-group"
            run.tally.check(clause)
            observed = view.options[option]
            if observed == value or (math.isnan(observed) and math.isnan(value)):
                continue
            words = "no number" if math.isnan(observed) else repr(observed)
            summary = f"{option} of group {index} is {words}, not {value!r}"
            return [
                run.finding(
                    "group",
                    clause,
                    summary,
                    ledger.name,
                    role=option,
                    element=index,
                    observed=float(observed),
                    allowed=(float(value),) * 2,
                )
            ]
    return []


def _source(ledger: OptimizerLedger, views: Sequence[GroupView], index: int, option: str) -> str:
    """The source of an option of a group, for its clause.

    A default is the page's where the optimizer shows it first; the groups after that take it over from the constructor.
    The value that another group was given is no default: it has leaked.
    """
    source = ledger.groups[index].sources[option]
    if source != "default" or index == 0:
        return source
    given = [
        view.options.get(option)
        for view, group in zip(views, ledger.groups, strict=True)
        if group.sources[option] != "default"
    ]
    leaked = views[index].options.get(option) in given
    return "constructor" if leaked or option in ledger.own_defaults or _defaulted(ledger, index, option) else "default"


def _defaulted(ledger: OptimizerLedger, end: int, option: str) -> bool:
    return any(group.sources[option] == "default" for group in ledger.groups[:end])


def compare_other_groups(run: Followed, part: OtherGroups, after: Observation) -> list[Finding]:
    """Find the first option of another group changed together with those of one."""
    ledger = run.ledgers[part.optimizer]
    shown = after.groups.get(part.optimizer)
    if shown is None or len(shown) != len(ledger.groups):
        return []
    for index, (view, group) in enumerate(zip(shown, ledger.groups, strict=True)):
        if index == part.group:
            continue
        for option, value in group.options.items():
            if option in group.odd or value is None or view.options.get(option, value) == value:
                continue
            summary = f"changing an option of group {part.group} changed group {index}"
            return [
                run.finding(
                    "group",
                    "group-options",
                    summary,
                    part.optimizer,
                    role=option,
                    element=index,
                    observed=float(view.options[option]),
                    allowed=(float(value),) * 2,
                )
            ]
    return []


def compare_initial_state(run: Followed, part: InitialState, after: Observation) -> list[Finding]:
    """Find the first role of the state with another value than its initial one."""
    ledger = run.ledgers[part.optimizer]
    for name in part.names:
        for role, array in after.state.get(ledger.name, {}).get(name, {}).items():
            clause = CLAUSE_OF_START[role]
            run.tally.check(clause, array.size)
            reals = as_reals(array)
            expected = run.initial_value(ledger, name, role)
            wrong = np.flatnonzero(reals != expected)
            if wrong.size:
                value = float(reals[wrong[0]])
                summary = f"the initial {role} of {name} is {value!r}, not {expected!r}"
                return [
                    run.finding(
                        "base", clause, summary, ledger.name, name, role, int(wrong[0]), value, (expected, expected)
                    )
                ]
    return []
