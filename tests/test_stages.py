"""Interrupted fits end where uninterrupted ones do."""

import multiprocessing
import os
import random
import signal
import time

import numpy as np
import pandas as pd
import pytest

from llmreg import GRPO, LLMRegressor
from llmreg.training.checkpoints import Checkpoints

SHORT = dict(sft_epochs=2, align_epochs=2, batch_size=12, random_state=0, validation_fraction=0.2)
FITS = {
    "fresh": dict(fit_method=GRPO(3, beta=0.1)),
    "fresh, no adapters": dict(fit_method=GRPO("exact", beta=0.1), lora_r=None),
    "fresh, one stage": dict(fit_method="soft_ce"),
    "pretrained": dict(fit_method=GRPO(3, beta=0.1), lora_dropout=0.2),
    "pretrained, whole": dict(fit_method="raft", lora_r=None, number_input="text+value"),
    "pretrained, in parts": dict(fit_method="grpo", micro_batch_size=5),
}


QUICK = ("fresh", "pretrained")


class Interrupted(BaseException):
    """Stands in for Ctrl-C, at a moment of the test's choice."""


@pytest.fixture
def interrupt(monkeypatch):
    """``interrupt(k)``: raise in place of the k-th checkpoint from now on."""

    def arm(k):
        saved, save = [], Checkpoints.save

        def counting(self, state):
            saved.append(1)
            if len(saved) == k:
                raise Interrupted
            save(self, state)

        monkeypatch.setattr(Checkpoints, "save", counting)

    yield arm
    monkeypatch.undo()


def _same(found, expected, X):
    assert np.array_equal(found.predict(X), expected.predict(X))
    columns = [c for c in expected.history_ if c != "seconds"]
    pd.testing.assert_frame_equal(found.history_[columns], expected.history_[columns])


@pytest.mark.parametrize(
    "kind",
    [
        *(k for k in FITS if k in QUICK),
        *(pytest.param(k, marks=pytest.mark.slow) for k in FITS if k not in QUICK),
    ],
)
def test_a_fit_interrupted_at_any_step_ends_where_it_would_have(
    kind, table, pretrained_folder, tmp_path, interrupt, monkeypatch
):
    params = SHORT | FITS[kind]
    if "pretrained" in kind:
        params |= dict(model=pretrained_folder)
    expected = LLMRegressor(**params).fit(table.X, table.y)
    for k in range(1, 100, 4):
        resumable = LLMRegressor(
            **params, checkpoint_dir=tmp_path / str(k), checkpoint_interval=0.0
        )
        interruptions = 0
        for after in (k, 2):  # and once more, a step after it was taken up
            interrupt(after)
            try:
                resumable.fit(table.X, table.y)
                break
            except Interrupted:
                interruptions += 1
            finally:
                monkeypatch.undo()
        if interruptions == 2:
            resumable.fit(table.X, table.y)
        _same(resumable, expected, table.X)
        if not interruptions:
            break
    assert k > (4 if kind == "fresh, one stage" else 8)


def test_a_finished_fit_is_not_repeated(table, tmp_path, monkeypatch):
    params = SHORT | dict(checkpoint_dir=tmp_path, fit_method="grpo")
    first = LLMRegressor(**params).fit(table.X, table.y)
    assert len(list(tmp_path.iterdir())) == 1
    monkeypatch.setattr("llmreg.training.stage.Stage._step", None)  # a step would fail
    _same(LLMRegressor(**params).fit(table.X, table.y), first, table.X)


@pytest.mark.parametrize(
    "change",
    [
        dict(random_state=1), dict(sft_epochs=3), dict(fit_method="remax"), dict(fit_method="ce"),
        dict(sft_learning_rate=1e-4), dict(decoding="median"), dict(lora_r=2), dict(dropout=0.3),
        dict(validation_fraction=0.3), dict(reward="mae"), dict(sft_method="ce"),
        dict(number_input="text"), dict(lora_alpha=1),
    ],
)  # fmt: skip
def test_other_parameters_are_another_fit(change, table, tmp_path):
    params = SHORT | dict(sft_epochs=1, align_epochs=1, checkpoint_dir=tmp_path)
    LLMRegressor(**params).fit(table.X, table.y)
    LLMRegressor(**params | change).fit(table.X, table.y)
    assert len(list(tmp_path.iterdir())) == 2


def test_other_data_is_another_fit(table, tmp_path):
    params = SHORT | dict(sft_epochs=1, align_epochs=1, checkpoint_dir=tmp_path)
    X, y = table.X, table.y.to_numpy().copy()
    LLMRegressor(**params).fit(X, y)
    y[3] += 1
    LLMRegressor(**params).fit(X, y)
    LLMRegressor(**params).fit(X.assign(size=X["size"][::-1].to_numpy()), y)
    LLMRegressor(**params).fit(X, y, sample_weight=np.linspace(1, 2, len(y)))
    assert len(list(tmp_path.iterdir())) == 4


def test_a_grid_search_shares_one_folder(table, tmp_path):
    from sklearn.model_selection import GridSearchCV

    params = SHORT | dict(sft_epochs=1, align_epochs=1, checkpoint_dir=tmp_path)
    search = GridSearchCV(LLMRegressor(**params), {"fit_method": ["ce", "grpo"]}, cv=2, refit=False)
    search.fit(table.X, table.y)
    assert len(list(tmp_path.iterdir())) == 4


def test_without_a_folder_nothing_is_written(table, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    LLMRegressor(**SHORT | dict(sft_epochs=1, align_epochs=1)).fit(table.X, table.y)
    assert not list(tmp_path.iterdir())


# -- killed processes ------------------------------------------------------------------------


def _fit(params, X, y, folder, result):
    """In a process of its own: fit, and leave the predictions."""
    import torch

    torch.set_num_threads(1)  # sums over several threads round differently from process to process
    model = LLMRegressor(**params, checkpoint_dir=folder, checkpoint_interval=0.0).fit(X, y)
    np.save(f"{result}.partial.npy", model.predict(X))
    os.replace(f"{result}.partial.npy", result)


@pytest.fixture(scope="module")
def forkserver():
    """Processes that start with everything imported, so that kills find them at work."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["llmreg.fitting", "llmreg.predicting", "transformers", "peft"])
    return context


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["fresh", "pretrained"])
def test_a_fit_killed_twenty_times_ends_where_it_would_have(
    kind, table, pretrained_folder, tmp_path, forkserver
):
    _killed(20, kind, table, pretrained_folder, tmp_path, forkserver, epochs=8)


def test_a_fit_killed_a_few_times_ends_where_it_would_have(
    table, pretrained_folder, tmp_path, forkserver
):
    _killed(3, "fresh", table, pretrained_folder, tmp_path, forkserver, epochs=3)


def _killed(times, kind, table, pretrained_folder, tmp_path, context, epochs):
    params = SHORT | FITS[kind] | dict(sft_epochs=epochs, align_epochs=epochs)
    if kind == "pretrained":
        params |= dict(model=pretrained_folder)
    whole, result = tmp_path / "expected.npy", tmp_path / "result.npy"
    process = context.Process(target=_fit, args=(params, table.X, table.y, None, whole))
    process.start()
    process.join()
    kills, dice = 0, random.Random(0)
    while not result.exists():
        process = context.Process(
            target=_fit, args=(params, table.X, table.y, tmp_path / "checkpoints", result)
        )
        process.start()
        if kills < times:
            _wait_for_progress(tmp_path / "checkpoints", process)
            time.sleep(dice.uniform(0.0, 0.1))
            os.kill(process.pid, signal.SIGKILL)
        process.join()
        kills += process.exitcode == -signal.SIGKILL
    assert kills == times
    assert np.array_equal(np.load(result), np.load(whole))


def _wait_for_progress(folder, process):
    """Until a checkpoint is newer than all that were there."""

    def newest():
        return max((path.stat().st_mtime_ns for path in folder.glob("*.pt")), default=0)

    before, deadline = newest(), time.monotonic() + 60
    while newest() == before and process.is_alive() and time.monotonic() < deadline:
        time.sleep(0.005)
