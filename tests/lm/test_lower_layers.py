"""States behind frozen layers: kept, they lead to what a whole pass leads to."""

from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoTokenizer

from llmreg import Adapters, DigitCodec, GridCodec, PretrainedModel
from llmreg.lm import lower_layers
from llmreg.lm.lower_layers import frozen_depth, keep_lower_states
from llmreg.training.run import prepared


@pytest.fixture(scope="module")
def deep(pretrained_folder):
    """A model of four blocks, with its tokenizer."""
    tokenizer = AutoTokenizer.from_pretrained(pretrained_folder)
    config = AutoModelForCausalLM.from_pretrained(pretrained_folder).config
    config.num_hidden_layers, config.layer_types = 4, None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return AutoModelForCausalLM.from_config(config), tokenizer


@pytest.fixture
def fitted(deep, table, quick_fit):
    def fit(depth=2, **params):
        params = dict(fit_method="ce", adapters=Adapters(4, depth=depth)) | params
        asked = PretrainedModel(deep, instruction="A row of a table of houses and their price.\n")
        return quick_fit(table.X, table.y, model=asked, sft_learning_rate=1e-2, **params)

    return fit


@pytest.fixture
def without_keeping(monkeypatch):
    return lambda: monkeypatch.setattr(lower_layers, "frozen_depth", lambda model: 0)


def _rows(model, X, share):
    encoded = model.prompts_.encode(model.serializer_.serialize(X))
    return encoded.share_prefix("cpu") if share else encoded


# -- which layers ----------------------------------------------------------------------------


@pytest.mark.parametrize("depth, frozen", [(1, 3), (3, 1), (9, 0), (0.5, 2), (0.1, 3), (1.0, 0)])
def test_adapters_go_from_the_last_block_down(depth, frozen, fitted):
    model = fitted(depth).model_
    names = [name for name, p in model.named_parameters() if "lora_" in name]
    reached = {int(name.split("layers.")[1].split(".")[0]) for name in names}
    assert reached == set(range(frozen, 4))


@pytest.mark.parametrize(
    "adapters, frozen",
    [
        (Adapters(4, depth=1), 3),
        (LoraConfig(target_modules=["q_proj"], layers_to_transform=[2], task_type="CAUSAL_LM"), 2),
        (Adapters(4), 2),
        (Adapters(4, depth=1.0), 0),
        (None, 0),
    ],
)
def test_what_stays_as_it_is_is_found(adapters, frozen, fitted):
    assert frozen_depth(fitted(adapters=adapters).model_) == frozen


@pytest.mark.parametrize(
    "params", [dict(number_input="text+value"), dict(codec=DigitCodec(n_digits=4))]
)
def test_nothing_is_kept_where_it_would_change_or_be_large(params, fitted):
    assert frozen_depth(fitted(**params).model_) == 0


def test_layers_that_drop_are_not_kept(deep, fitted):
    """By a rate of their own, as Llama's attention does, or by a module, as GPT-2's do."""
    model = fitted().model_
    assert frozen_depth(model) == 2
    first = model.transformer.model.layers[0]
    first.self_attn.attention_dropout = 0.1
    assert frozen_depth(model) == 0
    first.self_attn.attention_dropout = 0.0
    first.dropped = torch.nn.Dropout(0.1)
    assert frozen_depth(model) == 0


def test_nothing_is_kept_for_a_model_that_does_not_train(fitted):
    assert frozen_depth(fitted(fit_method="zero_shot").model_) == 0


# -- equal to a whole pass -------------------------------------------------------------------


@pytest.mark.parametrize("share", [False, True])
@pytest.mark.parametrize("n_digits", [2, 3])  # all nodes at once, and those asked for
def test_all_roads_give_the_logits_of_a_whole_pass(n_digits, share, fitted, table):
    model = fitted(codec=DigitCodec(n_digits=n_digits))
    lm = model.model_.eval()
    encoded = keep_lower_states(lm, _rows(model, table.X, share))
    assert encoded.lower is not None
    nodes = torch.tensor([[1, 3, 12], [2, 5, -1]] if n_digits == 3 else [[1, 3], [2, -1]])
    close = partial(torch.testing.assert_close, rtol=0, atol=1e-5)
    with torch.no_grad():
        for rows in ([0, 1], [1, 2], [2, 2]):  # known in part, and the same row twice
            kept = encoded.batch(np.array(rows), lm.device, torch.float32)
            whole = replace(kept, lower=None)
            real = torch.cat([torch.ones(2, 1, dtype=torch.bool), nodes >= 0], 1)
            found = lm.node_logits(kept, nodes), lm.node_logits(whole, nodes)
            close(found[0][real], found[1][real])
            (root, cache), (expected, other) = lm.prefill(kept), lm.prefill(whole)
            close(root, expected)
            found = lm.extend(cache, nodes), lm.extend(other, nodes)
            close(found[0][nodes >= 0], found[1][nodes >= 0])


def test_deeper_nodes_are_asked_for_after_those_above_them(fitted, table):
    """As sampling does: their own states need those above, which this pass does not ask for."""
    lm = fitted(codec=DigitCodec(n_digits=3)).model_.eval()
    encoded = keep_lower_states(lm, _rows(fitted(), table.X, True))
    kept = encoded.batch(np.arange(2), lm.device, torch.float32)
    above = torch.tensor([[3], [7]])
    below = lm.tree.child[above.squeeze(1), 4].unsqueeze(1)
    found = []
    with torch.no_grad():
        for batch in (kept, replace(kept, lower=None)):
            _, cache = lm.prefill(batch)
            lm.extend(cache, above)
            if batch.lower is not None:
                encoded.lower.known[:, 1:] = False  # only the deeper ones are asked for
            found.append(lm.extend(cache, below))
    torch.testing.assert_close(*found, rtol=0, atol=1e-5)


def test_gradients_are_those_of_a_whole_pass(fitted, table):
    model = fitted()
    lm = model.model_
    encoded = keep_lower_states(lm, _rows(model, table.X, True))
    batch = encoded.batch(np.arange(4), lm.device, torch.float32)
    found = []
    for one in (batch, replace(batch, lower=None)):
        lm.zero_grad()
        lm.node_logits(one, torch.arange(1, 11)).logsumexp(-1).sum().backward()
        found.append(torch.cat([p.grad.flatten() for p in lm.trainable().values()]))
    torch.testing.assert_close(*found, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("method", ["soft_ce", "raft", "grpo", "remax", "head_mean", "genre2"])
def test_a_fit_is_the_same(method, fitted, without_keeping, table):
    params = dict(fit_method=method, validation_fraction=0.25, sft_epochs=2)
    kept = fitted(**params)
    without_keeping()
    plain = fitted(**params)
    assert kept.predict(table.X) == pytest.approx(plain.predict(table.X), rel=1e-4)
    assert kept.history_["loss"].tolist() == pytest.approx(
        plain.history_["loss"].tolist(), rel=1e-4, nan_ok=True
    )


def test_an_ensemble_and_a_warm_start_too(fitted, without_keeping, table):
    def twice():
        model = fitted(n_estimators=2, warm_start=True)
        return model.fit(table.X, table.y).predict(table.X)

    kept = twice()
    without_keeping()
    assert kept == pytest.approx(twice(), rel=1e-4)


# -- work and room ---------------------------------------------------------------------------


def test_each_rows_lower_layers_are_computed_once(fitted, table, monkeypatch):
    passes = []
    original = lower_layers.states_behind
    monkeypatch.setattr(
        lower_layers, "states_behind", lambda *args: passes.append(args) or original(*args)
    )
    fitted(sft_epochs=5, batch_size=20)
    # For the comparison, for the prefix, and a batch after another of 40 rows.
    assert len(passes) <= 5


def test_a_second_pass_leaves_the_lower_layers_alone(fitted, table):
    """Also for what all prompts begin with, which is read anew in each step."""
    lm, calls = fitted().model_, []
    encoded = keep_lower_states(lm, _rows(fitted(), table.X, True))
    batch = encoded.batch(np.arange(4), lm.device, torch.float32)
    assert batch.prefix is not None
    nodes = torch.arange(1, lm.tree.n_open)
    first = lm.node_logits(batch, nodes)
    lm.transformer.model.layers[0].mlp.register_forward_hook(lambda *args: calls.append(args))
    assert torch.equal(lm.node_logits(batch, nodes), first) and not calls


def test_sharded_weights_keep_nothing(fitted, table):
    """A pass that one process lacks a state for is one that the others do not make."""
    model = fitted()
    encoded = _rows(model, table.X, False)
    for sharded in (False, True):
        found = prepared(model.model_, encoded, SimpleNamespace(sharded=sharded))
        assert (found.lower is None) == sharded


def test_beyond_the_free_memory_states_lie_in_a_file(fitted, table, monkeypatch, tmp_path):
    expected, made = fitted(fit_method="raft").predict(table.X), []
    original = lower_layers._zeros_in_file
    monkeypatch.setattr(lower_layers, "_free_memory", lambda: 0)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(
        lower_layers, "_zeros_in_file", lambda *args, **kw: made.append(1) or original(*args, **kw)
    )
    assert np.array_equal(fitted(fit_method="raft").predict(table.X), expected)
    assert len(made) == 2 and not any(tmp_path.iterdir())


def test_layers_that_do_not_follow_one_another_are_left_alone(fitted, table, monkeypatch):
    model = fitted()
    monkeypatch.setattr(
        lower_layers.KeptStates, "of", lambda *args: lower_layers.GivenStates(torch.zeros(1), 2, 0)
    )
    encoded = _rows(model, table.X, False)
    assert keep_lower_states(model.model_, encoded) is encoded


def test_grids_with_ends_too(fitted, table, without_keeping):
    params = dict(fit_method="raft", codec=GridCodec([20, 40, 60, 80, 100]))
    kept = fitted(**params).predict(table.X)
    without_keeping()
    assert kept == pytest.approx(fitted(**params).predict(table.X), rel=1e-4)
