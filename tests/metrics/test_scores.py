"""Scores of distributions against what others compute and what is drawn."""

import numpy as np
import pytest

from llmreg import NumericDistribution
from llmreg.metrics import interval_coverage, interval_score, mean_crps, pinball_loss

SCORES = [mean_crps, pinball_loss, interval_score, interval_coverage]


@pytest.fixture(scope="module")
def problem():
    rng = np.random.RandomState(0)
    p = rng.dirichlet(np.ones(10), 50)
    return 10 * rng.random_sample(50), NumericDistribution(p, np.arange(10.0), np.arange(10.0) + 1)


def test_the_crps_is_the_mean_pinball_loss_over_all_quantiles(problem):
    y, distribution = problem
    levels = (np.arange(400) + 0.5) / 400
    losses = [pinball_loss(y, distribution, quantile=q) for q in levels]
    assert mean_crps(y, distribution) == pytest.approx(2 * np.mean(losses), rel=1e-3)


def test_the_pinball_loss_of_one_half_is_half_the_absolute_error(problem):
    y, distribution = problem
    error = np.abs(y - distribution.median()).mean()
    assert pinball_loss(y, distribution) == pytest.approx(error / 2)


@pytest.mark.parametrize("coverage", [0.2, 0.9])
def test_the_interval_score_is_winklers(coverage, problem):
    y, distribution = problem
    low, high = distribution.interval(coverage).T
    miss = np.maximum(low - y, 0) + np.maximum(y - high, 0)
    expected = (high - low + 2 / (1 - coverage) * miss).mean()
    assert interval_score(y, distribution, coverage=coverage) == pytest.approx(expected)


def test_the_coverage_counts_the_ends(problem):
    y, distribution = problem
    low, high = distribution.interval(0.5).T
    assert interval_coverage(low, distribution, coverage=0.5) == 1
    assert interval_coverage(high, distribution, coverage=0.5) == 1
    assert interval_coverage(high + 1e-6, distribution, coverage=0.5) == 0
    assert interval_coverage(y, distribution, coverage=1) == 1


@pytest.mark.parametrize("score", SCORES)
def test_weights_count_as_copies(score, problem):
    y, distribution = problem
    weight = np.random.RandomState(1).randint(0, 3, len(y))
    rows = np.repeat(np.arange(len(y)), weight)
    weighted = score(y, distribution, sample_weight=weight)
    assert isinstance(weighted, float)
    assert weighted == pytest.approx(score(y[rows], distribution[rows]))


@pytest.mark.parametrize("score", SCORES)
def test_targets_are_checked(score, problem):
    y, distribution = problem
    said = rf"y_true contains NaN in .*{score.__name__} .*then y_pred\[known\] and y_true\[known\]"
    with pytest.raises(ValueError, match=said):
        score(np.where(y > 9, np.nan, y), distribution)
    with pytest.raises(ValueError, match=rf"y_true should be a 1d .*{score.__name__} needs one"):
        score(np.c_[y, y], distribution)
    with pytest.raises(ValueError, match=rf"sample_weight holds 'a' .*{score.__name__} needs"):
        score(y, distribution, sample_weight=["a"] * len(y))
    with pytest.raises(ValueError):
        score(y[:-1], distribution)


@pytest.mark.parametrize("score", SCORES)
def test_nothing_is_broadcast(score, problem):
    y, distribution = problem
    for some, of in ((y[:1], distribution), (y, distribution[0])):
        with pytest.raises(ValueError, match="inconsistent numbers of samples"):
            score(some, of)
    with pytest.raises(TypeError, match=r"type ndarray; .* needs the NumericDistribution"):
        score(y, y)


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize(
    ("weight", "message"),
    [(-np.ones(50), "non-negative"), (np.zeros(50), "non-zero|positive"), (np.ones(3), "shape"),
     (np.r_[np.nan, np.ones(49)], "NaN"), (np.ma.masked_equal(np.arange(50), 7), "masked in 1 of"),
     ((w for w in range(50)), r"one per row. Give list\(sample_weight\)")],
    ids=["negative", "zero", "short", "NaN", "masked", "generator"],
)  # fmt: skip
def test_weights_are_checked(score, weight, message, problem):
    with pytest.raises(ValueError, match=message):
        score(*problem, sample_weight=weight)


@pytest.mark.parametrize("score", SCORES)
def test_masked_targets_are_refused(score, problem):
    y, distribution = problem
    masked = np.ma.array(y, mask=y > 9, fill_value=9999)
    with pytest.raises(ValueError, match=f"y_true is masked in {(y > 9).sum()} of 50 rows"):
        score(masked, distribution)
    assert score(np.ma.array(y, mask=False), distribution) == score(y, distribution)


@pytest.mark.parametrize(
    ("score", "wrong"),
    [(pinball_loss, dict(quantile=90)), (interval_score, dict(coverage=1)),
     (interval_coverage, dict(coverage=90))],
)  # fmt: skip
def test_levels_are_checked(score, wrong, problem):
    with pytest.raises(ValueError, match=r"90|less than 1"):
        score(*problem, **wrong)
