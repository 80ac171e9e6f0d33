"""The entry point of the command ``rmspec``: one line for a Ctrl-C or SIGTERM, from before the imports on.

Whatever the command started has ended when it ends, with whatever that started in turn.
"""

from __future__ import annotations

import signal
import sys

__all__ = ["main"]


def main() -> int:
    """Run the command line and return its exit code; 130 for a Ctrl-C or SIGTERM, from the first import to the last flush."""
    try:
        if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, signal.default_int_handler)
        from rmspec.oracles.processes.descendants import descendants_ended
        from rmspec.reports.cli.main import main as run

        with descendants_ended():
            return run()
    except KeyboardInterrupt:
        print("rmspec: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
