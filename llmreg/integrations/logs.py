"""The logger "llmreg", and who hears it: with verbose=1, somebody always does."""

import contextlib
import logging
import sys
from multiprocessing import current_process

__all__ = ["LOGGER", "heard", "watched"]

LOGGER = logging.getLogger("llmreg")


class Printer(logging.Handler):
    """Prints to what is standard output at the time: a notebook's cell, a file, a terminal."""

    def emit(self, record):
        print(self.format(record), flush=True)


@contextlib.contextmanager
def heard():
    """Within this context lines of level INFO reach the handlers that there are for them, or are
    printed where there are none."""
    level, printer = LOGGER.level, None if _has_listener() else Printer()
    if not LOGGER.isEnabledFor(logging.INFO):
        LOGGER.setLevel(logging.INFO)
    if printer:
        LOGGER.addHandler(printer)
    try:
        yield
    finally:
        LOGGER.setLevel(level)
        if printer:
            LOGGER.removeHandler(printer)


def _has_listener():
    logger = LOGGER
    while logger is not None:
        for handler in logger.handlers:
            if handler.level <= logging.INFO and not isinstance(handler, logging.NullHandler):
                return True
        logger = logger.parent if logger.propagate else None
    return False


def watched():
    """Whether somebody looks at this very process, in a terminal or a notebook.

    Processes of joblib share a terminal: the bars of several would overwrite one another.
    """
    alone = current_process().name == "MainProcess"
    terminal = sys.stderr is not None and sys.stderr.isatty()
    return alone and (terminal or "ipykernel" in sys.modules)
