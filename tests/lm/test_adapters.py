"""Adapters of all kinds on the language model, and the reference of a KL penalty."""

import copy

import pytest
import torch
from peft import IA3Config, LoraConfig, PrefixTuningConfig
from torch import nn

from llmreg.codecs.digits import DigitCodec
from llmreg.prompts.cell_encoder import CellEncoder, SlotLayout

CODEC = DigitCodec(4, 2).fit([0.0, 1.0])
LENGTHS = (6, 1, 9)
TARGETS = dict(target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
CONFIGS = {
    "lora": LoraConfig(r=4, lora_alpha=8, **TARGETS),
    "dora": LoraConfig(r=4, use_dora=True, **TARGETS),
    "rslora": LoraConfig(r=4, use_rslora=True, **TARGETS),
    "bias": LoraConfig(r=4, bias="all", **TARGETS),
    "head": LoraConfig(r=4, modules_to_save=["lm_head"], **TARGETS),
    "embeddings": LoraConfig(r=4, modules_to_save=["embed_tokens"], **TARGETS),
    "ia3": IA3Config(**TARGETS, feedforward_modules=[]),
}


@pytest.fixture(params=CONFIGS)
def kind(request):
    return request.param


def _adapted(build_model, kind, **kwargs):
    # Qwen2 has biases.
    model = build_model("qwen2", CODEC, **kwargs)
    torch.manual_seed(1)
    model.add_lora(CONFIGS[kind])
    return model.eval()


def _nodes(model):
    return torch.arange(1, model.tree.n_nodes)


def _logits(model, batch):
    with torch.no_grad():
        return model.node_logits(batch, _nodes(model))


def _train(model, batch, n_steps=3):
    optimizer = torch.optim.Adam(model.trainable().values(), lr=0.05)
    for _ in range(n_steps):
        optimizer.zero_grad()
        model.node_logits(batch, _nodes(model)).log_softmax(-1)[..., 2].mean().neg().backward()
        optimizer.step()


def test_every_kind_starts_as_the_identity_and_trains(kind, build_model, random_batch):
    model, batch = _adapted(build_model, kind), random_batch(LENGTHS)
    before = _logits(build_model("qwen2", CODEC), batch)
    names = set(model.trainable())
    assert torch.allclose(_logits(model, batch), before, atol=1e-5)
    started = model.snapshot()
    _train(model, batch)
    assert (_logits(model, batch) - before).abs().max() > 0.1
    assert set(model.trainable()) == names
    assert all(not torch.equal(p, started[name]) for name, p in model.trainable().items())


def test_every_kind_has_the_same_numbers_on_all_roads(kind, build_model, random_batch):
    model, batch = _adapted(build_model, kind), random_batch(LENGTHS)
    _train(model, batch)
    assert torch.allclose(
        model.plain_logits(batch, _nodes(model)), _logits(model, batch), atol=2e-5
    )
    assert model.verify_packing(batch)


def test_a_trained_copy_of_the_output_layer_answers_for_the_symbols_alone(
    build_model, random_batch
):
    model, batch = _adapted(build_model, "head"), random_batch(LENGTHS)
    _train(model, batch)
    whole = model.lm(input_ids=batch.ids[2:]).logits[:, -1]
    assert whole.shape == (1, 60)
    assert torch.allclose(_logits(model, batch)[2:, 0], whole[:, model.symbol_ids], atol=1e-5)


def test_the_caller_keeps_its_configuration(build_model):
    config = LoraConfig(r=4, **TARGETS)
    before = copy.deepcopy(config.to_dict())
    build_model("llama", CODEC).add_lora(config)
    assert config.to_dict() == before


def test_virtual_tokens_are_refused(build_model):
    config = PrefixTuningConfig(num_virtual_tokens=3, task_type="CAUSAL_LM")
    with pytest.raises(ValueError, match=r"PrefixTuningConfig.*virtual tokens.*LoraConfig"):
        build_model("llama", CODEC).add_lora(config)


# The reference


def test_the_reference_is_what_was_kept(kind, build_model, random_batch):
    model, batch = _adapted(build_model, kind), random_batch(LENGTHS)
    _train(model, batch)
    old, names = _logits(model, batch), list(model.trainable())
    state = set(model.state_dict())
    model.keep_reference()
    assert list(model.trainable()) == names
    _train(model, batch)
    new = _logits(model, batch)
    assert (new - old).abs().max() > 0.01
    with model.reference():
        inside = model.node_logits(batch, _nodes(model))
        assert torch.allclose(inside, old, atol=1e-6)
        assert not inside.requires_grad
    assert torch.equal(_logits(model, batch), new)
    assert list(model.trainable()) == names
    model.keep_reference(False)
    assert set(model.state_dict()) == state
    assert list(model.trainable()) == names
    assert torch.equal(_logits(model, batch), new)


def test_lora_weights_are_kept_in_an_adapter_and_cell_vectors_aside(build_model):
    cells = CellEncoder(
        SlotLayout(1, 0, 0, 0, 0), knots=torch.zeros(1, 2), edges=torch.zeros(1, 2),
        n_levels=[], n_columns=0, n_texts=0, n_components=0, size=32, std=0.1, dropout=0.0,
    )  # fmt: skip
    model = _adapted(build_model, "lora", cells=cells)
    model.cells.requires_grad_(True)
    model.keep_reference()
    assert set(model.lm.peft_config) == {"default", "reference"}
    assert model._reference and all(name.startswith("cells.") for name in model._reference)
    assert not any(p.requires_grad for n, p in model.named_parameters() if "reference" in n)
    model.keep_reference(False)
    assert set(model.lm.peft_config) == {"default"}


def test_keeping_again_replaces_the_reference(build_model, random_batch):
    model, batch = _adapted(build_model, "lora"), random_batch(LENGTHS)
    model.keep_reference()
    _train(model, batch)
    second = _logits(model, batch)
    model.keep_reference()
    _train(model, batch)
    with model.reference():
        assert torch.allclose(_logits(model, batch), second, atol=1e-6)


def test_a_pending_backward_pass_survives_the_reference(kind, build_model, random_batch):
    model, batch = _adapted(build_model, kind), random_batch(LENGTHS)
    model.keep_reference()
    _train(model, batch)

    def gradients(loss):
        model.zero_grad()
        loss.backward()
        return {name: p.grad.clone() for name, p in model.trainable().items()}

    def loss():
        return (model.node_logits(batch, _nodes(model)) ** 2).sum()

    expected, pending = gradients(loss()), loss()
    with model.reference():
        model.node_logits(batch, _nodes(model))
    found = gradients(pending)
    assert all(torch.equal(found[name], g) for name, g in expected.items())
    assert max(float(g.abs().max()) for g in expected.values()) > 0.1


def test_a_merged_model_has_no_reference_left(build_model, random_batch):
    model, batch = _adapted(build_model, "dora"), random_batch(LENGTHS)
    model.keep_reference()
    _train(model, batch)
    before = _logits(model, batch)
    model.merge_lora()
    assert isinstance(model.lm.model.layers[0].self_attn.q_proj, nn.Linear)
    assert not any("reference" in name or "lora" in name for name in model.state_dict())
    assert torch.allclose(_logits(model, batch), before, atol=1e-5)


def test_weights_that_are_split_over_processes_have_no_copy_aside(build_model):
    model = build_model("llama", CODEC)
    model.lm.lm_head.weight.full_tensor = lambda: None  # as sharded parameters have it
    with pytest.raises(ValueError, match=r"beta > 0.*FSDP.*lm_head.weight.*LoRA"):
        model.keep_reference()
    model.add_lora(CONFIGS["lora"])
    model.keep_reference()
