"""Every family, and every style of tokenizer: from a folder to predictions that come back."""

import pickle
import warnings

import numpy as np
import pytest
from families import FAMILIES, family_config
from tokenizer_zoo import STYLES

from llmreg import LLMRegressor, PretrainedModel

PLAIN = {"mamba", "mamba2", "falcon_mamba"}
ROOM = {"gpt2": dict(n_positions=512), "opt": dict(max_position_embeddings=512)}


@pytest.fixture
def folder(tmp_path, tokenizer_zoo):
    """``folder(family, style)``: a model of random weights with its tokenizer, as on the hub."""

    def build(family, style):
        import torch
        from transformers import AutoModelForCausalLM

        tokenizer = tokenizer_zoo[style]
        config = family_config(family)
        config.update(dict(vocab_size=len(tokenizer), **ROOM.get(family, {})))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path)
        tokenizer.save_pretrained(tmp_path)
        return str(tmp_path)

    return build


def _style(family):
    """Each family has its own style or, where ours have none like it, the next in turn."""
    return STYLES[list(FAMILIES).index(family) % len(STYLES)]


@pytest.mark.parametrize("method", ["ce", "grpo"])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_fits_predicts_saves_and_opens(family, method, folder, table, tmp_path, quick_fit):
    X, y = table.X[:24], table.y[:24]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # Models whose learning rate suits no family in particular: only that nothing is amiss.
        warnings.filterwarnings("ignore", ".*validation RMSE clearly worse")
        warnings.filterwarnings("ignore", "The untrained model would hardly begin")
        model = quick_fit(
            X, y, model=folder(family, _style(family)), fit_method=method, batch_size=12,
            sft_learning_rate=1e-3, align_learning_rate=1e-3,
        )  # fmt: skip
    assert model.model_.packs == (family not in PLAIN)
    expected = model.predict(X)
    assert np.isfinite(expected).all() and np.ptp(expected) > 0
    assert (model.history_["loss"].notna()).all()
    one_by_one = np.concatenate([model.predict(X[i : i + 1]) for i in range(3)])
    np.testing.assert_allclose(one_by_one, expected[:3], rtol=1e-5)
    model.save(tmp_path / "saved")
    for opened in (pickle.loads(pickle.dumps(model)), LLMRegressor.load(tmp_path / "saved")):
        assert np.array_equal(opened.predict(X), expected)


@pytest.mark.parametrize("style", STYLES)
def test_every_style_learns_to_write_numbers(style, folder, quick_fit):
    """Whatever a tokenizer does to digits: the model can overfit a handful of rows."""
    X = np.array([["red"], ["green"], ["blue"], ["old house"]] * 6)
    y = np.array([10.0, 37.0, 64.0, 99.0] * 6)
    asked = PretrainedModel(folder("llama", style), instruction="", prefill="")
    model = quick_fit(
        X, y, model=asked, fit_method="ce", sft_epochs=25, adapters=None, sft_learning_rate=3e-3,
        estimates=None,
    )  # fmt: skip
    assert model.score(X, y) > 0.9
