"""Trainable weights: adapters, snapshots, and the old weights as a reference."""

import pytest
import torch
from number_lm import (
    LENGTHS,
    TARGETS,
    TWO,
    all_nodes,
    assert_equal_gradients,
    gradients_of,
    log_probs,
    logits_of,
    train,
    with_lora,
)
from peft import LoraConfig
from torch import nn


def test_adapters_start_as_the_identity_and_only_they_train(family, build_model, random_batch):
    model, batch = build_model(family, TWO), random_batch(LENGTHS)
    before = logits_of(model, batch)
    frozen = {name: p.clone() for name, p in model.lm.named_parameters()}
    assert not model.has_lora
    with_lora(model, family)
    assert model.has_lora
    assert torch.allclose(logits_of(model, batch), before, atol=1e-6)
    assert len(model.trainable()) == 2 * 2 * len(TARGETS[family])
    assert all("lora_" in name for name in model.trainable())

    train(model, batch)
    assert (logits_of(model, batch) - before).abs().max() > 0.1
    now = {n.removeprefix("base_model.model.").replace(".base_layer", ""): p
           for n, p in model.lm.named_parameters()}  # fmt: skip
    assert all(torch.equal(now[name], p) for name, p in frozen.items())


def test_adapters_freeze_the_cell_vectors_too(with_cells):
    model, _ = with_cells
    with_lora(model, "llama")
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
    before = logits_of(model, batch)
    model.add_lora(LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM"))
    assert isinstance(model.lm.get_output_embeddings(), nn.Linear)
    assert torch.allclose(logits_of(model.eval(), batch), before, atol=1e-6)


def test_the_merged_model_equals_the_adapted_one(family, build_model, random_batch):
    model, batch = with_lora(build_model(family, TWO), family), random_batch(LENGTHS)
    train(model, batch)
    adapted = logits_of(model, batch)
    model.merge_lora()
    assert torch.allclose(logits_of(model, batch), adapted, atol=1e-5)
    assert not model.has_lora
    assert len(model.trainable()) == len(list(model.parameters()))
    assert not any("lora" in name for name in model.state_dict())


def test_merging_without_adapters_changes_nothing(build_model):
    model = build_model("llama", TWO)
    lm = model.lm
    model.merge_lora()
    assert model.lm is lm


@pytest.mark.parametrize("lora", [False, True])
def test_a_snapshot_restores_the_trainable_weights(build_model, random_batch, lora):
    model, batch = build_model("llama", TWO), random_batch(LENGTHS)
    if lora:
        with_lora(model, "llama")
    snapshot, before = model.snapshot(), logits_of(model, batch)
    assert set(snapshot) == set(model.trainable())
    train(model, batch)
    trained = logits_of(model, batch)
    assert not torch.allclose(trained, before, atol=0.01)
    model.restore(snapshot)
    assert torch.equal(logits_of(model, batch), before)
    train(model, batch)  # the snapshot is a copy: training on does not reach it
    model.restore(snapshot)
    assert torch.equal(logits_of(model, batch), before)


@pytest.mark.parametrize("lora", [False, True])
def test_the_reference_is_the_old_weights_inside_its_context_only(build_model, random_batch, lora):
    model, batch = build_model("llama", TWO), random_batch(LENGTHS)
    if lora:
        with_lora(model, "llama")
    old = logits_of(model, batch)
    model.keep_reference()
    train(model, batch)
    new = logits_of(model, batch)
    assert not torch.allclose(new, old, atol=0.01)
    with model.reference():
        inside = model.node_logits(batch, all_nodes(model))
        assert torch.equal(inside, old)
        assert not inside.requires_grad
    assert torch.equal(logits_of(model, batch), new)
    train(model, batch)  # still the same parameters, still trainable
    assert not torch.equal(logits_of(model, batch), new)
    with model.reference():
        assert torch.equal(logits_of(model, batch), old)


def test_the_new_weights_are_back_after_an_exception(build_model, random_batch):
    model, batch = build_model("llama", TWO), random_batch(LENGTHS)
    model.keep_reference()
    train(model, batch)
    new = logits_of(model, batch)
    with pytest.raises(RuntimeError), model.reference():
        raise RuntimeError
    assert torch.equal(logits_of(model, batch), new)


def test_a_reference_can_be_forgotten(build_model):
    model = build_model("llama", TWO)
    model.keep_reference()
    model.keep_reference(False)
    assert model._reference is None  # a copy of all weights that no one needs any more


@pytest.mark.parametrize("lora", [False, True])
def test_a_pending_backward_pass_survives_the_reference_context(build_model, random_batch, lora):
    model, batch = build_model("llama", TWO, dtype=torch.float64), random_batch(LENGTHS)
    if lora:
        with_lora(model, "llama").place("cpu", torch.float64)
    model.keep_reference()
    train(model, batch)

    def loss():
        return (log_probs(model, model.node_logits(batch, all_nodes(model))) ** 2).sum()

    expected = gradients_of(model, loss())
    pending = loss()
    with model.reference():
        model.node_logits(batch, all_nodes(model))
    assert_equal_gradients(gradients_of(model, pending), expected, rtol=1e-10)
