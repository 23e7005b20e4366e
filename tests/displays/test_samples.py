"""Errors of means and of the best of draws."""

import numpy as np
import pytest

from llmreg import NumericDistribution, SamplesDisplay


@pytest.fixture(scope="module")
def display():
    y = np.random.RandomState(0).random_sample(4000)
    uniform = NumericDistribution(np.ones((4000, 1)), [0.0], [1.0])
    return SamplesDisplay.from_predictions(y, uniform, max_samples=40, target_name="share")


def test_the_errors_are_those_of_theory(display):
    k = display.n_samples
    assert k.tolist() == [1, 2, 4, 8, 16, 32]
    # y and draws are uniform: the variance of y, and of the mean of K draws.
    np.testing.assert_allclose(display.rmse_of_mean, np.sqrt((1 + 1 / k) / 12), rtol=0.03)
    assert display.rmse_of_expectation == pytest.approx(np.sqrt(1 / 12), rel=0.03)
    assert display.rmse_of_best[0] == display.rmse_of_median[0] == display.rmse_of_mean[0]
    # The median of two is their mean; that of many has three times the mean's variance.
    assert display.rmse_of_median[1] == display.rmse_of_mean[1]
    median = np.sqrt((1 + 3 / (k[3:] + 2)) / 12)
    np.testing.assert_allclose(display.rmse_of_median[3:], median, rtol=0.03)
    assert (display.rmse_of_best[1:] < 0.75 * display.rmse_of_best[:-1]).all()


def test_the_picture_names_what_it_shows(display):
    display.plot()
    ax = display.ax_
    assert ax.get_xlabel() == "draws per row, K" and ax.get_ylabel() == "RMSE of share"
    assert [text.get_text() for text in ax.get_xticklabels()] == ["1", "2", "4", "8", "16", "32"]
    mean, median, best, line = ax.lines
    np.testing.assert_array_equal(mean.get_ydata(), display.rmse_of_mean)
    np.testing.assert_array_equal(median.get_ydata(), display.rmse_of_median)
    np.testing.assert_array_equal(best.get_ydata(), display.rmse_of_best)
    assert set(line.get_ydata()) == {display.rmse_of_expectation}


def test_an_estimator_is_asked_for_its_distributions(pipeline, table, distribution):
    found = SamplesDisplay.from_estimator(pipeline, table.X, table.y, max_samples=4)
    expected = SamplesDisplay.from_predictions(table.y, distribution, max_samples=4)
    np.testing.assert_array_equal(found.rmse_of_best, expected.rmse_of_best)
    assert found.ax_.get_ylabel() == "RMSE of price"


@pytest.mark.parametrize("wrong", [0, 2.5])
def test_counts_are_checked(wrong, distribution, table):
    with pytest.raises(ValueError, match="n_samples"):
        SamplesDisplay.from_predictions(table.y, distribution, max_samples=wrong)
    with pytest.raises(ValueError, match="39 y_true for 40 rows"):
        SamplesDisplay.from_predictions(table.y[1:], distribution)


def test_errors_call_the_targets_what_the_argument_is_called():
    uniform = NumericDistribution([[1.0]], [0.0], [1.0])
    with pytest.raises(ValueError, match=r"y_true contains NaN .*distribution\[known\]"):
        SamplesDisplay.from_predictions([np.nan], uniform)
    with pytest.raises(ValueError, match=r"y contains NaN .*SamplesDisplay .*X\[known\] and y\["):
        SamplesDisplay.from_estimator(None, [[1.0]], [np.nan])
