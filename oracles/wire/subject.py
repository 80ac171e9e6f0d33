"""A subject in a process of its own, ``process:COMMAND ...``, over the wire protocol ``rmspec.wire/1``.

The suite writes requests to the standard input of the process and reads replies from its standard output: one JSON object a
line. ``docs/how-to/other-language.md`` describes every message, ``schemas/wire-1.json`` in ``rmspec.oracles`` is their schema.
``python -m rmspec.oracles.serve SUBJECT`` is the other side, for any subject that rmspec can load.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rmspec.impl.arithmetic.formats import FORMATS
from rmspec.impl.spec.dialect import SPECIFICATION, UnknownDialect
from rmspec.oracles.dialects import dialect_named
from rmspec.oracles.errors import SubjectFailed, UnknownSubject
from rmspec.oracles.processes.machine import default_memory_limit
from rmspec.oracles.program.program import MAX_DIMENSIONS, MAX_ELEMENTS, Call, Param, Step, _converter
from rmspec.oracles.session.observations import check_observation
from rmspec.oracles.subject import (
    CALL_TIMEOUT,
    EDITS,
    IMPORT_TIMEOUT,
    OPTIONS,
    Capabilities,
    ClosureReport,
    GroupView,
    Observation,
    Outcome,
    Raised,
)
from rmspec.oracles.wire.channel import WireProcess


class ProcessSubject:
    """A subject in a process of its own; ``name`` is ``process:`` and its command, split as a shell would.

    The process is started by the first question and serves one session at a time. One that failed is not asked again:
    the next session starts another. ``timeout`` is how many seconds a reply may take, ``variables`` are set in its
    environment, ``memory_limit`` is how many bytes of memory it may have. Raises ``UnknownSubject`` for a command that cannot
    be split.
    """

    framework = "process"
    baselines: tuple[str, ...] = ()

    def __init__(
        self,
        name: str,
        *,
        timeout: float = CALL_TIMEOUT,
        variables: Mapping[str, str] | None = None,
        memory_limit: int | None = None,
    ) -> None:
        self.name = name
        self.timeout = timeout
        self._memory_limit = default_memory_limit() if memory_limit is None else memory_limit
        self.variables = dict(variables or {})
        try:
            self.command = tuple(shlex.split(name.removeprefix("process:")))
        except ValueError as error:
            raise UnknownSubject(f"{name} cannot be split into words: {error}", hint="close every quote") from None
        if not self.command:
            raise UnknownSubject(
                f"{name} names no command", hint="write process:COMMAND, as in 'process:python3 mine.py'"
            )
        self._process: WireProcess | None = None
        self._hello: dict[str, Any] = {}
        self._dialect = ""

    @property
    def dialect(self) -> str:
        """The process's dialect; asking for it starts the process."""
        if not self._dialect:
            self._connect()
        return self._dialect

    @dialect.setter
    def dialect(self, name: str) -> None:
        self._dialect = name

    def capabilities(self) -> Capabilities:
        """The process's announcement. Raises ``CannotStart``, ``ProtocolBroken`` and ``SubjectHung``."""
        self._connect()
        options = frozenset(self._hello["options"])
        features = set(self._hello["features"])
        missing = dict(self._hello.get("missing", {}))
        for option in {"momentum", "centered", "weight_decay"} - options:
            features.discard(option)
            missing.setdefault(option, f"its constructor takes no {option}")
        if all(FORMATS[name].parts == 1 for name in self._hello["formats"]):
            features.discard("complex")
            missing.setdefault("complex", "it has no complex format")
        return Capabilities(
            formats=tuple(self._hello["formats"]),
            options=options,
            features=frozenset(features),
            missing=missing,
            roles=frozenset(self._hello.get("roles", ())),
            required=frozenset(self._hello.get("required", ())),
            changeable=frozenset(self._hello.get("changeable", OPTIONS)),
            carried=frozenset(self._hello.get("carried", OPTIONS)),
            edits=frozenset(self._hello.get("edits", EDITS)),
        )

    def versions(self) -> Mapping[str, str]:
        """Versions of the process's foundations, as it announces them."""
        self._connect()
        return dict(self._hello.get("versions", {}))

    def state_names(self) -> Mapping[str, str]:
        """The process's own names for the roles of its state, as far as it announces them."""
        self._connect()
        return dict(self._hello.get("state_names", {}))

    def session(self, params: tuple[Param, ...]) -> ProcessSession:
        """Make the parameters of a program; a session still open is over."""
        return ProcessSession(self._connect(), params, self.timeout)

    @property
    def pid(self) -> int | None:
        """The id of the process while it is in use, else ``None``."""
        return None if self._process is None or self._process.over else self._process.pid

    def close(self) -> None:
        """End the process, politely first. The next question starts another."""
        if self._process is not None:
            self._process.part(self.timeout)
            self._process = None

    def __enter__(self) -> ProcessSubject:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _connect(self) -> WireProcess:
        if self._process is None or self._process.over:
            self._process = WireProcess(self.name, self.command, self.variables, self._memory_limit)
            # It may import a framework first.
            self._hello = self._process.hello(max(self.timeout, IMPORT_TIMEOUT))
            if not self._dialect:
                announced = self._hello.get("dialect", SPECIFICATION.name)
                try:
                    dialect_named(announced)
                except UnknownDialect as error:
                    raise self._process.broken(f"it announces an {error.what}") from None
                self._dialect = announced
        return self._process


class ProcessSession:
    """One program in a process: each reply brings the observation for ``observe``."""

    def __init__(self, process: WireProcess, params: tuple[Param, ...], timeout: float) -> None:
        self._process = process
        self._timeout = timeout
        self._declared = {param.name: param for param in params}
        data = [_converter().unstructure(param, unstructure_as=Param) for param in params]
        reply = process.ask({"request": "start", "params": data}, "started", timeout)
        self._session = process.sessions = process.sessions + 1
        self._known: dict[str, tuple[Mapping[str, Any], NDArray[Any]]] = {}
        self._observation = self._decode_observation(reply)

    def perform(self, call: Call) -> Outcome:
        """Perform one call; see ``Session``. ``ProtocolBroken`` and ``SubjectHung`` are the end of the process."""
        if self._process.over or self._session != self._process.sessions:
            raise SubjectFailed(f"this session of {self._process.name} is over", "its process serves one at a time")
        data = _converter().unstructure(call, unstructure_as=Call)
        reply = self._process.ask({"request": "perform", "call": data}, "performed", self._timeout)
        outcome = self._outcome(reply, call)
        self._observation = self._decode_observation(reply)
        return outcome

    def observe(self) -> Observation:
        """The observation in the last reply."""
        return self._observation

    def close(self) -> None:
        """Let the process forget the session, unless it is over already."""
        if not self._process.over and self._session == self._process.sessions:
            self._process.sessions += 1
            self._process.ask({"request": "close"}, "closed", self._timeout)

    def _outcome(self, reply: Mapping[str, Any], call: Call) -> Outcome:
        data = reply["outcome"]
        raised, report, hooks = data.get("raised"), data.get("closure"), data.get("hooks")
        if report is None and isinstance(call, Step) and call.closure:
            raise self._process.broken("its outcome of a step with a closure has no report of the closure")
        returned = report["returned"] if report else None
        return Outcome(
            raised=Raised(raised["type"], raised["message"]) if raised else None,
            closure=ClosureReport(
                report["calls"],
                report["grad_enabled"],
                report["moved_before"],
                None if returned is None else self._real(returned),
            )
            if report
            else None,
            hooks=(hooks[0], hooks[1]) if hooks else None,
            caller_dict_changed=data.get("caller_dict_changed"),
        )

    def _decode_observation(self, reply: Mapping[str, Any]) -> Observation:
        data = reply["observation"]
        for kind in ("params", "grads"):
            if data[kind].keys() != self._declared.keys():
                actual, due = ", ".join(sorted(data[kind])) or "none", ", ".join(sorted(self._declared))
                raise self._process.broken(f"its {kind} are {actual}, not {due}")
        try:
            observation = self._observed(data)
            check_observation(observation, self._declared.values())
        except ValueError as error:
            raise self._process.broken(str(error)) from None
        return observation

    def _observed(self, data: Mapping[str, Any]) -> Observation:
        return Observation(
            params={name: self._tensor(data["params"][name], name, "parameter") for name in self._declared},
            grads={
                name: None if data["grads"][name] is None else self._tensor(data["grads"][name], name, "gradient of")
                for name in self._declared
            },
            groups={name: self._groups(groups) for name, groups in data.get("groups", {}).items()},
            state={
                optimizer: {
                    name: self._roles(roles, f"state of {name} in {optimizer}") for name, roles in entries.items()
                }
                for optimizer, entries in data.get("state", {}).items()
            },
            slots={
                slot: {int(position): self._roles(roles, f"slot {slot}") for position, roles in entries.items()}
                for slot, entries in data.get("slots", {}).items()
            },
        )

    def _groups(self, groups: list[dict[str, Any]] | None) -> tuple[GroupView, ...] | None:
        if groups is None:
            return None
        return tuple(
            GroupView(
                tuple(group["params"]),
                {
                    name: value if isinstance(value, bool) else self._real(value)
                    for name, value in group["options"].items()
                },
            )
            for group in groups
        )

    def _roles(self, roles: Mapping[str, Any], where: str) -> dict[str, NDArray[Any]]:
        return {role: self._array(data, f"the {role} in the {where}") for role, data in roles.items()}

    def _tensor(self, data: Mapping[str, Any], name: str, kind: str) -> NDArray[Any]:
        declared = self._declared[name]
        if data["dtype"] != declared.dtype or tuple(data["shape"]) != declared.shape:
            actual, due = f"{data['dtype']} {data['shape']}", f"{declared.dtype} {list(declared.shape)}"
            raise self._process.broken(f"the {kind} {name} is {actual}, not {due} as declared")
        return self._array(data, f"the {kind} {name}")

    def _array(self, data: Mapping[str, Any], label: str) -> NDArray[Any]:
        # Most of what a reply shows is what the last one showed.
        known = self._known.get(label)
        if known is None or known[0] != data:
            known = self._known[label] = (data, self._decoded(data, label))
        return known[1].copy()

    def _decoded(self, data: Mapping[str, Any], label: str) -> NDArray[Any]:
        fmt, shape, values = FORMATS[data["dtype"]], tuple(data["shape"]), data["values"]
        count = math.prod(shape) * fmt.parts
        if len(values) != count:
            raise self._process.broken(f"{label} has {len(values)} values, not the {count} of its shape")
        try:
            reals = np.fromiter(map(float.fromhex, values), np.float64, count)
        except OverflowError:
            raise self._process.broken(f"{label} has a value beyond float64") from None
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            parts = reals.astype(fmt.part.dtype)
            inexact = np.flatnonzero((parts.astype(np.float64) != reals) & ~np.isnan(reals))
        if inexact.size:
            raise self._process.broken(
                f"{label} has the value {values[inexact[0]]}, which is no {fmt.part.name} number"
            )
        if len(shape) > MAX_DIMENSIONS or max(shape, default=0) > MAX_ELEMENTS:
            raise self._process.broken(f"{label} has {len(shape)} dimensions, the largest of {max(shape)}")
        return (parts.view(fmt.dtype) if fmt.parts == 2 else parts).reshape(shape)

    def _real(self, text: str) -> float:
        try:
            return float.fromhex(text)
        except OverflowError:
            raise self._process.broken(f"{text[:40]} is beyond float64") from None
