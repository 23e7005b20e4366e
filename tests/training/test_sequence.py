"""Interrupted fits end where uninterrupted ones do."""

import multiprocessing
import os
import random
import shutil
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, is_dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from peft import LoraConfig

from llmreg import GRPO, Device, DigitCodec, GridCodec, LLMRegressor, RowSerializer
from llmreg.training.checkpoints import Checkpoints
from llmreg.training.selection import RunningMean
from llmreg.training.sequence import fit_name
from llmreg.training.stage import Stage

SHORT = dict(sft_epochs=2, align_epochs=2, batch_size=12, random_state=0, validation_fraction=0.2)
FITS = {
    "fresh": dict(fit_method=GRPO(3, beta=0.1)),
    "fresh, no adapters": dict(fit_method=GRPO("exact", beta=0.1), adapters=None),
    "fresh, one stage": dict(fit_method="soft_ce"),
    "pretrained": dict(fit_method=GRPO(3, beta=0.1), adapters=LoraConfig(lora_dropout=0.2)),
    "pretrained, whole": dict(fit_method="raft", adapters=None, number_input="text+value"),
    "pretrained, in parts": dict(fit_method="grpo", device=Device(micro_batch_size=5)),
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


@pytest.fixture
def untrained(monkeypatch):
    """Fits that train nothing; the names of their checkpoints."""
    names = []

    def train_nothing(model, data, plan, checkpoints, **kwargs):
        names.append(checkpoints.path.name)
        return []

    monkeypatch.setattr("llmreg.training.run.train_stages", train_nothing)
    return names


@pytest.mark.parametrize(
    "change",
    [
        dict(random_state=1), dict(sft_epochs=3), dict(fit_method="remax"), dict(fit_method="ce"),
        dict(sft_learning_rate=1e-4), dict(decoding="median"), dict(adapters=2), dict(dropout=0.3),
        dict(validation_fraction=0.3), dict(fit_method=GRPO(reward="mae")), dict(sft_method="ce"),
        dict(number_input="text"), dict(adapters=LoraConfig(lora_alpha=1)),
        dict(codec=DigitCodec(n_digits=1)),
        dict(serializer=RowSerializer("{size}")), dict(text_features=False),
    ],
)  # fmt: skip
def test_other_parameters_are_another_fit(change, table, tmp_path, untrained):
    params = SHORT | dict(sft_epochs=1, align_epochs=1, checkpoint_dir=tmp_path)
    for changed in ({}, change, {}):
        LLMRegressor(**params | changed).fit(table.X, table.y)
    assert untrained[0] != untrained[1]
    assert untrained[0] == untrained[2]


def test_other_data_is_another_fit(table, tmp_path, untrained):
    params = SHORT | dict(sft_epochs=1, align_epochs=1, checkpoint_dir=tmp_path)
    X, y = table.X, table.y.to_numpy().copy()
    LLMRegressor(**params).fit(X, y)
    y[3] += 1
    LLMRegressor(**params).fit(X, y)
    LLMRegressor(**params).fit(X.assign(size=X["size"][::-1].to_numpy()), y)
    LLMRegressor(**params).fit(X, y, sample_weight=np.linspace(1, 2, len(y)))
    assert len(set(untrained)) == 4


def _power(k):
    return lambda samples, y: -(np.abs(samples - y) ** k)


def test_another_reward_is_another_fit(table, tmp_path):
    few = dict(sft_epochs=1, align_epochs=3, align_learning_rate=0.01, validation_fraction=None)
    params = SHORT | few | dict(estimates=None, text_features=False)
    for reward in (lambda s, t: -np.abs(s - t), lambda s, t: -np.exp(s - t)):
        method = GRPO(3, reward=reward)
        expected = LLMRegressor(**params, fit_method=method).fit(table.X, table.y)
        found = LLMRegressor(**params, fit_method=method, checkpoint_dir=tmp_path)
        _same(found.fit(table.X, table.y), expected, table.X)


def test_rewards_of_a_factory_are_different_fits(table, tmp_path, untrained):
    for k in (1, 6, 1):
        method = GRPO(reward=_power(k))
        LLMRegressor(**SHORT, fit_method=method, checkpoint_dir=tmp_path).fit(table.X, table.y)
    assert untrained[0] != untrained[1]
    assert untrained[0] == untrained[2]


def test_a_reward_that_cannot_be_named_is_never_taken_for_another(table, tmp_path):
    def of_a_stream(factor):
        stream = (factor for _ in iter(int, 1))
        return lambda samples, y: -(np.abs(samples - y) ** next(stream))

    params = SHORT | dict(sft_epochs=1, align_epochs=1, estimates=None, checkpoint_dir=tmp_path)
    found = []
    for factor in (1, 6):
        with pytest.warns(UserWarning, match="has no lasting name.*will not be continued"):
            method = GRPO(reward=of_a_stream(factor))
            model = LLMRegressor(**params, fit_method=method).fit(table.X, table.y)
        found.append(model.history_["loss"].iloc[-1])
    assert found[0] != found[1]


def test_targets_in_other_units_are_another_fit(table, tmp_path):
    """Weights would be the same, but not the errors in the history."""
    params = SHORT | dict(sft_epochs=2, fit_method="ce", estimates=None, checkpoint_dir=tmp_path)
    for factor in (1, 1024):
        found = LLMRegressor(**params).fit(table.X, factor * table.y)
        expected = LLMRegressor(**params | {"checkpoint_dir": None}).fit(table.X, factor * table.y)
        _same(found, expected, table.X)


@pytest.mark.filterwarnings("ignore:.* targets lie outside the codec")
def test_grids_whose_digits_are_the_same_are_different_fits(table, tmp_path):
    params = SHORT | dict(sft_epochs=2, fit_method="soft_ce", estimates=None)
    y = np.where(table.y > 50, 30, 3)
    for values in ([3, 12], [31, 2]):
        asked = params | dict(codec=GridCodec(values))
        expected = LLMRegressor(**asked).fit(table.X, y)
        _same(LLMRegressor(**asked, checkpoint_dir=tmp_path).fit(table.X, y), expected, table.X)


# What is known of these in other ways, or has no say in what training ends with.
NOT_NAMED = {"device", "text_features", "why"}


def _changed(part):
    """(name, a copy with another value) of every field of a plan and of its parts."""
    for field in fields(part):
        value = getattr(part, field.name)
        if is_dataclass(value):
            for name, other in _changed(value):
                yield name, replace(part, **{field.name: other})
        else:
            other = Path("other") if field.name != "why" else {"seed": "other"}
            yield field.name, replace(part, **{field.name: other})


def test_all_that_decides_is_in_the_name(problem, tmp_path, monkeypatch):
    model, data, scale = problem()
    plan = LLMRegressor(**SHORT, fit_method="ce").fit(np.arange(24.0)[:, None], data.z).plan_

    def name(plan=plan, seed=0, **changed):
        given = {"data": data, "scale": scale, "y": data.z, "held_out": np.arange(2)} | changed
        return fit_name(model, plan, seed, std=1.0, **given)

    before = name()
    assert {field for field, other in _changed(plan) if name(other) == before} == NOT_NAMED
    others = [
        name(seed=1), name(y=1024 * data.z), name(data=data.take(np.arange(5))),
        name(held_out=np.arange(3)),
    ]  # fmt: skip
    monkeypatch.setattr("llmreg.version.__version__", "another")
    others.append(name())
    monkeypatch.undo()
    monkeypatch.setattr("importlib.metadata.version", lambda package: "another")
    others.append(name())
    monkeypatch.undo()
    weight = next(iter(model.trainable().values())).data
    weight.view(-1)[-1] += 1
    others.append(name())
    assert len({before, *others}) == 1 + len(others)


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


# -- folders that fail ------------------------------------------------------------------------


def test_a_folder_that_cannot_be_written_to_is_refused_before_any_work(
    table, tmp_path, monkeypatch
):
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setattr("llmreg.fit.fit_codec", None)
    model = LLMRegressor(**SHORT, checkpoint_dir=tmp_path / "file")
    with pytest.raises(OSError, match=r"cannot be written to.*Nothing was trained"):
        model.fit(table.X, table.y)


def test_no_failing_checkpoint_loses_the_fit(table, tmp_path, monkeypatch):
    params = SHORT | dict(fit_method="grpo", estimates=None)
    expected = LLMRegressor(**params).fit(table.X, table.y)
    folder = tmp_path / "folder"
    step = Stage._step

    def replaced_by_a_file(self, rows):
        if folder.is_dir():
            shutil.rmtree(folder)
            folder.write_bytes(b"")
        step(self, rows)

    monkeypatch.setattr(Stage, "_step", replaced_by_a_file)
    model = LLMRegressor(**params, checkpoint_dir=folder, checkpoint_interval=0.0)
    with pytest.warns(UserWarning, match="could not be saved") as caught:
        model.fit(table.X, table.y)
    assert sum("could not be saved" in str(w.message) for w in caught) == 1
    _same(model, expected, table.X)


# -- signals ----------------------------------------------------------------------------------

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Terminated(BaseException):
    """What a handler of the user's raises."""


@pytest.fixture
def handlers():
    """Handlers of the user's: they raise, whatever the shell said of Ctrl-C."""

    def terminate(number, frame):
        raise Terminated

    before = {number: signal.getsignal(number) for number in SIGNALS}
    signal.signal(signal.SIGTERM, terminate)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield {signal.SIGINT: KeyboardInterrupt, signal.SIGTERM: Terminated}
    for number, handler in before.items():
        signal.signal(number, handler)


def _signal_in_step(k, *numbers):
    """Let signals come in the k-th step from now on; returns the list of steps begun."""
    steps, step = [], Stage._step

    def signalled(self, rows):
        steps.append(1)
        if len(steps) == k:
            for number in numbers:
                signal.raise_signal(number)
        step(self, rows)

    Stage._step = signalled
    return steps


@pytest.fixture
def signal_in_step(monkeypatch):
    monkeypatch.setattr(Stage, "_step", Stage._step)  # put back in the end
    return _signal_in_step


# Within the first epoch, at the end of one, in the second stage.
@pytest.mark.parametrize(("number", "ks"), [(signal.SIGINT, (2, 4, 4)), (signal.SIGTERM, (5,))])
def test_a_signal_leaves_a_checkpoint_of_the_step_that_it_came_in(
    number, ks, table, tmp_path, handlers, signal_in_step, monkeypatch
):
    params = SHORT | FITS["fresh"] | dict(estimates=None, n_iter_no_change=10)
    expected = LLMRegressor(**params).fit(table.X, table.y)
    model = LLMRegressor(**params, checkpoint_dir=tmp_path, checkpoint_interval=1e9)
    installed = [signal.getsignal(n) for n in SIGNALS]
    begun = 0
    for k in ks:
        steps = signal_in_step(k, number)
        with pytest.raises(handlers[number]):
            model.fit(table.X, table.y)
        begun += len(steps)
        assert len(steps) == k  # which was finished, and is not done again
        assert [signal.getsignal(n) for n in SIGNALS] == installed
        monkeypatch.undo()
        assert not hasattr(model, "model_")
    steps = signal_in_step(0)
    model.fit(table.X, table.y)
    assert begun + len(steps) == (expected.history_["epoch"] > 0).sum() * 3
    _same(model, expected, table.X)


@pytest.mark.parametrize("numbers", [(signal.SIGINT,) * 2, SIGNALS, SIGNALS[::-1]])
def test_a_second_signal_does_not_wait_for_the_step(
    numbers, table, tmp_path, handlers, signal_in_step
):
    model = LLMRegressor(**SHORT, fit_method="ce", estimates=None, checkpoint_dir=tmp_path)
    steps = signal_in_step(2, *numbers)
    with pytest.raises(handlers[numbers[1]]):
        model.fit(table.X, table.y)
    assert len(steps) == 2 and not list(tmp_path.iterdir())


def test_a_handler_that_returns_lets_the_fit_go_on(table, tmp_path, handlers, signal_in_step):
    got = []
    signal.signal(signal.SIGTERM, lambda number, frame: got.append(number))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal_in_step(2, *SIGNALS)
    LLMRegressor(**SHORT, fit_method="ce", estimates=None, checkpoint_dir=tmp_path).fit(
        table.X, table.y
    )
    assert got == [signal.SIGTERM] and signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_without_checkpoints_signals_act_at_once(table, handlers, signal_in_step, monkeypatch):
    signal_in_step(2, signal.SIGINT)
    updates, update = [], RunningMean.update
    monkeypatch.setattr(RunningMean, "update", lambda self: updates.append(update(self)))
    with pytest.raises(KeyboardInterrupt):
        LLMRegressor(**SHORT, fit_method="ce", estimates=None).fit(table.X, table.y)
    assert len(updates) == 1


def test_a_fit_in_a_thread_leaves_signals_alone(table, tmp_path):
    model = LLMRegressor(**SHORT, fit_method="ce", estimates=None, checkpoint_dir=tmp_path)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(model.fit, table.X, table.y).result()
    assert len(model.history_) == 2


# -- killed processes ------------------------------------------------------------------------


def _fit(params, X, y, folder, result, interval=0.0, terminated_in=0):
    """In a process of its own: fit, and leave the predictions."""
    import torch

    torch.set_num_threads(1)  # sums over several threads round differently from process to process
    _signal_in_step(terminated_in, signal.SIGTERM)
    model = LLMRegressor(**params, checkpoint_dir=folder, checkpoint_interval=interval).fit(X, y)
    np.save(f"{result}.partial.npy", model.predict(X))
    os.replace(f"{result}.partial.npy", result)


@pytest.fixture(scope="module")
def forkserver():
    """Processes that start with everything imported, so that kills find them at work."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["llmreg.fit", "llmreg.prediction.distributions", "transformers", "peft"]
    )
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


def test_a_terminated_process_ends_by_its_signal_and_its_fit_where_it_would_have(
    table, tmp_path, forkserver
):
    params = SHORT | FITS["fresh"] | dict(estimates=None, n_iter_no_change=10)

    def run(folder, result, terminated_in=0):
        process = forkserver.Process(
            target=_fit, args=(params, table.X, table.y, folder, result, 1e9, terminated_in)
        )
        process.start()
        process.join()
        return process.exitcode

    assert run(None, tmp_path / "whole.npy") == 0
    for k in (1, 4):
        assert run(tmp_path / "folder", tmp_path / "found.npy", k) == -signal.SIGTERM
    assert len(list((tmp_path / "folder").iterdir())) == 1
    assert run(tmp_path / "folder", tmp_path / "found.npy") == 0
    assert np.array_equal(np.load(tmp_path / "found.npy"), np.load(tmp_path / "whole.npy"))


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
