"""Training one model: where it stands, what is undone, what is refused."""

from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
import torch
from plans import plan_of

from llmreg import Device, DigitCodec, LLMRegressor, ReMax, SoftCE
from llmreg.training.bandwidths import neighbour_bandwidths
from llmreg.training.parallel import Processes
from llmreg.training.run import placed, undone_on_error


@pytest.fixture
def plan(table):
    from llmreg import RowSerializer

    rows = RowSerializer().fit(table.X).serialize(table.X)
    device = Device("cpu", gradient_checkpointing=True)
    return plan_of(LLMRegressor(device=device), rows)


def test_a_model_trains_in_one_format_and_predicts_in_another(problem, plan):
    model, _, _ = problem()
    with placed(model, plan, Processes()):
        assert model.dtype == torch.float32 and model._checkpointing
    assert model.dtype == torch.float64 and not model._checkpointing and not model.training


def test_going_on_trains_a_copy_of_fresh_weights(table, quick_fit):
    start = quick_fit(table.X, table.y, fit_method="ce", estimates=None).fitted_
    with undone_on_error(start, start) as fitted:
        assert fitted.model is not start.model
    with undone_on_error(start, None) as fitted:
        assert fitted is start


def test_pretrained_weights_are_put_back_after_an_error(table, quick_fit, pretrained_folder):
    model = quick_fit(table.X, table.y, model=pretrained_folder, fit_method="ce")
    start, before = model.fitted_, model.predict(table.X)
    with pytest.raises(KeyboardInterrupt), undone_on_error(start, start) as fitted:
        assert fitted.model is start.model
        with torch.no_grad():
            for p in fitted.model.trainable().values():
                p.add_(1.0)
        raise KeyboardInterrupt
    assert (model.predict(table.X) == before).all()


class _Watching(SoftCE):
    """Remembers the targets that it was given."""

    seen: ClassVar = []

    def loss(self, policy, targets, statistics=None):
        self.seen.append((targets.z.clone(), targets.bandwidth.clone()))
        return super().loss(policy, targets, statistics)


def test_methods_are_told_how_closely_training_targets_lie(quick_fit):
    rng = np.random.RandomState(0)
    y = np.concatenate([10 + rng.rand(70), 1000 + 10 * rng.rand(30)])
    _Watching.seen.clear()
    codec = DigitCodec(scale="log")
    X = pd.DataFrame({"a": y})
    model = quick_fit(X, y, codec=codec, fit_method=_Watching(), estimates=None)
    z, found = (torch.cat(part).double().numpy() for part in zip(*_Watching.seen, strict=True))
    fitted = model.fitted_
    others = (model.codec_.to_axis(y) - fitted.mean) / fitted.std
    expected = neighbour_bandwidths(z, others, np.ones(100))
    assert expected.max() < 0.3
    np.testing.assert_allclose(found, expected, atol=0.05)  # of those that train, in float32


def test_shards_have_no_checkpoints(table, quick_fit, tmp_path):
    from llmreg.training.run import Training

    start = quick_fit(table.X, table.y, fit_method="ce", estimates=None).fitted_
    training = Training.__new__(Training)
    vars(training).update(
        fitted=start, folder=tmp_path, processes=SimpleNamespace(sharded=True, index=0)
    )
    with pytest.raises(ValueError, match=r"checkpoint_dir=.* cannot be used with FSDP"):
        training._checkpoints(0)


def test_rewards_rank_numbers_among_the_targets_that_count(table, quick_fit, monkeypatch):
    seen, loss = [], ReMax.loss

    def noticed(self, policy, *rest):
        seen.append(policy.ranks.quantiles_.ravel())
        return loss(self, policy, *rest)

    monkeypatch.setattr(ReMax, "loss", noticed)
    weight = np.where(table.y == table.y.max(), 0.0, 1.0)
    model = quick_fit(table.X, table.y, weight, fit_method=ReMax(reward="quantile_mse"),
                      estimates=None, validation_fraction=None)  # fmt: skip
    y = seen[0] * model.y_std_ + model.y_mean_
    np.testing.assert_allclose(y, np.sort(table.y[weight > 0]), rtol=1e-9)


def test_pretrained_weights_that_learn_nothing_say_so(table, quick_fit, pretrained_folder):
    X = pd.concat([table.X] * 2, ignore_index=True)
    noise = np.random.RandomState(0).normal(size=len(X))
    settings = dict(model=pretrained_folder, fit_method="ce", validation_fraction=0.5)
    with pytest.warns(UserWarning, match="no better than the mean"):
        quick_fit(X, noise, **settings)
