"""From rows to distributions: equal rows once, shared tokens once, same predictions."""

import numpy as np
import pandas as pd
import pytest
import torch

from llmreg import Adapters, LLMRegressor, RowSerializer
from llmreg.lm.backbone import NumberLM
from llmreg.methods.untrained import ZeroShot
from llmreg.numbers.calibration import Calibration, pooled
from llmreg.numbers.decoding import calibrated_steps, tree_distribution
from llmreg.numbers.estimate import estimate_on
from llmreg.prediction.distributions import (
    TOKENS_PER_BATCH,
    WORTHWHILE_ROWS,
    _batches,
    calibrated_distribution,
    outputs,
)


@pytest.fixture
def columns_read(monkeypatch):
    """Tokens that passes read from now on, as (rows, tokens)."""
    seen = []
    forward = NumberLM._forward

    def spy(self, ids, *args, **kwargs):
        seen.append(tuple(ids.shape))
        return forward(self, ids, *args, **kwargs)

    monkeypatch.setattr(NumberLM, "_forward", spy)
    return seen


def test_equal_rows_are_computed_once(quick_fit, table, columns_read):
    model = quick_fit(table.X, table.y, fit_method="ce")
    expected = model.predict(table.X)
    columns_read.clear()
    repeated = pd.concat([table.X[:10]] * 4)
    found = model.predict(repeated)
    assert sum(rows for rows, _ in columns_read) == 10
    assert found == pytest.approx(np.tile(expected[:10], 4), rel=1e-12)


def test_solved_examples_are_read_once(pretrained_folder, table, columns_read, monkeypatch):
    model = LLMRegressor(
        fit_method=ZeroShot(num_examples=4), model=pretrained_folder, random_state=0,
        serializer=RowSerializer(max_prompt_tokens=400),
    ).fit(table.X, table.y)  # fmt: skip
    rows = model.prompts_.encode(model.serializer_.serialize(table.X))
    columns_read.clear()
    found = model.predict(table.X)
    read = sum(rows * tokens for rows, tokens in columns_read)
    (once, shared), *_ = columns_read
    assert once == 1 and shared > 100
    nodes = model.model_.tree.n_open - 1
    assert read < 1.3 * (shared + len(rows) * nodes + (rows.lengths - shared).sum())
    monkeypatch.setattr(NumberLM, "shares_prefix", False)
    assert found == pytest.approx(model.predict(table.X), rel=1e-5)


def test_training_shares_what_all_prompts_begin_with(
    quick_fit, pretrained_folder, table, columns_read, monkeypatch
):
    params = dict(
        serializer=RowSerializer("You know what houses cost. {words}, {size}, in {city}: "),
        adapters=Adapters(depth=1.0),  # else the lower layers read other columns than the upper
    )
    # The answer's place is looked for row by row.
    monkeypatch.setattr("llmreg.fit.place_answer", lambda fitted, rows, enc, _: (fitted.plan, enc))

    def fit():
        return quick_fit(table.X, table.y, model=pretrained_folder, **params)

    found = fit().predict(table.X)
    shared = {tokens for rows, tokens in columns_read if rows == 1}
    assert len(shared) == 1 and min(shared) > 16 and len(columns_read) > 10
    monkeypatch.setattr(NumberLM, "shares_prefix", False)
    assert found == pytest.approx(fit().predict(table.X), rel=1e-4)


def test_batches_pad_little_and_hold_every_row_once():
    lengths = np.random.RandomState(0).lognormal(4, 0.5, 3000).astype(int) + 1
    order = np.argsort(lengths, kind="stable")
    batches = list(_batches(order, lengths, 11))
    assert np.array_equal(np.concatenate(batches), order)
    padded = sum(len(rows) * (lengths[rows].max() + 11) for rows in batches)
    assert padded <= 1.05 * (lengths + 11).sum()
    assert max(len(rows) * (lengths[rows].max() + 11) for rows in batches) <= TOKENS_PER_BATCH
    assert np.median([len(rows) for rows in batches]) >= WORTHWHILE_ROWS
    (alone,) = _batches(np.arange(1), np.array([10**6]), 11)
    assert alone.tolist() == [0]


@pytest.fixture
def claims():
    """Of eighty rows half have 0, and the others about 100."""
    X = pd.DataFrame({"risk": np.arange(80) % 40 / 10, "kind": list("abcd") * 20})
    happens = (X["risk"] + np.tile([0.7, -0.7], 40)) > 2
    return X, np.where(happens, 100 + 10 * X["risk"], 0.0)


def _pooled(model, X):
    model.estimate_weight_ = 0.5
    return model.fitted_.prompts.encode(model.serializer_.serialize(X))


def test_a_heap_is_pooled_apart_in_whole_trees_too(quick_fit, claims):
    model = quick_fit(*claims, fit_method="ce", estimates="linear")
    encoded, tree = _pooled(model, claims[0]), model.model_.tree
    found, estimated = outputs(model.model_, encoded)
    calibration, nodes = Calibration(1.0, 0.5), torch.arange(tree.n_open)
    estimate = estimate_on(encoded.estimate, "cpu")
    steps = calibrated_steps(found, tree, nodes, estimate, calibration)
    expected = tree_distribution(tree, steps).mean()
    whole = calibrated_distribution(model.model_, found, estimated, calibration)
    assert whole.mean() == pytest.approx(expected)
    model.temperature_ = 1.0
    assert model.predict(claims[0], decoding="rail") == pytest.approx(expected, rel=1e-5)
    together = tree_distribution(tree, pooled(found, estimated, 0.5)).mean()
    assert np.abs(together - expected).max() > 1


def test_heads_are_moved_towards_the_mean_of_heaps_and_what_lies_between(quick_fit, claims):
    model = quick_fit(*claims, fit_method="pointwise", estimates="linear")
    estimate = _pooled(model, claims[0]).estimate
    model.estimate_weight_ = 1.0
    assert estimate.heaps is not None and np.abs(estimate.mean - estimate.centre).max() > 10
    assert model.predict(claims[0]) == pytest.approx(estimate.mean, rel=1e-4, abs=1e-3)
