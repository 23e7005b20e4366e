"""What holds on a second device: tests for a process of their own, which test_second_device.py
starts. Alone: python -m pytest -n 0 tests/helpers/second_device_checks.py
"""

import pickle
from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from families import FAMILIES
from roads import CODEC, node_logits
from second_device import NAME, MixedDevices, SimTensor, register, second_device

register()

from llmreg import (  # noqa: E402
    GRPO,
    MBR,
    RAFT,
    DecimalCodec,
    Device,
    LearnableRAFT,
    LLMRegressor,
    PoolHead,
    ScientificCodec,
    ZeroShot,
    fit_methods,
)
from llmreg.integrations.process_state import own_draws  # noqa: E402
from llmreg.lm.backbone import NumberLM  # noqa: E402
from llmreg.lm.loading import hub  # noqa: E402
from llmreg.training.checkpoints import Checkpoints  # noqa: E402
from llmreg.training.steps import random_states, set_random_states  # noqa: E402

METHODS = list(fit_methods().index)
FIRST = [name for name, stage in fit_methods()["stage"].items() if stage == "sft"]
QUICK = ("llama", "gemma3", "mamba")
# One of each kind; the others share their code.
KINDS = (
    "ce", "soft_ce", "dist2", "raft", "crps", "genre2", "grpo", "learnable_raft", "new_tokens",
    "head_mean", "histogram", "zero_shot",
)  # fmt: skip
FEW = dict(
    sft_method="ce", sft_epochs=1, align_epochs=1, batch_size=16, random_state=0,
    validation_fraction=None,
)  # fmt: skip
# Steps so large that a wrong gradient shows in the predictions.
LARGE = dict(sft_learning_rate=1e-2, align_learning_rate=1e-3)


@pytest.fixture
def fit(table, pretrained_folder):
    """``fit(device, n_rows=24, **params)``: after very few steps."""

    def fit(device, n_rows=24, **params):
        params = FEW | params
        if params.get("model") == "pretrained":
            params |= LARGE | dict(model=pretrained_folder)
        return LLMRegressor(device=device, **params).fit(table.X[:n_rows], table.y[:n_rows])

    return fit


@pytest.fixture
def assert_equal(fit, table):
    """``assert_equal(then=..., **params)``: fits on both devices give the same predictions.

    They draw from one generator. ``then(model)`` goes on with a model; what it returns is compared
    as well.
    """

    def check(then=lambda model: [], device=None, **params):
        def results(name):
            model = fit((device or Device()).set_params(name=name), **params)
            found = [*then(model), model.predict(table.X)]
            assert _places(model.model_) == {torch.device(name).type}
            return found

        expected = results("cpu")
        with second_device(own_generator=False):
            found = results(NAME)
        for one, other in zip(found, expected, strict=True):
            # Other kernels round otherwise: torch writes some products in other ways there.
            np.testing.assert_allclose(one, other, rtol=1e-5)

    return check


def _places(model):
    tensors = *model.parameters(), *model.buffers(), *vars(model.tree).values()
    tensors += tuple(t for member in model.further_members for t in member.values())
    return {t.device.type for t in tensors if isinstance(t, torch.Tensor)}


# -- the simulation ----------------------------------------------------------------------------


def test_devices_do_not_mix():
    with second_device():
        here, there = torch.ones(3), torch.ones(3, device=NAME)
        weight = torch.nn.Linear(3, 3).weight
        for mixed in (
            lambda: there + here, lambda: here + there.sum(), lambda: torch.cat([here, there]),
            lambda: torch.stack([here.sum(), there.sum()]),
            lambda: here[there.long()], lambda: there.add_(here), lambda: there @ weight,
            lambda: torch.rand(2, device=NAME, generator=torch.Generator()),
        ):  # fmt: skip
            with pytest.raises(MixedDevices):
                mixed()
        with pytest.raises(TypeError, match="numpy"):
            np.asarray(there)


def test_numbers_move_and_those_without_dimensions_mix():
    with second_device():
        there = torch.tensor([1.0, 2.0, 3.0], device=NAME)
        assert there.device.type == NAME and there.tolist() == [1, 2, 3]
        for found in (there + torch.tensor(1.0), there[torch.tensor([2, 0])], there.to("cpu") * 2):
            assert found.device.type == ("cpu" if type(found) is torch.Tensor else NAME)
        assert torch.zeros(3).copy_(there).tolist() == [1, 2, 3]
        assert np.array_equal(there.cpu().numpy(), [1, 2, 3])
        with pytest.raises(RuntimeError, match="incompatible"):
            there.data = torch.zeros(3)
        there.data = there.data.double() * 2
        assert there.dtype == torch.float64 and (there + 1).tolist() == [3, 5, 7]


def test_gradients_are_where_the_weights_are():
    with second_device():
        layer = torch.nn.Linear(3, 2).to(NAME)
        layer(torch.ones(4, 3, device=NAME)).square().sum().backward()
        assert isinstance(layer.weight, torch.nn.Parameter)
        assert {type(p.grad) for p in layer.parameters()} == {SimTensor}


# -- random numbers ----------------------------------------------------------------------------


def test_states_of_the_devices_own_generator_come_back():
    with second_device():
        device = torch.ones(1, device=NAME).device
        states = random_states(device)
        drawn = torch.rand(3, device=NAME).tolist()
        with own_draws(7, device):
            assert torch.rand(3, device=NAME).tolist() != drawn
        assert torch.rand(3, device=NAME).tolist() != drawn
        set_random_states(states, device)
        assert torch.rand(3, device=NAME).tolist() == drawn


def test_hidden_cells_can_be_drawn_once_for_several_passes(fit, table):
    with second_device():
        found = fit(NAME, fit_method="ce")
        model = found.model_.place(NAME, torch.float32)
        rows = found.prompts_.encode(found.serializer_.serialize(table.X))
        batch = rows.batch(np.arange(8), model.device, torch.float32)
        model.cells.dropout = 0.5
        model.train_mode(dropout=False)
        nodes = torch.arange(1, 4, device=NAME)
        one, same, other = (
            model.node_logits(fixed, nodes).cpu()
            for fixed in (*[model.fix_hidden_cells(batch)] * 2, model.fix_hidden_cells(batch))
        )
    assert torch.equal(one, same) and not torch.equal(one, other)


@pytest.mark.parametrize("model", ["tiny", pytest.param("pretrained", marks=pytest.mark.slow)])
def test_an_interrupted_fit_ends_where_it_would_have(model, fit, table, tmp_path, monkeypatch):
    """Though dropout and hidden cells are drawn from the device's own generator."""
    params = dict(
        model=model, dropout=0.3, fit_method=GRPO(3, beta=0.1), batch_size=12,
        number_input="text+value",
    )  # fmt: skip
    resumable = params | dict(checkpoint_dir=tmp_path, checkpoint_interval=0.0)
    with second_device():
        expected = fit(NAME, **params).predict(table.X)
        save, saved = Checkpoints.save, []

        def interrupt(self, state):
            saved.append(1)
            if len(saved) == 3:
                raise KeyboardInterrupt
            save(self, state)

        monkeypatch.setattr(Checkpoints, "save", interrupt)
        with pytest.raises(KeyboardInterrupt):
            fit(NAME, **resumable)
        np.testing.assert_array_equal(fit(NAME, **resumable).predict(table.X), expected)


# -- fits --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fit_method", [m if m in KINDS else pytest.param(m, marks=pytest.mark.slow) for m in METHODS]
)
def test_every_method_on_a_pretrained_model(fit_method, assert_equal):
    assert_equal(model="pretrained", fit_method=fit_method, sft_epochs=int(fit_method in FIRST))


@pytest.mark.slow
@pytest.mark.parametrize("fit_method", [m for m in METHODS if m != "zero_shot"])
def test_every_method_on_fresh_weights(fit_method, assert_equal):
    assert_equal(fit_method=fit_method, estimates=None)


OPTIONS = {
    "the default, validated": dict(sft_method="soft_ce", validation_fraction=0.3),
    "an ensemble": dict(n_estimators=2, fit_method="ce"),
    "an ensemble of adapters": dict(n_estimators=2, fit_method="ce", model="pretrained"),
    "a reference of adapters": dict(fit_method=GRPO(3, beta=0.1), model="pretrained"),
    "values and texts": dict(
        fit_method="raft", model="pretrained", number_input="text+value", text_features=True
    ),
    "estimates, pooled": dict(fit_method="ce", model="pretrained", estimates="auto"),
}
MORE = {
    "a reference": dict(fit_method=GRPO(3, beta=0.1), adapters=None),
    "all weights": dict(fit_method="raft", model="pretrained", adapters=None),
    "parts of batches": dict(fit_method="grpo", device=Device(micro_batch_size=5)),
    "activations computed twice": dict(device=Device(gradient_checkpointing=True)),
    "few shots": dict(fit_method=ZeroShot(num_examples=2), model="pretrained"),
    "the vocabulary's shares": dict(fit_method=RAFT(normalisation=None), model="pretrained"),
    "a value for each token": dict(
        fit_method=LearnableRAFT(weights="vocabulary"), model="pretrained"
    ),
    "attention both ways": dict(fit_method=PoolHead("mean", bidirectional=True)),
    "every number weighed": dict(fit_method=GRPO("exact"), codec=DecimalCodec()),
    "a reward of one's own": dict(fit_method=GRPO(4, reward=lambda v, y: -np.abs(v - y))),
    "drawn numbers": dict(fit_method=MBR(num_generations=8)),
    "numbers of any size": dict(fit_method="ce", codec=ScientificCodec()),
    "another format": dict(fit_method="ce", model="pretrained", device=Device(dtype="float64")),
}


@pytest.mark.parametrize("option", OPTIONS)
def test_options(option, assert_equal):
    assert_equal(**OPTIONS[option])


@pytest.mark.slow
@pytest.mark.parametrize("option", MORE)
def test_more_options(option, assert_equal):
    assert_equal(**MORE[option])


def test_distributions_and_what_is_read_of_them(assert_equal, table):
    def read(model):
        found = model.predict_distribution(table.X)
        yield from (found.mean(), found.std(), found.interval(0.8), found.cdf(table.y))
        yield model.predict(table.X, decoding="sampled_mean")

    assert_equal(
        read, n_rows=40, validation_fraction=0.75, temperature_scaling=True, tree_tolerance=0.0
    )


@pytest.mark.parametrize("params", [dict(n_estimators=2), dict(model="pretrained")])
def test_a_warm_start(params, assert_equal, table):
    def go_on(model):
        yield model.predict(table.X)
        model.fit(table.X[4:20], table.y[4:20])

    assert_equal(go_on, fit_method="ce", warm_start=True, **params)


@pytest.fixture
def checksum_on_the_cpu(monkeypatch):
    """Tensors of a type of their own are taken for quantised ones, which have no checksum."""
    checksum = hub.weights_checksum

    def moved(lm):
        place = lm.device
        found = checksum(lm.to("cpu"))
        lm.to(place)
        return found

    monkeypatch.setattr(hub, "weights_checksum", moved)


@pytest.mark.parametrize("params", [
    dict(n_estimators=2, fit_method="ce"), dict(fit_method="learnable_raft"),
    dict(fit_method="grpo", model="pretrained", number_input="text+value"),
])  # fmt: skip
def test_files_open_on_the_cpu(params, fit, table, tmp_path, checksum_on_the_cpu):
    with second_device():
        model = fit(NAME, **params)
        expected = model.predict(table.X)
        packed = pickle.dumps(model)
        model.save(tmp_path / "model")
    opened = pickle.loads(packed).set_params(device="cpu")
    loaded = LLMRegressor.load(tmp_path / "model", device="cpu")
    for found in (opened, loaded):
        np.testing.assert_allclose(found.predict(table.X), expected, rtol=1e-5)
        assert _places(found.model_) == {"cpu"}
    with second_device():  # and go back there
        found = loaded.set_params(device=NAME).predict(table.X)
        np.testing.assert_array_equal(found, expected)
        assert _places(loaded.model_) == {NAME}


def test_a_model_that_is_there_is_not_moved(fit, table, monkeypatch):
    with second_device():
        model = fit(NAME, fit_method="ce")
        monkeypatch.setattr(NumberLM, "place", None)
        assert np.isfinite(model.predict(table.X)).all()


@pytest.mark.parametrize("road", ["packed", "cached", "plain"])
@pytest.mark.parametrize(
    "family",
    [f if f in QUICK else pytest.param(f, marks=pytest.mark.slow) for f in FAMILIES],
)
def test_every_family_on_every_road(family, road, build_model, random_batch):
    model, batch = build_model(family, CODEC), random_batch((6, 1, 14, 20))
    with torch.no_grad():
        expected = node_logits(model, batch, road)
        with second_device():
            moved = {f.name: getattr(batch, f.name) for f in fields(batch)}
            moved = {k: v.to(NAME) if torch.is_tensor(v) else v for k, v in moved.items()}
            found = node_logits(model.place(NAME), replace(batch, **moved), road).cpu()
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
