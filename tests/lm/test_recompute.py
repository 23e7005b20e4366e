"""Gradient checkpointing: the same gradients from fewer kept activations."""

import copy

import pytest
import torch
from peft import LoraConfig

from llmreg.codecs.digits import DigitCodec

CODEC = DigitCodec(4, 2).fit([0.0, 1.0])
FAMILIES = ["llama", "gemma3", "gpt2", "opt", "mamba"]
LENGTHS = (6, 1, 14)


@pytest.fixture(params=FAMILIES)
def model(request, build_model):
    return build_model(request.param, CODEC)


def _nodes(model):
    return torch.arange(1, model.tree.n_nodes)


def _set_dropout(model, share):
    """Of dropout modules, and of layers that do it themselves."""
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = share
        for name in ("dropout", "attention_dropout"):
            if isinstance(getattr(module, name, None), float):
                setattr(module, name, share)


def _step(model, batch, seed=0):
    """Gradients of a loss, and the bytes of activations that were kept for them."""
    weights = {p.untyped_storage().data_ptr() for p in model.parameters()}
    kept = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    model.zero_grad()
    torch.manual_seed(seed)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        logits = model.node_logits(batch, _nodes(model))
        loss = (logits.softmax(-1) @ torch.linspace(-1, 1, 4)).sum()
        n_bytes = sum(kept.values())
    loss.backward()
    gradients = {name: p.grad.clone() for name, p in model.trainable().items()}
    return gradients, n_bytes


def _assert_equal(found, expected):
    for name, gradient in expected.items():
        scale = float(gradient.abs().max())
        assert torch.allclose(found[name], gradient, rtol=1e-5, atol=1e-5 * max(scale, 1e-3)), name
    assert max(float(g.abs().max()) for g in expected.values()) > 0.05


@pytest.mark.parametrize("dropout", [False, True])
def test_gradients_are_the_same_from_less_memory(model, dropout, random_batch):
    batch = random_batch(LENGTHS)
    _set_dropout(model, 0.3)
    model.train_mode(dropout)
    expected, much = _step(model, batch)
    model.checkpointing()
    found, little = _step(model, batch)
    _assert_equal(found, expected)
    assert little < 0.5 * much
    model.checkpointing(False)
    again, bytes_again = _step(model, batch)
    _assert_equal(again, expected)
    assert bytes_again == much


def test_portions_of_the_plain_road_can_be_checkpointed(build_model, random_batch, monkeypatch):
    model, batch = build_model("mamba", CODEC), random_batch(LENGTHS)
    expected, much = _step(model, batch)
    monkeypatch.setattr("llmreg.lm.plain.TOKENS_PER_PASS", 40)
    in_portions, less = _step(model, batch)
    _assert_equal(in_portions, expected)
    assert less < 0.1 * much
    model.checkpointing()
    found, _ = _step(model, batch)
    _assert_equal(found, expected)


def test_dropout_stays_off_in_eval_mode(build_model, random_batch):
    model, batch = build_model("opt", CODEC), random_batch(LENGTHS)
    _set_dropout(model, 0.3)
    model.checkpointing()
    first, _ = _step(model, batch, seed=0)
    second, _ = _step(model, batch, seed=1)
    _assert_equal(second, first)
    assert not any(module.training for module in model.modules())


def test_adapters_get_their_gradients(build_model, random_batch):
    model, batch = build_model("llama", CODEC), random_batch(LENGTHS)
    model.add_lora(LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False))
    model.eval()
    expected, much = _step(model, batch)
    model.checkpointing()
    found, little = _step(model, batch)
    assert set(found) == set(model.trainable()) and not any("embed" in name for name in found)
    _assert_equal(found, expected)
    assert little < 0.5 * much


@pytest.mark.parametrize("training", [False, True])
def test_the_cache_is_kept_where_one_is_wanted(model, training, random_batch):
    batch = random_batch(LENGTHS)
    nodes = torch.tensor([[1, 3]] * 3)
    _set_dropout(model, 0.0)
    with torch.no_grad():
        expected = model.node_logits(batch, nodes)
        model.checkpointing()
        model.train(training)
        root, cache = model.prefill(batch)
        cached = torch.cat([root.unsqueeze(1), model.extend(cache, nodes)], 1)
        packed = model.node_logits(batch, nodes)
    assert torch.allclose(cached, expected, atol=1e-5)
    assert torch.allclose(packed, expected, atol=1e-5)


def test_the_policy_is_told_that_the_cache_has_no_gradients(build_model):
    model = build_model("llama", CODEC)
    assert model.caches_gradients
    model.checkpointing()
    assert not model.caches_gradients
    model.checkpointing(False)
    assert model.caches_gradients


def test_a_model_without_checkpoints_says_so(build_model, monkeypatch):
    model = build_model("llama", CODEC)
    monkeypatch.setattr(type(model.lm), "supports_gradient_checkpointing", False)
    with pytest.raises(ValueError, match=r"LlamaForCausalLM has none.*micro_batch_size"):
        model.checkpointing()
    model.checkpointing(False)  # nothing to undo
    assert model.caches_gradients


# Compilation


@pytest.fixture
def compiled(build_model):
    torch._dynamo.reset()
    model = build_model("llama", CODEC)
    model.compile()
    yield model
    torch._dynamo.reset()


@pytest.mark.slow
def test_compiled_layers_have_the_same_numbers_and_gradients(compiled, build_model, random_batch):
    plain = build_model("llama", CODEC)
    counters = torch._dynamo.utils.counters
    for lengths in (LENGTHS, (9, 9, 2, 5)):
        batch = random_batch(lengths)
        expected, _ = _step(plain, batch)
        found, _ = _step(compiled, batch)
        for name, gradient in expected.items():
            error = (found[name] - gradient).norm()
            assert error < 1e-4 * max(1.0, float(gradient.norm())), name
        with torch.no_grad():
            nodes = torch.tensor([[1, 3]] * len(lengths))
            expected = plain.node_logits(batch, nodes)
            assert torch.allclose(compiled.node_logits(batch, nodes), expected, atol=1e-4)
            root, cache = compiled.prefill(batch)
            cached = torch.cat([root.unsqueeze(1), compiled.extend(cache, nodes)], 1)
            assert torch.allclose(cached, expected, atol=1e-4)
    assert counters["stats"]["unique_graphs"] > 0
    assert not counters["recompile_limit"]


@pytest.mark.slow
def test_compiled_layers_can_be_checkpointed(compiled, build_model, random_batch):
    batch = random_batch(LENGTHS)
    expected, much = _step(build_model("llama", CODEC), batch)
    compiled.checkpointing()
    found, little = _step(compiled, batch)
    for name, gradient in expected.items():
        error = (found[name] - gradient).norm()
        assert error < 1e-4 * max(1.0, float(gradient.norm())), name
    assert little < 0.5 * much
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] > 0


def test_a_copy_of_a_compiled_model_is_whole(build_model, random_batch):
    model, batch = build_model("llama", CODEC), random_batch(LENGTHS)
    with torch.no_grad():
        expected = model.node_logits(batch, _nodes(model))
        model.compile()
        twin = copy.deepcopy(model)
        assert torch.allclose(twin.node_logits(batch, _nodes(model)), expected, atol=1e-5)


def test_a_model_without_layers_to_compile_says_so(build_model, monkeypatch):
    model = build_model("llama", CODEC)
    monkeypatch.setattr("llmreg.lm.modes.repeated_layers", lambda lm: [])
    with pytest.warns(UserWarning, match=r"torch_compile=True\) has no effect on LlamaForCausalLM"):
        model.compile()
