"""``python -m rmspec.reports.cli``: the command line without its entry point."""

import sys

from rmspec.reports.cli.start import main

sys.exit(main())
