"""The other side of the wire: ``python -m rmspec.oracles.serve SUBJECT`` serves any loadable subject.

It is the reference implementation of a process that speaks ``rmspec.wire/1`` (see ``rmspec.oracles.wire.subject``), and a
way to keep a Python subject apart: ``process:python -m rmspec.oracles.serve mine.py:RMSprop``. The subject is loaded
when the suite says hello. What it prints goes to standard error, because standard output is for replies alone.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from rmspec.impl.arithmetic.formats import FORMATS, as_reals
from rmspec.impl.errors import RmspecError
from rmspec.oracles.loader import load
from rmspec.oracles.program.program import Call, Param, _converter, hexadecimal
from rmspec.oracles.subject import GroupView, Observation, Outcome, Session, Subject
from rmspec.oracles.wire.schema import PROTOCOL, violation

__all__ = ["Server", "main", "serve"]

_DTYPES = {fmt.dtype: name for name, fmt in FORMATS.items()}


class Server:
    """Answers requests about one subject; ``open`` makes it at the first of them."""

    def __init__(self, open: Callable[[], Subject]) -> None:
        self._open = open
        self._subject: Subject | None = None
        self._session: Session | None = None

    def answer(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """The reply to one request. A failure of the subject is a reply too: ``failed``."""
        number = request.get("id")
        id = number if isinstance(number, int) and not isinstance(number, bool) and number > 0 else 1
        problem = violation(request, f"request_{request.get('request')}" if _known(request) else "request")
        if problem:
            return {"id": id, "reply": "failed", "message": f"this is not a request of {PROTOCOL}: {problem}"}
        try:
            return {"id": id, **self._answered(request)}
        except RmspecError as error:
            hint = {"hint": error.hint} if error.hint else {}
            message = ". ".join(part.rstrip(".") for part in (error.what, error.why) if part)
            return {"id": id, "reply": "failed", "message": message, **hint}
        except Exception as error:
            traceback.print_exc()
            return {"id": id, "reply": "failed", "message": f"{type(error).__name__}: {error}"}

    def close(self) -> None:
        """End the session, if there is one."""
        if self._session is not None:
            self._session.close()
            self._session = None

    def _answered(self, request: Mapping[str, Any]) -> dict[str, Any]:
        match request["request"]:
            case "hello":
                return self._hello()
            case "start":
                self.close()
                params = tuple(_converter().structure(param, Param) for param in request["params"])
                self._session = self._loaded().session(params)
                return {"reply": "started", "observation": _observation(self._session.observe())}
            case "perform":
                if self._session is None:
                    return {"reply": "failed", "message": "no session was started"}
                # A union of classes is what cattrs calls a type here, and no type to mypy.
                call: Call = _converter().structure(request["call"], Call)  # type: ignore[arg-type]
                outcome = self._session.perform(call)
                observation = _observation(self._session.observe())
                return {"reply": "performed", "outcome": _outcome(outcome), "observation": observation}
            case "close":
                self.close()
                return {"reply": "closed"}
            case _:
                self.close()
                return {"reply": "bye"}

    def _loaded(self) -> Subject:
        if self._subject is None:
            self._subject = self._open()
        return self._subject

    def _hello(self) -> dict[str, Any]:
        subject = self._loaded()
        capabilities = subject.capabilities()
        return {
            "reply": "hello",
            "protocol": PROTOCOL,
            "formats": list(capabilities.formats),
            "options": sorted(capabilities.options),
            "features": sorted(capabilities.features),
            "missing": dict(capabilities.missing),
            "roles": sorted(capabilities.roles),
            "required": sorted(capabilities.required),
            "changeable": sorted(capabilities.changeable),
            "carried": sorted(capabilities.carried),
            "edits": sorted(capabilities.edits),
            "state_names": dict(subject.state_names()),
            "dialect": subject.dialect,
            "versions": dict(subject.versions()),
        }


def serve(server: Server, requests: Iterable[bytes], replies: IO[bytes]) -> None:
    """Answer requests, one JSON object a line, until a bye or their end."""
    for line in requests:
        try:
            request = json.loads(line)
        except (ValueError, RecursionError) as error:
            reply = {"id": 1, "reply": "failed", "message": f"the request is not JSON: {error}"}
        else:
            reply = server.answer(request if isinstance(request, dict) else {})
        replies.write(json.dumps(reply).encode() + b"\n")
        replies.flush()
        if reply["reply"] == "bye":
            break
    server.close()


def _known(request: Mapping[str, Any]) -> bool:
    return request.get("request") in ("hello", "start", "perform", "close", "bye")


def _outcome(outcome: Outcome) -> dict[str, Any]:
    data: dict[str, Any] = {}
    if outcome.raised is not None:
        data["raised"] = {"type": outcome.raised.type, "message": outcome.raised.message}
    if outcome.closure is not None:
        report = outcome.closure
        data["closure"] = {
            "calls": report.calls,
            "grad_enabled": report.grad_enabled,
            "moved_before": report.moved_before,
            "returned": None if report.returned is None else hexadecimal(report.returned),
        }
    if outcome.hooks is not None:
        data["hooks"] = list(outcome.hooks)
    if outcome.hook_runs is not None:
        data["hook_runs"] = [asdict(run) for run in outcome.hook_runs]
    if outcome.mode_left:
        data["mode_left"] = outcome.mode_left
    if outcome.held_changed is not None:
        data["held_changed"] = outcome.held_changed
    if outcome.caller_dict_changed is not None:
        data["caller_dict_changed"] = outcome.caller_dict_changed
    if outcome.derivatives:
        data["derivatives"] = {
            source: [hexadecimal(real) for real in reals] for source, reals in outcome.derivatives.items()
        }
    return data


def _observation(observation: Observation) -> dict[str, Any]:
    return {
        "params": {name: _array(array) for name, array in observation.params.items()},
        "grads": {name: None if array is None else _array(array) for name, array in observation.grads.items()},
        "groups": {
            name: None if groups is None else [_group(group) for group in groups]
            for name, groups in observation.groups.items()
        },
        "state": {
            optimizer: {name: _roles(roles) for name, roles in entries.items()}
            for optimizer, entries in observation.state.items()
        },
        "slots": {
            slot: {str(position): _roles(roles) for position, roles in entries.items()}
            for slot, entries in observation.slots.items()
        },
        "steps": {
            optimizer: {name: hexadecimal(count) for name, count in counts.items()}
            for optimizer, counts in observation.steps.items()
        },
    }


def _group(group: GroupView) -> dict[str, Any]:
    options = {name: value if isinstance(value, bool) else hexadecimal(value) for name, value in group.options.items()}
    return {"params": list(group.params), "options": options}


def _roles(roles: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    return {role: _array(array) for role, array in roles.items()}


def _array(array: NDArray[Any]) -> dict[str, Any]:
    # State may be kept as integers or in a format that rmspec does not know; float64 shows its values.
    known = array if array.dtype in _DTYPES else array.astype(np.float64)
    values = [hexadecimal(number) for number in as_reals(known).tolist()]
    return {"dtype": _DTYPES[known.dtype], "shape": list(known.shape), "values": values}


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve the subject of the command line, on the standard streams."""
    parser = argparse.ArgumentParser(
        prog="python -m rmspec.oracles.serve", description="Serve a subject over rmspec.wire/1."
    )
    parser.add_argument("subject", help="a name that rmspec check takes")
    parser.add_argument("--framework", help="overrides what is detected for a class of your own")
    parser.add_argument("--device", default="cpu", help="the device of the parameters (default: cpu)")
    options = parser.parse_args(arguments)
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    # python -m puts the current directory in front, where a file of the user's would shadow what a framework imports.
    if not sys.flags.safe_path and sys.path and sys.path[0] in ("", os.getcwd()):
        sys.path.append(sys.path.pop(0))
    server = Server(lambda: load(options.subject, framework=options.framework, device=options.device))
    with replies:
        serve(server, sys.stdin.buffer, replies)


if __name__ == "__main__":
    main()
