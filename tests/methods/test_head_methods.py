"""Losses of heads, learnt values and new tokens; fits from end to end."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone

from llmreg import RAFT, Device, DigitCodec, LLMRegressor, estimate_memory
from llmreg.lm.parts import give_parts
from llmreg.methods import (
    METHODS,
    Histogram,
    LearnableRAFT,
    LogitsMLPHead,
    NewTokens,
    Pointwise,
    PoolHead,
    ProbabilitiesHead,
    SpecialTokenHead,
)
from llmreg.methods.new_tokens import initial_rows, spelled
from llmreg.prompts.tiny_tokenizer import train_tokenizer
from llmreg.training.policy import NumberPolicy

WITH_PARTS = {name: method for name, method in METHODS.items() if method.parts}
ROWS = np.arange(6)


@pytest.fixture
def posed(problem):
    """``posed(method, n_digits=2)``: the policy and the targets of six rows, in float64."""

    def pose(method, n_digits=2):
        model, data, scale = problem(n_digits)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            give_parts(model, train_tokenizer([]), (method,))
        model.place("cpu", torch.float64).eval()
        batch, targets = data.batch(ROWS, np.ones(6), "cpu", torch.float64)
        return NumberPolicy(model, batch, type(scale)(scale.leaf.double(), scale.edges)), targets

    return pose


# -- losses ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "method",
    [SpecialTokenHead(), LogitsMLPHead(hidden_size=5), PoolHead("min"), ProbabilitiesHead(),
     Pointwise(hidden_size=5), LearnableRAFT(weights="vocabulary")],
    ids=str,
)  # fmt: skip
def test_numbers_are_judged_by_their_squared_error_in_z_units(method, posed):
    policy, targets = posed(method)
    loss, metrics = method.loss(policy, targets)
    number = policy.model.head_output(policy.batch)
    expected = [(y - v) ** 2 for y, v in zip(targets.z.tolist(), number.tolist(), strict=True)]
    assert np.allclose(loss.tolist(), expected) and metrics == {}
    loss.sum().backward()
    for name, p in policy.model.named_parameters():
        if name.startswith("head.") or "q_proj" in name:
            assert p.grad is not None and p.grad.abs().max() > 0, name


def test_a_histogram_is_judged_by_its_soft_cross_entropy(posed):
    method = Histogram(n_bins=12, limit=2.0, sigma=0.5)
    policy, targets = posed(method)
    log_probs = policy.model.head_output(policy.batch)
    expected = []
    for y, row in zip(targets.z.tolist(), log_probs.tolist(), strict=True):
        centres = np.linspace(-2, 2, 13)[:-1] + 1 / 6
        bell = np.exp(-0.5 * ((y - centres) / (0.5 / 3)) ** 2)
        expected.append(-(bell / bell.sum()) @ np.array(row[1:-1]))
        assert abs(y) < 2
    loss, _ = method.loss(policy, targets)
    assert np.allclose(loss.tolist(), expected)


def test_learnable_raft_starts_as_raft(posed):
    policy, targets = posed(LearnableRAFT())
    loss, _ = LearnableRAFT().loss(policy, targets)
    assert torch.allclose(loss, RAFT().loss(policy, targets)[0])


def test_learnt_values_take_the_places_of_the_codecs(posed):
    policy, targets = posed(LearnableRAFT(), 1)
    shift = policy.model.leaf_shift.z
    with torch.no_grad():
        shift.copy_(torch.linspace(-1, 2, 10))
    loss, _ = LearnableRAFT().loss(policy, targets)
    probs = policy.leaf_log_probs().exp().detach()
    mean = sum(probs[:, k] * (policy.leaf_z[k] + shift[k].detach()) for k in range(10))
    assert torch.allclose(loss, (targets.z - mean) ** 2)
    loss.sum().backward()
    assert torch.allclose(shift.grad, (2 * (mean - targets.z)) @ probs)


def test_learnable_raft_over_the_vocabulary_starts_at_the_digits_values(posed):
    method = LearnableRAFT(weights="vocabulary")
    policy, _ = posed(method, 1)
    model = policy.model
    with torch.no_grad():
        number = model.head_output(policy.batch)
        (logits,) = model.head.read(model, policy.batch)  # of the whole vocabulary
    probs = logits.softmax(-1)[:, model.symbol_ids]
    edges = torch.as_tensor(model.codec.edges_)
    assert torch.allclose(number, probs @ ((edges[1:] + edges[:-1]) / 2), atol=1e-5)


def test_new_tokens_are_learnt_by_cross_entropy(posed):
    method = NewTokens(init="average")
    policy, targets = posed(method)
    logits, _ = policy.model.prefill(policy.batch)
    assert logits.shape == (6, 100)
    loss, _ = method.loss(policy, targets)
    expected = -logits.softmax(-1).log()[torch.arange(6), targets.leaf]
    assert torch.allclose(loss, expected)
    loss.sum().backward()
    assert policy.model.new_tokens.weight.grad.abs().max() > 0


@pytest.mark.parametrize("name", WITH_PARTS)
def test_methods_are_checked_and_described(name):
    method = METHODS[name]
    assert method.paper and method.equation and method.trains
    method.validate()
    assert method.stage == ("align" if name == "learnable_raft" else "sft")
    if "bidirectional" in method.get_params():
        with pytest.raises(ValueError, match="bidirectional"):
            clone(method).set_params(bidirectional="yes").validate()


@pytest.mark.parametrize(
    ("method", "named"),
    [(Histogram(n_bins=1), "n_bins"), (Histogram(sigma=0.0), "sigma"), (NewTokens("last"), "init"),
     (ProbabilitiesHead("digits"), "over"), (LearnableRAFT("all"), "weights")],
)  # fmt: skip
def test_illegal_parameters_are_named(method, named):
    with pytest.raises(ValueError, match=named):
        method.validate()


# -- fits ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def toy():
    rng = np.random.RandomState(0)
    X = pd.DataFrame({"a": rng.randn(180), "b": rng.choice(["left", "right"], 180)})
    return X, 100 + 10 * X["a"] + 8 * (X["b"] == "left")


@pytest.mark.parametrize(
    "method",
    [PoolHead("mean", bidirectional=True), Histogram(n_bins=64), LearnableRAFT(stage="sft"),
     NewTokens()],
    ids=str,
)  # fmt: skip
def test_a_fit_learns_y_from_x(method, toy):
    X, y = toy
    model = LLMRegressor(
        fit_method=method, codec=DigitCodec(4, 2), sft_epochs=16, random_state=0,
        batch_size=16, validation_fraction=None, sft_learning_rate=5e-3, dropout=0.0,
    )  # fmt: skip
    model.fit(X[:140], y[:140])
    assert model.score(X[140:], y[140:]) > 0.9


def test_learnt_values_are_predicted_with(table, quick_fit):
    model = quick_fit(table.X, table.y, fit_method=LearnableRAFT(), sft_epochs=1)
    shift = model.model_.leaf_shift.z
    before = model.predict_distribution(table.X)
    with torch.no_grad():
        shift.copy_(torch.linspace(3, -3, len(shift)))  # in no order
    after = model.predict_distribution(table.X)
    values = model.codec_.values_ + shift.detach().double().numpy() * model.y_std_
    order = np.argsort(values)
    assert np.allclose(after.values, values[order])
    tree = model.model_.tree
    assert tree.n_levels == 2 and np.allclose(before.mean(), before.probabilities @ before.values)
    for decoding in ("rail", "median", "mode", "greedy", "sample"):
        found = model.predict(table.X, decoding=decoding)
        assert decoding == "rail" or np.isin(found.round(9), values.round(9)).all()


def test_numbers_of_a_head_ignore_the_trees_tolerance_and_range(table, quick_fit):
    model = quick_fit(table.X, table.y, fit_method=Pointwise(), estimate_weight=0.0)
    expected = model.predict(table.X)
    assert np.array_equal(model.set_params(tree_tolerance=0.5).predict(table.X), expected)
    with torch.no_grad():
        model.model_.head.mlp[2].bias += 100.0
    assert np.allclose(model.predict(table.X), expected + 100 * model.y_std_)
    assert model.predict(table.X).min() > model.codec_.edges_[-1]


def test_a_constant_target_is_predicted_by_a_head_that_had_nothing_to_learn(table, quick_fit):
    model = quick_fit(table.X, np.full(40, 7.0), fit_method=Histogram())
    assert np.allclose(model.predict(table.X), 7.0, rtol=1e-12)


@pytest.mark.parametrize("method", [Pointwise(), LearnableRAFT(), NewTokens()], ids=str)
def test_tuned_models_come_back_from_a_folder(
    method, table, quick_fit, pretrained_folder, tmp_path
):
    model = quick_fit(table.X, table.y, fit_method=method, model=pretrained_folder)
    trained = model.model_.trainable()
    assert {name.partition(".")[0] for name in trained if "lora_" not in name} == set(
        model.model_.parts
    )
    model.save(tmp_path / "saved")
    again = LLMRegressor.load(tmp_path / "saved")
    np.testing.assert_array_equal(again.predict(table.X), model.predict(table.X))
    assert (tmp_path / "saved" / "heads.safetensors").exists()


def test_a_second_fit_goes_on_with_its_head_and_with_no_other(table, quick_fit):
    model = quick_fit(table.X, table.y, fit_method=Pointwise(), warm_start=True)
    before = model.predict(table.X)
    model.fit(table.X, table.y)
    assert len(model.model_.parts) == 1 and not np.array_equal(model.predict(table.X), before)
    with pytest.raises(ValueError, match="warm_start=True goes on with a model that has head"):
        model.set_params(fit_method=Histogram()).fit(table.X, table.y)


@pytest.mark.parametrize("method", [LogitsMLPHead(), NewTokens()], ids=str)
def test_the_memory_of_a_fit_is_known_beforehand(method, table, recwarn):
    params = dict(fit_method=method, validation_fraction=None, device="cpu")
    estimate = estimate_memory(LLMRegressor(**params), table.X[["size"]], table.y)
    assert not recwarn.list  # a loss that cannot be followed would be reported
    params |= dict(sft_epochs=0, device=Device("cpu", dtype="float32"))
    model = LLMRegressor(**params).fit(table.X[["size"]], table.y)
    weights = [*model.model_.parameters(), *model.model_.buffers()]
    expected = sum(4 * t.numel() for t in weights if t.is_floating_point())
    assert estimate.sft.weights["float32"] == expected


def test_raft_may_read_the_prompt_in_both_directions(table, quick_fit):
    one, both = (
        quick_fit(table.X, table.y, fit_method=RAFT(bidirectional=way)) for way in (False, True)
    )
    assert (one.model_.bidirectional, both.model_.bidirectional) == (False, True)
    assert (one.predict(table.X) != both.predict(table.X)).all()


def test_raft_trains_new_tokens_from_random_rows(table, quick_fit):
    """RAFT, table 18; the same seed draws the same rows."""

    def fit(seed):
        return quick_fit(table.X, table.y, fit_method=RAFT(), sft_method=NewTokens("random"),
                         sft_epochs=0, codec=DigitCodec(5, 1), random_state=seed,
                         estimates=None)  # fmt: skip

    one, same, other = fit(0), fit(0), fit(1)
    rows = [model.model_.new_tokens.weight for model in (one, same, other)]
    assert torch.equal(rows[0], rows[1]) and not torch.equal(rows[0], rows[2])
    assert one.history_["stage"].tolist() == ["align"]


@pytest.mark.parametrize("init", ["zero", "first", "average"])
def test_new_tokens_are_the_rows_they_are_said_to_start_from(init, table, quick_fit):
    model = quick_fit(
        table.X, table.y, fit_method=NewTokens(init), sft_epochs=0, codec=DigitCodec(5, 1)
    )
    network, tokenizer = model.model_, model.prompts_.tokenizer
    rows = network.lm.get_output_embeddings().weight
    expected = initial_rows(rows, spelled(tokenizer, model.codec_.values_), init)
    assert torch.allclose(network.new_tokens.weight, expected)
    assert (expected.abs().max() > 0) == (init != "zero")
