"""Published recipes: every setting is the published one, and the losses are the papers'."""

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from llmreg import LLMRegressor, published
from llmreg.config.published import RECIPES
from llmreg.methods import CE

GENRE2 = [name for name in RECIPES if name.startswith("genre2")]
RAFTS = ["raft", "raft-head", "raft-ce"]


@pytest.mark.parametrize("name", RECIPES)
def test_the_language_model_is_alone(name):
    model = LLMRegressor(**published(name))
    assert clone(model).get_params()["estimates"] is None
    assert model.estimate_weight == 0 and model.temperature_scaling is False
    assert model.adapters is None and model.dropout == 0 and model.tree_tolerance == 0
    assert model.n_iter_no_change is None  # no early stopping: it never fired


def test_unknown_names_are_answered_with_the_known_ones():
    with pytest.raises(ValueError, match=r"'genre3' is no recipe; choose one of \['genre2', 'gen"):
        published("genre3")


def test_objects_are_new_each_time():
    one, other = published("genre2"), published("genre2")
    assert one["codec"] is not other["codec"] and one["fit_method"] is not other["fit_method"]


@pytest.mark.parametrize("name", GENRE2)
def test_genre2_trains_as_released(name):
    model, optimizer = LLMRegressor(**published(name)), published(name)["optimizer"]
    head = name in ("genre2-pointwise", "genre2-riemann")
    assert (optimizer.name, optimizer.schedule, optimizer.warmup) == ("adamw", "cosine", 100)
    assert (optimizer.final_share, optimizer.max_grad_norm, optimizer.average) == (0.1, None, False)
    assert optimizer.weight_decay == (0.0 if head else 0.01)
    assert (model.batch_size, model.selection) == (128, "objective")
    assert model.sft_epochs == (100 if head else 200) and model.align_epochs == 100
    assert model.sft_learning_rate == (1e-5 if head else 5e-5)
    codec = model.codec
    assert (codec.base, codec.n_digits, codec.scale, codec.rounding) == (2, 8, "minmax", "nearest")
    if not head:
        assert (model.decoding, model.n_samples, model.sft_method) == ("sampled_mean", 128, "ce")


def test_genre2s_methods_are_the_published_ones():
    grpo, remax, full = (published(f"genre2{x}")["fit_method"] for x in ("-grpo", "-remax", ""))
    for method in (grpo, remax, full):
        assert (method.num_generations, method.temperature, method.beta) == (16, 1.0, 0.0)
        assert (method.reward, method.compare_with) == ("mse", "written")
    assert grpo.scale_rewards == "group" and remax.scale_rewards is False
    assert full.expert_weight == 0.05 and full.scale_rewards is False
    weights = [published(f"genre2-{x}")["fit_method"].distance_weight
               for x in ("ntl-mse", "ntl-was", "dist2")]  # fmt: skip
    assert weights == [0.3, 0.3, 0.1]
    assert all(published(f"genre2-{x}")["fit_method"].stage == "align"
               for x in ("ntl-mse", "ntl-was", "dist2"))  # fmt: skip


@pytest.mark.parametrize("name", RAFTS)
def test_raft_trains_as_in_appendix_d(name):
    recipe = published(name)
    optimizer = recipe["optimizer"]
    assert (optimizer.name, optimizer.schedule, optimizer.warmup) == (
        "adafactor", "constant", "auto",
    )  # fmt: skip
    assert (optimizer.weight_decay, optimizer.max_grad_norm, optimizer.average) == (0, None, False)
    assert recipe["batch_size"] == 16 and recipe["validation_interval"] == 100
    assert recipe["codec"].values == [1, 2, 3, 4, 5] and recipe["decoding"] == "rail"
    assert recipe["fit_method"].stage == "sft"  # at once


@pytest.mark.parametrize("name", [*GENRE2, *RAFTS])
def test_each_is_fitted_by_one_word(name, table):
    few = dict(sft_epochs=1, align_epochs=1, validation_interval=None, random_state=0)
    model = LLMRegressor(**published(name) | few).fit(
        table.X[:30], table.y[:30], X_val=table.X[30:], y_val=table.y[30:]
    )
    assert np.isfinite(model.predict(table.X)).all()
    if model.selection == "objective":
        assert model.history_["validation_objective"].notna().all()


def test_they_can_be_searched(table):
    few = dict(sft_epochs=1, align_epochs=1, random_state=0)
    search = GridSearchCV(
        LLMRegressor(**published("genre2") | few),
        {"fit_method__expert_weight": [0.0, 0.05], "optimizer__warmup": [0, 2]}, cv=2,
    )  # fmt: skip
    assert len(search.fit(table.X, table.y).cv_results_["params"]) == 4


# -- the losses, by enumeration of all numbers ------------------------------------------------


@pytest.fixture
def tiny(problem):
    """A model with its distribution over ten numbers, and targets."""
    from llmreg.training.policy import NumberPolicy

    model, data, scale = problem()
    batch, targets = data.batch(np.arange(3), data.weight[:3], model.device, torch.float32)
    noise = torch.rand(3, 16, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return NumberPolicy(model, batch, scale, noise), targets


def test_remax_is_the_sum_over_draws_of_advantage_times_log_probability(tiny):
    policy, targets = tiny
    leaves, log_probs = policy.sample(16)
    z = policy.leaf_z[leaves]
    written = policy.leaf_z[targets.leaf]  # training targets are what the tokenizer makes of them
    greedy = policy.leaf_z[policy.leaf_log_probs().argmax(1)]  # numbers of one digit
    for name in ("genre2-remax", "genre2-grpo", "genre2"):
        method = published(name)["fit_method"]
        loss, _ = method.loss(policy, targets)
        for row in range(3):
            reward = [-float((v - written[row]) ** 2) for v in z[row]]
            if name == "genre2-grpo":
                spread = np.std(reward) + 1e-6
                advantage = [(r - np.mean(reward)) / spread for r in reward]
            else:
                advantage = [r + float((greedy[row] - written[row]) ** 2) for r in reward]
            policy_term = (
                -sum(a * float(p) for a, p in zip(advantage, log_probs[row], strict=True)) / 16
            )
            expert = 0.0
            if name == "genre2":  # at the first step the expert's digit is the target's
                expert = 0.05 * -float(policy.leaf_log_probs()[row, targets.leaf[row]])
            assert float(loss[row]) == pytest.approx(policy_term + expert, rel=1e-4, abs=1e-5)


def test_cross_entropy_of_raft_is_among_the_whole_vocabulary(tiny):
    policy, targets = tiny
    model = policy.model
    found, _ = CE(normalisation=None).loss(policy, targets)
    within, _ = CE().loss(policy, targets)
    lower = model.node_logits(policy.batch, torch.empty(0, dtype=torch.long), shares=True)
    expected = -lower[:, 0].gather(1, targets.leaf.unsqueeze(1)).squeeze(1)
    torch.testing.assert_close(found, expected)
    assert (found > within).all()
