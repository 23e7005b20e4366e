"""SmolLM2-135M, real pretrained weights, through the whole road: ``pytest -m real``, two minutes.

Where its package is not installed (benchmarks/real_weights.py says how), these tests are skipped.
"""

import pickle
import warnings
from functools import cache

import numpy as np
import pandas as pd
import pytest

from benchmarks.real_weights import gguf_file, real_model
from llmreg import Adapters, LLMRegressor, PretrainedModel
from llmreg.prediction.answer import answer_mass
from llmreg.training.stage import Stage

pytestmark = pytest.mark.real
TOP = Adapters(depth=6)


@pytest.fixture(scope="module")
def folder():
    try:
        return real_model("smollm2")
    except ModuleNotFoundError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def reviews():
    """60 short reviews and their stars, which words tell."""
    rng = np.random.RandomState(0)
    words = {1: ["awful", "broken"], 3: ["fine", "average"], 5: ["great", "wonderful"]}
    stars = rng.choice([1, 3, 5], 60)
    things = rng.choice(["phone", "lamp", "kettle"], 60)
    texts = [f"A {rng.choice(words[n])} {thing}." for n, thing in zip(stars, things, strict=True)]
    return pd.DataFrame({"review": texts}), pd.Series(stars.astype(float), name="stars")


@pytest.fixture(scope="module")
def ask(folder, reviews):
    """``ask(**asked)``: the model as it is; the same one for the same arguments."""

    @cache
    def fit(**asked):
        model = LLMRegressor(PretrainedModel(folder, **asked), "zero_shot", random_state=0)
        return model.fit(*(part[:20] for part in reviews))

    return fit


def _fitted(folder, reviews, method="raft", **params):
    params = dict(
        adapters=TOP, sft_epochs=1, align_epochs=1, sft_learning_rate=3e-3,
        align_learning_rate=3e-3, validation_fraction=None, random_state=0,
    ) | params  # fmt: skip
    asked = PretrainedModel(folder, prefill="stars: ")
    return LLMRegressor(asked, method, **params).fit(*reviews)


def _ids(model, X):
    rows = model.prompts_.encode(model.serializer_.serialize(X))
    return [rows.ids[i : i + n].tolist() for i, n in zip(rows.starts, rows.lengths, strict=True)]


# -- how it is asked -------------------------------------------------------------------------


def test_a_number_follows_the_prompt_as_in_the_tokenizers_own_text(ask, reviews):
    for chat in (True, False):
        model = ask(chat_template=chat)
        (ids,) = _ids(model, reviews[0][:1])
        tokenizer, (spelled,) = model.prompts_.tokenizer, model.codec_.spell([3.0])
        digits = [model.codec_.symbols.index(digit) for digit in spelled]
        tokens = model.model_.symbol_ids[digits].tolist()
        text = tokenizer.decode(ids) + spelled
        assert tokenizer(text, add_special_tokens=False)["input_ids"] == [*ids, *tokens]
        assert tokenizer.decode(ids[-1:]) == " "


def test_the_model_would_begin_a_number_where_it_is_asked_for_one(ask, reviews):
    for chat in (True, False):
        model = ask(chat_template=chat)
        plain = ask(chat_template=chat, prefill="")
        masses = [
            answer_mass(one.model_, one.prompts_.encode(rows), whole=False)
            for one in (plain, model)
            for rows in [one.serializer_.serialize(reviews[0][:4])]
        ]
        assert masses[0] < 0.5 < 0.9 < masses[1]
        assert model.plan_.answer_mass > plain.plan_.answer_mass


# -- the same numbers on all roads -----------------------------------------------------------


def test_packed_cached_and_plain_passes_agree(ask, reviews):
    import torch

    model = ask(chat_template=True)
    lm, rows = model.model_, model.prompts_.encode(model.serializer_.serialize(reviews[0][:2]))
    assert lm.packs
    batch = rows.batch(np.arange(2), lm.device, torch.float32)
    nodes = torch.arange(1, lm.tree.n_open)
    with torch.no_grad():
        plain = lm.plain_logits(batch, nodes)
        root, cache = lm.prefill(batch)
        cached = torch.cat([root.unsqueeze(1), lm.extend(cache, nodes.expand(2, -1))], 1)
        scale = float(plain.abs().max())
        assert (lm.node_logits(batch, nodes) - plain).abs().max() < 1e-4 * scale
        assert (cached - plain).abs().max() < 1e-4 * scale


def test_its_gguf_file_opens_quietly_and_is_remembered(ask, reviews, tmp_path, capfd):
    file = gguf_file("smollm2")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = LLMRegressor(
            PretrainedModel(str(file.parent), model_kwargs={"gguf_file": file.name}), "zero_shot",
            random_state=0,
        ).fit(*(part[:20] for part in reviews))  # fmt: skip
    assert capfd.readouterr().err == ""
    expected = ask(chat_template=True).predict(reviews[0][:4])
    assert model.predict(reviews[0][:4]) == pytest.approx(expected, rel=1e-5)
    model.save(tmp_path / "saved")
    opened = LLMRegressor.load(tmp_path / "saved")
    assert opened.predict(reviews[0][:4]) == pytest.approx(expected, rel=1e-5)


# -- tuned -----------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["ce", "raft", "grpo"])
def test_it_learns_and_comes_back_from_files(method, folder, reviews, tmp_path):
    X, y = reviews
    model = _fitted(folder, reviews, method, sft_epochs=8, align_epochs=3)
    assert model.score(X[:30], y[:30]) > 0.5
    expected = model.predict(X[:4])
    assert expected[:2] == pytest.approx(model.predict(X[:2]), rel=1e-4)  # whoever its mates are
    packed = pickle.dumps(model)
    assert len(packed) < 20e6  # adapters alone
    model.save(tmp_path / "saved")
    for opened in (pickle.loads(packed), LLMRegressor.load(tmp_path / "saved")):
        assert np.array_equal(opened.predict(X[:4]), expected)


def test_an_interrupted_fit_is_taken_up_again(folder, reviews, tmp_path, monkeypatch):
    few = tuple(part[:24] for part in reviews)
    expected = _fitted(folder, few).predict(few[0][:4])
    step, steps = Stage._step, []

    def stop(stage, rows):
        steps.append(rows)
        if len(steps) == 3:
            raise KeyboardInterrupt
        step(stage, rows)

    kept = dict(checkpoint_dir=tmp_path, checkpoint_interval=0)
    with monkeypatch.context() as patch:
        patch.setattr(Stage, "_step", stop)
        with pytest.raises(KeyboardInterrupt):
            _fitted(folder, few, **kept)
    assert np.array_equal(_fitted(folder, few, **kept).predict(few[0][:4]), expected)
