"""Every family of models: one number tree, whichever road computes it.

The yardstick is transformers alone: one sequence after another, token ids only, no padding, no
cache, no mask of ours. Prompts are longer than the models' sliding windows.
"""

import warnings

import pytest
import torch
from families import STATE_SPACES, TRANSFORMERS, WINDOWED
from roads import CODEC, node_logits

LENGTHS = (6, 1, 14, 20)  # windows are of 8 tokens
ROADS = ["packed", "cached", "plain"]


@pytest.fixture(params=TRANSFORMERS + STATE_SPACES)
def family(request):
    return request.param


def _yardstick(model, prompts):
    """Logits (B, M, S) at all nodes."""
    rows = []
    for prompt in prompts:
        logits = []
        for node in range(model.tree.n_nodes):
            path = [a for a in model.tree.ancestors[node].tolist() if a > 0]
            ids = torch.cat([prompt, model.symbol_ids[model.tree.symbol[path]]])
            out = model.transformer(input_ids=ids.unsqueeze(0), use_cache=False)
            logits.append(out.logits[0, -1, model.symbol_ids])
        rows.append(torch.stack(logits))
    return torch.stack(rows)


@pytest.mark.parametrize("road", ROADS)
def test_all_roads_give_the_logits_of_plain_repeated_passes(
    family, road, build_model, random_prompts, as_batch
):
    model, prompts = build_model(family, CODEC), random_prompts(LENGTHS)
    batch = as_batch(prompts, extra_padding=2)
    with torch.no_grad():
        expected = _yardstick(model, prompts)
        found = node_logits(model, batch, road)
    assert found.dtype == torch.float32
    assert (found.softmax(-1) - expected.softmax(-1)).abs().max() < 1e-5
    assert torch.allclose(found, expected, rtol=1e-5, atol=2e-5)
    assert expected.std((0, 1)).min() > 0.1  # rows and nodes matter
    assert expected.std(1).max() > 0.5


@pytest.mark.parametrize("road", ROADS)
def test_all_roads_have_the_gradients_of_plain_repeated_passes(
    family, road, build_model, random_prompts, as_batch
):
    model, prompts = build_model(family, CODEC), random_prompts((3, 11))

    def gradients(logits):
        model.zero_grad()
        (logits.softmax(-1) @ torch.linspace(-1, 1, 3)).sum().backward()
        return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}

    found = gradients(node_logits(model, as_batch(prompts), road))
    expected = gradients(_yardstick(model, prompts))
    assert found.keys() == expected.keys()
    largest = max(float(gradient.norm()) for gradient in expected.values())
    assert largest > 0.1
    for name, gradient in expected.items():
        # Some gradients are zero but for rounding: attention does not feel a bias of its keys.
        scale = max(float(gradient.norm()), 1e-3 * largest)
        assert (found[name] - gradient).norm() < 1e-4 * scale, name


@pytest.mark.parametrize("name", WINDOWED)
def test_windows_matter_at_these_lengths(name, build_model, random_prompts, as_batch, monkeypatch):
    model = build_model(name, CODEC)
    batch = as_batch(random_prompts(LENGTHS))
    with torch.no_grad():
        windowed = node_logits(model, batch, "packed")
        monkeypatch.setattr(model.lm.config, "sliding_window", 1000)
        wide = node_logits(model, batch, "packed")
    difference = (windowed - wide).abs().amax((1, 2))
    assert (difference > 0.01).tolist() == [False, False, True, True]


@pytest.mark.parametrize("road", ROADS)
def test_the_full_vocabulary_is_never_formed(family, road, build_model, random_batch, monkeypatch):
    model = build_model(family, CODEC)
    widths, linear = [], torch.nn.functional.linear

    def spy(hidden, weight, bias=None):
        widths.append(len(weight))
        return linear(hidden, weight, bias)

    monkeypatch.setattr(torch.nn.functional, "linear", spy)
    assert node_logits(model, random_batch((4, 9)), road).shape == (2, 13, 3)
    assert 3 in widths and 60 not in widths


def test_state_spaces_take_the_plain_road_by_themselves(build_model):
    for name in STATE_SPACES:
        model = build_model(name, CODEC)
        assert not model.packs and not model.caches_gradients
    model = build_model("llama", CODEC)
    assert model.packs and model.caches_gradients


def test_verification_leaves_what_is_right_alone(family, build_model, random_batch):
    model, batch = build_model(family, CODEC), random_batch(LENGTHS)
    model.train()
    before = model.packs
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        assert model.verify_packing(batch) == before
    assert model.packs == before
    assert model.training and model.lm.training


# Families that nothing was prepared for


def _foreign(kind, **sizes):
    import transformers

    torch.manual_seed(0)
    config = getattr(transformers, kind)(vocab_size=60, **sizes)
    return transformers.AutoModelForCausalLM.from_config(config).eval()


def _number_lm(lm):
    from llmreg.lm.backbone import NumberLM

    return NumberLM(lm, None, torch.tensor([5, 40, 21]), CODEC).place("cpu").eval()


@pytest.mark.parametrize(
    ("kind", "sizes", "reason"),
    [
        # Bloom's positions are a slope of the 2-D mask, which a 4-D mask breaks.
        ("BloomConfig", dict(hidden_size=32, n_layer=2, n_head=4, initializer_range=0.3), "Error"),
        # MPT ignores positions and goes on.
        ("MptConfig", dict(d_model=32, n_layers=2, n_heads=4, initializer_range=0.3), "differ by"),
    ],
)
def test_a_family_that_cannot_pack_is_found_out(kind, sizes, reason, random_prompts, as_batch):
    model, prompts = _number_lm(_foreign(kind, **sizes)), random_prompts(LENGTHS)
    batch = as_batch(prompts)
    assert model.packs
    with pytest.warns(UserWarning, match=f"model_type='{model.lm.config.model_type}'.*{reason}"):
        assert not model.verify_packing(batch)
    with torch.no_grad():
        expected = _yardstick(model, prompts)
        for road in ROADS:
            assert torch.allclose(node_logits(model, batch, road), expected, atol=2e-5)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_rounding_is_no_reason_to_leave_the_packed_road(dtype, build_model, random_batch):
    model = build_model("gemma3", CODEC, dtype=dtype)
    assert model.verify_packing(random_batch(LENGTHS))


def test_a_full_memory_is_no_reason_to_leave_the_packed_road(
    build_model, random_batch, monkeypatch
):
    model = build_model("llama", CODEC)

    def full(*args, **kwargs):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(model.lm, "forward", full)
    with pytest.raises(torch.OutOfMemoryError):
        model.verify_packing(random_batch(LENGTHS))
    assert model.packs


def test_attention_in_chunks_takes_the_plain_road(random_prompts, as_batch):
    lm = _foreign(
        "Llama4TextConfig", hidden_size=32, intermediate_size=48, intermediate_size_mlp=48,
        num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, head_dim=8,
        num_local_experts=2, attention_chunk_size=8, initializer_range=0.3, pad_token_id=0,
    )  # fmt: skip
    model, prompts = _number_lm(lm), random_prompts(LENGTHS)
    assert not model.packs
    with torch.no_grad():
        expected = _yardstick(model, prompts)
        assert torch.allclose(node_logits(model, as_batch(prompts), "cached"), expected, atol=2e-5)


def test_attention_without_free_masks_takes_the_plain_road(build_model, random_batch):
    from llmreg.lm.attention import packing_obstacle

    lm = build_model("llama", CODEC).lm
    assert packing_obstacle(lm) is None
    lm.config._attn_implementation_internal = "flash_attention_2"
    assert "flash_attention_2" in packing_obstacle(lm)


def test_soft_capped_attention_is_computed_as_such(build_model):
    assert build_model("gemma2", CODEC).lm.config._attn_implementation == "eager"
    assert build_model("gemma3", CODEC).lm.config._attn_implementation == "sdpa"
