"""NumberLM's packed and cached forward passes against plain ones, one sequence at a time."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch
from peft import LoraConfig
from torch import nn

from llmreg.codecs.digits import DigitCodec
from llmreg.lm.backbone import NumberLM
from llmreg.lm.readout import prompt_states
from llmreg.numbers.tree import leaf_log_probs, step_log_probs
from llmreg.prompts.cell_encoder import CellEncoder, SlotLayout

FAMILIES = ["llama", "qwen2", "gpt2"]
LENGTHS = (6, 1, 11)
TWO = DigitCodec(10, 2).fit([0.0, 1.0])
THREE = DigitCodec(10, 3).fit([0.0, 1.0])


@pytest.fixture(params=FAMILIES)
def family(request):
    return request.param


def _all_nodes(model):
    return torch.arange(1, model.tree.n_nodes)


def _log_probs(model, logits):
    tree = model.tree
    return leaf_log_probs(step_log_probs(logits, tree, torch.arange(tree.n_nodes)), tree)


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


def _gradients(model, loss):
    model.zero_grad()
    loss.backward()
    return {
        name: torch.zeros_like(p) if p.grad is None else p.grad.clone()
        for name, p in model.named_parameters()
    }


def _assert_equal_gradients(found, expected, rtol):
    for name, gradient in expected.items():
        scale = gradient.abs().max()
        assert torch.allclose(found[name], gradient, rtol=rtol, atol=rtol * float(scale)), name
    assert any(gradient.abs().max() > 1e-3 for gradient in expected.values())


# Packed forward pass


def test_the_packed_tree_gives_the_distribution_of_plain_forward_passes(
    family, build_model, random_prompts, as_batch
):
    model = build_model(family, THREE)
    prompts = random_prompts(LENGTHS)
    with torch.no_grad():
        found = _log_probs(model, model.node_logits(as_batch(prompts), _all_nodes(model)))
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
    packed = _log_probs(model, model.node_logits(as_batch(prompts), _all_nodes(model)))
    found = _gradients(model, (weights * packed).sum())
    expected = _gradients(model, (weights * _plain_log_probs(model, prompts)).sum())
    _assert_equal_gradients(found, expected, rtol=1e-5)  # the norm layers compute in float32


def test_gradients_agree_in_single_precision(family, build_model, random_prompts, as_batch):
    model = build_model(family, TWO)
    prompts = random_prompts(LENGTHS)
    packed = _log_probs(model, model.node_logits(as_batch(prompts), _all_nodes(model)))
    found = _gradients(model, (packed.exp() @ torch.linspace(0, 1, 100)).sum())
    plain = _plain_log_probs(model, prompts)
    expected = _gradients(model, (plain.exp() @ torch.linspace(0, 1, 100)).sum())
    _assert_equal_gradients(found, expected, rtol=1e-4)


def test_gradients_are_finite_with_single_token_prompts_and_much_padding(
    family, build_model, random_prompts, as_batch
):
    model = build_model(family, TWO)
    batch = as_batch(random_prompts((1, 1)), extra_padding=9)
    loss = _log_probs(model, model.node_logits(batch, _all_nodes(model)))[:, 0].sum()
    assert all(torch.isfinite(g).all() for g in _gradients(model, loss).values())


def test_some_nodes_of_each_row_get_the_logits_that_they_get_in_the_whole_tree(
    family, build_model, random_batch
):
    model = build_model(family, THREE)
    batch = random_batch(LENGTHS)
    paths = model.tree.path_nodes[torch.tensor([123, 999, 5]), 1:]
    nodes = torch.cat([paths, torch.full((3, 1), -1)], 1)
    with torch.no_grad():
        whole = model.node_logits(batch, _all_nodes(model))
        some = model.node_logits(batch, nodes)
    assert torch.allclose(some[:, 0], whole[:, 0], atol=1e-5)
    rows = torch.arange(3).unsqueeze(1)
    assert torch.allclose(some[:, 1:3], whole[rows, paths], atol=1e-5)
    assert torch.isfinite(some).all()


def test_a_codec_of_one_digit_needs_the_root_alone(build_model, random_prompts, as_batch):
    model = build_model("llama", DigitCodec(10, 1).fit([0.0, 1.0]))
    prompts = random_prompts(LENGTHS)
    with torch.no_grad():
        logits = model.node_logits(as_batch(prompts), _all_nodes(model))
        assert logits.shape == (3, 1, 10)
        assert torch.allclose(
            _log_probs(model, logits), _plain_log_probs(model, prompts), atol=1e-4
        )


# Cache


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
    found = _gradients(model, (grown[real] ** 2).sum())
    expected = _gradients(model, (model.node_logits(batch, nodes)[real] ** 2).sum())
    _assert_equal_gradients(found, expected, rtol=1e-5)  # the norm layers compute in float32


# Batches


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


# The output layer


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
    model.node_logits(batch, _all_nodes(model))
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
        model.node_logits(batch, _all_nodes(model))
    handle.remove()
    assert "forward" not in vars(model.lm.get_output_embeddings())
    assert model.lm(input_ids=batch.ids).logits.shape[-1] == 60


def test_threads_may_share_a_model(build_model, random_batch):
    model = build_model("llama", TWO)
    batches = [random_batch(LENGTHS, seed=seed) for seed in range(8)]
    expected = [_logits(model, batch) for batch in batches]
    head, started = model.lm.get_output_embeddings(), threading.Barrier(8)

    def work(batch):
        started.wait()
        return [_logits(model, batch) for _ in range(10)]

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
        found = _log_probs(model, model.node_logits(as_batch(prompts), _all_nodes(model)))
        assert torch.allclose(found, _plain_log_probs(model, prompts), atol=1e-4)


# Cell vectors


@pytest.fixture
def with_cells(build_model, random_batch):
    """A model with cell vectors, and a batch of three rows that carry some: numbers in slots 1 and
    2, a category in slot 3, a column's vector in slot 4."""
    torch.manual_seed(0)
    cells = CellEncoder(
        SlotLayout(2, 1, 1, 0, 0), knots=torch.randn(2, 3), edges=torch.randn(2, 3).sort(1).values,
        n_levels=[4], n_columns=1, n_texts=0,
        n_components=0, size=32, std=1.0, dropout=0.0,
    )  # fmt: skip
    model = build_model("llama", TWO, cells=cells)
    batch = random_batch((6, 4, 5))
    slots = torch.zeros_like(batch.ids)
    slots[0, 3:] = torch.tensor([1, 2, 3])
    slots[1, 4] = 4
    batch = replace(
        batch, slots=slots, numbers=torch.randn(3, 2), categories=torch.tensor([[2], [0], [3]]),
        texts=torch.zeros(3, 0, 0),
    )  # fmt: skip
    return model, batch


def _logits(model, batch):
    with torch.no_grad():
        return model.node_logits(batch, _all_nodes(model))


def test_slot_zero_leaves_the_embeddings_untouched(with_cells, build_model):
    model, batch = with_cells
    plain = NumberLM(model.lm, None, model.symbol_ids, TWO)
    bare = replace(batch, slots=torch.zeros_like(batch.slots))
    assert torch.equal(_logits(model, bare), _logits(plain, batch))
    assert torch.equal(_logits(model, batch)[2], _logits(plain, batch)[2])  # row without slots


@pytest.mark.parametrize(
    ("changes", "rows"),
    [
        (dict(numbers=[0, 0]), [0]),
        (dict(numbers=[0, 1]), [0]),
        (dict(categories=[0, 0]), [0]),
        (dict(numbers=[1, 0]), []),  # no token of that row carries the number's slot
        (dict(categories=[2, 0]), []),
    ],
)
def test_a_cell_changes_only_the_rows_whose_tokens_carry_it(with_cells, changes, rows):
    model, batch = with_cells
    [(name, (row, column))] = changes.items()
    values = getattr(batch, name).clone()
    values[row, column] = 1
    before, after = _logits(model, batch), _logits(model, replace(batch, **{name: values}))
    changed = (before - after).abs().amax((1, 2)) > 1e-4
    assert changed.nonzero().flatten().tolist() == rows
    assert torch.equal(before[~changed], after[~changed])


def test_cell_vectors_are_added_to_the_embeddings_of_their_tokens(with_cells):
    model, batch = with_cells
    vectors = model.cells(batch.numbers, batch.categories, batch.texts)
    embeds = model.lm.get_input_embeddings()(batch.ids).clone()
    for row, at, slot in ((0, 3, 1), (0, 4, 2), (0, 5, 3), (1, 4, 4)):
        embeds[row, at] += vectors[row, slot]
    expected = [
        model.lm(inputs_embeds=e[m].unsqueeze(0)).logits[0, -1, model.symbol_ids]
        for e, m in zip(embeds, batch.mask, strict=True)
    ]
    assert torch.allclose(_logits(model, batch)[:, 0], torch.stack(expected), atol=1e-5)


def test_hidden_text_tokens_keep_their_columns_vector_alone(with_cells, monkeypatch):
    model, batch = with_cells
    blank = torch.zeros_like(batch.slots, dtype=torch.bool)
    blank[1, 4] = True
    before = _logits(model, batch)
    monkeypatch.setattr(model.cells, "blank", lambda slots: blank)
    seen = []
    first = model.lm.model.layers[0]
    handle = first.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    _logits(model, batch)
    handle.remove()
    assert torch.allclose(seen[0][1, 4], model.cells.columns[0])
    # Whatever token stands there, it is not read; other rows are as they were.
    ids = batch.ids.clone()
    ids[1, 4] = (ids[1, 4] + 1) % 60
    after = _logits(model, batch)
    assert torch.equal(_logits(model, replace(batch, ids=ids)), after)
    assert not torch.allclose(after[1], before[1], atol=1e-4)
    assert torch.allclose(after[[0, 2]], before[[0, 2]], atol=1e-6)


def test_cells_are_hidden_in_training_only(with_cells):
    model, batch = with_cells
    model.cells.dropout = 0.5
    first = _logits(model, batch)
    assert torch.equal(_logits(model, batch), first)
    model.train()
    assert any(not torch.equal(_logits(model, batch), first) for _ in range(10))
    assert torch.equal(_logits(model.eval(), batch), first)


def test_the_cache_reads_cell_vectors_too(with_cells):
    model, batch = with_cells
    with torch.no_grad():
        root, _ = model.prefill(batch)
    assert torch.allclose(root, _logits(model, batch)[:, 0], atol=1e-5)


# LoRA


TARGETS = {"llama": ["q_proj", "v_proj"], "qwen2": ["q_proj", "v_proj"], "gpt2": ["c_attn"]}


def _with_lora(model, family):
    torch.manual_seed(1)
    model.add_lora(LoraConfig(
        r=4, lora_alpha=8, lora_dropout=0.0, target_modules=TARGETS[family],
        fan_in_fan_out=family == "gpt2", task_type="CAUSAL_LM",
    ))  # fmt: skip
    return model.eval()


def _train(model, batch, n_steps=3, lr=0.05):
    optimizer = torch.optim.Adam(model.trainable().values(), lr=lr)
    for _ in range(n_steps):
        optimizer.zero_grad()
        _log_probs(model, model.node_logits(batch, _all_nodes(model)))[:, 7].sum().neg().backward()
        optimizer.step()


def test_adapters_start_as_the_identity_and_only_they_train(family, build_model, random_batch):
    model, batch = build_model(family, TWO), random_batch(LENGTHS)
    before = _logits(model, batch)
    frozen = {name: p.clone() for name, p in model.lm.named_parameters()}
    assert not model.has_lora
    _with_lora(model, family)
    assert model.has_lora
    assert torch.allclose(_logits(model, batch), before, atol=1e-6)
    assert len(model.trainable()) == 2 * 2 * len(TARGETS[family])
    assert all("lora_" in name for name in model.trainable())

    _train(model, batch)
    assert (_logits(model, batch) - before).abs().max() > 0.1
    now = {n.removeprefix("base_model.model.").replace(".base_layer", ""): p
           for n, p in model.lm.named_parameters()}  # fmt: skip
    assert all(torch.equal(now[name], p) for name, p in frozen.items())


def test_adapters_freeze_the_cell_vectors_too(with_cells):
    model, _ = with_cells
    _with_lora(model, "llama")
    assert not any(p.requires_grad for p in model.cells.parameters())
    model.merge_lora()
    assert all(p.requires_grad for p in model.cells.parameters())


@pytest.mark.parametrize("targets", [["lm_head"], ["q_proj", "lm_head"], r".*(v_proj|lm_head)"])
def test_adapters_on_the_output_layer_are_refused(targets, build_model):
    model = build_model("llama", TWO)
    config = LoraConfig(r=4, target_modules=targets, task_type="CAUSAL_LM")
    with pytest.raises(ValueError, match=r"lm_head.*an adapter on the output layer") as error:
        model.add_lora(config)
    assert "'all-linear'" in str(error.value)


def test_all_linear_leaves_the_output_layer_out(family, build_model, random_batch):
    model, batch = build_model(family, TWO), random_batch(LENGTHS)
    before = _logits(model, batch)
    model.add_lora(LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM"))
    assert isinstance(model.lm.get_output_embeddings(), nn.Linear)
    assert torch.allclose(_logits(model.eval(), batch), before, atol=1e-6)


def test_the_merged_model_equals_the_adapted_one(family, build_model, random_batch):
    model, batch = _with_lora(build_model(family, TWO), family), random_batch(LENGTHS)
    _train(model, batch)
    adapted = _logits(model, batch)
    model.merge_lora()
    assert torch.allclose(_logits(model, batch), adapted, atol=1e-5)
    assert not model.has_lora
    assert len(model.trainable()) == len(list(model.parameters()))
    assert not any("lora" in name for name in model.state_dict())


def test_merging_without_adapters_changes_nothing(build_model):
    model = build_model("llama", TWO)
    lm = model.lm
    model.merge_lora()
    assert model.lm is lm


# Trainable weights


@pytest.mark.parametrize("lora", [False, True])
def test_a_snapshot_restores_the_trainable_weights(build_model, random_batch, lora):
    model, batch = build_model("llama", TWO), random_batch(LENGTHS)
    if lora:
        _with_lora(model, "llama")
    snapshot, before = model.snapshot(), _logits(model, batch)
    assert set(snapshot) == set(model.trainable())
    _train(model, batch)
    trained = _logits(model, batch)
    assert not torch.allclose(trained, before, atol=0.01)
    model.restore(snapshot)
    assert torch.equal(_logits(model, batch), before)
    _train(model, batch)  # the snapshot is a copy: training on does not reach it
    model.restore(snapshot)
    assert torch.equal(_logits(model, batch), before)


@pytest.mark.parametrize("lora", [False, True])
def test_the_reference_is_the_old_weights_inside_its_context_only(build_model, random_batch, lora):
    model, batch = build_model("llama", TWO), random_batch(LENGTHS)
    if lora:
        _with_lora(model, "llama")
    old = _logits(model, batch)
    model.keep_reference()
    _train(model, batch)
    new = _logits(model, batch)
    assert not torch.allclose(new, old, atol=0.01)
    with model.reference():
        inside = model.node_logits(batch, _all_nodes(model))
        assert torch.equal(inside, old)
        assert not inside.requires_grad
    assert torch.equal(_logits(model, batch), new)
    _train(model, batch)  # still the same parameters, still trainable
    assert not torch.equal(_logits(model, batch), new)
    with model.reference():
        assert torch.equal(_logits(model, batch), old)


def test_the_new_weights_are_back_after_an_exception(build_model, random_batch):
    model, batch = build_model("llama", TWO), random_batch(LENGTHS)
    model.keep_reference()
    _train(model, batch)
    new = _logits(model, batch)
    with pytest.raises(RuntimeError), model.reference():
        raise RuntimeError
    assert torch.equal(_logits(model, batch), new)


def test_a_reference_can_be_forgotten(build_model):
    model = build_model("llama", TWO)
    model.keep_reference()
    model.keep_reference(False)
    assert model._reference is None  # a copy of all weights that no one needs any more


@pytest.mark.parametrize("lora", [False, True])
def test_a_pending_backward_pass_survives_the_reference_context(build_model, random_batch, lora):
    model, batch = build_model("llama", TWO, dtype=torch.float64), random_batch(LENGTHS)
    if lora:
        _with_lora(model, "llama").place("cpu", torch.float64)
    model.keep_reference()
    _train(model, batch)

    def loss():
        return (_log_probs(model, model.node_logits(batch, _all_nodes(model))) ** 2).sum()

    expected = _gradients(model, loss())
    pending = loss()
    with model.reference():
        model.node_logits(batch, _all_nodes(model))
    _assert_equal_gradients(_gradients(model, pending), expected, rtol=1e-10)


# Devices and types


def test_place_moves_weights_and_tree_together(build_model, random_batch):
    model = build_model("llama", TWO).place("cpu", torch.float64)
    assert model.dtype == torch.float64
    assert model.symbol_ids.dtype == torch.long
    assert _logits(model, random_batch(LENGTHS)).dtype == torch.float64


def test_bfloat16_agrees_roughly_with_float32(family, build_model, random_batch):
    model, batch = build_model(family, TWO), random_batch(LENGTHS)
    exact = _log_probs(model, _logits(model, batch))
    model.place("cpu", torch.bfloat16)
    rough = _log_probs(model, _logits(model, batch))
    assert torch.isfinite(rough).all()
    assert torch.allclose(rough.exp().sum(1), torch.ones(3), atol=1e-5)
    assert (rough - exact).abs().mean() < 0.5


def test_train_mode_hides_cells_with_dropout_on_or_off(build_model):
    cells = CellEncoder(
        SlotLayout(1, 0, 0, 0, 0), knots=torch.zeros(1, 2), edges=torch.zeros(1, 2),
        n_levels=[], n_columns=0, n_texts=0, n_components=0, size=32, std=0.1, dropout=0.5,
    )  # fmt: skip
    model = build_model("llama", DigitCodec().fit([0.0, 1.0]), cells=cells)
    for dropout in (True, False):
        model.train_mode(dropout)
        assert model.lm.training == dropout
        assert model.cells.training


def test_threads_may_share_a_model_with_cells(with_cells):
    model, batch = with_cells
    batches = [replace(batch, numbers=batch.numbers + shift) for shift in range(8)]
    expected = [_logits(model, batch) for batch in batches]
    started = threading.Barrier(8)

    def work(batch):
        started.wait()
        return [_logits(model, batch) for _ in range(10)]

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(work, batches))
    for alone, together in zip(expected, found, strict=True):
        assert all(torch.equal(alone, one) for one in together)
    assert not torch.equal(expected[0], expected[1])
    assert not model.lm.get_input_embeddings()._forward_hooks


def test_hidden_cells_can_be_drawn_once_for_several_passes(with_cells):
    model, batch = with_cells
    model.cells.dropout = 0.5
    assert model.fix_hidden_cells(batch) is batch  # nothing is hidden outside of training
    model.train_mode(dropout=False)
    state = torch.get_rng_state()
    fixed = model.fix_hidden_cells(batch)
    first = _logits(model, fixed)
    nodes = _all_nodes(model).expand(len(batch), -1)
    assert all(torch.equal(_logits(model, fixed), first) for _ in range(5))
    with torch.no_grad():
        assert torch.allclose(model.plain_logits(fixed, nodes), first, atol=1e-5)
        root, cache = model.prefill(fixed)
        grown = torch.cat([root.unsqueeze(1), model.extend(cache, nodes)], 1)
    assert torch.allclose(grown, first, atol=1e-5)
    others = [_logits(model, model.fix_hidden_cells(batch)) for _ in range(10)]
    assert any(not torch.equal(other, first) for other in others)
    torch.set_rng_state(state)
    assert torch.equal(_logits(model, model.fix_hidden_cells(batch)), first)


def test_the_cache_hides_the_same_cells_at_every_level_on_the_plain_road(with_cells):
    model, batch = with_cells
    model.cells.dropout = 0.5
    model.packs = False
    model.train_mode(dropout=False)
    nodes = torch.tensor([[1]] * len(batch))
    with torch.no_grad():
        _, cache = model.prefill(batch)
        first = model.extend(cache, nodes)
        assert all(torch.equal(model.extend(cache, nodes), first) for _ in range(10))


# Number formats


@pytest.fixture
def mixed(with_cells):
    """A base in bfloat16 with adapters and cell vectors in float32, and a batch."""
    model, batch = with_cells
    _with_lora(model, "llama")
    model.cells.requires_grad_(True)
    return model, batch


def test_adapters_and_cells_keep_float32_over_a_coarse_base(mixed):
    model, batch = mixed
    _train(model, batch)
    exact, trained = _log_probs(model, _logits(model, batch)), model.snapshot()
    model.place("cpu", torch.bfloat16)
    assert model.dtype == torch.bfloat16
    for name, p in model.named_parameters():
        assert p.dtype == (torch.float32 if p.requires_grad else torch.bfloat16), name
    assert model.lm.base_model.model.model.rotary_emb.inv_freq.dtype == torch.float32
    logits = _logits(model, batch)
    assert logits.dtype == torch.float32
    assert (_log_probs(model, logits) - exact).abs().mean() < 0.5
    _train(model, batch)
    model.restore(trained)
    # Nothing of what was trained was rounded on the way.
    assert all(torch.equal(p, trained[name]) for name, p in model.trainable().items())


def test_autocast_computes_coarsely_with_exact_weights(family, build_model, random_batch):
    model, batch = build_model(family, TWO), random_batch((6, 1, 11))
    exact = _log_probs(model, _logits(model, batch))
    model.place("cpu", torch.float32, autocast=torch.bfloat16)
    logits = _logits(model, batch)
    assert logits.dtype == torch.float32 and model.dtype == torch.float32
    rough = _log_probs(model, logits)
    assert 1e-4 < (rough - exact).abs().mean() < 0.5
    assert model.verify_packing(batch)
    loss = _log_probs(model, model.node_logits(batch, _all_nodes(model)))[:, 0].sum()
    gradients = _gradients(model, loss)
    assert all(g.dtype == torch.float32 and g.isfinite().all() for g in gradients.values())
    assert torch.equal(_logits(model.place("cpu"), batch), logits)  # moved, and nothing else
    model.place("cpu", torch.float32)
    assert torch.equal(_log_probs(model, _logits(model, batch)), exact)


def test_float16_masks_stay_finite(build_model, random_prompts, as_batch):
    model = build_model("llama", TWO, dtype=torch.float16)
    batch = as_batch(random_prompts((1, 5)), extra_padding=9)
    loss = _log_probs(model, model.node_logits(batch, _all_nodes(model)))[:, 0].sum()
    assert all(torch.isfinite(g).all() for g in _gradients(model, loss).values())


def test_quantised_weights_keep_their_format(build_model):
    model = build_model("llama", TWO)
    model.lm.hf_quantizer = object()
    _with_lora(model, "llama").place("cpu", torch.bfloat16)
    assert {p.dtype for p in model.lm.parameters()} == {torch.float32}


def test_a_model_on_several_devices_stays_there(build_model, random_batch, monkeypatch):
    model = build_model("llama", TWO)
    model.lm.hf_device_map = {"model": 0, "lm_head": 1}
    monkeypatch.setattr(model.lm, "to", lambda *args: pytest.fail("was moved"))
    expected = _logits(model, random_batch(LENGTHS))
    model.place("meta", torch.float64)
    assert model.device.type == "cpu"  # where its inputs go
    assert torch.allclose(_logits(model, random_batch(LENGTHS)).float(), expected, atol=1e-4)


# Bidirectional prompts


def _both_ways(model):
    model.put_parts({}, bidirectional=True)
    return model


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma2"])
def test_with_bidirectional_attention_a_later_token_changes_an_earlier_state(
    family, build_model, random_prompts, as_batch
):
    prompts = random_prompts(LENGTHS)
    other = [prompt.clone() for prompt in prompts]
    for prompt in other:
        prompt[-1] = (prompt[-1] + 1) % 60
    for bidirectional in (False, True):
        model = build_model(family, TWO)
        model.put_parts({}, bidirectional)
        with torch.no_grad():
            states, mask = prompt_states(model, as_batch(prompts))
            changed, _ = prompt_states(model, as_batch(other))
        earlier = mask.clone()
        earlier[:, -1] = False
        moved = (changed - states).abs().amax(2)
        assert moved[:, -1].min() > 1e-3
        if bidirectional:
            assert moved[earlier].min() > 1e-4
        else:
            assert moved[earlier].max() < 1e-5


def test_bidirectional_padding_is_read_by_nobody(family, build_model, random_prompts, as_batch):
    model, prompts = _both_ways(build_model(family, TWO)), random_prompts(LENGTHS)
    with torch.no_grad():
        wide = model.node_logits(as_batch(prompts, extra_padding=5), _all_nodes(model))
        for prompt, expected in zip(prompts, wide, strict=True):
            alone = model.node_logits(as_batch([prompt]), _all_nodes(model))
            assert torch.allclose(alone[0], expected, atol=1e-5)


def test_numbers_stay_causal_behind_a_bidirectional_prompt(family, build_model, random_batch):
    model, batch = _both_ways(build_model(family, TWO)), random_batch(LENGTHS)
    with torch.no_grad():
        whole = model.node_logits(batch, _all_nodes(model))
        assert torch.allclose(
            whole[:, :1], model.node_logits(batch, torch.empty(0, dtype=torch.long)), atol=1e-5
        )  # no token of the prompt sees a number
        for node in (1, 7):  # nor does a number see its siblings
            alone = model.node_logits(batch, torch.tensor([node]))
            assert torch.allclose(alone[:, 1], whole[:, node], atol=1e-5)
        root, cache = model.prefill(batch)
        nodes = _all_nodes(model).expand(len(batch), -1)
        assert torch.allclose(root, whole[:, 0], atol=1e-5)
        assert torch.allclose(model.extend(cache, nodes), whole[:, 1:], atol=1e-5)


def test_a_sliding_window_limits_both_directions(build_model, random_prompts, as_batch):
    model = _both_ways(build_model("mistral", TWO))  # two layers, each with a window of 8
    (prompt,) = random_prompts((20,))
    other = prompt.clone()
    other[-1] = (other[-1] + 1) % 60
    with torch.no_grad():
        before, _ = prompt_states(model, as_batch([prompt]))
        after, _ = prompt_states(model, as_batch([other]))
    moved = (after - before).abs().amax(2)[0]
    assert moved[: 20 - 15].max() < 1e-5 < 1e-4 < moved[20 - 15 :].min()


def test_bidirectional_attention_is_refused_on_the_plain_road(build_model):
    with pytest.raises(ValueError, match=r"bidirectional=True needs .* \(model_type='mamba'\)"):
        build_model("mamba", TWO).put_parts({}, bidirectional=True)
