"""Devices and number formats of a model."""

import pytest
import torch
from number_lm import LENGTHS, TWO, all_nodes, gradients_of, log_probs, logits_of, train, with_lora


def test_place_moves_weights_and_tree_together(build_model, random_batch):
    model = build_model("llama", TWO).place("cpu", torch.float64)
    assert model.dtype == torch.float64
    assert model.symbol_ids.dtype == torch.long
    assert logits_of(model, random_batch(LENGTHS)).dtype == torch.float64


def test_bfloat16_agrees_roughly_with_float32(family, build_model, random_batch):
    model, batch = build_model(family, TWO), random_batch(LENGTHS)
    exact = log_probs(model, logits_of(model, batch))
    model.place("cpu", torch.bfloat16)
    rough = log_probs(model, logits_of(model, batch))
    assert torch.isfinite(rough).all()
    assert torch.allclose(rough.exp().sum(1), torch.ones(3), atol=1e-5)
    assert (rough - exact).abs().mean() < 0.5


@pytest.fixture
def mixed(with_cells):
    """A base in bfloat16 with adapters and cell vectors in float32, and a batch."""
    model, batch = with_cells
    with_lora(model, "llama")
    model.cells.requires_grad_(True)
    return model, batch


def test_adapters_and_cells_keep_float32_over_a_coarse_base(mixed):
    model, batch = mixed
    train(model, batch)
    exact, trained = log_probs(model, logits_of(model, batch)), model.snapshot()
    model.place("cpu", torch.bfloat16)
    assert model.dtype == torch.bfloat16
    for name, p in model.named_parameters():
        assert p.dtype == (torch.float32 if p.requires_grad else torch.bfloat16), name
    assert model.lm.base_model.model.model.rotary_emb.inv_freq.dtype == torch.float32
    logits = logits_of(model, batch)
    assert logits.dtype == torch.float32
    assert (log_probs(model, logits) - exact).abs().mean() < 0.5
    train(model, batch)
    model.restore(trained)
    # Nothing of what was trained was rounded on the way.
    assert all(torch.equal(p, trained[name]) for name, p in model.trainable().items())


def test_autocast_computes_coarsely_with_exact_weights(family, build_model, random_batch):
    model, batch = build_model(family, TWO), random_batch((6, 1, 11))
    exact = log_probs(model, logits_of(model, batch))
    model.place("cpu", torch.float32, autocast=torch.bfloat16)
    logits = logits_of(model, batch)
    assert logits.dtype == torch.float32 and model.dtype == torch.float32
    rough = log_probs(model, logits)
    assert 1e-4 < (rough - exact).abs().mean() < 0.5
    assert model.verify_packing(batch)
    loss = log_probs(model, model.node_logits(batch, all_nodes(model)))[:, 0].sum()
    gradients = gradients_of(model, loss)
    assert all(g.dtype == torch.float32 and g.isfinite().all() for g in gradients.values())
    assert torch.equal(logits_of(model.place("cpu"), batch), logits)  # moved, and nothing else
    model.place("cpu", torch.float32)
    assert torch.equal(log_probs(model, logits_of(model, batch)), exact)


def test_float16_masks_stay_finite(build_model, random_prompts, as_batch):
    model = build_model("llama", TWO, dtype=torch.float16)
    batch = as_batch(random_prompts((1, 5)), extra_padding=9)
    loss = log_probs(model, model.node_logits(batch, all_nodes(model)))[:, 0].sum()
    assert all(torch.isfinite(g).all() for g in gradients_of(model, loss).values())


def test_quantised_weights_keep_their_format(build_model):
    model = build_model("llama", TWO)
    model.lm.hf_quantizer = object()
    with_lora(model, "llama").place("cpu", torch.bfloat16)
    assert {p.dtype for p in model.lm.parameters()} == {torch.float32}


def test_a_model_on_several_devices_stays_there(build_model, random_batch, monkeypatch):
    model = build_model("llama", TWO)
    model.lm.hf_device_map = {"model": 0, "lm_head": 1}
    monkeypatch.setattr(model.lm, "to", lambda *args: pytest.fail("was moved"))
    expected = logits_of(model, random_batch(LENGTHS))
    model.place("meta", torch.float64)
    assert model.device.type == "cpu"  # where its inputs go
    assert torch.allclose(logits_of(model, random_batch(LENGTHS)).float(), expected, atol=1e-4)
