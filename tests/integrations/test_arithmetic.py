"""``np.seterr`` of callers: nothing of the library hangs on it, and it stays as it was."""

import warnings

import numpy as np
import pytest

from llmreg import DigitCodec, LLMRegressor, NumericDistribution, RowSerializer
from llmreg.integrations.arithmetic import own_arithmetic
from llmreg.integrations.process_state import own_modes
from llmreg.metrics.scores import mean_crps


@pytest.fixture(params=["raise", "warn", "ignore"])
def set_by_caller(request):
    with np.errstate(all=request.param), warnings.catch_warnings():
        warnings.filterwarnings("error", category=RuntimeWarning)
        before = np.geterr()
        yield request.param
        assert np.geterr() == before


@own_arithmetic
class Sizes:
    def __init__(self, size):
        self.size = np.float64(size) * np.float64(1e-300)

    def square(self):
        """Docstrings stay."""
        return self.size * self.size

    @classmethod
    def of(cls, size):
        return cls(size).size * np.float64(1e-300)

    @staticmethod
    def least():
        return np.float64(1e-300) * np.float64(1e-300)

    @property
    def twice(self):
        return 2 * self.size

    def _square(self):
        return self.size * self.size


def test_public_methods_of_a_class_compute_in_their_own_state(set_by_caller):
    sizes = Sizes(1e-10)
    assert sizes.square() == 0 and Sizes.of(1.0) == 0 and Sizes.least() == 0
    assert sizes.twice > 0 and Sizes.square.__doc__ == "Docstrings stay."
    if set_by_caller == "raise":
        with pytest.raises(FloatingPointError):
            sizes._square()


def test_numpy_warns_of_what_it_warns_of_by_itself(set_by_caller):
    with own_modes(), pytest.raises(RuntimeWarning, match="divide by zero"):
        np.float64(1) / np.float64(0)


def test_distributions_of_tiny_probabilities(set_by_caller):
    p = np.array([[1e-200, 1 - 1e-200], [0.5, 0.5]])
    found = NumericDistribution(p, [0, 1e-200], [1e-200, 1])
    y = np.array([0.5, 0.2])
    assert (found.crps(y) > 0).all() and mean_crps(y, found) > 0
    for read in (found.mean, found.std, found.median, found.mode, found.entropy, found.sample):
        assert np.isfinite(read()).all()
    assert np.isfinite(found.cdf(y)).all() and np.isfinite(found.interval(0.9)).all()


@pytest.mark.parametrize("fit_method", ["grpo", "histogram"])
def test_fits_and_predictions(fit_method, table, set_by_caller):
    few = dict(sft_epochs=2, align_epochs=1, random_state=0)
    model = LLMRegressor(fit_method=fit_method, **few).fit(table.X, table.y)
    found = model.predict(table.X), model.predict_interval(table.X), model.score(table.X, table.y)
    with np.errstate(divide="warn", over="warn", under="ignore", invalid="warn"):
        expected = LLMRegressor(fit_method=fit_method, **few).fit(table.X, table.y)
        np.testing.assert_array_equal(found[0], expected.predict(table.X))


def test_parts_by_themselves(table, set_by_caller):
    y = np.array([1e-300, 2e-300, 5e-300])
    for scale in ("minmax", "log", "shifted_log", "symlog", "quantile"):
        codec = DigitCodec(scale=scale).fit(y)
        assert (codec.leaf_of(y) >= 0).all() and np.isfinite(codec.to_axis(y)).all()
    RowSerializer().fit(table.X).transform(table.X)
