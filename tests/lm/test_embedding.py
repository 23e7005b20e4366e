"""Vectors of cells, added to the embeddings of their tokens and hidden in training."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import torch
from number_lm import TWO, all_nodes, logits_of

from llmreg.codecs.digits import DigitCodec
from llmreg.lm.backbone import NumberLM
from llmreg.prompts.cell_encoder import CellEncoder, SlotLayout


def test_slot_zero_leaves_the_embeddings_untouched(with_cells, build_model):
    model, batch = with_cells
    plain = NumberLM(model.lm, None, model.symbol_ids, TWO)
    bare = replace(batch, slots=torch.zeros_like(batch.slots))
    assert torch.equal(logits_of(model, bare), logits_of(plain, batch))
    assert torch.equal(logits_of(model, batch)[2], logits_of(plain, batch)[2])  # row without slots


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
    before, after = logits_of(model, batch), logits_of(model, replace(batch, **{name: values}))
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
    assert torch.allclose(logits_of(model, batch)[:, 0], torch.stack(expected), atol=1e-5)


def test_hidden_text_tokens_keep_their_columns_vector_alone(with_cells, monkeypatch):
    model, batch = with_cells
    blank = torch.zeros_like(batch.slots, dtype=torch.bool)
    blank[1, 4] = True
    before = logits_of(model, batch)
    monkeypatch.setattr(model.cells, "blank", lambda slots: blank)
    seen = []
    first = model.lm.model.layers[0]
    handle = first.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    logits_of(model, batch)
    handle.remove()
    assert torch.allclose(seen[0][1, 4], model.cells.columns[0])
    # Whatever token stands there, it is not read; other rows are as they were.
    ids = batch.ids.clone()
    ids[1, 4] = (ids[1, 4] + 1) % 60
    after = logits_of(model, batch)
    assert torch.equal(logits_of(model, replace(batch, ids=ids)), after)
    assert not torch.allclose(after[1], before[1], atol=1e-4)
    assert torch.allclose(after[[0, 2]], before[[0, 2]], atol=1e-6)


def test_cells_are_hidden_in_training_only(with_cells):
    model, batch = with_cells
    model.cells.dropout = 0.5
    first = logits_of(model, batch)
    assert torch.equal(logits_of(model, batch), first)
    model.train()
    assert any(not torch.equal(logits_of(model, batch), first) for _ in range(10))
    assert torch.equal(logits_of(model.eval(), batch), first)


def test_the_cache_reads_cell_vectors_too(with_cells):
    model, batch = with_cells
    with torch.no_grad():
        root, _ = model.prefill(batch)
    assert torch.allclose(root, logits_of(model, batch)[:, 0], atol=1e-5)


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
    expected = [logits_of(model, batch) for batch in batches]
    started = threading.Barrier(8)

    def work(batch):
        started.wait()
        return [logits_of(model, batch) for _ in range(10)]

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
    first = logits_of(model, fixed)
    nodes = all_nodes(model).expand(len(batch), -1)
    assert all(torch.equal(logits_of(model, fixed), first) for _ in range(5))
    with torch.no_grad():
        assert torch.allclose(model.plain_logits(fixed, nodes), first, atol=1e-5)
        root, cache = model.prefill(fixed)
        grown = torch.cat([root.unsqueeze(1), model.extend(cache, nodes)], 1)
    assert torch.allclose(grown, first, atol=1e-5)
    others = [logits_of(model, model.fix_hidden_cells(batch)) for _ in range(10)]
    assert any(not torch.equal(other, first) for other in others)
    torch.set_rng_state(state)
    assert torch.equal(logits_of(model, model.fix_hidden_cells(batch)), first)


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
