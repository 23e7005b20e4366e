"""NumberPolicy: whichever way it computes, one and the same distribution."""

import numpy as np
import pytest
import torch

from llmreg.codecs.decimals import DecimalCodec
from llmreg.codecs.digits import DigitCodec
from llmreg.numbers.tree import NumberTree, leaf_log_probs
from llmreg.training.policy import NumberPolicy, ZScale, distinct
from llmreg.training.steps import draw_noise

FOUR = DigitCodec(4, 3).fit([0.0, 8.0])  # 21 nodes, 64 leaves
LENGTHS = (5, 2)
WAYS = ["tree", "walk", "scored"]


@pytest.fixture(params=["digits", "ragged"])
def model(request, build_model, ragged_codec):
    codec = FOUR if request.param == "digits" else ragged_codec
    return build_model("llama", codec)


@pytest.fixture
def batch(random_batch):
    return random_batch(LENGTHS)


def _scale(model):
    return ZScale.from_tree(model.tree, 1.0, 2.0, "cpu", torch.float32)


def _policy(model, batch, n=0, seed=0):
    """A policy with noise for n draws per row."""
    generator = torch.Generator().manual_seed(seed)
    noise = draw_noise(len(batch), n, model.tree.n_levels, generator)
    return NumberPolicy(model, batch, _scale(model), noise)


def _draw(model, batch, way, n, temperature=1.0, seed=0):
    """Samples from the whole tree, along the cached prompt, or so without gradients and scored."""
    policy = _policy(model, batch, n, seed)
    if way == "tree":
        policy.leaf_log_probs()  # once the tree is known, samples come from it
        return policy.sample(n, temperature)
    leaves, log_probs = policy._walk(policy.noise, temperature)
    return leaves, policy._score(leaves, temperature) if way == "scored" else log_probs


def _gradient(model, value):
    model.zero_grad()
    value.backward()
    return model.lm.get_input_embeddings().weight.grad.clone()


def test_the_log_probability_of_a_number_is_its_leafs(model, batch):
    everything = _policy(model, batch).leaf_log_probs()
    assert torch.allclose(everything.exp().sum(1), torch.ones(2))
    for leaf in range(everything.shape[1]):
        leaves = torch.tensor([leaf, everything.shape[1] - 1 - leaf])
        found = _policy(model, batch).log_prob_of(leaves)
        assert torch.allclose(found, everything.gather(1, leaves.unsqueeze(1))[:, 0], atol=1e-5)


def test_the_log_probability_of_a_number_has_its_leafs_gradient(model, batch):
    leaves = torch.tensor([1, 4])
    found = _gradient(model, _policy(model, batch).log_prob_of(leaves).sum())
    whole = _policy(model, batch).leaf_log_probs().gather(1, leaves.unsqueeze(1)).sum()
    expected = _gradient(model, whole)
    assert torch.allclose(found, expected, atol=1e-4 * float(expected.abs().max()))


def test_one_digit_needs_no_nodes(build_model, batch):
    model = build_model("llama", DigitCodec(10, 1).fit([0.0, 1.0]))
    policy = _policy(model, batch)
    everything = policy.leaf_log_probs()
    leaves = torch.tensor([3, 9])
    assert torch.allclose(
        _policy(model, batch).log_prob_of(leaves), everything[[0, 1], leaves], atol=1e-5
    )
    for way in WAYS:
        samples, log_probs = _draw(model, batch, way, 5)
        assert torch.allclose(log_probs, everything.gather(1, samples), atol=1e-5)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_numbers_are_drawn_as_often_as_they_are_probable(model, batch, way, temperature):
    n = 20_000
    with torch.no_grad():
        probs = _policy(model, batch).leaf_log_probs(temperature).exp().double().numpy()
        leaves, _ = _draw(model, batch, way, n, temperature)
    assert leaves.shape == (2, n)
    for row in range(2):
        counts = np.bincount(leaves[row].numpy(), minlength=probs.shape[1])
        sigma = np.sqrt(n * probs[row] * (1 - probs[row]))
        assert (np.abs(counts - n * probs[row]) <= 5 * sigma + 1).all()
    # Both rows could be told apart, and so could the temperatures.
    assert np.abs(probs[0] - probs[1]).max() > 0.05


@pytest.mark.parametrize("way", WAYS)
def test_draws_of_a_row_are_independent_of_one_another(model, batch, way):
    with torch.no_grad():
        leaves, _ = _draw(model, batch, way, 20_000)
    first, second = leaves[:, ::2].double(), leaves[:, 1::2].double()
    for row in range(2):
        assert abs(np.corrcoef(first[row], second[row])[0, 1]) < 5 / 100


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_draws_come_with_their_log_probabilities_at_their_temperature(
    model, batch, way, temperature
):
    leaves, log_probs = _draw(model, batch, way, 40, temperature)
    expected = _policy(model, batch).leaf_log_probs(temperature).gather(1, leaves)
    assert torch.allclose(log_probs, expected, atol=1e-4)
    found = _gradient(model, log_probs.sum())
    expected = _gradient(model, expected.sum())
    assert torch.allclose(found, expected, atol=1e-3 * float(expected.abs().max()))


@pytest.mark.parametrize("temperature", [1.0, 2.5])
@pytest.mark.parametrize("way", [*WAYS, "given"])
def test_the_steps_of_numbers_are_those_of_the_tree(model, batch, way, temperature):
    policy = _policy(model, batch, 3)
    if way == "tree":
        policy.tree_steps()
    if way == "scored":
        model.checkpointing()
    leaves = policy.sample(3)[0] if way != "given" else torch.tensor([[0, 3, 3], [1, 0, 2]])
    found = policy.steps_of(leaves, temperature)
    nodes = model.tree.path_nodes[leaves].long()
    chosen = nodes < model.tree.n_open
    expected = _policy(model, batch).tree_steps(temperature)
    expected = expected[torch.arange(2).view(2, 1, 1), nodes.where(chosen, 0)]
    found, waiting, expected = found[chosen], found[~chosen], expected[chosen]
    legal = expected > -1e20
    assert torch.equal(found > -1e20, legal)
    assert torch.allclose(found[legal], expected[legal], atol=1e-4)
    assert ((waiting == 0).sum(-1) == 1).all()
    found, expected = (_gradient(model, steps[legal].sum()) for steps in (found, expected))
    assert torch.allclose(found, expected, atol=1e-3 * float(expected.abs().max()))


@pytest.mark.parametrize("n", [3, 40])
def test_the_steps_of_drawn_numbers_are_not_computed_again(build_model, batch, monkeypatch, n):
    model, calls = build_model("llama", FOUR), []
    for name in ("prefill", "node_logits"):
        method = getattr(model, name)
        monkeypatch.setattr(
            model, name, lambda *args, method=method: calls.append(1) or method(*args)
        )
    policy = _policy(model, batch, n)
    leaves, _ = policy.sample(n)
    policy.steps_of(leaves)
    assert len(calls) == 1
    policy.steps_of(leaves.clone())  # other numbers, for all that is known
    assert len(calls) == (2 if n == 3 else 1)


def test_symbols_have_the_values_of_digits(model, batch):
    found = _policy(model, batch).symbol_values
    if model.codec is FOUR:
        assert found.tolist() == [0, 1, 2, 3]
    else:  # the letters of the ragged codec are no digits
        assert found.isnan().all()


@pytest.mark.parametrize("way", WAYS)
def test_a_seed_decides_the_draws(model, batch, way):
    first, again, other = (_draw(model, batch, way, 50, seed=seed)[0] for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_the_noise_decides_the_draws_whichever_way_and_in_whatever_company(
    model, batch, random_batch, temperature
):
    whole, walked, scored = (_draw(model, batch, way, 50, temperature)[0] for way in WAYS)
    assert torch.equal(whole, walked) and torch.equal(whole, scored)
    noise = _policy(model, batch, 50).noise
    alone = random_batch(LENGTHS[:1])  # the first of the two prompts
    found, _ = NumberPolicy(model, alone, _scale(model), noise[:1]).sample(50, temperature)
    assert torch.equal(found, whole[:1])
    few, _ = NumberPolicy(model, batch, _scale(model), noise).sample(3, temperature)
    assert torch.equal(few, whole[:, :3])


def test_noise_at_the_ends_draws_legal_numbers(model, batch):
    for end in (0.0, 1.0 - 2**-53):
        noise = torch.full((2, 4, model.tree.n_levels), end, dtype=torch.float64)
        for way in ("walk", "tree"):
            policy = NumberPolicy(model, batch, _scale(model), noise)
            if way == "tree":
                policy.leaf_log_probs()
            leaves, log_probs = policy._sample(noise, 1.0)
            assert (leaves == (0 if end == 0 else len(policy.leaf_z) - 1)).all()
            assert (log_probs > -1e3).all()


def test_without_gradients_through_the_cache_draws_are_scored(build_model, batch):
    expected, calls = None, []
    for cached in (True, False):
        model = build_model("llama", FOUR)
        model.checkpointing(not cached)
        assert model.caches_gradients == cached
        policy = _policy(model, batch, 4)
        leaves, log_probs = policy.sample(4)
        calls.append(policy.greedy())
        found = leaves, _gradient(model, log_probs.sum())
        if expected is None:
            expected = found
    assert torch.equal(found[0], expected[0]) and torch.equal(*calls)
    assert torch.allclose(found[1], expected[1], atol=1e-4 * float(expected[1].abs().max()))


def test_the_greedy_number_is_the_same_from_the_tree_and_from_a_walk(build_model, random_batch):
    batch = random_batch((3, 7, 1, 4))
    found = set()
    for seed in range(8):
        model = build_model("llama", FOUR, seed=seed)
        whole, walked = _policy(model, batch), _policy(model, batch, 3)
        walked._walk(walked.noise, 4.0)
        assert walked._logits is None  # the walk itself knew the greedy number
        assert torch.equal(walked.greedy(), whole.greedy())
        assert walked._logits is None
        found |= set(whole.greedy().tolist())
    assert len(found) > 8


def test_the_greedy_number_takes_the_likeliest_symbol_at_each_step(model, batch):
    log_probs = _policy(model, batch).leaf_log_probs().detach()
    tree = model.tree
    for row, greedy in enumerate(_policy(model, batch).greedy().tolist()):
        below = torch.ones(log_probs.shape[1], dtype=torch.bool)
        for level in range(tree.n_levels):
            symbols = tree.path_symbols[:, level]
            mass = [float(log_probs[row].exp()[below & (symbols == s)].sum()) for s in range(4)]
            below &= symbols == int(np.argmax(mass))
        assert below.nonzero().flatten().tolist() == [greedy]


@pytest.mark.parametrize(("n", "walks"), [(3, True), (9, True), (10, False), (40, False)])
def test_the_smaller_work_decides_where_samples_come_from(
    build_model, batch, monkeypatch, n, walks
):
    # 20 nodes beside the root; n draws pass at most 2 n of them
    model, calls = build_model("llama", FOUR), []
    for name in ("prefill", "node_logits"):
        method = getattr(model, name)
        monkeypatch.setattr(
            model, name, lambda *args, name=name, method=method: calls.append(name) or method(*args)
        )
    policy = _policy(model, batch, n)
    policy.sample(n)
    assert calls == ["prefill" if walks else "node_logits"]
    policy.greedy()
    assert calls == ["prefill" if walks else "node_logits"]  # nothing is computed twice


def test_the_tree_is_evaluated_once(build_model, batch, monkeypatch):
    model, calls = build_model("llama", FOUR), []
    method = model.node_logits
    monkeypatch.setattr(model, "node_logits", lambda *args: calls.append(1) or method(*args))
    policy = _policy(model, batch, 3)
    policy.leaf_log_probs()
    policy.leaf_log_probs(2.0)
    policy.greedy()
    policy.sample(3)
    assert len(calls) == 1


def test_shared_nodes_are_evaluated_once(build_model, batch, monkeypatch):
    model, widths = build_model("llama", FOUR), []
    method = model.extend
    monkeypatch.setattr(
        model, "extend", lambda cache, nodes: widths.append(nodes) or method(cache, nodes)
    )
    _draw(model, batch, "walk", 500)
    assert [nodes.shape[1] <= 4 ** (level + 1) for level, nodes in enumerate(widths)] == [True] * 2
    for nodes in widths:
        for row in nodes.tolist():
            real = [node for node in row if node >= 0]
            assert len(set(real)) == len(real)


def test_distinct_nodes_are_ascending_and_padded_and_found_again():
    generator = torch.Generator().manual_seed(0)
    nodes = torch.randint(12, (50, 9), generator=generator)
    nodes[0] = 5
    unique, slot = distinct(nodes)
    assert torch.equal(unique.gather(1, slot), nodes)
    for row, values in zip(nodes.tolist(), unique.tolist(), strict=True):
        expected = sorted(set(row))
        assert values == expected + [-1] * (unique.shape[1] - len(expected))
    assert unique.shape[1] == max(len(set(row)) for row in nodes.tolist())


# KL to the first stage


def _nudge(model):
    with torch.no_grad():
        for p in model.trainable().values():
            p.add_(0.05 * torch.randn(p.shape, generator=torch.Generator().manual_seed(3)))


def test_the_kl_to_the_reference_is_zero_at_the_start_and_positive_after_a_change(model, batch):
    model.keep_reference()
    assert torch.allclose(_policy(model, batch).kl_to_reference(), torch.zeros(2), atol=1e-6)
    old = _policy(model, batch).leaf_log_probs().detach()
    _nudge(model)
    new = _policy(model, batch).leaf_log_probs().detach()
    kl = _policy(model, batch).kl_to_reference()
    assert (kl > 1e-3).all()
    assert torch.allclose(kl, (new.exp() * (new - old)).sum(1), atol=1e-5)


def test_the_kl_has_the_gradient_of_the_new_distribution_alone(model, batch):
    model.keep_reference()
    old = _policy(model, batch).leaf_log_probs().detach()
    _nudge(model)
    found = _gradient(model, _policy(model, batch).kl_to_reference().sum())
    new = _policy(model, batch).leaf_log_probs()
    expected = _gradient(model, (new.exp() * (new - old)).sum())
    assert expected.abs().max() > 0
    assert torch.allclose(found, expected, atol=1e-4 * float(expected.abs().max()))


# z-units


def test_leaves_are_standardised_by_the_targets_mean_and_deviation():
    tree = NumberTree.from_codec(FOUR)
    scale = ZScale.from_tree(tree, 3.0, 0.5, "cpu", torch.float64)
    assert scale.leaf.numpy() == pytest.approx((FOUR.values_ - 3.0) / 0.5)
    assert scale.edges[:, 0].numpy() == pytest.approx((FOUR.edges_[:-1] - 3.0) / 0.5)
    assert scale.edges[:, 1].numpy() == pytest.approx((FOUR.edges_[1:] - 3.0) / 0.5)


def test_standardising_happens_before_rounding_to_the_models_type():
    codec = DigitCodec(10, 3).fit([1e9, 1e9 + 1])  # float32 resolves 64 here
    tree = NumberTree.from_codec(codec)
    for dtype in (torch.float32, torch.bfloat16):
        leaf = ZScale.from_tree(tree, 1e9 + 0.5, 0.3, "cpu", dtype).leaf
        assert leaf.dtype == torch.float32  # half precision could not tell 1,000 leaves apart
        assert leaf.numpy() == pytest.approx((codec.values_ - 1e9 - 0.5) / 0.3, abs=1e-5)


def test_shares_of_spellings_are_those_of_the_grid_whatever_their_length(build_model, random_batch):
    codec = DecimalCodec(0).fit(np.arange(1.0, 13.0))  # "1" to "12": an END, or none
    model, batch = build_model("llama", codec), random_batch([5, 9, 7])
    model.tree = NumberTree.from_codec(codec, whole=True)
    nodes = torch.arange(1, model.tree.n_open)
    expected = leaf_log_probs(model.node_logits(batch, nodes, shares=True), model.tree)
    policy = NumberPolicy(model, batch, ZScale.from_tree(model.tree, 0.0, 1.0, "cpu", model.dtype))
    for leaf in range(expected.shape[1]):
        found = policy.log_share_of(torch.full((3,), leaf))
        torch.testing.assert_close(found, expected[:, leaf], rtol=1e-4, atol=1e-4)
