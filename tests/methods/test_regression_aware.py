"""RAFT, MBR and CRPS as losses, against enumeration."""

import itertools
import warnings
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
import torch
from codec_zoo import PlainCodec
from free_policies import (
    LOGITS,
    TARGET,
    VALUES,
    free_rows,
    row_gradients,
    tree_gradients,
    tree_rows,
)

from llmreg import LLMRegressor, Optimizer
from llmreg.codecs.decimals import DecimalCodec
from llmreg.codecs.digits import END, DigitCodec
from llmreg.codecs.grids import GridCodec
from llmreg.codecs.scientific import ScientificCodec
from llmreg.config.checks import check_methods
from llmreg.lm.parts import HeadModule
from llmreg.methods import (
    CE,
    CRPS,
    GRPO,
    MBR,
    RAFT,
    RLOO,
    LearnableRAFT,
    NewTokens,
    ReMax,
    SoftCE,
)
from llmreg.methods import functional as F
from llmreg.methods.vocabulary_shares import GridHead
from llmreg.training.policy import NumberPolicy, Targets, ZScale

METHODS = [RAFT, MBR, CRPS]
FAR = [ScientificCodec(exponent_margin=2), ScientificCodec(max_exponent=40)]


def test_raft_is_its_equation_10_enumerated_over_all_strings_of_digits():
    policy, targets = tree_rows(3)
    logits = policy.model.logits.detach()
    mean = 0.0
    for first, second in itertools.product(range(4), repeat=2):
        p = logits[0, 0].softmax(0)[first] * logits[0, 1 + first].softmax(0)[second]
        number = 4 * first + second + 0.5
        mean += float(p) * (number - 8) / 4
    loss, metrics = RAFT().loss(policy, targets)
    assert loss.tolist() == pytest.approx([(float(targets.z[0]) - mean) ** 2] * 3)
    assert metrics == {}


def test_raft_of_a_single_digit_is_the_error_of_the_sum_of_digits_by_probability():
    codec = DigitCodec(5, 1).fit([0.5, 5.5])  # the stars 1 to 5
    policy, targets = tree_rows(codec=codec, leaf=3)
    p = policy.model.logits[0, 0].softmax(0).detach()
    mean = (p @ torch.arange(1.0, 6.0, dtype=torch.float64) - 8) / 4
    assert RAFT().loss(policy, targets)[0].item() == pytest.approx(float(targets.z[0] - mean) ** 2)


def test_mbr_is_its_equation_14_enumerated():
    policy, targets = free_rows(2)
    expected = sum(float(p) * (float(v) - TARGET) ** 2
                   for p, v in zip(LOGITS.softmax(0), VALUES, strict=True))  # fmt: skip
    assert MBR().loss(policy, targets)[0].tolist() == pytest.approx([expected] * 2)


@pytest.mark.parametrize("num_generations", [2, 5])
def test_sampled_mbr_has_the_exact_loss_and_gradient_on_average(num_generations):
    n_rows = 20_000
    policy, targets = free_rows(n_rows)
    loss, metrics = MBR(num_generations).loss(policy, targets)
    loss.sum().backward()
    exact = MBR().loss(*free_rows(1))[0].item()
    assert abs(loss.mean().item() - exact) < 4.5 * loss.std().item() / n_rows**0.5
    assert torch.allclose(loss, metrics["sample_mse"])
    error = policy.logits.grad.mean(0) - row_gradients(MBR())[0]
    standard_error = policy.logits.grad.std(0) / n_rows**0.5
    assert (error.abs() <= 4.5 * standard_error).all()
    assert (standard_error < 0.2 * row_gradients(MBR()).abs().max()).all()


def test_sampled_mbr_has_the_gradient_of_rloo_with_the_squared_error_as_reward():
    mbr, rloo = (row_gradients(method, n_rows=8) for method in (MBR(5), RLOO(5, reward="mse")))
    assert torch.allclose(mbr, rloo)


def test_crps_is_that_of_the_leaves_as_atoms():
    policy, targets = free_rows(2)
    expected = F.crps(LOGITS.log_softmax(0).unsqueeze(0), VALUES, targets.z[:1]).item()
    assert CRPS().loss(policy, targets)[0].tolist() == pytest.approx([expected] * 2)


@pytest.mark.parametrize("method", [*METHODS, lambda: RAFT("log")])
def test_gradients_reach_every_node_of_the_tree(method):
    assert (tree_gradients(method()).abs().sum(2) > 1e-6).all()


@pytest.mark.parametrize("method", [RAFT, MBR, LearnableRAFT])
def test_a_codec_without_bounds_is_refused(method):
    method().check_codec(DigitCodec())
    with pytest.raises(ValueError, match=f"{method.__name__} averages over all numbers"):
        method().check_codec(SimpleNamespace(bounded=False))


@pytest.mark.parametrize("codec", FAR, ids=str)
@pytest.mark.parametrize("method", [CRPS(), SoftCE(), GRPO(), ReMax(reward="mae")], ids=str)
def test_numbers_far_beyond_the_targets_are_refused_where_their_size_counts(method, codec):
    method.check_codec(ScientificCodec())
    with pytest.raises(ValueError, match="numbers far beyond the training targets") as error:
        method.check_codec(codec)
    assert "exponent_margin=1" in str(error.value) and repr(codec) in str(error.value)


@pytest.mark.parametrize("codec", FAR, ids=str)
@pytest.mark.parametrize("method", [GRPO(reward="clipped_mse"), ReMax(reward="quantile_mse")])
def test_clipped_rewards_bear_numbers_of_any_size(method, codec, table, quick_fit):
    y = np.exp(table.y / 10)
    model = quick_fit(table.X, y, fit_method=method, sft_method="ce", codec=codec,
                      estimates=None, decoding="median")  # fmt: skip
    assert np.isfinite(model.predict(table.X)).all()
    second = model.history_[model.history_["stage"] == "align"]
    assert np.isfinite(second[["loss", "advantage"]]).all(axis=None)


def test_numbers_of_any_size_do_where_the_target_alone_is_scored():
    for codec, method in itertools.product(
        FAR, [CE(), SoftCE(mean_weight=0.0), GRPO(reward=lambda v, y: -np.abs(np.sign(v) - y))]
    ):
        method.check_codec(codec)


def test_the_mean_of_numbers_of_any_size_is_warned_about():
    far = dict(fit_method="ce", codec=FAR[1], decoding="rail")
    with pytest.warns(UserWarning, match=r"takes the mean over all numbers.*decoding=.median."):
        check_methods(LLMRegressor(**far))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_methods(LLMRegressor(**far | {"decoding": "median"}))
        check_methods(LLMRegressor(**far | {"decoding": "auto"}))  # held-out rows tell
        check_methods(LLMRegressor(fit_method="ce", codec=ScientificCodec()))
        check_methods(LLMRegressor(fit_method="pointwise", codec=FAR[1], decoding="rail"))


def test_methods_train_at_once_or_after_a_first_stage(table, quick_fit):
    at_once = quick_fit(table.X, table.y, fit_method=CRPS(stage="sft"))
    assert set(at_once.history_["stage"]) == {"sft"}
    both = quick_fit(table.X, table.y, fit_method=CRPS(), sft_method=RAFT(stage="sft"))
    assert both.history_["stage"].tolist() == ["sft", "align"]
    assert np.isfinite(both.predict(table.X)).all()


# -- probabilities among the whole vocabulary ------------------------------------------------

TERNARY = DigitCodec(3, 2).fit([1.0, 10.0])
# Numbers that a prefix decides: "5" is one of its own, "100" goes on for two symbols.
RAGGED = GridCodec([5, 20, 25, 100]).fit([5.0, 100.0])
WORDS = GridCodec([1, 2, 3], spellings=["poor", "fair", "good"]).fit([1.0, 3.0])
MEAN, STD = 2.0, 4.0
RAFTS = {"grid": RAFT(normalisation="grid"), None: RAFT(normalisation=None)}
Z = torch.tensor([0.3, -1.0, 2.0], dtype=torch.float64)


def _reading_whole_numbers(model, normalisation):
    vocabulary, size = model.lm.get_output_embeddings().weight.shape
    sizes = {"size": size, "vocabulary": vocabulary}
    head = RAFTS[normalisation].parts["head"]
    model.put_parts({"head": HeadModule(head, sizes, MEAN, STD)})
    return model


def _spellings(codec):
    """Symbols of each number, with the END that ends it where the codec writes one."""
    for sequence in codec.sequences().tolist():
        ends = [k for k, symbol in enumerate(sequence) if codec.symbols[symbol] == END]
        yield sequence[: ends[0] + 1] if ends else sequence


def _shares(model, prompt):
    """p(str(y) | x) of each number by plain forward passes, one for each beginning of it."""
    shares = []
    for sequence in _spellings(model.codec):
        tokens, p = model.symbol_ids[torch.as_tensor(sequence)], 1.0
        for k, token in enumerate(tokens):
            ids = torch.cat([prompt, tokens[:k]])[None]
            logits = model.transformer(input_ids=ids, use_cache=False).logits[0, -1]
            p = p * logits.softmax(-1)[token]
        shares.append(p)
    return torch.stack(shares).double()


def _by_hand(model, prompt, normalisation):
    shares = _shares(model, prompt)
    shares = shares / shares.sum() if normalisation == "grid" else shares
    return shares @ torch.as_tensor(model.codec.values_)


@pytest.mark.parametrize("normalisation", RAFTS)
@pytest.mark.parametrize("codec", [TERNARY, RAGGED, WORDS], ids=["ternary", "ragged", "words"])
@pytest.mark.parametrize("family", ["llama", "gemma2", "mamba"])  # plain, capped, not packed
def test_raft_is_the_papers_sum_by_plain_forward_passes(
    family, codec, normalisation, build_model, random_prompts, as_batch
):
    model = build_model(family, codec, dtype=torch.float64)
    model = _reading_whole_numbers(model, normalisation)
    prompts = random_prompts((5, 1, 8))
    scale = ZScale.from_tree(model.tree, MEAN, STD, "cpu", torch.float64)
    policy = NumberPolicy(model, as_batch(prompts), scale)
    loss, _ = RAFTS[normalisation].loss(policy, SimpleNamespace(z=Z))
    sums = torch.stack([_by_hand(model, prompt, normalisation) for prompt in prompts])
    expected = (Z - (sums - MEAN) / STD) ** 2
    # Some families compute norms and caps in float32, whatever their weights are.
    rounding = 1e-9 if family == "llama" else 1e-5
    assert torch.allclose(loss, expected, rtol=rounding, atol=rounding)
    weights = [p for p in model.parameters() if p.requires_grad]
    found = torch.autograd.grad(loss.sum(), weights)
    for a, b in zip(found, torch.autograd.grad(expected.sum(), weights), strict=True):
        assert (a - b).abs().max() <= 1e-4 * b.abs().max() + 1e-12
    # The prediction is the sum that was trained.
    with torch.no_grad():
        output = model.head_output(policy.batch)
    predicted = model.head.distribution(output, model.tree).decode("rail")
    assert np.allclose(predicted, sums.detach())


def test_shares_of_the_grid_are_a_distribution_over_its_numbers(
    build_model, random_prompts, as_batch
):
    model = _reading_whole_numbers(build_model("llama", RAGGED, dtype=torch.float64), "grid")
    prompts = random_prompts((5, 1, 8))
    with torch.no_grad():
        output = model.head_output(as_batch(prompts))
        shares = torch.stack([_shares(model, prompt) for prompt in prompts])
    found = model.head.distribution(output, model.tree)
    shares = (shares / shares.sum(1, keepdim=True)).numpy()
    assert np.allclose(found.cdf(22.5), shares[:, :2].sum(1))
    assert np.array_equal(found.mode(), RAGGED.values_[shares.argmax(1)])
    # Greedy: first among "5", "2…" and "1…", then among what goes on from there.
    first = np.stack([shares[:, 0], shares[:, 1:3].sum(1), shares[:, 3]], 1).argmax(1)
    second = np.where(shares[:, 1] > shares[:, 2], 20.0, 25.0)
    assert np.array_equal(found.greedy(), np.choose(first, [5.0, second, 100.0]))


@pytest.mark.parametrize("normalisation", RAFTS)
def test_where_every_token_is_a_number_there_is_nothing_to_normalise(
    normalisation, build_model, random_batch
):
    codec = PlainCodec(
        symbols=[f"s{i}" for i in range(60)], sequences=lambda: np.arange(60)[:, None],
        edges_=np.arange(61) - 0.5, values_=np.arange(60.0),
    )  # fmt: skip
    model = build_model("llama", codec, dtype=torch.float64)
    model = _reading_whole_numbers(model, normalisation)
    scale = ZScale.from_tree(model.tree, MEAN, STD, "cpu", torch.float64)
    policy = NumberPolicy(model, random_batch((4, 6)), scale)
    targets = SimpleNamespace(z=torch.tensor([0.5, 5.0], dtype=torch.float64))
    losses = [method.loss(policy, targets)[0] for method in (RAFT(), RAFTS[normalisation])]
    assert torch.allclose(*losses)


@pytest.mark.parametrize(
    ("normalisation", "codec"),
    [("grid", GridCodec([0, 12, 24, 36.5, 48])), (None, DigitCodec(4, 1))],
    ids=["grid", "None"],
)
def test_whatever_is_normalised_a_fit_learns_and_comes_back(
    normalisation, codec, table, quick_fit, tmp_path
):
    y = table.y - table.y.min()
    model = quick_fit(
        table.X, y, fit_method=RAFT(stage="sft", normalisation=normalisation), sft_epochs=20,
        codec=codec, validation_fraction=None, sft_learning_rate=1e-2, dropout=0.0,
        estimates=None, optimizer=Optimizer(max_grad_norm=1.0),
    )  # fmt: skip
    assert model.score(table.X, y) > 0.5
    spread = model.predict_distribution(table.X).std()
    assert spread.max() == 0 if normalisation is None else spread.min() > 0
    model.save(tmp_path / "model")
    assert np.array_equal(LLMRegressor.load(tmp_path / "model").predict(table.X),
                          model.predict(table.X))  # fmt: skip


def test_shares_of_the_grid_are_calibrated_and_pooled_with_estimates(table, quick_fit):
    model = quick_fit(
        table.X, table.y, fit_method=RAFT(normalisation="grid"), sft_method="ce",
        codec=DecimalCodec(0), validation_fraction=0.4, n_estimators=2,
    )  # fmt: skip
    found = model.predict(table.X)
    widths = model.predict_distribution(table.X).std()
    model.temperature_ *= 2
    assert (model.predict_distribution(table.X).std() > widths).all()
    model.temperature_, model.estimate_weight_ = 1.0, 1.0
    estimated = model.predict(table.X)
    assert np.corrcoef(estimated, table.y)[0, 1] > 0.8 and (estimated != found).any()


def test_without_normalising_a_grid_of_one_number_is_trained(quick_fit):
    X = np.linspace(0, 1, 40)[:, None]
    y, codec = 1 + 3 * X[:, 0], GridCodec([5])
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # no target lies outside of what p · 5 reaches
        model = quick_fit(
            X, y, fit_method=RAFT(stage="sft", normalisation=None), codec=codec,
            sft_epochs=25, sft_learning_rate=1e-2, validation_fraction=None, dropout=0.0,
            estimates=None,
        )  # fmt: skip
    predicted = model.predict(X)
    assert model.score(X, y) > 0.5 and ((predicted > 0) & (predicted < 5)).all()


def test_with_probabilities_that_sum_to_one_a_grid_of_one_number_is_a_constant(quick_fit):
    X = np.linspace(0, 1, 40)[:, None]
    for method in ("ce", RAFT(stage="sft", normalisation="grid")):
        with pytest.warns(UserWarning, match="outside the codec's range"):
            model = quick_fit(X, 1 + 3 * X[:, 0], fit_method=method, codec=GridCodec([5]))
        assert (model.predict(X) == 5).all() and len(model.history_) == 0


@pytest.mark.parametrize("normalisation", RAFTS)
def test_a_constant_target_is_predicted_as_it_is(normalisation, quick_fit):
    method = RAFT(stage="sft", normalisation=normalisation)
    model = quick_fit(np.zeros((20, 1)), np.full(20, 3.7), fit_method=method)
    assert (model.predict(np.zeros((2, 1))) == 3.7).all()


def test_the_log_loss_without_normalising_is_that_of_the_share_of_the_highest_number(problem):
    model, data, scale = problem()
    model.put_parts({"head": HeadModule(GridHead(None), {"vocabulary": 1}, -1.0, 2.0)})
    batch, targets = data.batch(np.arange(3), data.weight[:3], model.device, torch.float32)
    object.__setattr__(model.tree, "leaf_value", torch.arange(10.0).double())
    z = ZScale((torch.arange(10.0) + 1) / 2, scale.edges)
    y = torch.tensor([0.0, 4.5, 9.0])
    targets = Targets((y + 1) / 2, targets.leaf, targets.weight)
    found, _ = RAFT("log", stage="sft", normalisation=None).loss(
        NumberPolicy(model, batch, z), targets
    )
    shares = model.node_logits(batch, torch.empty(0, dtype=torch.long), shares=True)[:, 0].exp()
    m = shares @ torch.arange(10.0) / 9  # what is no number counts as zero
    expected = -(y / 9) * m.log() - (1 - y / 9) * (1 - m).log()
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_the_log_loss_without_normalising_needs_numbers_from_zero_on(quick_fit):
    X, method = np.linspace(0, 1, 30)[:, None], RAFT("log", stage="sft", normalisation=None)
    with pytest.raises(ValueError, match=r"has numbers below 0.*or criterion='squared'"):
        quick_fit(X, X[:, 0] - 1, fit_method=method, codec=GridCodec([-1, 0]))
    model = quick_fit(X, X[:, 0], fit_method=method, codec=GridCodec([0, 1]), sft_epochs=2)
    assert ((model.predict(X) >= 0) & (model.predict(X) <= 1)).all()


class _Heard(CE):
    """Cross-entropy that notes how many nodes leave something to ask in training."""

    n_open: ClassVar = set()

    def loss(self, policy, targets, statistics=None):
        self.n_open.add(policy.tree.n_open)
        return super().loss(policy, targets, statistics)


def test_cross_entropy_among_the_vocabulary_reads_spellings_to_their_end(quick_fit):
    X = np.linspace(0, 1, 30)[:, None]
    y, codec = np.where(X[:, 0] > 0.5, 12.0, 5.0), GridCodec([5, 12])
    params = dict(codec=codec, sft_epochs=1, estimates=None)
    # "12" is decided by its "1"; among the vocabulary the "2" and what ends "5" must be learnt.
    step = quick_fit(X, y, fit_method="ce", **params)
    whole = quick_fit(X, y, fit_method=_Heard(normalisation=None), **params)
    assert whole.history_["loss"][0] > 3 * step.history_["loss"][0]
    n_open = step.model_.tree.n_open
    assert _Heard.n_open == {n_open + 2}  # behind "1", and behind "5" its END
    assert whole.model_.tree.n_open == n_open  # in training alone
    assert set(whole.predict_distribution(X).values.ravel()) == {5.0, 12.0}


@pytest.mark.parametrize("method", [RAFT(normalisation=None), LearnableRAFT("vocabulary")])
def test_all_tokens_count_only_where_training_reaches_them(method):
    with pytest.raises(ValueError, match=r"others would keep nearly all the mass.*stage='sft'"):
        check_methods(LLMRegressor(fit_method=method))
    assert check_methods(LLMRegressor("some/model", fit_method=method))[1] is not None
    with pytest.raises(ValueError, match="new tokens that are not among them"):
        check_methods(LLMRegressor("some/model", fit_method=method, sft_method=NewTokens()))
    at_once = method.set_params(stage="sft")
    assert check_methods(LLMRegressor(fit_method=at_once))[1] is None


def test_shares_of_the_grid_cannot_follow_new_tokens(table, quick_fit):
    with pytest.raises(
        ValueError, match=r"new tokens that are not among them.*normalisation='step'"
    ):
        quick_fit(table.X, table.y, fit_method=RAFT(normalisation="grid"), sft_method=NewTokens())
