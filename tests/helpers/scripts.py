"""Run a standalone script in this process: what it imports is there already, which saves seconds for each script."""

import contextlib
import io
import sys
import warnings
from typing import NamedTuple


class Ended(NamedTuple):
    """How a script ended, ``None`` without an exception, and what it printed."""

    failure: BaseException | None
    printed: str


def executed(script: str) -> Ended:
    """Run a script as the main module, in a namespace of its own; a warning is none of its business."""
    printed = io.StringIO()
    torch = sys.modules.get("torch")
    threads = torch.get_num_threads() if torch is not None else 0
    try:
        with contextlib.redirect_stdout(printed), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            exec(compile(script, "script.py", "exec"), {"__name__": "__main__"})
    except (Exception, SystemExit) as error:
        left = isinstance(error, SystemExit) and not error.code
        return Ended(None if left else error, printed.getvalue())
    finally:
        if torch is not None:
            torch.set_num_threads(threads)
    return Ended(None, printed.getvalue())
