"""The last layer computes what is read of it, and nothing changes for those who read it."""

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from llmreg.lm.last_layer import last_layer_at
from llmreg.lm.recompute import repeated_layers


@pytest.fixture
def llama():
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=20, hidden_size=16, intermediate_size=32, num_hidden_layers=2,
        num_attention_heads=2,
    )  # fmt: skip
    return LlamaForCausalLM(config).double()


def logits_and_gradients(lm, ids, keep, pruned):
    lm.zero_grad()
    if pruned:
        with last_layer_at(repeated_layers(lm)[-1], keep):
            logits = lm(ids, logits_to_keep=keep).logits
    else:
        logits = lm(ids, logits_to_keep=keep).logits
    logits.square().sum().backward()
    return logits.detach(), [p.grad.clone() for p in lm.parameters()]


@pytest.mark.parametrize("keep", [1, 3, 7])
def test_kept_logits_and_all_gradients_are_those_of_a_whole_pass(llama, keep):
    ids = torch.randint(20, (2, 7))
    whole, gradients = logits_and_gradients(llama, ids, keep, pruned=False)
    found, of_found = logits_and_gradients(llama, ids, keep, pruned=True)
    torch.testing.assert_close(found, whole)
    torch.testing.assert_close(of_found, gradients)


def test_the_mlp_sees_the_kept_tokens_alone_and_is_whole_again_afterwards(llama):
    layer, seen = repeated_layers(llama)[-1], []
    layer.mlp.gate_proj.register_forward_hook(lambda module, args, out: seen.append(out.shape[1]))
    ids = torch.randint(20, (2, 7))
    with last_layer_at(layer, 3):
        llama(ids, logits_to_keep=3)
    llama(ids)
    assert seen == [3, 7]
    assert "forward" not in vars(layer.mlp)
