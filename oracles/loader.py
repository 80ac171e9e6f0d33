"""From the name of a subject to the subject.

``torch``, ``torch:foreach``: registered. ``package.module:Attr`` and ``path/to/file.py:Attr``: a class or factory that is
called like ``torch.optim.RMSprop``, or an object with the ``Subject`` protocol; with an execution path after another colon,
``file.py:Attr:foreach``, one that is called with ``foreach=True`` besides. ``process:COMMAND ...``: a program in any
language that speaks the wire protocol.
"""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import importlib
import importlib.util
import inspect
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from rmspec.impl.errors import nearest
from rmspec.oracles.errors import BadOption, CannotImport, NotAnOptimizer, UnknownSubject, Unsupported, choose, wording
from rmspec.oracles.framework import Framework, import_reference
from rmspec.oracles.names import parse_name, path_keywords
from rmspec.oracles.reading import is_file
from rmspec.oracles.registry import frameworks, left_out, registered_names
from rmspec.oracles.session.paths import fixed_by
from rmspec.oracles.session.surroundings import PlacedSubject, search_path
from rmspec.oracles.subject import CALL_TIMEOUT, Subject


def check_name(name: str) -> None:
    """Refuse a name without a subject, importing nothing.

    Raises ``UnknownSubject`` for a name that is not registered and has not the form of a file or a module, and for a
    file that does not exist.
    """
    if not isinstance(name, str):
        raise BadOption(
            f"the name of a subject is a string, and {name!r} is none",
            hint="write the name as 'torch', or 'path/to/mine.py:Class'",
        )
    if name in registered_names():
        return
    if name.startswith("process:"):
        if not name.removeprefix("process:").strip():
            raise UnknownSubject(
                "process: names no command", hint="write process:COMMAND, as in 'process:python3 mine.py'"
            )
        return
    parts = parse_name(name)
    place, separator, attribute = parts.place, ":" if ":" in name else "", parts.attribute
    if ":" in place:
        _check_path(place, attribute, several=bool(parts.path))
    if place.endswith(".py"):
        if not is_file(place):
            raise UnknownSubject(
                f"there is no file {place}",
                "the part before the colon names a Python file, from the current directory",
                "check the path" + _nearest(place),
            )
        if not attribute:
            raise UnknownSubject(f"{name} names no class", hint=f"write {place}:ClassName")
        return
    if name.endswith(".py"):
        raise UnknownSubject(f"{name} names a file but no class in it", hint=f"write {name}:ClassName")
    if separator and not place:
        raise UnknownSubject(
            f"{name!r} names neither a file nor a module",
            "the part before the colon says where the class is",
            f"write path/to/file.py:{attribute or 'Class'} or package.module:{attribute or 'Class'}",
        )
    families = {registered.partition(":")[0] for registered in registered_names()}
    if place in families | {framework.name for framework in frameworks()} or not separator or not attribute:
        family = name.partition(":")[0]
        raise UnknownSubject(
            f"unknown subject {name!r}{nearest(name, registered_names())}",
            "; ".join(str(framework) for framework in left_out() if framework.name == family),
            "rmspec subjects lists the registered ones; your own is path/to/file.py:Class or package.module:Class",
        )


def _check_path(base: str, path: str, *, several: bool) -> None:
    """Raise ``UnknownSubject`` for an unknown execution path."""
    near = nearest(path.lower(), [*path_keywords(), *(f"no_{keyword}" for keyword in path_keywords())])
    words = f"{path!r} is no execution path{near}" if path else f"{base}: names no path"
    if several:
        words = f"a name has one execution path, and {base}:{path} has {path!r} already"
    elif path == "default":
        words = f"the path of the defaults is {base} itself"
    raise UnknownSubject(
        words,
        "the part after the second colon is an argument of the class, to be set to True",
        f"write {base}, or {base}:foreach; the arguments are {', '.join(path_keywords())}, "
        "and with no_ before them they are set to False",
    )


def load(
    name: str, *, framework: str | None = None, device: str = "cpu", call_timeout: float = CALL_TIMEOUT
) -> Subject:
    """The subject of this name, in this process, ready to be asked for its capabilities.

    ``framework`` overrides what is detected for a user's class; ``call_timeout`` is how many seconds a subject in a process
    of its own may take for one call. Raises ``UnknownSubject``, ``CannotImport``, ``NotAnOptimizer`` (bad input),
    ``Unsupported`` (a framework or device is missing) and ``CannotStart``.
    """
    return find(name, framework=framework, device=device, call_timeout=call_timeout)()


def find(
    name: str, *, framework: str | None = None, device: str = "cpu", call_timeout: float = CALL_TIMEOUT
) -> Callable[[], Subject]:
    """Import the modules of the subject of this name, and return a function to make it: see ``load``."""
    from rmspec.oracles.wire.subject import ProcessSubject

    check_name(name)
    if name.startswith("process:"):
        return lambda: ProcessSubject(name, timeout=call_timeout)
    known = registered_names().get(name)
    if known is not None:
        registered = _function(known, known.registered, name)

        def make() -> Subject:
            subject: Subject = registered(name, device)
            if isinstance(subject, ProcessSubject):
                subject.timeout = call_timeout
            return subject

        return make
    folders, path = _folders(name), parse_name(name).path
    with search_path(folders):
        attribute = _attribute(name)
        user = _user_subject(name, attribute, framework)
    if path:
        user = partial(user, fixed=fixed_by(path, attribute, name))

    def place() -> Subject:
        with search_path(folders):
            return PlacedSubject(user(name, attribute, device), folders)

    return place


def _folders(name: str) -> tuple[str, ...]:
    """List the folders to search for the modules of a user's subject: its file's own, and the current one."""
    parts = parse_name(name)
    beside = (str(Path(parts.place).resolve().parent),) if parts.file else ()
    return (*beside, os.getcwd())


def _user_subject(name: str, attribute: Any, framework: str | None) -> Callable[..., Subject]:
    """The maker of a subject from a class, a factory or an object of the user's."""
    if isinstance(attribute, Subject) and not inspect.isclass(attribute):
        return lambda name, subject, device, fixed=None: subject
    if not callable(attribute):
        raise NotAnOptimizer(
            f"{name} is not an optimizer: it is {_with_article(type(attribute).__name__)}",
            "it can be neither called to make an optimizer nor driven by itself",
            "name a class or a factory that is called like torch.optim.RMSprop",
        )
    chosen = _framework(name, attribute, framework)
    subject: Callable[..., Subject] = _function(chosen, chosen.user_subject, name)
    return subject


def _framework(name: str, attribute: Any, override: str | None) -> Framework:
    usable = {framework.name: framework for framework in frameworks() if framework.users}
    if override is not None:
        return usable[choose("framework", override, usable)]
    origins = _origins(attribute)
    claiming = [framework for framework in usable.values() if origins & set(framework.prefixes)]
    for framework in claiming:
        if not any(framework.name in claimant.built_on for claimant in claiming):
            return framework
    foreign = origins & {"paddle", "mindspore", "mlx", "chainer"}
    if foreign:
        raise Unsupported(
            f"{name} is built on {sorted(foreign)[0]}, which this version of rmspec cannot drive",
            hint="wrap it as process:COMMAND, or give it the torch.optim interface and --framework torch",
        )
    return next(framework for framework in usable.values() if framework.fallback)


def _origins(attribute: Any) -> set[str]:
    """The top-level modules of the bases of a class; of a factory its own, and those of its product."""
    if inspect.isclass(attribute):
        return {base.__module__.partition(".")[0] for base in inspect.getmro(attribute)}
    own = {str(getattr(attribute, "__module__", "")).partition(".")[0]}
    try:
        parameters = inspect.signature(attribute).parameters
    except (TypeError, ValueError):
        return own
    if "learning_rate" not in parameters or "params" in parameters:
        return own
    # Called as optax and Keras are. What it makes tells which; what goes wrong is told by the framework's own module.
    with contextlib.suppress(Exception):
        return own | _origins(type(attribute(learning_rate=0.125)))
    return own


def _function(framework: Framework, reference: str, name: str) -> Any:
    if importlib.util.find_spec(framework.requires) is None:
        raise Unsupported(f"{name} needs {framework.requires}, which is not installed", hint=framework.install)
    return import_reference(reference)


def _attribute(name: str) -> Any:
    parts = parse_name(name)
    value: Any = _file(parts.place) if parts.file else _import(parts.place)
    for part in parts.attribute.split("."):
        if not hasattr(value, part):
            names = [entry for entry in dir(value) if not entry.startswith("_")]
            near = difflib.get_close_matches(part, names, n=1)
            raise UnknownSubject(
                f"{parts.place} has no {parts.attribute!r}" + (f"; did you mean {near[0]}?" if near else ""),
                hint="name a class or a factory that the file defines",
            )
        value = getattr(value, part)
    return value


def _import(place: str) -> ModuleType:
    try:
        return importlib.import_module(place)
    except ModuleNotFoundError as error:
        if error.name is not None and (place == error.name or place.startswith(f"{error.name}.")):
            raise UnknownSubject(
                f"there is no module {place!r}",
                "the part before the colon names a module that can be imported here",
                "check the name, or give the file: path/to/file.py:Class",
            ) from None
        raise CannotImport(f"{place} does not import: {error}", hint=f"python -c 'import {place}' shows why") from None
    except Exception as error:
        raise _broken(place, error) from None
    except SystemExit as error:
        raise CannotImport(f"{place} does not import: it calls sys.exit({error.code})") from None


def _file(place: str) -> ModuleType:
    path = Path(place)
    # Two files of one name are two modules.
    digest = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:8]
    module_name = f"_rmspec_subject_{path.stem}_{digest}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None or spec.loader is None:
        raise CannotImport(f"{place} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    # Registered, so that dataclasses and pickles of the file's classes find their module.
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise _broken(place, error) from None
    except SystemExit as error:
        raise CannotImport(f"{place} does not import: it calls sys.exit({error.code})") from None
    return module


def _broken(place: str, error: Exception) -> CannotImport:
    where = ""
    if isinstance(error, SyntaxError) and error.lineno:
        where = f" (line {error.lineno})"
        error = SyntaxError(error.msg)
    elif error.__traceback__ is not None:
        lines = [
            frame for frame in inspect.getinnerframes(error.__traceback__) if frame.filename.endswith(Path(place).name)
        ]
        where = f" (line {lines[-1].lineno})" if lines else ""
    reason = wording(error).split("\n")[0]
    hint = f"correct {place}, and try it with python alone"
    if isinstance(error, ModuleNotFoundError) and error.name:
        hint = f"install the module {error.name.partition('.')[0]!r}, or correct the import"
    return CannotImport(f"{place} does not import: {type(error).__name__}: {reason}{where}", hint=hint)


def _with_article(noun: str) -> str:
    return f"{'an' if noun[:1].lower() in 'aeiou' else 'a'} {noun}"


def _nearest(place: str) -> str:
    folder = Path(place).parent
    names = [path.name for path in folder.glob("*.py")] if os.path.isdir(folder) else []
    near = difflib.get_close_matches(Path(place).name, names, n=1)
    return f"; did you mean {folder / near[0]}?" if near else ""
