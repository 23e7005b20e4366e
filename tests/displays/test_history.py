"""Learning curves."""

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline

from llmreg import HistoryDisplay, LLMRegressor


def test_the_curves_of_both_stages_are_drawn(pipeline):
    display = HistoryDisplay.from_estimator(pipeline)
    history = pipeline[-1].history_
    first, second = display.ax_.lines
    np.testing.assert_array_equal(first.get_xdata(), [1, 2])
    np.testing.assert_array_equal(second.get_xdata(), [2, 3])  # from where the first one ended
    drawn = np.concatenate([first.get_ydata(), second.get_ydata()])
    np.testing.assert_array_equal(drawn, history["validation_rmse"])
    assert display.ax_.get_ylabel() == "validation RMSE of price"
    assert display.ax_.get_xlabel() == "epoch, both stages"
    labels = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert labels == ["first stage (sft)", "second stage (align)", "kept"]


def test_kept_epochs_have_rings(pipeline):
    display = HistoryDisplay.from_estimator(pipeline)
    history = pipeline[-1].history_
    rings = np.concatenate([np.asarray(c.get_offsets()) for c in display.ax_.collections])
    kept = np.cumsum(history["step"] > 0)[history["kept"]]
    np.testing.assert_array_equal(rings[:, 0], kept)


def test_losses_of_two_stages_have_an_axis_each(pipeline):
    display = HistoryDisplay.from_estimator(pipeline, column="loss")
    left, right = display.figure_.axes
    assert left is display.ax_
    assert left.get_ylabel() == "loss, first stage (sft)"
    assert right.get_ylabel() == "loss, second stage (align)"
    np.testing.assert_array_equal(right.lines[0].get_ydata(), pipeline[-1].history_["loss"][3:])


def test_without_validation_the_loss_is_drawn_for_each_member(quick_fit, table):
    model = quick_fit(table.X, table.y, fit_method="ce", n_estimators=2, sft_epochs=2)
    display = HistoryDisplay.from_estimator(model, linestyle=":")
    assert display.ax_.get_ylabel() == "loss" and display.ax_.get_xlabel() == "epoch"
    assert [list(line.get_xdata()) for line in display.ax_.lines] == [[1, 2], [1, 2]]
    assert {line.get_linestyle() for line in display.ax_.lines} == {":"}
    assert len(display.ax_.get_legend().get_texts()) == 2


def test_what_has_no_curve_is_refused(pipeline):
    history = pipeline[-1].history_
    with pytest.raises(ValueError, match=r"column='rmse'.*'validation_rmse'"):
        HistoryDisplay(history).plot(column="rmse")
    with pytest.raises(ValueError, match="nothing was trained"):
        HistoryDisplay(history[:0]).plot()
    for unfitted in (LLMRegressor(), make_pipeline(LLMRegressor())):
        with pytest.raises(NotFittedError, match="LLMRegressor"):
            HistoryDisplay.from_estimator(unfitted)
