"""Where the number stands: measured on the model, by brute force here."""

import numpy as np
import pytest
import torch

from llmreg import Device, DigitCodec, LLMRegressor, PretrainedModel, RowSerializer, ZeroShot
from llmreg.prediction.answer import answer_mass


@pytest.fixture
def asked(pretrained_folder, table):
    def fit(prefill, fit_method="zero_shot", **params):
        model = PretrainedModel(pretrained_folder, prefill=prefill)
        params = dict(codec=DigitCodec(base=3, n_digits=2), random_state=0) | params
        return LLMRegressor(model, fit_method, **params).fit(table.X, table.y)

    return fit


def _mass(model, ids, symbols, depth):
    """All sequences of symbols, each by a plain pass of its own."""
    with torch.no_grad():
        logits = model.model_.transformer(torch.tensor([ids])).logits[0, -1].double()
    shares = logits.softmax(-1)[symbols]
    if depth == 1:
        return float(shares.sum())
    further = [_mass(model, [*ids, token], symbols, depth - 1) for token in symbols]
    return float((shares * torch.tensor(further)).sum())


def test_the_mass_is_that_of_all_legal_numbers(asked, table):
    model = asked("")
    encoded = model.prompts_.encode(model.serializer_.serialize(table.X[:3]))
    symbols = model.model_.symbol_ids.tolist()
    for depth, whole in ((2, True), (1, False)):
        expected = np.mean(
            [
                _mass(model, encoded.ids[start : start + length].tolist(), symbols, depth)
                for start, length in zip(encoded.starts, encoded.lengths, strict=True)
            ]
        )
        assert answer_mass(model.model_, encoded, whole) == pytest.approx(expected, rel=1e-5)


def test_the_text_with_the_most_mass_is_chosen_and_recorded(asked, table):
    chosen = asked(None)
    masses = {}
    for prefill in ("", " ", "\n"):
        model = asked(prefill)
        encoded = model.prompts_.encode(model.serializer_.serialize(table.X))
        rows = np.sort(np.random.RandomState(model.plan_.seed).permutation(40)[:4])
        masses[prefill] = answer_mass(model.model_, encoded.take(rows), whole=False)
    best = max(masses, key=masses.get)
    assert chosen.plan_.reading.prefill == chosen.prompts_.prefill == best
    assert 0 < chosen.plan_.answer_mass < masses[best]
    assert f"{best!r} {masses[best]:.2g}" in chosen.plan_.why["prefill"]
    assert np.array_equal(chosen.predict(table.X), asked(best).predict(table.X))


def test_a_model_that_would_write_something_else_is_reported(asked):
    with pytest.warns(UserWarning, match=r"hardly begin a number .* after '!' \(0\.0"):
        asked("!")


def test_sums_over_spelled_numbers_are_asked(asked):
    assert asked(None, ZeroShot(normalisation=None)).plan_.answer_mass > 0


@pytest.mark.parametrize("method", ["head_mean", "new_tokens"])
def test_methods_that_write_no_numbers_are_not_asked(method, asked):
    plan = asked(None, method, sft_epochs=1, align_epochs=1).plan_
    assert plan.answer_mass is None and plan.reading.prefill is None


def test_rows_that_are_cut_are_told_of_once(pretrained_folder, table):
    short = RowSerializer(max_text_tokens=2)
    with pytest.warns(UserWarning) as told:
        LLMRegressor(pretrained_folder, "zero_shot", serializer=short).fit(table.X, table.y)
    cut = [str(one.message) for one in told if "cells were cut" in str(one.message)]
    assert len(cut) == 1 and f"of {len(table.y)} rows" in cut[0]


def test_cells_and_double_precision_are_asked_as_they_train(asked):
    plan = asked(None, number_input="text+value", device=Device("cpu", dtype="float64")).plan_
    assert 0 < plan.answer_mass < 1


def test_what_was_chosen_stays_after_a_warm_start(asked, table):
    model = asked(None, "ce", sft_epochs=1, warm_start=True)
    before = model.plan_.reading, model.plan_.answer_mass
    model.fit(table.X, table.y)
    assert (model.plan_.reading, model.plan_.answer_mass) == before
