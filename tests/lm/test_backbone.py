"""NumberLM's packed and cached forward passes against plain ones, one sequence at a time."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from number_lm import (
    LENGTHS,
    THREE,
    TWO,
    all_nodes,
    assert_equal_gradients,
    gradients_of,
    log_probs,
    logits_of,
)
from torch import nn

from llmreg.codecs.digits import DigitCodec


def _plain_log_probs(model, prompts):
    """Leaf log-probabilities by plain forward passes: prompt and digits as a user would pass them,
    one row at a time, without padding, masks, positions, cache or number tree."""
    n_symbols, n_digits = len(model.codec.symbols), model.codec.n_digits
    rows = []
    for prompt in prompts:
        total = torch.zeros(1, dtype=model.dtype)
        for level in range(n_digits):
            k = torch.arange(n_symbols**level)
            digits = k.unsqueeze(1) // n_symbols ** torch.arange(level - 1, -1, -1) % n_symbols
            ids = torch.cat([prompt.expand(len(k), -1), model.symbol_ids[digits]], 1)
            logits = model.lm(input_ids=ids, use_cache=False).logits[:, -1, model.symbol_ids]
            total = (total.unsqueeze(1) + logits.log_softmax(-1)).flatten()
        rows.append(total)
    return torch.stack(rows)


def test_the_packed_tree_gives_the_distribution_of_plain_forward_passes(
    family, build_model, random_prompts, as_batch
):
    model = build_model(family, THREE)
    prompts = random_prompts(LENGTHS)
    with torch.no_grad():
        found = log_probs(model, model.node_logits(as_batch(prompts), all_nodes(model)))
        expected = _plain_log_probs(model, prompts)
    assert found.shape == (3, 1000)
    assert (found.exp() - expected.exp()).abs().max() < 1e-5
    assert torch.allclose(found, expected, atol=1e-3)  # tiny probabilities too
    # The rows and the digits matter, so agreement is no accident.
    assert (expected[0] - expected[2]).abs().max() > 0.5
    by_digit = expected.exp().view(3, 10, 10, 10)
    last = by_digit / by_digit.sum(-1, keepdim=True)
    assert last.std((1, 2)).max() > 0.05


def test_the_packed_tree_has_the_gradients_of_plain_forward_passes(
    family, build_model, random_prompts, as_batch
):
    model = build_model(family, TWO, dtype=torch.float64)
    prompts = random_prompts(LENGTHS)
    weights = torch.randn(3, 100, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    packed = log_probs(model, model.node_logits(as_batch(prompts), all_nodes(model)))
    found = gradients_of(model, (weights * packed).sum())
    expected = gradients_of(model, (weights * _plain_log_probs(model, prompts)).sum())
    assert_equal_gradients(found, expected, rtol=1e-5)  # the norm layers compute in float32


def test_gradients_agree_in_single_precision(family, build_model, random_prompts, as_batch):
    model = build_model(family, TWO)
    prompts = random_prompts(LENGTHS)
    packed = log_probs(model, model.node_logits(as_batch(prompts), all_nodes(model)))
    found = gradients_of(model, (packed.exp() @ torch.linspace(0, 1, 100)).sum())
    plain = _plain_log_probs(model, prompts)
    expected = gradients_of(model, (plain.exp() @ torch.linspace(0, 1, 100)).sum())
    assert_equal_gradients(found, expected, rtol=1e-4)


def test_gradients_are_finite_with_single_token_prompts_and_much_padding(
    family, build_model, random_prompts, as_batch
):
    model = build_model(family, TWO)
    batch = as_batch(random_prompts((1, 1)), extra_padding=9)
    loss = log_probs(model, model.node_logits(batch, all_nodes(model)))[:, 0].sum()
    assert all(torch.isfinite(g).all() for g in gradients_of(model, loss).values())


def test_some_nodes_of_each_row_get_the_logits_that_they_get_in_the_whole_tree(
    family, build_model, random_batch
):
    model = build_model(family, THREE)
    batch = random_batch(LENGTHS)
    paths = model.tree.path_nodes[torch.tensor([123, 999, 5]), 1:]
    nodes = torch.cat([paths, torch.full((3, 1), -1)], 1)
    with torch.no_grad():
        whole = model.node_logits(batch, all_nodes(model))
        some = model.node_logits(batch, nodes)
    assert torch.allclose(some[:, 0], whole[:, 0], atol=1e-5)
    rows = torch.arange(3).unsqueeze(1)
    assert torch.allclose(some[:, 1:3], whole[rows, paths], atol=1e-5)
    assert torch.isfinite(some).all()


def test_a_codec_of_one_digit_needs_the_root_alone(build_model, random_prompts, as_batch):
    model = build_model("llama", DigitCodec(10, 1).fit([0.0, 1.0]))
    prompts = random_prompts(LENGTHS)
    with torch.no_grad():
        logits = model.node_logits(as_batch(prompts), all_nodes(model))
        assert logits.shape == (3, 1, 10)
        assert torch.allclose(log_probs(model, logits), _plain_log_probs(model, prompts), atol=1e-4)


def _levels_of(tree, n_rows, keep, seed=0):
    """For each level, distinct nodes of each row whose parents were kept, padded with -1."""
    rng = np.random.default_rng(seed)
    kept = [[0]] * n_rows
    for level in range(1, tree.n_levels):
        chosen = []
        for row in range(n_rows):
            children = tree.child[kept[row]].flatten().numpy()
            count = keep[level - 1][row]
            chosen.append(rng.permutation(children)[:count].tolist())
        width = max(map(len, chosen))
        yield torch.tensor([nodes + [-1] * (width - len(nodes)) for nodes in chosen])
        kept = chosen


def test_the_cache_grown_level_by_level_gives_the_logits_of_the_packed_tree(
    family, build_model, random_batch
):
    model = build_model(family, DigitCodec(10, 4).fit([0.0, 1.0]))
    batch = random_batch(LENGTHS)
    keep = [(3, 10, 1), (7, 2, 5), (1, 9, 12)]  # per level and row: ragged, so padded with -1
    seen = torch.empty(3, 0, dtype=torch.long)
    with torch.no_grad():
        root, cache = model.prefill(batch)
        grown = [root.unsqueeze(1)]
        for nodes in _levels_of(model.tree, 3, keep):
            grown.append(model.extend(cache, nodes))
            seen = torch.cat([seen, nodes], 1)
        expected = model.node_logits(batch, seen)
    assert torch.equal(cache.nodes, seen)
    assert (seen == -1).any()
    real = torch.cat([torch.ones(3, 1, dtype=torch.bool), seen >= 0], 1)
    assert torch.allclose(torch.cat(grown, 1)[real], expected[real], atol=1e-5)


def test_gradients_flow_through_the_cache(build_model, random_batch):
    model = build_model("llama", TWO, dtype=torch.float64)
    batch = random_batch(LENGTHS)
    nodes = torch.tensor([[1, 4], [9, -1], [2, 3]])
    root, cache = model.prefill(batch)
    grown = torch.cat([root.unsqueeze(1), model.extend(cache, nodes)], 1)
    real = torch.cat([torch.ones(3, 1, dtype=torch.bool), nodes >= 0], 1)
    found = gradients_of(model, (grown[real] ** 2).sum())
    expected = gradients_of(model, (model.node_logits(batch, nodes)[real] ** 2).sum())
    assert_equal_gradients(found, expected, rtol=1e-5)  # the norm layers compute in float32


def _packed_and_cached(model, batch):
    nodes = torch.arange(1, 11).expand(len(batch), -1)
    with torch.no_grad():
        packed = model.node_logits(batch, nodes)
        root, cache = model.prefill(batch)
        return packed, torch.cat([root.unsqueeze(1), model.extend(cache, nodes)], 1)


def test_neither_batch_mates_nor_padding_change_a_row(
    family, build_model, random_prompts, as_batch
):
    model = build_model(family, TWO)
    prompts = random_prompts(LENGTHS)
    together = _packed_and_cached(model, as_batch(prompts))
    padded = _packed_and_cached(model, as_batch(prompts, extra_padding=13))
    alone = [_packed_and_cached(model, as_batch([prompt])) for prompt in prompts]
    for way in range(2):
        assert torch.allclose(padded[way], together[way], atol=1e-5)
        for row in range(len(prompts)):
            assert torch.allclose(alone[row][way][0], together[way][row], atol=1e-5)


def _spy_on_head(model, monkeypatch):
    """Shapes of the input and the weight that the output layer multiplies."""
    seen, linear = [], nn.functional.linear

    def spy(hidden, weight, bias=None):
        seen.append((tuple(hidden.shape), tuple(weight.shape)))
        return linear(hidden, weight, bias)

    monkeypatch.setattr(nn.functional, "linear", spy)
    return seen


def test_only_the_symbols_rows_at_the_nodes_are_computed(
    family, build_model, random_batch, monkeypatch
):
    model = build_model(family, TWO)
    seen = _spy_on_head(model, monkeypatch)
    assert model.node_logits(random_batch(LENGTHS), torch.tensor([3, 4])).shape == (3, 3, 10)
    assert seen[-1] == ((3, 3, 32), (10, 32))
    root, cache = model.prefill(random_batch(LENGTHS))
    assert root.shape == (3, 10)
    assert seen[-1] == ((3, 1, 32), (10, 32))
    assert model.extend(cache, torch.tensor([[1, 2]] * 3)).shape == (3, 2, 10)
    assert seen[-1] == ((3, 2, 32), (10, 32))
    assert not any(weight[0] == 60 for _, weight in seen)


def test_the_output_layer_is_whole_again_after_a_pass(family, build_model, random_batch):
    model = build_model(family, TWO)
    batch = random_batch((4, 4))
    before = model.lm(input_ids=batch.ids).logits
    model.node_logits(batch, all_nodes(model))
    assert "forward" not in vars(model.lm.get_output_embeddings())
    assert torch.equal(model.lm(input_ids=batch.ids).logits, before)
    assert before.shape[-1] == 60


def test_the_output_layer_is_whole_again_after_an_exception(family, build_model, random_batch):
    model = build_model(family, TWO)
    batch = random_batch((4, 4))

    def fail(*_):
        assert "forward" in vars(model.lm.get_output_embeddings())
        raise RuntimeError("out of memory")

    handle = model.lm.base_model.register_forward_pre_hook(fail)
    with pytest.raises(RuntimeError, match="out of memory"):
        model.node_logits(batch, all_nodes(model))
    handle.remove()
    assert "forward" not in vars(model.lm.get_output_embeddings())
    assert model.lm(input_ids=batch.ids).logits.shape[-1] == 60


def test_threads_may_share_a_model(build_model, random_batch):
    model = build_model("llama", TWO)
    batches = [random_batch(LENGTHS, seed=seed) for seed in range(8)]
    expected = [logits_of(model, batch) for batch in batches]
    head, started = model.lm.get_output_embeddings(), threading.Barrier(8)

    def work(batch):
        started.wait()
        return [logits_of(model, batch) for _ in range(10)]

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(work, batches))
    for alone, together in zip(expected, found, strict=True):
        assert all(torch.equal(alone, one) for one in together)
    assert "forward" not in vars(head)


def test_a_bias_of_the_output_layer_counts(build_model, random_prompts, as_batch):
    model = build_model("llama", TWO)
    head = nn.Linear(32, 60, bias=True)
    nn.init.normal_(head.bias, std=2.0)
    model.lm.set_output_embeddings(head)
    prompts = random_prompts(LENGTHS)
    with torch.no_grad():
        found = log_probs(model, model.node_logits(as_batch(prompts), all_nodes(model)))
        assert torch.allclose(found, _plain_log_probs(model, prompts), atol=1e-4)
