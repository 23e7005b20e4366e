"""A prefix read once gives every row what reading it in every row gives."""

from dataclasses import replace

import pytest
import torch
from families import TRANSFORMERS, WINDOWED
from roads import CODEC
from roads import node_logits as _logits

from llmreg.prompts.encoding import Prefix
from llmreg.training.policy import NumberPolicy, ZScale

SHARED, LENGTHS = 11, (6, 1, 14)  # windows are of 8 tokens: within, across and beyond the prefix


@pytest.fixture
def batches(random_prompts, as_batch):
    """The same rows whole, and behind a prefix."""
    (shared,) = random_prompts((SHARED,), seed=1)
    rest = random_prompts(LENGTHS)
    whole = as_batch([torch.cat([shared, own]) for own in rest], extra_padding=2)
    return whole, replace(as_batch(rest, extra_padding=2), prefix=Prefix(shared))


@pytest.mark.parametrize("road", ["packed", "cached"])
@pytest.mark.parametrize("family", TRANSFORMERS)
def test_logits_and_gradients_are_those_of_whole_prompts(family, road, batches, build_model):
    model = build_model(family, CODEC)
    assert model.shares_prefix

    def gradients(logits):
        model.zero_grad()
        (logits.softmax(-1) @ torch.linspace(-1, 1, 3)).sum().backward()
        return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}

    whole, behind = (_logits(model, batch, road) for batch in batches)
    assert torch.allclose(behind, whole, rtol=1e-5, atol=2e-5)
    expected, found = gradients(whole), gradients(behind)
    largest = max(float(gradient.norm()) for gradient in expected.values())
    for name, gradient in expected.items():
        scale = max(float(gradient.norm()), 1e-3 * largest)
        assert (found[name] - gradient).norm() < 1e-4 * scale, name


@pytest.mark.parametrize("family", ["qwen2", *WINDOWED])
def test_what_was_read_beforehand_serves_many_batches(family, batches, build_model):
    model, (whole, behind) = build_model(family, CODEC), batches
    with torch.no_grad():
        past = model.read_prefix(behind.prefix.ids)
        before = [keys.clone() for keys, _ in past]
        read = replace(behind, prefix=replace(behind.prefix, past=past))
        for road in ("packed", "cached"):
            expected = _logits(model, whole, road)
            assert torch.allclose(_logits(model, read, road), expected, rtol=1e-5, atol=2e-5)
    assert all(torch.equal(keys, old) for (keys, _), old in zip(past, before, strict=True))


def test_the_prefix_is_read_by_the_reference_for_itself(batches, build_model):
    from peft import LoraConfig

    model, (whole, behind) = build_model("llama", CODEC), batches
    model.add_lora(LoraConfig(r=2, target_modules="all-linear", init_lora_weights=False))
    model.keep_reference()
    with torch.no_grad():
        for weights in model.trainable().values():
            weights.add_(0.05 * torch.randn_like(weights))
    scale = ZScale.from_tree(model.tree, 0.5, 1.0, "cpu", torch.float32)
    kl = [NumberPolicy(model, batch, scale).kl_to_reference() for batch in (whole, behind)]
    assert kl[0].min() > 1e-4
    assert torch.allclose(*kl, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("change", ["checkpointing", "bidirectional", "plain", "head", "compiled"])
def test_who_cannot_share_says_so(change, build_model):
    model = build_model("llama", CODEC)
    if change == "checkpointing":
        model.checkpointing()
    if change == "bidirectional":
        model.put_parts({}, bidirectional=True)
    if change == "plain":
        model.packs = False
    if change == "head":
        head = torch.nn.Linear(1, 1)
        head.whole = False
        model.put_parts({"head": head})
    if change == "compiled":
        model._compiled = True
    assert not model.shares_prefix
