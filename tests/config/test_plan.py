"""A plan: nothing is "auto" any more, each choice has a reason, and it is what the fit does."""

import pickle

import numpy as np
import pandas as pd
import pytest
from plans import plan_of
from sklearn.feature_extraction.text import HashingVectorizer
from transformers import LlamaConfig

from llmreg import (
    GRPO,
    RAFT,
    Adapters,
    Device,
    DigitCodec,
    GridCodec,
    LLMRegressor,
    Optimizer,
    PretrainedModel,
    RowSerializer,
    SoftCE,
    ZeroShot,
)

N_ROWS = 260


@pytest.fixture(scope="module")
def rows():
    rng = np.random.RandomState(0)
    X = pd.DataFrame({"a": rng.randn(N_ROWS), "b": rng.choice(["x", "y"], N_ROWS)})
    return RowSerializer().fit(X).serialize(X)


def _plan(rows, methods=None, scores=None, **params):
    codec = DigitCodec().fit(np.arange(N_ROWS))
    return plan_of(LLMRegressor(**params), rows, codec, methods, scores)


def _by_name(plan):
    return {name: (value, why) for name, value, why in plan.rows()}


@pytest.mark.parametrize("model", ["tiny", "owner/name"])
def test_nothing_stays_auto_but_what_is_found_while_training(model, rows):
    plan = _by_name(_plan(rows, (SoftCE(), GRPO()), model=model))
    left = {name for name, (value, _) in plan.items() if value == "auto"}
    assert left == {
        "sft_max_grad_norm", "align_max_grad_norm", "decoding", "temperature", "estimate_weight",
    }  # fmt: skip


def test_what_was_left_to_the_plan_has_a_reason_and_what_was_asked_for_has_none(rows):
    asked = dict(
        number_input="text", estimates=None, dropout=0.3, batch_size=7,
        optimizer=Optimizer(weight_decay=0.5, max_grad_norm=1.0, warmup=5),
        sft_epochs=3, sft_learning_rate=0.1, align_epochs=2, align_learning_rate=0.2,
        validation_fraction=0.25, decoding="median", estimate_weight=0.2,
        text_features=False, temperature_scaling=False, n_iter_no_change=7,
        device=Device("cpu", dtype="float64", micro_batch_size=3),
        serializer=RowSerializer(max_text_tokens=9, max_prompt_tokens=99),
        adapters=Adapters(depth=2),
    )  # fmt: skip
    plan = _plan(rows, (SoftCE(), GRPO()), **asked)
    assert plan.why == {"n_layers": "fewer than 1000 training rows, no text columns, no estimates"}
    found = {name: value for name, (value, _) in _by_name(plan).items()}
    expected = {
        "number_input": "text", "estimates": "", "dropout": "0.3", "sft_batch_size": "7",
        "align_batch_size": "7", "sft_weight_decay": "0.5", "sft_epochs": "3", "align_epochs": "2",
        "sft_learning_rate": "0.1", "align_learning_rate": "0.2", "n_held_out": "65",
        "n_train": "195", "decoding": "median", "estimate_weight": "0.2", "temperature": "1.0",
        "text_features": "False", "training": "float64", "prediction": "float64",
        "sft_micro_batch_size": "3", "max_text_tokens": "9", "max_prompt_tokens": "99",
        "align_max_grad_norm": "1.0", "sft_warmup": "5",
        "align_n_iter_no_change": "7", "adapters": "rank 8, depth 2",
    }  # fmt: skip
    assert {name: found[name] for name in expected} == expected
    left = _plan(rows, (SoftCE(), GRPO()))
    names = {name for name in expected if name != "n_train"} - {"max_prompt_tokens"}
    assert names - left.why.keys() == set()


@pytest.mark.parametrize(
    ("params", "said"),
    [
        (dict(text_features=False), "text_features=False, which reads none with fresh"),
        (dict(model="owner/name"), "text_features='auto', which reads none with pretrained"),
    ],
)
def test_texts_that_nothing_would_read_are_refused(params, said):
    X = pd.DataFrame({"a": [f"old house number {i}" for i in range(N_ROWS)]})
    none = RowSerializer(column_kinds={"a": "text"}, max_text_tokens=0).fit(X)
    with pytest.raises(ValueError, match=f"max_text_tokens=0 .*{said}.*text_features=True or a"):
        _plan(none.serialize(X), serializer=none, **params)
    assert _plan(none.serialize(X), serializer=none).reading.max_text_tokens == 0


def test_the_shape_of_the_tiny_model_is_planned_and_no_other_ones(rows):
    X = pd.DataFrame({"a": [f"old house number {i}" for i in range(N_ROWS)]})
    texts = RowSerializer(column_kinds={"a": "text"}).fit(X).serialize(X)
    said = "fewer than 1000 training rows, text columns, estimates"
    assert _by_name(_plan(texts))["n_layers"] == ("1", said)
    assert [_plan(texts, estimates=None).n_layers, _plan(rows).n_layers] == [2, 2]
    # Of one layer the answer sees all tokens as they came in, whichever these have seen.
    both_ways = _by_name(_plan(texts, (SoftCE(), RAFT(bidirectional=True))))
    assert both_ways["n_layers"] == ("2", said + ", prompts read both ways")
    for model in ("owner/name", LlamaConfig()):
        plan = _plan(texts, model=model)
        assert plan.n_layers is None and "n_layers" not in plan.why


def test_fresh_weights_read_sentences_as_vectors_alone_unless_tokens_are_asked_for():
    X = pd.DataFrame({"a": [f"house {i}" for i in range(N_ROWS)]})
    X["b"] = X["a"] + " is one that stands in a row of others and is as old as they are, too"
    kinds = dict.fromkeys("ab", "text")

    def found(max_text_tokens="auto", **params):
        serializer = RowSerializer(column_kinds=kinds, max_text_tokens=max_text_tokens).fit(X)
        plan = _plan(serializer.serialize(X), serializer=serializer, **params)
        assert ("vector_texts" in plan.why) == (max_text_tokens == "auto")
        return plan.reading.vector_texts

    assert found() == ("b",)
    assert found(64) == found(text_features=False) == found(model="owner/name") == ()
    assert found(text_features=HashingVectorizer()) == ()  # of sentences as vectors tell a part


def test_a_cpu_computes_texts_in_small_parts_and_nothing_else():
    def at_once(kind, words="house", place="cpu", **params):
        X = pd.DataFrame({"a": [f"old {words} number {i}" for i in range(N_ROWS)]})
        serializer = RowSerializer(column_kinds={"a": kind}, **params).fit(X)
        estimator = LLMRegressor(serializer=serializer)
        plan = plan_of(estimator, serializer.serialize(X), place=place)
        return plan.stages[0][1].micro_batch_size

    assert at_once("text") == 16
    assert at_once("text", place="mps") is None
    assert at_once("text", max_text_tokens=0) is at_once("category") is None
    assert at_once("text", "word " * 16) is None  # read as vectors alone


def test_fresh_and_pretrained_weights_are_read_and_trained_differently(rows):
    fresh, known = _plan(rows), _plan(rows, model="owner/name")
    assert (fresh.weights, known.weights) == ("fresh", "pretrained")
    assert (fresh.reading.number_input, known.reading.number_input) == ("value", "text")
    assert (fresh.reading.text_features, known.reading.text_features) == (True, False)
    assert fresh.reading.estimates == known.reading.estimates == ("kernel", "boosted")
    assert _plan(rows, (ZeroShot(), None), model="owner/name").reading.estimates == ()
    assert known.stages[0][1].by_length and not fresh.stages[0][1].by_length
    assert (fresh.computing.prediction, known.computing.prediction) == ("float64", "float32")
    assert known.reading.chat_template
    assert (fresh.adapters.depth, known.adapters.depth) == (1.0, 0.5)
    assert known.why["adapters"] == "depth: pretrained weights"
    given = _plan(rows, model="owner/name", adapters=Adapters(depth=3))
    assert given.adapters.depth == 3 and "adapters" not in given.why
    silent = PretrainedModel("owner/name", chat_template=False)
    assert not _plan(rows, model=silent).reading.chat_template


def test_stages_are_those_that_train(rows):
    both = (SoftCE(), GRPO())
    assert [stage.name for _, stage in _plan(rows, both).stages] == ["sft", "align"]
    assert [stage.name for _, stage in _plan(rows, both, sft_epochs=0).stages] == ["align"]
    assert [stage.name for _, stage in _plan(rows, both, align_epochs=0).stages] == ["sft"]
    ((_, alone),) = _plan(rows, (SoftCE(), None), model="owner/name").stages
    assert alone.epochs == sum(
        stage.epochs for _, stage in _plan(rows, both, model="owner/name").stages
    )
    assert _plan(rows, (ZeroShot(), None)).stages == ()
    assert not _plan(rows, (ZeroShot(), None)).trains and _plan(rows, both).trains


def test_rows_are_split_once_and_alike(rows):
    plan = _plan(rows)
    train, held_out = plan.split()
    assert (len(train), len(held_out)) == (plan.n_train, plan.n_held_out) == (221, 39)
    assert sorted([*train, *held_out]) == list(range(N_ROWS))
    assert all(np.array_equal(a, b) for a, b in zip(plan.split(), (train, held_out), strict=True))
    train, held_out = _plan(rows, validation_fraction=None).split()
    assert len(train) == N_ROWS and not len(held_out)


def test_scales_that_were_compared_are_the_reason_of_the_scale(rows):
    plan = _plan(rows, scores={"minmax": 2.0, "log": 1.5})
    assert plan.codec_scale == "minmax"
    assert "minmax 2, log 1.5" in plan.why["codec_scale"]
    grid = plan_of(LLMRegressor(), rows, GridCodec([1, 2]).fit(np.ones(N_ROWS)))
    assert grid.codec_scale is None and "codec_scale" not in grid.why


def test_a_fitted_estimator_shows_what_was_done(table, quick_fit):
    model = quick_fit(table.X, table.y, fit_method="raft", validation_fraction=0.3)
    plan = model.plan_
    assert plan.predicting.decoding == model.decoding_ == "rail"
    assert plan.predicting.temperature == model.temperature_
    assert plan.predicting.estimate_weight == model.estimate_weight_
    assert plan.codec_scale == model.codec_.scale_
    steps = model.history_.groupby("stage")["step"].max()
    for method, stage in plan.stages:
        assert steps[stage.name] == -(-plan.n_train // stage.batch_size) * stage.epochs
        assert type(method).__name__ in repr(plan)
    assert repr(pickle.loads(pickle.dumps(plan))) == repr(plan)


def test_a_warm_start_shows_what_the_first_fit_settled(table, quick_fit):
    model = quick_fit(table.X, table.y, fit_method="ce", warm_start=True, dropout=0.1)
    n_layers = model.plan_.n_layers
    model.set_params(dropout=0.5, number_input="text", sft_epochs=2, estimates=None)
    with pytest.warns(UserWarning, match="warm_start=True goes on"):
        model.fit(table.X, table.y)
    assert model.plan_.reading.dropout == 0.1 and model.plan_.reading.number_input == "value"
    assert model.plan_.stages[0][1].epochs == 2
    assert model.plan_.n_layers == n_layers == model.model_.lm.config.num_hidden_layers == 1
    assert model.plan_.why["dropout"] == model.plan_.why["n_layers"] == "settled by the first fit"


def test_without_held_out_rows_nothing_is_said_to_be_chosen_by_them(rows):
    plan = _plan(rows, validation_fraction=None)
    assert "fewer than 30 held-out rows" in plan.why["temperature"]
    assert "fewer than 30" in plan.why["estimate_weight"]
    assert _plan(rows, estimates=None).why["estimate_weight"] == "no estimates"
    assert "least CRPS" in _plan(rows).why["temperature"]


def test_a_plan_reads_as_a_table_with_reasons(rows):
    plan = _plan(rows)
    lines = repr(plan).splitlines()
    assert len(lines) == len(plan.rows())
    batch = next(line for line in lines if line.startswith("sft_batch_size"))
    said = "sft_batch_size 32 fresh weights, fewer than 1500 training rows, no text columns"
    assert " ".join(batch.split()) == said
    assert plan.why["sft_least_gain"] == plan.why["sft_n_iter_no_change"]
    page = plan._repr_html_()
    assert page.count("<tr>") == 1 + len(lines) and "<td>sft_batch_size</td><td>32</td>" in page


def test_rows_must_be_left_to_train_on(rows):
    with pytest.raises(ValueError, match=r"=0.999 holds out 260 of 260 rows, .* Lower it"):
        _plan(rows, validation_fraction=0.999)
    assert _plan(rows, validation_fraction=0.995).n_train == 1
