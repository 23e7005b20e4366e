"""Threads and forked processes: what they share in torch, and what must not come of it."""

import multiprocessing
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from llmreg import LLMRegressor
from llmreg.integrations.process_state import own_draws, own_modes
from llmreg.training.steps import random_states, set_random_states


def test_draws_are_the_threads_own_and_leave_no_trace():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    with own_draws(1):
        first = torch.rand(3)
        with own_draws(2):  # a fit within a fit
            torch.rand(5)
        second = torch.rand(3)
    assert torch.equal(torch.get_rng_state(), before)
    with own_draws(1):
        assert torch.equal(torch.rand(6), torch.cat([first, second]))


def test_the_state_is_put_back_after_an_error():
    before = torch.get_rng_state()
    with pytest.raises(KeyboardInterrupt), own_draws(1):
        torch.rand(3)
        raise KeyboardInterrupt
    assert torch.equal(torch.get_rng_state(), before)
    with ThreadPoolExecutor(1) as pool, own_draws(2):  # another thread's turn comes afterwards
        waiting = pool.submit(_drawn)
        assert not waiting.done()
    assert torch.equal(waiting.result(), _drawn())


def test_every_device_goes_back_to_its_own_state(monkeypatch):
    generators = torch.Generator().manual_seed(1), torch.Generator().manual_seed(2)

    def index(device):
        return torch.device(device).index or 0

    monkeypatch.setattr(
        torch.cuda, "get_rng_state", lambda device="cuda": generators[index(device)].get_state()
    )
    monkeypatch.setattr(
        torch.cuda, "set_rng_state",
        lambda state, device="cuda": generators[index(device)].set_state(state),
    )  # fmt: skip
    second = torch.device("cuda:1")  # not the current one
    states = random_states(second)
    drawn = [torch.rand(3, generator=g) for g in (*generators, None)]
    set_random_states(states, second)
    again = [torch.rand(3, generator=g) for g in (*generators, None)]
    same = [torch.equal(one, other) for one, other in zip(drawn, again, strict=True)]
    assert same == [False, True, True]  # the CPU's, too


def _drawn():
    with own_draws(3):
        return torch.rand(3)


def test_fits_in_threads_end_as_they_would_alone(table):
    """Weights, hidden cells and dropout are drawn; others predict and load meanwhile."""
    few = dict(sft_epochs=2, align_epochs=1, batch_size=8, estimates=None, dropout=0.3)
    models = [LLMRegressor(**few, random_state=seed) for seed in (0, 1, 2)]
    expected = [model.fit(table.X, table.y).predict(table.X) for model in models]
    packed = pickle.dumps(models[0])
    torch.manual_seed(5)
    states = torch.get_rng_state(), pickle.dumps(np.random.get_state())  # noqa: NPY002
    together = threading.Barrier(4)

    def fit(model):
        together.wait()
        return LLMRegressor(**model.get_params()).fit(table.X, table.y).predict(table.X)

    def load_and_predict():
        together.wait()
        return [pickle.loads(packed).predict(table.X) for _ in range(3)]

    with ThreadPoolExecutor(4) as pool:
        loading = pool.submit(load_and_predict)
        found = list(pool.map(fit, models))
    # Draws that went astray would show in the first digits; sums may round otherwise on a busy CPU.
    np.testing.assert_allclose(found, expected, rtol=1e-7)
    np.testing.assert_allclose(loading.result(), [expected[0]] * 3, rtol=1e-7)
    assert torch.equal(torch.get_rng_state(), states[0])
    assert pickle.dumps(np.random.get_state()) == states[1]  # noqa: NPY002


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded, use of fork")
def test_forked_processes_predict_and_fit(table, quick_fit):
    """torch's threads do not come along; a thread that draws does not, either."""
    params = dict(fit_method="ce", estimates=None)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        model = quick_fit(table.X, table.y, **params)
        expected = model.predict(table.X)
        context = multiprocessing.get_context("fork")
        found = context.Queue()

        def work():
            found.put(model.predict(table.X))
            found.put(quick_fit(table.X, table.y, **params).predict(table.X))

        with ThreadPoolExecutor(1) as pool, own_draws():
            pool.submit(lambda: None).result()
            process = context.Process(target=work)
            process.start()
        try:
            results = [found.get(timeout=60) for _ in range(2)]
        finally:
            process.kill()
            process.join()
        np.testing.assert_allclose(results, [expected] * 2, rtol=1e-4)
        assert torch.get_num_threads() == 2  # the parent's are left alone
    finally:
        torch.set_num_threads(threads)


@pytest.fixture
def default_dtype():
    """Sets torch's default dtype, and puts it back."""
    before = torch.get_default_dtype()
    yield torch.set_default_dtype
    torch.set_default_dtype(before)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("params", [dict(dropout=0.3), dict(fit_method="histogram")], ids=str)
def test_fits_and_predictions_do_not_depend_on_the_default_dtype(
    params, dtype, table, quick_fit, default_dtype
):
    model = quick_fit(table.X, table.y, **params)
    expected, packed = model.predict(table.X), pickle.dumps(model)
    default_dtype(dtype)
    other = quick_fit(table.X, table.y, **params)
    found = [one.predict(table.X) for one in (model, other, pickle.loads(packed))]
    np.testing.assert_array_equal(found, [expected] * 3)
    assert torch.get_default_dtype() == dtype


@pytest.mark.parametrize("state", [torch.float64, torch.float32], ids=str)
def test_the_default_dtype_is_put_back_after_an_error(state, default_dtype):
    default_dtype(state)
    with pytest.raises(KeyboardInterrupt), own_draws(1):
        assert torch.get_default_dtype() == torch.float32
        raise KeyboardInterrupt
    assert torch.get_default_dtype() == state


MODES = {
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "set_grad_enabled": lambda: torch.set_grad_enabled(False),
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "default device": lambda: torch.device("meta"),
}


@pytest.mark.parametrize("mode", MODES.values(), ids=MODES)
def test_fits_and_predictions_do_not_depend_on_the_callers_modes(mode, table, quick_fit, tmp_path):
    model = quick_fit(table.X, table.y)
    expected, packed = model.predict(table.X), pickle.dumps(model)
    with mode():
        other = quick_fit(table.X, table.y)
        other.save(tmp_path / "model")
        loaded = LLMRegressor.load(tmp_path / "model")
        models = [model, other, loaded, pickle.loads(packed)]
        found = [one.predict(table.X) for one in models]
    np.testing.assert_array_equal(found, [expected] * 4)
    again = [one.set_params(warm_start=True).fit(table.X, table.y).predict(table.X)
             for one in models[1:]]  # fmt: skip
    np.testing.assert_array_equal(again, [again[0]] * 3)


def test_modes_are_the_callers_again_afterwards():
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        with own_modes():
            inside = torch.ones(2, 2, requires_grad=True) @ torch.ones(2, 2)
            assert inside.requires_grad and inside.dtype == torch.float32
        assert torch.is_inference_mode_enabled() and torch.is_autocast_enabled("cpu")
    assert torch.is_grad_enabled()
