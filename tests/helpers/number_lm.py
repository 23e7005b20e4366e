"""Short ways to ask a NumberLM, to train it, and to compare gradients."""

import torch
from peft import LoraConfig

from llmreg.codecs.digits import DigitCodec
from llmreg.numbers.tree import leaf_log_probs, step_log_probs

LENGTHS = (6, 1, 11)

TWO = DigitCodec(10, 2).fit([0.0, 1.0])

THREE = DigitCodec(10, 3).fit([0.0, 1.0])


def all_nodes(model):
    return torch.arange(1, model.tree.n_nodes)


def log_probs(model, logits):
    tree = model.tree
    return leaf_log_probs(step_log_probs(logits, tree, torch.arange(tree.n_nodes)), tree)


def gradients_of(model, loss):
    model.zero_grad()
    loss.backward()
    return {
        name: torch.zeros_like(p) if p.grad is None else p.grad.clone()
        for name, p in model.named_parameters()
    }


def assert_equal_gradients(found, expected, rtol):
    for name, gradient in expected.items():
        scale = gradient.abs().max()
        assert torch.allclose(found[name], gradient, rtol=rtol, atol=rtol * float(scale)), name
    assert any(gradient.abs().max() > 1e-3 for gradient in expected.values())


def logits_of(model, batch):
    with torch.no_grad():
        return model.node_logits(batch, all_nodes(model))


TARGETS = {"llama": ["q_proj", "v_proj"], "qwen2": ["q_proj", "v_proj"], "gpt2": ["c_attn"]}


def with_lora(model, family):
    torch.manual_seed(1)
    model.add_lora(LoraConfig(
        r=4, lora_alpha=8, lora_dropout=0.0, target_modules=TARGETS[family],
        fan_in_fan_out=family == "gpt2", task_type="CAUSAL_LM",
    ))  # fmt: skip
    return model.eval()


def train(model, batch, n_steps=3, lr=0.05):
    optimizer = torch.optim.Adam(model.trainable().values(), lr=lr)
    for _ in range(n_steps):
        optimizer.zero_grad()
        log_probs(model, model.node_logits(batch, all_nodes(model)))[:, 7].sum().neg().backward()
        optimizer.step()
