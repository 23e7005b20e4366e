"""What a fit would be if it ended now: a copy, which training leaves alone."""

from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from llmreg.prediction.interim import interim
from llmreg.training.parallel import Processes


@pytest.fixture(params=["fresh", "pretrained"])
def fit(request, table, quick_fit, pretrained_folder):
    """A fit, and its rows as training has them."""
    model = "tiny" if request.param == "fresh" else pretrained_folder
    model = quick_fit(table.X, table.y, model=model, fit_method="ce", validation_fraction=0.2)
    fitted = model.fitted_
    rows = fitted.serializer.serialize(table.X)
    train, held_out = fitted.plan.split()
    data = SimpleNamespace(
        encoded=fitted.prompts.encode(rows), y=table.y.to_numpy(), weight=np.ones(40),
        train=train, held_out=held_out,
    )  # fmt: skip
    return model, partial(interim, fitted, data, Processes())


def _state(model):
    return {name: (p.clone(), p.dtype, p.requires_grad) for name, p in model.named_parameters()}


def test_a_copy_has_other_weights_and_the_model_its_own(fit, table):
    model, interim = fit
    live = model.model_.place("cpu", torch.float32).train()
    before = _state(live)
    weights = {name: weight + 0.1 for name, weight in live.snapshot().items()}
    found = interim(weights)
    after = _state(live)
    assert live.training and not found.model.training
    assert all(torch.equal(after[name][0], p) for name, (p, *_) in before.items())
    assert all(after[name][1:] == state[1:] for name, state in before.items())
    own = dict(found.model.named_parameters())
    assert all(torch.equal(own[name].to(weight), weight) for name, weight in weights.items())
    assert found.model.dtype == torch.float32 if live.pretrained else torch.float64
    assert found.model._pass_lock is not live._pass_lock


def test_frozen_weights_of_pretrained_models_are_shared_and_no_others(fit):
    model, interim = fit
    live = model.model_
    found = interim(live.snapshot()).model
    shared = {name for name, p in found.named_parameters() if p is live.get_parameter(name)}
    frozen = {name for name, p in live.named_parameters() if not p.requires_grad}
    assert shared == (frozen if live.pretrained else set())


def test_shards_have_no_copy():
    assert interim(None, None, SimpleNamespace(sharded=True), None) is None
