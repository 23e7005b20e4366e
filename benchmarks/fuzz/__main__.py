"""A module of its own: processes that are started find no functions in a ``__main__``."""

import sys

from benchmarks.fuzz.command import main

if __name__ == "__main__":
    sys.exit(any(findings.failures for findings in main()))
