"""From a name to a subject: every form of a name, and what is said of one that leads nowhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from programs import Spoilt

from rmspec.impl.errors import RmspecError
from rmspec.oracles import loader
from rmspec.oracles.errors import (
    BadOption,
    CannotImport,
    CannotStart,
    InputProblem,
    NotAnOptimizer,
    UnknownSubject,
    Unsupported,
)
from rmspec.oracles.loader import check_name, load

SUBJECT = Spoilt()
"""An object with the protocol of a subject, to be named as module:attribute."""


@pytest.fixture(autouse=True)
def as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each test runs in a folder of its own and leaves no trace in sys.path and sys.modules."""
    monkeypatch.chdir(tmp_path)
    path, modules = list(sys.path), set(sys.modules)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if name.startswith("_rmspec_subject_") or name in ("mine", "helper_of_mine", "needs"):
            del sys.modules[name]


@pytest.fixture
def torch_is_here() -> None:
    pytest.importorskip("torch")


def write(name: str, text: str) -> str:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return str(path)


OPTIMIZER = """
import torch

class Mine(torch.optim.RMSprop):
    class Inner(torch.optim.RMSprop):
        pass

def make(params, **options):
    return torch.optim.RMSprop(params, **options)
"""


# -- names that lead nowhere


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("torhc", "did you mean torch?"),
        ("torch:forech", "did you mean torch:foreach?"),
        ("reference:tensorflw", "did you mean reference:tensorflow?"),
        ("reference:torch", "unknown subject 'reference:torch'"),
        ("torch:", "unknown subject 'torch:'"),
        ("", "unknown subject ''"),
        ("nothing-like-it", "rmspec subjects lists"),
        ("process:", "names no command"),
        ("process:   ", "names no command"),
        ("missing.py:Mine", "there is no file missing.py"),
        ("missing.py", "names a file but no class in it. write missing.py:ClassName"),
        ("no.such.module:Mine", "there is no module 'no.such.module'"),
        ("json.nothing:Mine", "there is no module 'json.nothing'"),
        ("json:JSONDecodr", "json has no 'JSONDecodr'; did you mean JSONDecoder?"),
    ],
)
def test_a_name_that_leads_nowhere_is_an_unknown_subject(name: str, said: str) -> None:
    """The message says what was looked for, and the nearest name there is."""
    with pytest.raises(UnknownSubject) as caught:
        load(name)
    assert said in str(caught.value)
    assert caught.value.hint


@pytest.mark.parametrize("name", [":Mine", "..:Mine", ".mine:Mine", "a b:Mine", "mine\n:Mine", "folder/:Mine"])
def test_a_name_of_an_impossible_form_is_refused_as_input(name: str) -> None:
    """Whatever stands before the colon, the answer is one of the errors for bad input."""
    with pytest.raises(InputProblem):
        load(name)


def test_a_name_is_checked_without_importing_anything() -> None:
    """Checking a name runs no line of the file that it names."""
    check_name(write("mine.py", "raise SystemExit(3)") + ":Mine")
    check_name("module.that.is.not.there:Mine")


def test_a_missing_file_brings_the_nearest_one_to_mind() -> None:
    """A typing error in a path is answered with the file beside it."""
    write("folder/my_optimizer.py", "")
    with pytest.raises(UnknownSubject, match=r"did you mean folder/my_optimizer\.py\?"):
        check_name("folder/my_optimiser.py:Mine")


def test_a_file_without_a_class_behind_the_colon_is_refused() -> None:
    """The message shows how to write it."""
    with pytest.raises(UnknownSubject, match=r"write mine\.py:ClassName"):
        check_name(write("mine.py", "") + ":")


# -- files that do not import


def test_a_file_that_imports_what_is_not_installed_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the name of the distribution's top module, not by that of a part of it."""
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text("import not_there.at_all\n")
    with pytest.raises(CannotImport, match="No module named 'not_there'") as caught:
        load("mine.py:RMSprop")
    assert caught.value.hint == "install the module 'not_there', or correct the import"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = 1\nclass Mine(:\n    pass\n", r"SyntaxError: .*\(line 2\)"),
        ("x = 1\n\nraise ValueError('no\\nmore')\n", r"ValueError: no \(line 3\)"),
        ("def f():\n    1 / 0\nf()\n", r"ZeroDivisionError: .*\(line 2\)"),
        ("import a_module_that_is_not_there\n", r"ModuleNotFoundError: .*a_module_that_is_not_there.*\(line 1\)"),
        ("import sys\nsys.exit(7)\n", r"it calls sys\.exit\(7\)"),
        ("exit_code = None\nraise SystemExit\n", r"it calls sys\.exit\(None\)"),
    ],
)
def test_a_file_that_does_not_import_is_named_with_the_line(text: str, said: str) -> None:
    """The error and its line are in the message, and no exception of the file's comes through."""
    with pytest.raises(CannotImport, match=said):
        load(write("mine.py", text) + ":Mine")


def test_a_file_of_bytes_is_refused() -> None:
    """A file that is no text does not import either."""
    Path("mine.py").write_bytes(b"\x00\xff\xfe")
    with pytest.raises(CannotImport):
        load("mine.py:Mine")


def test_a_broken_file_can_be_mended_and_loaded_again(torch_is_here: None) -> None:
    """A failed import leaves nothing behind that the next one would use."""
    name = write("mine.py", "raise ValueError") + ":Mine"
    with pytest.raises(CannotImport):
        load(name)
    write("mine.py", OPTIMIZER)
    assert load(name).name == name


def test_a_module_that_lacks_a_module_is_no_unknown_name() -> None:
    """The module is there: what does not import is what it needs."""
    write("needs.py", "import a_module_that_is_not_there")
    with pytest.raises(CannotImport, match="a_module_that_is_not_there"):
        load("needs:Mine")


def test_a_module_that_exits_is_no_end_of_the_suite() -> None:
    """sys.exit in a module is an error of the name, not of the run."""
    write("needs.py", "raise SystemExit(0)")
    with pytest.raises(CannotImport, match=r"sys\.exit"):
        load("needs:Mine")


# -- sys.path


def test_the_folders_of_a_file_come_last_in_sys_path(torch_is_here: None) -> None:
    """What was found first before is found first afterwards: a file of the user's shadows nothing."""
    before = list(sys.path)
    load(write("folder/mine.py", OPTIMIZER) + ":Mine")
    assert sys.path[: len(before)] == before
    assert set(sys.path[len(before) :]) <= {str(Path("folder").resolve()), str(Path.cwd())}


def test_a_file_beside_the_subject_shadows_no_module(torch_is_here: None) -> None:
    """A json.py in the user's folder stays unread, while a helper beside the file is found."""
    write("folder/json.py", "raise ValueError('shadowed')")
    write("folder/helper_of_mine.py", "import torch\nBase = torch.optim.RMSprop")
    text = "import json\nfrom helper_of_mine import Base\nclass Mine(Base):\n    text = json.dumps([])"
    assert load(write("folder/mine.py", text) + ":Mine").name == "folder/mine.py:Mine"


def test_a_module_of_the_current_folder_is_found(torch_is_here: None) -> None:
    """The current folder is appended to sys.path for a module's name."""
    write("mine.py", OPTIMIZER)
    before = list(sys.path)
    assert load("mine:Mine").name == "mine:Mine"
    assert sys.path[: len(before)] == before


def test_two_files_of_one_name_are_two_subjects(torch_is_here: None) -> None:
    """The first stays what it was when the second is loaded."""
    first = load(write("one/mine.py", OPTIMIZER) + ":Mine")
    second = load(write("two/mine.py", OPTIMIZER.replace("Mine", "Other")) + ":Other")
    assert first.capabilities() == second.capabilities()


# -- what a name leads to


@pytest.mark.parametrize("attribute", ["Mine", "make", "Mine.Inner"])
def test_a_class_and_a_factory_of_a_file_are_subjects(attribute: str, torch_is_here: None) -> None:
    """The subject is named as it was asked for, and built on the framework that was detected."""
    name = write("mine.py", OPTIMIZER) + f":{attribute}"
    subject = load(name)
    assert (subject.name, subject.framework, subject.dialect) == (name, "torch", "torch")


def test_a_class_inherits_from_the_framework_and_a_plain_one_does_not(torch_is_here: None) -> None:
    """The baseline of a class that is derived from an optimizer of torch is torch; a class without a base has none."""
    name = write(
        "mine.py", OPTIMIZER + "\nclass Plain:\n    def __init__(self, params): pass\n    def step(self): pass\n"
    )
    assert "torch" in load(f"{name}:Mine").baselines
    assert load(f"{name}:Plain").baselines == ()


def test_an_object_with_the_protocol_is_the_subject_itself() -> None:
    """What is around it lets it import from its folder, and is seen through."""
    module = sys.modules[__name__]
    sys.modules["mine"] = module
    assert load("mine:SUBJECT").whole is SUBJECT


@pytest.mark.parametrize("name", ["math:pi", "os:path", "json:__doc__"])
def test_a_thing_that_cannot_be_called_is_no_optimizer(name: str) -> None:
    """The message says what it is."""
    with pytest.raises(NotAnOptimizer, match="it is a "):
        load(name)


@pytest.mark.parametrize(
    "text",
    [
        "class Mine:\n    pass",
        "def Mine(params, **options):\n    return None",
        "def Mine(params, lr=0.01):\n    return 3",
        "class Mine:\n    step = None\n    def __init__(self, params, lr=0.01):\n        pass",
    ],
)
def test_what_makes_no_optimizer_is_refused(text: str, torch_is_here: None) -> None:
    """A class without a step, and a factory of something else, are bad input."""
    with pytest.raises(NotAnOptimizer, match="has no method step"):
        load(write("mine.py", text) + ":Mine").capabilities()


@pytest.mark.parametrize(
    "text",
    [
        "class Mine:\n    def __init__(self):\n        pass\n    def step(self):\n        pass",
        "class Mine:\n    def __init__(self, params, **options):\n        raise RuntimeError('no')\n    def step(self):\n        pass",
        "def Mine():\n    pass",
        "def Mine(params, surprise):\n    pass",
        "from json import dumps as Mine",
    ],
)
def test_what_cannot_be_created_cannot_start(text: str, torch_is_here: None) -> None:
    """A constructor that does not take parameters, or raises, is a subject that cannot start."""
    with pytest.raises(CannotStart, match="cannot be created"):
        load(write("mine.py", text) + ":Mine").capabilities()


@pytest.mark.parametrize("name", ["Mine", "Late"])
def test_a_class_that_takes_no_doubles_or_has_no_default_is_still_a_subject(name: str, torch_is_here: None) -> None:
    """How a class is probed asks for nothing but one float32 parameter and the options that it names."""
    text = """
import torch

class Mine(torch.optim.RMSprop):
    def __init__(self, params, lr=0.01, alpha=0.99):
        params = list(params)
        if any(p.dtype != torch.float32 for p in params):
            raise TypeError("float32 only")
        super().__init__(params, lr=lr, alpha=alpha, foreach=False)

class Late(torch.optim.RMSprop):
    def __init__(self, params, lr, alpha):
        super().__init__(params, lr=lr, alpha=alpha, foreach=False)
"""
    capabilities = load(write("mine.py", text) + f":{name}").capabilities()
    assert capabilities.options == {"lr", "alpha"}
    assert capabilities.roles == {"square_avg"}


# -- frameworks


def test_a_framework_that_is_not_installed_is_unsupported_with_its_install_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The hint is the line to type."""
    monkeypatch.setattr(loader.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(Unsupported, match="torch needs torch, which is not installed") as caught:
        load("torch")
    assert caught.value.hint == "pip install 'rmspec[torch]'"


def test_an_unknown_framework_is_refused_with_the_known_ones() -> None:
    """--framework takes the names of the registry."""
    with pytest.raises(BadOption, match="unknown framework 'torhc'") as caught:
        load(write("mine.py", "def make(params): pass") + ":make", framework="torhc")
    assert "torch" in caught.value.hint


def test_a_class_of_a_framework_that_cannot_be_driven_is_unsupported() -> None:
    """A class whose base belongs to Paddle is no optimizer for torch."""
    text = "class Base:\n    pass\nBase.__module__ = 'paddle.optimizer'\nclass Mine(Base):\n    pass\n"
    with pytest.raises(Unsupported, match="built on paddle"):
        load(write("mine.py", text) + ":Mine")


def test_the_framework_can_be_named_where_it_is_not_detected(torch_is_here: None) -> None:
    """--framework wins over what the bases say."""
    text = "class Mine:\n    def __init__(self, params): pass\n    def step(self): pass\nMine.__module__ = 'keras.optimizers'\n"
    assert load(write("mine.py", text) + ":Mine", framework="torch").framework == "torch"


def test_the_reference_has_no_device() -> None:
    """A device that a subject does not have is unsupported, not an internal error."""
    with pytest.raises(Unsupported, match="no device 'cuda'"):
        load("reference", device="cuda")


@pytest.mark.parametrize("device", ["nonsense", "cuda:99", "cpu:x", ""])
def test_a_device_that_there_is_not_is_unsupported(device: str, torch_is_here: None) -> None:
    """Whatever torch says of it, the answer is one message of rmspec's."""
    with pytest.raises(RmspecError):
        load("torch", device=device)
