"""The pytest plugin: one test for each clause of the specification, for the optimizers of a project.

``pytest --rmspec SUBJECT`` adds the tests of a subject to a run; ``@pytest.mark.rmspec(SUBJECT, ...)`` makes them of a test
function. This module is imported in every pytest run of its environment: until it is used, it imports of rmspec the table of
options alone.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from rmspec.reports.config.keys import KEYS

if TYPE_CHECKING:
    from rmspec.reports.pytest.clauses import Checked

__all__ = ["rmspec_clause"]

_OPTIONS = {key.name: key for key in KEYS.values() if key.plugin}
_FIXTURE = "rmspec_clause"


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--rmspec`` and its options."""
    group = parser.getgroup("rmspec", "conformance with the RMSprop specification")
    group.addoption("--rmspec", action="append", metavar="SUBJECT", help="Check this optimizer, one test a clause.")
    for name, key in _OPTIONS.items():
        default = f" By default {key.default}." if key.default is not None else ""
        group.addoption(f"--rmspec-{name}", metavar=key.metavar or "VALUE", help=f"{key.help}{default}")


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, and refuse bad options before anything is collected."""
    config.addinivalue_line(
        "markers",
        "rmspec(subject, **options): one test for each clause of the RMSprop specification; the options are those of "
        "rmspec check, with underscores",
    )
    values = _values(config)
    subjects = config.getoption("--rmspec")
    if values and not subjects:
        raise pytest.UsageError(f"--rmspec-{next(iter(values)).replace('_', '-')} needs --rmspec SUBJECT")
    for subject in subjects or ():
        from rmspec.reports.pytest.clauses import CannotCheck, checked

        try:
            checked(subject, values, Path.cwd())
        except CannotCheck as error:
            raise pytest.UsageError(str(error)) from None


def _values(config: pytest.Config) -> dict[str, Any]:
    """The options on the command line, by their names in a marker."""
    values = {key.option: config.getoption(f"--rmspec-{name}") for name, key in _OPTIONS.items()}
    return {name: value for name, value in values.items() if value}


def pytest_report_header(config: pytest.Config) -> str | None:
    """Name the subjects."""
    subjects = config.getoption("--rmspec")
    return f"rmspec: {', '.join(subjects)}" if subjects else None


# -- pytest --rmspec SUBJECT


@pytest.hookimpl(tryfirst=True)  # before -k and -m choose
def pytest_collection_modifyitems(session: pytest.Session, config: pytest.Config, items: list[pytest.Item]) -> None:
    """Add the tests of the subjects on the command line."""
    for subject in dict.fromkeys(config.getoption("--rmspec") or ()):
        from rmspec.reports.pytest.clauses import checked

        ask = checked(subject, _values(config), Path.cwd())
        parent = _Subject.from_parent(session, name=subject, nodeid=f"rmspec::{subject}", ask=ask)
        items += session.genitems(parent)


class _Subject(pytest.Collector):
    def __init__(self, *, ask: Checked, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._ask = ask

    def collect(self) -> list[pytest.Item]:
        """A test for each clause."""
        from rmspec.reports.pytest.clauses import CLAUSE_TESTS

        return [_Clause.from_parent(self, name=clause, ask=self._ask) for clause in CLAUSE_TESTS]


class _Clause(pytest.Item):
    def __init__(self, *, ask: Checked, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._ask = ask
        self.add_marker("rmspec")

    def runtest(self) -> None:
        """Check the subject, once for all tests, and decide the test of the clause."""
        _tell(self.config, self._ask, self.name, self)

    def reportinfo(self) -> tuple[str, None, str]:
        """Name the subject and the clause."""
        return "rmspec", None, f"{self.parent.name if self.parent else ''} {self.name}"


# -- @pytest.mark.rmspec(SUBJECT, ...)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make a test of each clause of a marked function."""
    mark = metafunc.definition.get_closest_marker("rmspec")
    if mark is None:
        return
    from rmspec.reports.pytest.clauses import CLAUSE_TESTS, CannotCheck, checked

    problem = ""
    try:
        subject = _subject(mark.args)
        ask = checked(subject, mark.kwargs, Path.cwd(), metafunc.config.rootpath, metafunc.definition.path.parent)
    except CannotCheck as error:
        problem = f"{metafunc.definition.name}: {error}"
    if problem:
        # Not above: pytest would print the first error and where it was raised as well.
        pytest.fail(problem, pytrace=False)
    if _FIXTURE not in metafunc.fixturenames:
        metafunc.fixturenames.append(_FIXTURE)
    metafunc.parametrize(_FIXTURE, [(ask, clause) for clause in CLAUSE_TESTS], ids=CLAUSE_TESTS, indirect=True)


def _subject(args: tuple[Any, ...]) -> str:
    from rmspec.reports.pytest.clauses import CannotCheck

    if len(args) != 1:
        raise CannotCheck("the marker rmspec takes one subject, as in @pytest.mark.rmspec('mine.py:RMSprop')")
    if isinstance(args[0], str):
        return args[0]
    name = getattr(args[0], "__qualname__", "")
    try:
        file = inspect.getsourcefile(args[0])
    except TypeError:
        file = None
    if not name or "<" in name or file is None:
        raise CannotCheck(f"{args[0]!r} is no class or function that a file defines; name it, as in 'mine.py:RMSprop'")
    return f"{os.path.relpath(file)}:{name}"


@pytest.fixture
def rmspec_clause(request: pytest.FixtureRequest) -> str:
    """The id of the clause of a test with the marker ``rmspec``."""
    if not hasattr(request, "param"):
        pytest.fail("rmspec_clause is for tests with the marker rmspec", pytrace=False)
    clause: str = request.param[1]
    return clause


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """After the body of a marked test, decide it by its clause."""
    result = yield
    params: Mapping[str, Any] = pyfuncitem.callspec.params if hasattr(pyfuncitem, "callspec") else {}
    if _FIXTURE in params:
        ask, clause = params[_FIXTURE]
        _tell(pyfuncitem.config, ask, clause, pyfuncitem)
    return result


# -- what came out


def _tell(config: pytest.Config, ask: Checked, clause: str, item: pytest.Item) -> None:
    from rmspec.reports.pytest.clauses import outcome, result

    checked = result(ask, _shared(config))
    kind, text = outcome(checked, clause, fail_on_hazards=ask.options.fail_on == "hazards")
    item.user_properties.append(("rmspec", kind))
    if kind == "fail":
        pytest.fail(text, pytrace=False)
    elif kind == "known":
        pytest.xfail(text)
    elif kind == "skip":
        pytest.skip(text)
    elif text:
        item.add_report_section("call", "rmspec", text)


def _shared(config: pytest.Config) -> str:
    """The id of a run of several workers of pytest-xdist; empty without them."""
    worker: Mapping[str, Any] = getattr(config, "workerinput", {})
    return str(worker.get("testrunuid", ""))
