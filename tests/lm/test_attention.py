"""Prompts that are read in both directions."""

import pytest
import torch
from number_lm import LENGTHS, TWO, all_nodes

from llmreg.lm.readout import prompt_states


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
        wide = model.node_logits(as_batch(prompts, extra_padding=5), all_nodes(model))
        for prompt, expected in zip(prompts, wide, strict=True):
            alone = model.node_logits(as_batch([prompt]), all_nodes(model))
            assert torch.allclose(alone[0], expected, atol=1e-5)


def test_numbers_stay_causal_behind_a_bidirectional_prompt(family, build_model, random_batch):
    model, batch = _both_ways(build_model(family, TWO)), random_batch(LENGTHS)
    with torch.no_grad():
        whole = model.node_logits(batch, all_nodes(model))
        assert torch.allclose(
            whole[:, :1], model.node_logits(batch, torch.empty(0, dtype=torch.long)), atol=1e-5
        )  # no token of the prompt sees a number
        for node in (1, 7):  # nor does a number see its siblings
            alone = model.node_logits(batch, torch.tensor([node]))
            assert torch.allclose(alone[:, 1], whole[:, node], atol=1e-5)
        root, cache = model.prefill(batch)
        nodes = all_nodes(model).expand(len(batch), -1)
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
