"""Who is told that little was learnt, and who is not."""

import numpy as np
import pytest

from llmreg.training.little_learnt import warn_if_no_better_than_mean
from llmreg.training.run import TrainingRows


def rows_of(y, n_held_out=30, weight=1.0):
    order = np.arange(len(y))
    weights = np.full(len(y), weight)
    return TrainingRows(None, np.asarray(y, float), weights, order[n_held_out:], order[:n_held_out])


def records_of(*errors):
    return [{"step": step, "validation_rmse": error} for step, error in enumerate(errors)]


def test_a_model_no_better_than_the_mean_is_told_of():
    rows = rows_of([0.0, 2.0] * 30)  # the mean is off by 1
    with pytest.warns(UserWarning, match=r"no better than .* \(RMSE 0\.995 and 1\).*align"):
        warn_if_no_better_than_mean(records_of(1.4, 0.995, 1.1), rows)


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
    warn_if_no_better_than_mean(records, rows)
    assert not recwarn.list
