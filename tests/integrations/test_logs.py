"""Lines of a verbose fit are seen, whatever was configured; others are not."""

import io
import logging
import sys

import pytest

from llmreg.integrations.logs import LOGGER, heard, watched


@pytest.fixture
def bare(monkeypatch):
    """``bare(name, *handlers)``: logging as a new process has it, but for one logger's handlers."""

    def bare(name=None, *handlers):  # within the test: pytest's own handlers come with its call
        monkeypatch.setattr(logging.root, "handlers", [])
        monkeypatch.setattr(logging.root, "level", logging.WARNING)
        monkeypatch.setattr(logging.getLogger(name), "handlers", list(handlers))

    return bare


def _said(capsys, text):
    LOGGER.info(text)
    return capsys.readouterr().out


def test_without_handlers_lines_are_printed_and_then_no_more(bare, capsys):
    bare()
    assert _said(capsys, "before") == ""
    with heard():
        assert _said(capsys, "within") == "within\n"
    assert _said(capsys, "after") == ""
    assert LOGGER.level == logging.NOTSET and LOGGER.handlers == []


def test_an_error_leaves_no_handler(bare):
    bare()
    with pytest.raises(KeyboardInterrupt), heard():
        raise KeyboardInterrupt
    assert LOGGER.level == logging.NOTSET and LOGGER.handlers == []


@pytest.mark.parametrize("name", [None, "llmreg"])
def test_handlers_that_are_there_get_the_lines_alone(name, bare, capsys):
    handler = logging.StreamHandler(io.StringIO())
    bare(name, handler)
    with heard():
        assert _said(capsys, "a line") == ""
    assert handler.stream.getvalue() == "a line\n"


@pytest.mark.parametrize(
    "handler", [logging.NullHandler(), logging.Handler(logging.ERROR)], ids=["null", "errors only"]
)
def test_handlers_that_show_no_lines_do_not_count(handler, bare, capsys):
    bare(None, handler)
    with heard():
        assert _said(capsys, "a line") == "a line\n"


def test_nobody_watches_a_pipe_or_a_worker(monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert watched()
    monkeypatch.setattr("llmreg.integrations.logs.current_process", lambda: _Process("Loky-1"))
    assert not watched()
    monkeypatch.undo()
    assert not watched()  # pytest captures what is written


class _Process:
    def __init__(self, name):
        self.name = name
