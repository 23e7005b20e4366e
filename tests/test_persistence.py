"""Saved models: the same predictions anywhere, in small files without live tensors."""

import copy
import io
import pickle
import pickletools
import subprocess
import sys

import cloudpickle
import joblib
import numpy as np
import pandas as pd
import pytest
import torch

from llmreg import GRPO, DigitCodec, LLMRegressor, RowSerializer

WAYS = {
    "pickle": lambda model: pickle.loads(pickle.dumps(model)),
    "pickle protocol 2": lambda model: pickle.loads(pickle.dumps(model, protocol=2)),
    "cloudpickle": lambda model: cloudpickle.loads(cloudpickle.dumps(model)),
    "deepcopy": copy.deepcopy,
}


@pytest.fixture(scope="module")
def fitted(table, quick_fit):
    return quick_fit(table.X, table.y)


@pytest.mark.parametrize("way", WAYS)
def test_a_copy_predicts_bit_identically(way, fitted, table):
    again = WAYS[way](fitted)
    assert again is not fitted and again.model_ is not fitted.model_
    for decoding in ("rail", "median", "mode", "greedy", "sample"):
        np.testing.assert_array_equal(
            again.predict(table.X, decoding=decoding), fitted.predict(table.X, decoding=decoding)
        )
    pd.testing.assert_frame_equal(again.history_, fitted.history_)
    assert repr(again) == repr(fitted)


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
def test_every_dtype_survives_bit_by_bit(dtype, table, quick_fit):
    model = quick_fit(table.X, table.y, dtype=dtype)
    again = pickle.loads(pickle.dumps(model))
    assert again.model_.dtype == model.model_.dtype == getattr(torch, dtype)
    np.testing.assert_array_equal(again.predict(table.X), model.predict(table.X))
    twice = pickle.loads(pickle.dumps(again))
    np.testing.assert_array_equal(twice.predict(table.X), model.predict(table.X))


@pytest.mark.parametrize("compress", [0, 3])
def test_a_joblib_file_predicts_bit_identically(compress, fitted, table, tmp_path):
    joblib.dump(fitted, tmp_path / "model.joblib", compress=compress)
    again = joblib.load(tmp_path / "model.joblib")
    np.testing.assert_array_equal(again.predict(table.X), fitted.predict(table.X))


def test_another_process_predicts_bit_identically(fitted, table, pretrained_folder, tmp_path,
                                                  quick_fit):  # fmt: skip
    tuned = quick_fit(table.X, table.y, model=pretrained_folder, number_input="text+value")
    joblib.dump([fitted, tuned], tmp_path / "models.joblib")
    table.X.to_pickle(tmp_path / "X.pickle")
    script = (
        "import sys, joblib, numpy, pandas\n"
        "models, X, out = joblib.load(sys.argv[1]), pandas.read_pickle(sys.argv[2]), sys.argv[3]\n"
        "numpy.save(out, [model.predict(X) for model in models])\n"
    )
    files = [str(tmp_path / name) for name in ("models.joblib", "X.pickle", "found.npy")]
    subprocess.run([sys.executable, "-c", script, *files], check=True, capture_output=True)
    found = np.load(files[2])
    np.testing.assert_array_equal(found[0], fitted.predict(table.X))
    np.testing.assert_array_equal(found[1], tuned.predict(table.X))


def test_files_are_hardly_larger_than_the_weights(fitted):
    names = [name for name, _ in fitted.model_.named_parameters()]
    n_weights = sum(p.numel() for p in fitted.model_.parameters())
    size, weights = len(pickle.dumps(fitted)), 4 * n_weights  # as float32
    print(f"{size:,} bytes, weights {weights:,} bytes in {len(names)} tensors")
    assert weights < size < 1.6 * weights + 50_000


def test_the_size_does_not_grow_with_the_training_rows(table, quick_fit):
    X = pd.concat([table.X] * 100, ignore_index=True)
    X["size"] = np.random.RandomState(1).randn(len(X))
    y = pd.concat([table.y] * 100, ignore_index=True)
    params = dict(fit_method="ce", batch_size=1000)
    few = len(pickle.dumps(quick_fit(table.X, table.y, **params)))
    many = len(pickle.dumps(quick_fit(X, y, **params)))
    assert many < few + 8 * len(X)  # the added numbers alone would take that


def test_a_pickle_holds_no_tensors_optimizers_or_training_rows(table, quick_fit):
    marked = table.X.assign(words=[f"{text} xq{i}zj" for i, text in enumerate(table.X["words"])])
    model = quick_fit(marked, table.y, fit_method=GRPO(beta=0.1))
    arrays = []

    class Recorder(pickle.Pickler):
        def reducer_override(self, thing):
            assert not isinstance(thing, torch.Tensor | torch.nn.Parameter | torch.optim.Optimizer)
            assert not isinstance(thing, torch.Generator)
            if isinstance(thing, np.ndarray):
                arrays.append(thing)
            return NotImplemented

    Recorder(io.BytesIO()).dump(model)
    packed = pickle.dumps(model)
    named = [arg for opcode, arg, _ in pickletools.genops(packed) if isinstance(arg, str)]
    assert "unpack_model" in named
    assert not any(name.startswith("torch") for name in named)
    assert not any("EncodedRows" in name or "TrainingData" in name for name in named)
    assert not any(len(array) == len(marked) and array.dtype == object for array in arrays)
    assert not any("xq7zj" in name and "blue" in name for name in named)


def test_unpickling_leaves_the_random_states_alone(fitted, table):
    packed = pickle.dumps(fitted)
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002  (the legacy global state is the point)
    before = torch.get_rng_state(), pickle.dumps(np.random.get_state())  # noqa: NPY002
    again = pickle.loads(packed)
    again.predict(table.X)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert pickle.dumps(np.random.get_state()) == before[1]  # noqa: NPY002


def test_unfitted_estimators_are_pickled_without_torch():
    model = LLMRegressor(fit_method=GRPO(), codec=DigitCodec(), serializer=RowSerializer("{a}"))
    assert repr(pickle.loads(pickle.dumps(model))) == repr(model)
    script = (
        "import pickle, sys\n"
        "from llmreg import GRPO, DigitCodec, LLMRegressor, RowSerializer\n"
        "model = LLMRegressor(fit_method=GRPO(), codec=DigitCodec(), serializer=RowSerializer())\n"
        "pickle.loads(pickle.dumps(model)).set_params(sft_method__sigma=0.3)\n"
        "print(sorted({'torch', 'transformers', 'peft'} & set(sys.modules)))\n"
    )
    out = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert out.stdout.strip() == "[]"


@pytest.mark.parametrize("pretrained", [False, True])
@pytest.mark.parametrize("lora_r", [8, None])
def test_a_warm_start_after_unpickling_goes_on_like_one_without(
    pretrained, lora_r, table, quick_fit, pretrained_folder
):
    model = quick_fit(
        table.X, table.y, model=pretrained_folder if pretrained else "tiny", lora_r=lora_r,
        number_input="text+value", warm_start=True,
    )  # fmt: skip
    again = pickle.loads(pickle.dumps(model))
    assert again.model_.trainable().keys() == model.model_.trainable().keys()
    before = again.predict(table.X)
    model.fit(table.X, table.y)
    again.fit(table.X, table.y)
    assert (again.predict(table.X) != before).any()
    np.testing.assert_array_equal(again.predict(table.X), model.predict(table.X))


def test_a_fully_tuned_model_survives_a_warm_start_with_adapters_asked_for(
    table, quick_fit, pretrained_folder
):
    model = quick_fit(
        table.X, table.y, model=pretrained_folder, lora_r=None, warm_start=True,
        sft_learning_rate=1e-3,
    )  # fmt: skip
    model.set_params(lora_r=8).fit(table.X, table.y)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict(table.X), model.predict(table.X))


def test_a_constant_targets_model_survives(table, quick_fit):
    model = quick_fit(table.X, np.full(len(table.X), 3.25))
    np.testing.assert_allclose(pickle.loads(pickle.dumps(model)).predict(table.X), 3.25)
