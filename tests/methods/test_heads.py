"""Heads, learnt values and new tokens against hand-written forward passes, row by row."""

import copy
import math
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from peft import LoraConfig
from tokenizer_zoo import STYLES
from transformers import PreTrainedTokenizerFast

from llmreg import DigitCodec
from llmreg.lm.parts import HeadModule, PartModule, check_parts, give_parts
from llmreg.methods import (
    CE,
    Histogram,
    LearnableRAFT,
    LogitsMLPHead,
    NewTokens,
    Pointwise,
    PoolHead,
    ProbabilitiesHead,
    SpecialTokenHead,
)
from llmreg.methods.heads import pool
from llmreg.methods.histogram import HistogramHead, histogram_edges, histogram_targets
from llmreg.methods.learnable_raft import LeafShift
from llmreg.methods.new_tokens import TokenRows, initial_rows, spelled
from llmreg.numbers.tree import NumberTree, leaf_log_probs, one_level, step_log_probs
from llmreg.prediction.distributions import tokens_after_prompt

CODEC = DigitCodec(5, 2).fit([0.0, 10.0])
LENGTHS = (6, 1, 11)
FAMILIES = ["llama", "gpt2", "gemma2", "mamba"]  # gemma2 caps its logits, mamba is not packed
SIZES = {"size": 32, "vocabulary": 60, "symbols": 5, "leaves": 25}
KINDS = {
    "token": SpecialTokenHead(),
    "logits": LogitsMLPHead(9),
    **{pooling: PoolHead(pooling) for pooling in ("last", "mean", "min", "max")},
    "probabilities": ProbabilitiesHead(),
    "symbols": ProbabilitiesHead("symbols"),
    "pointwise": Pointwise(9),
    "histogram": HistogramHead(n_bins=6, limit=3.0, hidden_size=9),
}


def _head(kind, mean=0.0, std=1.0):
    torch.manual_seed(3)
    head = HeadModule(KINDS[kind], SIZES, mean, std)
    if kind == "token":
        head.token.fill_(17)
    return head


def _with_head(model, kind):
    model.put_parts({"head": _head(kind)})
    return model.place("cpu", model.dtype)


def _by_hand(model, prompt, kind):
    """What a head makes of one prompt, from transformers' own outputs for it alone."""
    out = model.transformer(input_ids=prompt[None], output_hidden_states=True, use_cache=False)
    states, logits = out.hidden_states[-1][0], out.logits[0, -1]  # (P, d), (V,)
    weights = dict(model.head.named_parameters())

    def mlp(x, activation):
        hidden = activation(weights["mlp.0.weight"] @ x + weights["mlp.0.bias"])
        return weights["mlp.2.weight"] @ hidden + weights["mlp.2.bias"]

    if kind == "token":
        return weights["bias"] + logits[17]
    if kind == "logits":
        return mlp(logits, torch.sigmoid)[0]
    if kind in ("probabilities", "symbols"):
        logits = logits if kind == "probabilities" else logits[model.symbol_ids]
        p = logits.exp() / logits.exp().sum()
        return weights["bias"] + (p * weights["weight"]).sum()
    if kind in ("pointwise", "histogram"):
        out = mlp(states[-1], torch.relu)
        return out[0] if kind == "pointwise" else out - out.exp().sum().log()
    pooled = {
        "last": states[-1], "mean": states.sum(0) / len(states),
        "min": states.min(0).values, "max": states.max(0).values,
    }[kind]  # fmt: skip
    return weights["linear.weight"][0] @ pooled + weights["linear.bias"][0]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("family", FAMILIES)
def test_heads_read_what_plain_forward_passes_give(
    family, kind, build_model, random_prompts, as_batch
):
    model = _with_head(build_model(family, CODEC), kind)
    assert model.packs == (family != "mamba")
    prompts = random_prompts(LENGTHS)
    with torch.no_grad():
        found = model.head_output(as_batch(prompts, extra_padding=2))
        expected = torch.stack([_by_hand(model, prompt, kind) for prompt in prompts])
    assert found.dtype == torch.float32 and found.shape == expected.shape
    assert torch.allclose(found, expected, atol=2e-5 * float(expected.abs().max() + 1))
    assert (expected[0] - expected[1]).abs().max() > 1e-3  # the prompts matter


@pytest.mark.parametrize("kind", ["token", "min", "probabilities", "histogram"])
@pytest.mark.parametrize("family", ["gpt2", "mamba"])
def test_gradients_are_those_of_plain_forward_passes(
    family, kind, build_model, random_prompts, as_batch
):
    model = _with_head(build_model(family, CODEC, dtype=torch.float64), kind)
    prompts = random_prompts(LENGTHS)

    def gradients(output):
        model.zero_grad()
        (output**2).sum().backward()
        return {name: p.grad.clone() for name, p in model.trainable().items() if p.grad is not None}

    found = gradients(model.head_output(as_batch(prompts)))
    expected = gradients(torch.stack([_by_hand(model, prompt, kind) for prompt in prompts]))
    assert found.keys() == expected.keys()
    assert {"head." + name for name, _ in model.head.named_parameters()} < found.keys()
    for name, gradient in expected.items():
        scale = float(gradient.abs().max())
        assert torch.allclose(found[name], gradient, rtol=1e-4, atol=1e-4 * scale + 1e-9), name


@pytest.mark.parametrize("kind", ["mean", "logits"])
def test_both_roads_give_one_number_for_rows_with_cell_vectors(kind, problem):
    model, data, _ = problem()
    sizes = {"size": 64, "vocabulary": len(model.lm.get_output_embeddings().weight)}
    model.put_parts({"head": HeadModule(KINDS[kind], sizes, 0.0, 1.0)})
    batch, _ = data.batch(np.arange(5), np.ones(5), "cpu", torch.float32)
    with torch.no_grad():
        packed = model.head_output(batch)
        model.packs = False
        assert torch.allclose(model.head_output(batch), packed, atol=1e-5)
    assert packed.std() > 1e-3


def test_checkpointing_changes_no_gradient_and_autocast_only_the_rounding(
    build_model, random_batch
):
    model, batch = _with_head(build_model("llama", CODEC), "mean"), random_batch(LENGTHS)

    def gradient():
        model.zero_grad()
        model.head_output(batch).sum().backward()
        return model.lm.get_input_embeddings().weight.grad.clone()

    plain = gradient()
    model.checkpointing()
    assert torch.allclose(gradient(), plain, atol=1e-5)
    model.checkpointing(False)
    expected = model.head_output(batch)
    model.place("cpu", torch.bfloat16, torch.bfloat16)
    found = model.head_output(batch)
    assert model.head.linear.weight.dtype == found.dtype == torch.float32
    assert 0 < (found - expected).abs().max() < 0.1


def test_heads_and_trees_read_in_turn_when_threads_share_a_model(build_model, random_batch):
    model, batch = _with_head(build_model("llama", CODEC), "mean"), random_batch(LENGTHS)
    nodes = torch.arange(1, model.tree.n_nodes)

    def ask(kind):
        with torch.no_grad():
            return model.head_output(batch) if kind else model.node_logits(batch, nodes)

    expected = [ask(0), ask(1)]
    with ThreadPoolExecutor(4) as pool_:
        for i, found in enumerate(pool_.map(ask, [0, 1] * 20)):
            assert torch.equal(found, expected[i % 2])


def test_a_heads_logits_count_in_the_size_of_a_batch(build_model):
    model = build_model("llama", CODEC)
    assert tokens_after_prompt(model) == model.tree.n_nodes == 6
    assert tokens_after_prompt(_with_head(model, "mean")) == 0
    assert tokens_after_prompt(_with_head(model, "logits")) == 60 // 32


def test_adapters_leave_parts_trainable_in_whichever_order(build_model):
    config = LoraConfig(target_modules="all-linear")
    for first in (True, False):
        model = build_model("llama", CODEC)
        if first:
            model.add_lora(config)
        model.put_parts(
            {"head": _head("pointwise"), "leaf_shift": PartModule(LeafShift(), SIZES, 0.0, 1.0)}
        )
        if not first:
            model.add_lora(config)
        trained = {name for name in model.trainable() if "lora_" not in name}
        expected = {f"head.{name}" for name, _ in model.head.named_parameters()}
        assert trained == expected | {"leaf_shift.z"}


def test_pooling_leaves_padding_out():
    states = torch.tensor([[[9.0, -9.0], [1.0, 2.0], [3.0, -4.0]]]).repeat(2, 1, 1)
    mask = torch.tensor([[False, True, True], [True, True, False]])  # padded left, padded right
    expected = {
        "last": [[3.0, -4.0], [1.0, 2.0]], "mean": [[2.0, -1.0], [5.0, -3.5]],
        "min": [[1.0, -4.0], [1.0, -9.0]], "max": [[3.0, 2.0], [9.0, 2.0]],
    }  # fmt: skip
    for pooling, pooled in expected.items():
        assert pool(states, mask, pooling).tolist() == pooled, pooling


# -- histograms ------------------------------------------------------------------------------


def test_histogram_targets_are_the_published_ones():
    y = [-3.2, -3.0, -1.234, 0.0, 2.999, 3.0, 7.0]
    found = histogram_targets(torch.tensor(y, dtype=torch.float64), 256, 3.0, 0.75)
    width = 6 / 256
    centres = [-3 + (j + 0.5) * width for j in range(256)]
    for row, target in zip(found.tolist(), y, strict=True):
        if abs(target) > 3:
            expected = [float(target < 0)] + [0.0] * 256 + [float(target > 0)]
        else:
            bell = [math.exp(-0.5 * ((target - c) / (0.75 * width)) ** 2) for c in centres]
            expected = [0.0] + [b / sum(bell) for b in bell] + [0.0]
        assert np.allclose(row, expected, atol=1e-12)


def test_narrow_targets_end_in_the_bin_that_holds_y():
    y = torch.linspace(-2.95, 2.95, 60)
    bins = torch.bucketize(y, histogram_edges(10, 3.0).float()) - 1
    assert torch.equal(histogram_targets(y, 10, 3.0, 0.01).argmax(1), bins)


def test_a_tail_stands_for_the_mean_of_half_a_normal_distribution():
    beyond = torch.linspace(0, 10, 100_001, dtype=torch.float64)
    density = torch.exp(-0.5 * (beyond / 0.5) ** 2)
    centroid = 3 + float((density * beyond).sum() / density.sum())
    edges = histogram_edges(256, 3.0)
    assert float(edges[-2:].mean()) == pytest.approx(centroid, abs=1e-4)
    assert torch.equal(edges, -edges.flip(0))
    assert round(centroid, 3) == 3.399  # GenRe²'s figure


def test_a_histogram_predicts_its_expectation_in_the_units_of_y():
    head = _head("histogram", mean=50.0, std=4.0)
    log_probs = torch.randn(3, 8, dtype=torch.float64).log_softmax(-1)
    found = head.distribution(log_probs, None)
    centroid = 3 + 0.5 * math.sqrt(2 / math.pi)
    z = torch.tensor([-centroid, -2.5, -1.5, -0.5, 0.5, 1.5, 2.5, centroid], dtype=torch.float64)
    assert np.allclose(found.mean(), 50 + 4 * (log_probs.exp() @ z))
    likeliest = 50 + 4 * z[log_probs.argmax(1)]
    assert np.allclose(found.greedy(), likeliest) and np.allclose(found.mode(), likeliest)
    assert np.allclose(found.cdf(38.0), log_probs.exp()[:, 0])  # the lower tail ends at z = -3
    assert (found.crps(np.array([50.0, 20.0, 70.0])) > 0).all()


def test_a_number_is_a_distribution_with_all_mass_on_it():
    found = _head("pointwise", mean=50.0, std=4.0).distribution(torch.tensor([0.5, -1.0]), None)
    for decoding in ("rail", "median", "mode", "greedy", "sample"):
        assert found.decode(decoding, 0).tolist() == [52.0, 46.0], decoding
    assert np.allclose(found.crps([50.0, 50.0]), [2.0, 4.0])


# -- new tokens ------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["llama", "gemma2", "mamba"])
def test_new_tokens_have_the_logits_of_rows_of_their_own(
    family, build_model, random_prompts, as_batch
):
    model, prompts = build_model(family, CODEC), random_prompts(LENGTHS)
    head, vocabulary = model.lm.get_output_embeddings(), model.lm.config.vocab_size
    rows = torch.randn(25, 32, generator=torch.Generator().manual_seed(0))
    module = PartModule(TokenRows("zero"), SIZES, 0.0, 1.0)
    module.weight.data.copy_(rows)
    model.put_parts({"new_tokens": module})
    assert (model.tree.n_levels, model.tree.n_nodes) == (1, 1)
    with torch.no_grad():
        logits = model.node_logits(as_batch(prompts), torch.empty(0, dtype=torch.long))
        cached, _ = model.prefill(as_batch(prompts))
        plain = copy.deepcopy(model.transformer)
        # In place of the first tokens' rows, but not of their input embeddings.
        output = plain.get_output_embeddings()
        output.weight = torch.nn.Parameter(torch.cat([rows, output.weight[25:]]))
        expected = torch.stack([plain(input_ids=p[None]).logits[0, -1, :25] for p in prompts])
    assert torch.allclose(logits[:, 0], expected, atol=1e-4)
    assert torch.allclose(cached, expected, atol=1e-4)
    steps = step_log_probs(logits, model.tree, torch.zeros(1, dtype=torch.long))
    assert torch.allclose(leaf_log_probs(steps, model.tree), expected.log_softmax(-1), atol=1e-4)
    assert len(head.weight) == vocabulary  # nothing was resized


def test_the_tree_of_new_tokens_names_the_same_numbers():
    deep = NumberTree.from_codec(CODEC)
    flat = one_level(deep)
    assert torch.equal(flat.leaf_value, deep.leaf_value)
    assert torch.equal(flat.leaf[0, flat.path_symbols[:, 0]], torch.arange(25))
    assert flat.span.tolist() == [[0.0, 10.0]] and float(flat.radius) == 5.0
    assert (flat.n_nodes, flat.n_open, flat.n_levels, flat.contiguous) == (1, 1, 1, True)


@pytest.mark.parametrize("style", STYLES)
def test_new_tokens_start_from_the_tokens_that_spell_their_number(style, tokenizer_zoo):
    tokenizer = tokenizer_zoo[style]
    (tokens, first), (signed, digit) = spelled(tokenizer, [12.5, -0.25])
    assert "".join(tokenizer.decode([t]) for t in tokens).strip() == "12.5"
    assert tokenizer.decode([tokens[first]]).strip()[0] == "1"
    assert tokenizer.decode([signed[digit]]).strip().lstrip("-")[0] == "0"
    rows = torch.randn(len(tokenizer), 4, generator=torch.Generator().manual_seed(0))
    found = initial_rows(rows, [(tokens, first)], "average")
    assert torch.allclose(found[0], sum(rows[t] for t in tokens) / len(tokens))
    assert torch.equal(initial_rows(rows, [(tokens, first)], "first")[0], rows[tokens[first]])
    assert initial_rows(rows, [(tokens, first)], "zero").tolist() == [[0.0] * 4]
    random = initial_rows(3 * rows, [(tokens, first)] * 2000, "random")
    assert random.shape == (2000, 4) and abs(float(random.mean())) < 0.2
    assert float(random.std()) == pytest.approx(3 * float(rows.std()), rel=0.05)


def test_new_tokens_cannot_start_from_quantised_rows():
    with pytest.raises(ValueError, match=r"quantised \(torch.uint8\)"):
        initial_rows(torch.zeros(3, 4, dtype=torch.uint8), [([1], 0)], "first")


# -- what methods ask for --------------------------------------------------------------------


@pytest.fixture
def tokenizer():
    from llmreg.prompts.tiny_tokenizer import train_tokenizer

    return train_tokenizer([])


@pytest.fixture
def tiny(problem):
    return problem(2)[0]


def test_methods_get_the_parts_that_they_ask_for(tiny, tokenizer):
    method = SpecialTokenHead(token="7")
    give_parts(tiny, tokenizer, (method, None), 5.0, 2.0)
    assert isinstance(tiny.head.part, SpecialTokenHead)
    assert tiny.head.token == tokenizer.convert_tokens_to_ids("7")
    assert (tiny.head.mean, tiny.head.std) == (5.0, 2.0)
    assert set(tiny.parts) == {"head"} and not tiny.bidirectional


def test_without_a_request_there_are_no_parts(tiny, tokenizer):
    before = torch.get_rng_state()
    give_parts(tiny, tokenizer, (CE(), None))
    assert tiny.parts == {} and torch.equal(torch.get_rng_state(), before)


def test_an_unknown_token_is_an_error(tiny, tokenizer):
    with pytest.raises(ValueError, match=r"token='\[CLS\]' is not in the tokenizer's vocabulary"):
        give_parts(tiny, tokenizer, (SpecialTokenHead(token="[CLS]"),))


def test_the_special_token_is_one_that_prompts_do_not_hold(tiny, tokenizer):
    give_parts(tiny, tokenizer, (SpecialTokenHead(),))
    assert tiny.head.token == tokenizer.unk_token_id  # the fresh model has no end of sequence
    ended = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer.backend_tokenizer, unk_token="<unk>", eos_token="9"
    )
    give_parts(tiny, ended, (SpecialTokenHead(),))
    assert tiny.head.token == ended.eos_token_id != tokenizer.unk_token_id


def test_a_symbols_weight_starts_at_the_mean_of_the_numbers_that_it_begins(tiny, tokenizer):
    give_parts(tiny, tokenizer, (LearnableRAFT(weights="vocabulary"),), 1.0, 2.0)
    weight = tiny.head.weight.detach().double()
    codec = tiny.codec
    for digit, token in enumerate(tiny.symbol_ids.tolist()):
        mean = codec.values_[10 * digit : 10 * digit + 10].mean()
        assert float(weight[token]) == pytest.approx((mean - 1) / 2, abs=1e-6)
    others = [i for i in range(len(weight)) if i not in tiny.symbol_ids]
    assert not hasattr(tiny.head, "bias") and not weight[others].any()


def test_a_model_is_kept_only_for_methods_that_need_its_parts(tiny, tokenizer):
    given = [Histogram(n_bins=8)]
    give_parts(tiny, tokenizer, given, 3.0, 2.0)
    check_parts(tiny, given)
    for other in (CE(), Histogram(n_bins=9), Pointwise(), Histogram(n_bins=8, bidirectional=True)):
        with pytest.raises(ValueError, match="warm_start=True goes on with a model that has head"):
            check_parts(tiny, [other])


@pytest.mark.parametrize(
    "methods",
    [[ProbabilitiesHead(over="symbols")], [PoolHead()], [NewTokens(), LearnableRAFT()],
     [PoolHead("mean", bidirectional=True)], [LearnableRAFT(weights="vocabulary")]],
    ids=str,
)  # fmt: skip
def test_parts_survive_a_pickle_bit_by_bit(methods, problem, tokenizer):
    model, data, _ = problem(2)
    give_parts(model, tokenizer, methods, 3.0, 2.0)
    with torch.no_grad():
        for part in model.parts.values():
            for p in part.parameters():
                p.add_(torch.randn_like(p))
    model.place("cpu", torch.float64).eval()
    again = pickle.loads(pickle.dumps(model))
    batch, _ = data.batch(np.arange(5), np.ones(5), "cpu", torch.float64)
    with torch.no_grad():
        for twin in (again, pickle.loads(pickle.dumps(again))):
            assert twin.parts.keys() == model.parts.keys() != set()
            if model.head is not None:
                assert torch.equal(twin.head_output(batch), model.head_output(batch))
                assert str(twin.head.recipe) == str(model.head.recipe)
            nodes = torch.arange(1, model.tree.n_nodes)
            assert torch.equal(twin.node_logits(batch, nodes), model.node_logits(batch, nodes))
    for name, p in model.named_parameters():
        assert torch.equal(dict(again.named_parameters())[name], p), name
    check_parts(again, methods)
