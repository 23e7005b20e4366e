"""The plain road: which sequences it reads, in which portions."""

import pytest
import torch

from llmreg.codecs.digits import DigitCodec
from llmreg.lm import plain
from llmreg.lm.plain import Paths
from llmreg.numbers.tree import NumberTree

CODEC = DigitCodec(3, 3).fit([0.0, 1.0])  # nodes 1-3, then 4-12
LENGTHS = (6, 1, 11)


def _paths(nodes):
    paths = Paths.through(NumberTree.from_codec(CODEC), torch.tensor(nodes))
    return list(zip(paths.row.tolist(), paths.end.tolist(), strict=True)), paths.owner.tolist()


def test_a_sequence_for_every_node_that_leads_to_no_other():
    sequences, owner = _paths([[1, 2, 4, 5, -1], [3, 12, -1, -1, -1]])
    assert sequences == [(0, 2), (0, 4), (0, 5), (1, 12)]
    assert owner[0][1:5] == [1, 0, 1, 2]  # node 1 is read on the way to node 4
    assert owner[1] == [3, 3, 3, 3, 3, 3]


def test_without_nodes_the_prompt_alone_is_read():
    assert _paths([[-1], [-1]]) == ([(0, 0), (1, 0)], [[0, 0], [1, 1]])
    tree = NumberTree.from_codec(CODEC)
    paths = Paths.through(tree, torch.empty(2, 0, dtype=torch.long))
    assert paths.end.tolist() == [0, 0] and paths.owner.tolist() == [[0], [1]]


@pytest.mark.parametrize("family", ["mamba", "llama"])
def test_portions_have_the_numbers_and_gradients_of_the_whole(
    family, build_model, random_batch, monkeypatch
):
    model, batch = build_model(family, CODEC), random_batch(LENGTHS)
    nodes, widths = torch.arange(1, 13), []
    embedding = model.lm.get_input_embeddings()
    embedding.register_forward_pre_hook(lambda module, args: widths.append(args[0].numel()))

    def compute():
        widths.clear()
        model.zero_grad()
        logits = model.plain_logits(batch, nodes)
        passes = len(widths)
        (logits.softmax(-1) @ torch.linspace(-1, 1, 3)).sum().backward()
        return logits, embedding.weight.grad.clone(), passes

    logits, gradient, passes = compute()
    assert passes == 1
    monkeypatch.setattr(plain, "TOKENS_PER_PASS", 60)
    again, same, passes = compute()
    assert passes > 5 and max(widths) <= 60
    assert torch.allclose(again, logits, atol=1e-5)
    assert torch.allclose(same, gradient, atol=1e-4 * float(gradient.abs().max()))
    with torch.no_grad():
        assert torch.allclose(model.plain_logits(batch, nodes), logits, atol=1e-5)


def test_a_long_prompt_is_read_even_if_it_exceeds_a_portion(build_model, random_batch, monkeypatch):
    model, batch = build_model("llama", CODEC), random_batch((12, 3))
    expected = model.node_logits(batch, torch.arange(1, 13))
    monkeypatch.setattr(plain, "TOKENS_PER_PASS", 5)
    assert torch.allclose(model.plain_logits(batch, torch.arange(1, 13)), expected, atol=1e-5)
