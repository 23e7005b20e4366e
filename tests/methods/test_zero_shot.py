"""Asking a pretrained model as it is, with and without solved examples."""

import pickle
import re

import numpy as np
import pytest

from llmreg import LLMRegressor, PretrainedModel, RowSerializer
from llmreg.codecs.decimals import DecimalCodec
from llmreg.codecs.digits import DigitCodec
from llmreg.codecs.grids import GridCodec
from llmreg.codecs.scientific import ScientificCodec
from llmreg.methods.untrained import ZeroShot


@pytest.fixture
def ask(pretrained_folder, table):
    def fit(fit_method="zero_shot", **params):
        bare = PretrainedModel(pretrained_folder, instruction="", prefill=" ")
        params = dict(model=bare, random_state=0) | params
        return LLMRegressor(fit_method=fit_method, **params).fit(table.X, table.y)

    return fit


def _prompt(model, X):
    rows = model.prompts_.encode(model.serializer_.serialize(X))
    return model.prompts_.tokenizer.decode(rows.ids[: rows.lengths[0]])


def test_nothing_is_trained_and_no_adapters_are_added(ask, pretrained_folder, table):
    import torch
    from transformers import AutoModelForCausalLM

    model = ask()
    assert len(model.history_) == 0 and not model.model_.has_lora
    before = AutoModelForCausalLM.from_pretrained(pretrained_folder).state_dict()
    after = model.model_.transformer.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert len(pickle.dumps(model)) < 1e6  # the base is named, not packed
    opened = pickle.loads(pickle.dumps(model))
    assert np.array_equal(opened.predict(table.X), model.predict(table.X))


def test_the_expectation_is_that_of_the_plain_model(ask, table):
    """Brute force: every number of the codec scored by one plain pass of its own."""
    import torch

    model = ask(codec=DigitCodec(base=3, n_digits=2))
    rows = model.prompts_.encode(model.serializer_.serialize(table.X[:1]))
    ids = rows.ids[: rows.lengths[0]].tolist()
    symbols = model.model_.symbol_ids.tolist()
    scores = []
    for first, second in model.codec_.sequences():
        with torch.no_grad():
            sequence = torch.tensor([[*ids, symbols[first]]])
            logits = model.model_.transformer(sequence).logits[0, -2:, symbols].double()
        steps = logits.log_softmax(-1)
        scores.append(float(steps[0, first] + steps[1, second]))
    probs = np.exp(scores)
    assert probs.sum() == pytest.approx(1)
    assert model.predict(table.X[:1])[0] == pytest.approx(probs @ model.codec_.values_, rel=1e-5)


@pytest.mark.parametrize("normalisation", ["grid", None])
def test_zero_shot_rail_as_published_sums_over_whole_spellings(normalisation, ask, table):
    import torch

    codec = GridCodec([5, 20, 25, 100])
    model = ask(ZeroShot(normalisation=normalisation), codec=codec)
    rows = model.prompts_.encode(model.serializer_.serialize(table.X[:1]))
    ids = rows.ids[: rows.lengths[0]].tolist()
    shares = []
    for sequence in model.codec_.sequences().tolist():
        end = len(model.codec_.symbols) - 1
        written = sequence[: sequence.index(end) + 1 if end in sequence else None]
        tokens = model.model_.symbol_ids[written].tolist()
        with torch.no_grad():
            logits = model.model_.transformer(torch.tensor([[*ids, *tokens]])).logits[0].double()
        steps = logits[len(ids) - 1 : -1].log_softmax(-1)
        shares.append(float(steps[range(len(tokens)), tokens].sum().exp()))
    total = 1.0 if normalisation is None else sum(shares)
    expected = np.array(shares) @ model.codec_.values_ / total
    assert model.predict(table.X[:1])[0] == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_unnormalised_rail_refuses_numbers_of_any_size():
    ZeroShot().check_codec(ScientificCodec(max_exponent=40))
    with pytest.raises(ValueError, match="ZeroShot averages over all numbers"):
        ZeroShot(normalisation=None).check_codec(ScientificCodec(max_exponent=40))


def test_examples_stand_solved_in_front_of_every_prompt(ask, table):
    plain = ask(codec=DecimalCodec(1))
    shown = ask(ZeroShot(num_examples=3), codec=DecimalCodec(1))
    row, prompt = _prompt(plain, table.X[:1]), _prompt(shown, table.X[:1])
    assert prompt.endswith(row) and prompt.count("\n\n") == 3
    solved = prompt.removesuffix(row).split("\n\n")[:3]
    texts = [_prompt(plain, table.X[i : i + 1]) for i in range(len(table.X))]
    for example in solved:
        (i,) = [i for i, text in enumerate(texts) if example.startswith(text)]
        answer = float(example.removeprefix(texts[i]))
        assert answer == pytest.approx(table.y[i], abs=0.051)
    assert (shown.predict(table.X) != plain.predict(table.X)).all()
    again = ask(ZeroShot(num_examples=3), codec=DecimalCodec(1))
    assert _prompt(again, table.X[:1]) == prompt
    other = ask(ZeroShot(num_examples=3), codec=DecimalCodec(1), random_state=1)
    assert _prompt(other, table.X[:1]) != prompt


def test_estimates_in_examples_are_by_regressors_that_have_not_seen_them(ask, table):
    model = ask(ZeroShot(num_examples=3), codec=DecimalCodec(1), estimates="linear")
    solved = _prompt(model, table.X[:1]).split("\n\n")[:3]
    shown = [re.search(r"linear estimate: (\S+)\. ", example)[1] for example in solved]
    rows, estimates = model.serializer_.serialize(table.X), model.prompts_.estimates
    held_out = estimates.extend_training(rows, np.asarray(table.y, float), np.ones(len(table.y)))
    seen = estimates.extend(rows)
    assert set(shown) <= set(held_out.fields[-1].text)
    assert not set(shown) <= set(seen.fields[-1].text)


def test_examples_that_leave_no_room_are_an_error(ask):
    with pytest.raises(ValueError, match=r"max_prompt_tokens=64 .*num_examples=20"):
        ask(ZeroShot(num_examples=20), serializer=RowSerializer(max_prompt_tokens=64))


def test_a_model_that_knows_nothing_is_refused(table):
    with pytest.raises(ValueError, match=r"model=.tiny. .*knows nothing before it is trained"):
        LLMRegressor(fit_method="zero_shot").fit(table.X, table.y)


def test_what_judges_is_asked_as_predictions_are(ask, table, monkeypatch):
    """With the solved examples in front, which the calibration must see, too."""
    from llmreg import fit

    seen, calibrate = [], fit.calibrate

    def spy(fitted, rows, *args):
        seen.append(rows.encoded)
        return calibrate(fitted, rows, *args)

    monkeypatch.setattr(fit, "calibrate", spy)
    for estimates in (None, "linear"):
        model = ask(ZeroShot(num_examples=3), estimates=estimates)
        asked = model.prompts_.encode(model.serializer_.serialize(table.X))
        end = seen[-1].starts[0] + seen[-1].lengths[0]  # the examples may be read once for all
        shown = model.prompts_.tokenizer.decode(seen[-1].ids[:end])
        assert shown.count("price:") == _prompt(model, table.X[:1]).count("price:") == 4
        if estimates is None:
            assert np.array_equal(seen[-1].ids, asked.ids)
