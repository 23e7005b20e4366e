"""A module of its own: processes that are started find no functions in a ``__main__``."""

from benchmarks.suite.command import main

if __name__ == "__main__":
    main()
