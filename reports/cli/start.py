"""The entry point of the command ``rmspec``: one line for a Ctrl-C, from before the imports on."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> int:
    """Run the command line and return its exit code; 130 for a Ctrl-C, from the first import to the last flush."""
    try:
        from rmspec.reports.cli.main import main as run

        return run()
    except KeyboardInterrupt:
        print("rmspec: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
