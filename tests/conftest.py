"""Tiny language models with random weights, and prompts for them."""

import os
from types import SimpleNamespace

# Before numpy and torch are loaded: processes that run side by side have a thread each.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
from codec_zoo import PlainCodec
from core_tests import is_core
from families import VOCABULARY, family_config

# What tests share is no test: a method that is registered there would be one everywhere.
collect_ignore = ["helpers"]


def pytest_collection_modifyitems(items):
    for item in items:
        if is_core(item.nodeid.removeprefix("tests/")):
            item.add_marker("core")


def _build_model(family, codec, *, cells=None, dtype=None, seed=0):
    import torch
    from transformers import AutoModelForCausalLM

    from llmreg.lm.backbone import NumberLM

    torch.manual_seed(seed)
    lm = AutoModelForCausalLM.from_config(family_config(family))
    # Symbols anywhere in the vocabulary, in no order: an index mistaken for a token id shows.
    symbol_ids = torch.randperm(VOCABULARY)[: len(codec.symbols)]
    return NumberLM(lm, cells, symbol_ids, codec).place("cpu", dtype).eval()


def _random_prompts(lengths, *, seed=0):
    import torch

    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(VOCABULARY, (length,), generator=generator) for length in lengths]


def _as_batch(prompts, *, extra_padding=0):
    import torch

    from llmreg.prompts.encoding import PromptBatch

    width = max(map(len, prompts)) + extra_padding
    # Padding holds a token like any other, so that reading it shows.
    ids = torch.full((len(prompts), width), 7)
    mask = torch.zeros(len(prompts), width, dtype=torch.bool)
    for row, prompt in enumerate(prompts):
        ids[row, width - len(prompt) :] = prompt
        mask[row, width - len(prompt) :] = True
    none = torch.zeros(len(prompts), 0)
    return PromptBatch(
        ids=ids, slots=torch.zeros_like(ids), mask=mask, numbers=none, categories=none.long(),
        texts=none.unsqueeze(2),
    )  # fmt: skip


@pytest.fixture(scope="session")
def build_model():
    """``build_model(family, codec, cells=None, dtype=None, seed=0)``: a NumberLM in eval mode."""
    return _build_model


@pytest.fixture(scope="session")
def random_prompts():
    """``random_prompts(lengths, seed=0)``: a list of token id tensors."""
    return _random_prompts


@pytest.fixture(scope="session")
def as_batch():
    """``as_batch(prompts, extra_padding=0)``: a left-padded PromptBatch without cell vectors."""
    return _as_batch


@pytest.fixture(scope="session")
def random_batch():
    """``random_batch(lengths, seed=0)``: a left-padded PromptBatch of random prompts."""
    return lambda lengths, seed=0: _as_batch(_random_prompts(lengths, seed=seed))


@pytest.fixture(scope="session")
def ragged_codec():
    """Five numbers over three symbols: most symbols are illegal at most nodes."""
    sequences = np.array([[0, 0, 1], [0, 2, 0], [0, 2, 2], [1, 1, 0], [2, 0, 0]])
    return PlainCodec(
        symbols=("a", "b", "c"), sequences=lambda: sequences, edges_=np.arange(6) + 0.5,
        values_=np.arange(1.0, 6.0),
    )  # fmt: skip


# -- the estimator ---------------------------------------------------------------------------


@pytest.fixture(scope="session")
def table():
    """40 rows with a number, a category and a text column; ``table.X`` and ``table.y``."""
    import pandas as pd

    rng = np.random.RandomState(0)
    words = ["red", "blue", "old", "new", "big", "tiny"]
    X = pd.DataFrame(
        {
            "size": rng.randn(40),
            "city": rng.choice(["Graz", "Linz", "Wien"], 40),
            "words": [" ".join(rng.choice(words, rng.randint(3, 9))) for _ in range(40)],
        }
    )
    y = pd.Series(50 + 10 * X["size"] + 5 * (X["city"] == "Graz") + rng.randn(40), name="price")
    return SimpleNamespace(X=X, y=y)


@pytest.fixture(scope="session")
def quick_fit():
    """``quick_fit(X, y, sample_weight=None, **params)``: an LLMRegressor after very few steps.

    Without validation, which would undo some of them, unless asked for.
    """
    from llmreg import LLMRegressor

    few = dict(sft_epochs=1, align_epochs=1, batch_size=16, random_state=0)

    def fit(X, y, sample_weight=None, **params):
        params = few | dict(validation_fraction=None) | params
        return LLMRegressor(**params).fit(X, y, sample_weight=sample_weight)

    return fit


@pytest.fixture(scope="session")
def pretrained_folder(tmp_path_factory):
    """A folder with a small Llama of random weights and a byte-level BPE tokenizer."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    sentences = ["size: 12.5, city: Graz. price:", "the red old house", "30 40 50 1999 2001"]
    tokenizer.train_from_iterator(sentences * 3, trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>"
    )
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=128, intermediate_size=256, num_hidden_layers=2,
        num_attention_heads=4, max_position_embeddings=512, bos_token_id=0, eos_token_id=1,
        initializer_range=0.1,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("pretrained")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.fixture
def brute_force_mean():
    """``brute_force_mean(steps)``: the power-function mean of weights of shape (steps, size).

    Step k counts k (k + 1) … (k + p - 1): k to the power of p, in its rising form.
    """
    import torch

    from llmreg.training.selection import RunningMean

    def mean(steps):
        k = torch.arange(1.0, len(steps) + 1, dtype=torch.float64)
        share = torch.stack([k + j for j in range(int(RunningMean.POWER))]).prod(0)
        return (share / share.sum()) @ steps

    return mean


# -- tokenizers ------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def tokenizer_zoo():
    """``tokenizer_zoo[style]``: a fresh copy of a small tokenizer; styles: tokenizer_zoo.STYLES."""
    from tokenizer_zoo import TokenizerZoo

    return TokenizerZoo()


# -- training --------------------------------------------------------------------------------


@pytest.fixture
def problem():
    """``problem(n_digits=1)``: a fresh model, its training data and scale; the same each time."""
    import pandas as pd
    import torch
    from plans import plan_of

    from llmreg import DigitCodec, LLMRegressor, RowSerializer
    from llmreg.lm.building import build_model
    from llmreg.lm.loading.base import fresh_base
    from llmreg.prompts.fitting import fit_prompts
    from llmreg.training.policy import ZScale
    from llmreg.training.training_data import TrainingData

    n_rows = 24
    X = pd.DataFrame({"a": np.random.RandomState(0).randn(n_rows)})
    y = 3 * X["a"].to_numpy()
    # Hidden cells have tests of their own.
    estimator = LLMRegressor(dropout=0.0)

    def build(n_digits=1):
        codec = DigitCodec(n_digits=n_digits).fit(y)
        rows = RowSerializer().fit(X).serialize(X)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            plan = plan_of(estimator, rows, codec)
            base = fresh_base("tiny", plan, rows, codec)
            prompts, encoded = fit_prompts(plan, base, rows, codec)
            model = build_model(plan, base, prompts, encoded, codec)
        z, same = (y - y.mean()) / y.std(), np.ones(n_rows)
        data = TrainingData(encoded, z, codec.leaf_of(y), same, same)
        scale = ZScale.from_tree(model.tree, y.mean(), y.std(), model.device, model.dtype)
        return model, data, scale

    return build
