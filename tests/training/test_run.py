"""Training one model: where it stands, what is undone, what is refused."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from plans import plan_of

from llmreg import Device, LLMRegressor, ReMax
from llmreg.training.parallel import Processes
from llmreg.training.run import TrainingRows, _warn_if_no_better_than_mean, placed, undone_on_error


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


def rows_of(y, n_held_out=30, weight=1.0):
    order = np.arange(len(y))
    weights = np.full(len(y), weight)
    return TrainingRows(None, np.asarray(y, float), weights, order[n_held_out:], order[:n_held_out])


def records_of(*errors):
    return [{"step": step, "validation_rmse": error} for step, error in enumerate(errors)]


def test_a_model_no_better_than_the_mean_is_told_of():
    rows = rows_of([0.0, 2.0] * 30)  # the mean is off by 1
    with pytest.warns(UserWarning, match=r"no better than .* \(RMSE 0\.995 and 1\).*align"):
        _warn_if_no_better_than_mean(records_of(1.4, 0.995, 1.1), rows)


@pytest.mark.parametrize(
    ("records", "rows"),
    [
        (records_of(1.4, 0.9, 1.2), rows_of([0.0, 2.0] * 30)),
        (records_of(1.4), rows_of([0.0, 2.0] * 30)),  # nothing was trained
        (records_of(1.4, 1.4), rows_of([0.0, 2.0] * 30, n_held_out=29)),
        (records_of(1.4, 1.4), rows_of([0.0, 2.0] * 30, weight=0.0)),
        (records_of(1.4, 1.4), rows_of([0.0, 2.0] * 30, weight=np.repeat([1.0, 0.0], 30))),
        (records_of(np.inf, np.inf), rows_of([0.0, 1e300] * 30)),
    ],
    ids=["better", "untrained", "few rows", "no weight", "no weight in training", "huge"],
)
def test_what_learns_or_cannot_be_judged_is_not_told_of(records, rows, recwarn):
    _warn_if_no_better_than_mean(records, rows)
    assert not recwarn.list


def test_pretrained_weights_that_learn_nothing_say_so(table, quick_fit, pretrained_folder):
    X = pd.concat([table.X] * 2, ignore_index=True)
    noise = np.random.RandomState(0).normal(size=len(X))
    settings = dict(model=pretrained_folder, fit_method="ce", validation_fraction=0.5)
    with pytest.warns(UserWarning, match="no better than the mean"):
        quick_fit(X, noise, **settings)
