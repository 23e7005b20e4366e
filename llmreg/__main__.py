"""``python -m llmreg``: the command line."""

import sys

from llmreg.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
