"""What ``verbose=1`` shows: lines through the logger, or a bar for who watches."""

import contextlib
import logging
import os
import re
import subprocess
import sys

import pytest

from llmreg.training.reporting import Report

TWO = dict(sft_epochs=2, validation_fraction=0.1)
LINE = re.compile(
    r"\[align\] epoch 1/1: loss -?[\d.]+, validation RMSE ([\d.]+), "
    r"[\d.]+ s since the stage began, \d+ rows/s, 0:00:00 left"
)


def test_lines_say_what_was_chosen_and_how_each_epoch_went(table, quick_fit, caplog):
    quick_fit(table.X, table.y, sft_epochs=2)
    assert not caplog.messages
    model = quick_fit(table.X, table.y, verbose=1, **TWO)
    lines = caplog.messages
    assert [line.split(":")[0] for line in lines] == [
        "[sft] SoftCE, 2 epochs", "[sft] epoch 1/2", "[sft] epoch 2/2",
        "[align] GRPO, 1 epochs", "[align] before", "[align] epoch 1/1",
    ]  # fmt: skip
    assert "36 rows, validated on 4, batch_size 16, learning_rate 0.001" in lines[0]
    assert lines[0].endswith("cpu, float32")
    (rmse,) = LINE.fullmatch(lines[-1]).groups()
    assert rmse == f"{model.history_['validation_rmse'].iloc[-1]:.5g}"


def test_lines_name_members_and_no_errors_that_nothing_was_validated_for(table, quick_fit, caplog):
    quick_fit(table.X, table.y, fit_method="ce", verbose=1, n_estimators=2)
    lines = caplog.messages
    assert [line.split(":")[0] for line in lines] == [
        f"member {member}/2 [sft] {what}"
        for member in (1, 2) for what in ("CE, 1 epochs", "epoch 1/1")
    ]  # fmt: skip
    assert "no validation" in lines[0]
    assert "nan" not in "".join(lines) and "RMSE" not in lines[1]


def test_a_configured_logger_hears_fits_that_are_not_verbose(table, quick_fit, caplog, capsys):
    with caplog.at_level(logging.INFO, "llmreg"):
        quick_fit(table.X, table.y, fit_method="ce")
    assert len(caplog.messages) == 2
    assert capsys.readouterr() == ("", "")


@pytest.fixture
def watched(monkeypatch):
    """Somebody looks at a terminal."""
    monkeypatch.setattr("llmreg.training.reporting.watched", lambda: True)


def test_who_watches_sees_a_bar_for_each_stage(table, quick_fit, watched, capsys):
    quick_fit(table.X, table.y, verbose=1, n_estimators=2, **TWO)
    out, shown = capsys.readouterr()
    assert out == ""
    # Each state overwrites the one before, and the last stays.
    *first, last = [stage.split("\r")[-1] for stage in shown.split("\n")]
    assert last == "" and len(first) == 4
    for bar, stage in zip(first, ["sft", "align"] * 2, strict=True):
        n = 2 if stage == "sft" else 1
        assert f"{stage} on cpu, epoch {n}/{n}: 100%" in bar and f"{36 * n}/{36 * n}" in bar
        assert re.search(r"\[\d\d:\d\d<00:00, +[\d.]+ rows/s, validation RMSE [\d.]+\]", bar)
    assert first[0].startswith("member 1/2 sft") and first[3].startswith("member 2/2 align")


def test_a_bar_begins_where_an_interrupted_fit_was(table, quick_fit, watched, tmp_path, capsys):
    params = dict(fit_method="ce", checkpoint_dir=tmp_path, checkpoint_interval=0.0, sft_epochs=3)

    def interrupt(self, stage):
        if len(stage.records) == 1 and stage.done == 1:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("llmreg.training.stage.Stage._leave_trace", _after(interrupt))
        with pytest.raises(KeyboardInterrupt):
            quick_fit(table.X, table.y, **params)
    quick_fit(table.X, table.y, verbose=1, **params)
    shown = capsys.readouterr().err.split("\r")
    assert any("epoch 2/3:" in state and " 54/120 " in state for state in shown)
    assert "100%" in shown[-1] and "120/120" in shown[-1]


def _after(interrupt):
    from llmreg.training.stage import Stage

    leave_trace = Stage._leave_trace

    def left(stage):
        leave_trace(stage)
        interrupt(None, stage)

    return left


def test_lines_of_a_configured_logger_pass_by_the_bar(table, quick_fit, watched, capsys):
    import sys

    handler, logger = logging.StreamHandler(sys.stderr), logging.getLogger("llmreg")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        quick_fit(table.X, table.y, fit_method="ce", verbose=1)
    finally:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)
    shown = re.split("[\r\n]", capsys.readouterr().err)
    assert any(line.startswith("[sft] epoch 1/1: loss") for line in shown)
    assert any(line.startswith("sft on cpu") for line in shown)


def test_all_hear_of_an_epochs_end_though_the_first_asks_for_the_stages():
    heard = []

    class Listener(Report):
        def end_epoch(self, record, weights):
            heard.append(record)
            return len(heard) == 1

    assert Report(Listener(), Listener()).end_epoch({"epoch": 1}, None)
    assert heard == [{"epoch": 1}] * 2


# -- where people look ---------------------------------------------------------------------------

FIT = """
import numpy as np
from llmreg import LLMRegressor
X, y = np.arange(40.0).reshape(-1, 1), np.arange(40.0)
model = LLMRegressor(
    fit_method="ce", sft_epochs=3, batch_size=10, validation_fraction=None, estimates=None,
    random_state=0, device="cpu", verbose=1,
)
model.fit(X, y)
"""
SEARCH = """
from sklearn.model_selection import GridSearchCV
GridSearchCV(model, {"decoding": ["rail", "median"]}, cv=2, refit=False).fit(X, y)
"""
EVERY_STEP = {"TQDM_MININTERVAL": "0", "OMP_NUM_THREADS": "1"}


def _in_a_terminal(script):
    """What a terminal shows of a script, with all its states."""
    pty, termios = map(pytest.importorskip, ("pty", "termios"))
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 100))
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=theirs, stderr=theirs, env=os.environ | EVERY_STEP
    )
    os.close(theirs)
    shown = b""
    with contextlib.suppress(OSError):  # Linux's way to say that the other end is closed
        while part := os.read(ours, 4096):
            shown += part
    os.close(ours)
    assert process.wait(60) == 0, shown.decode()
    return shown.decode()


def _states(shown):
    """Shares of work done that bars have shown, in order, bar by bar."""
    bars = [re.findall(r"epoch \d/3: +(\d+)%", bar) for bar in shown.split("\n")]
    return [list(map(int, dict.fromkeys(bar))) for bar in bars if bar]


def test_the_bar_moves_in_a_terminal_and_within_a_search():
    states = _states(_in_a_terminal(FIT + SEARCH))
    assert states[0] == [round(100 * step / 12) for step in range(13)]  # of three epochs
    assert len(states) == 1 + 4 and all(len(bar) > 4 and bar[-1] == 100 for bar in states)


def test_the_bar_moves_in_a_notebook():
    nbclient, _ = map(pytest.importorskip, ("nbclient", "ipykernel"))
    nbformat = pytest.importorskip("nbformat")
    setting = f"import os\nos.environ |= {EVERY_STEP}\n"
    cells = [nbformat.v4.new_code_cell(source) for source in (setting + FIT, SEARCH)]
    notebook = nbformat.v4.new_notebook(cells=cells)
    nbclient.NotebookClient(notebook, timeout=100, kernel_name="python3").execute()
    first, second = ["".join(out.get("text", "") for out in cell.outputs) for cell in cells]
    assert _states(first)[0][-1] == 100 and len(_states(first)[0]) == 13, first
    assert len(_states(second)) == 4, second
