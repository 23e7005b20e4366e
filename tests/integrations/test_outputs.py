"""What a user has set for the output of scikit-learn's transformers is no matter of a fit."""

import pickle

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from llmreg import GRPO, LLMRegressor
from llmreg.integrations.outputs import as_arrays

OWN = make_pipeline(TfidfVectorizer(), TruncatedSVD(4, random_state=0), StandardScaler())
FITS = {
    "TF-IDF": dict(fit_method="ce"),
    "a transformer": dict(fit_method="ce", text_features=OWN),
    "ranks": dict(fit_method=GRPO(reward="quantile_mse"), estimates=None),
}


@pytest.fixture(scope="module")
def texts():
    rng = np.random.RandomState(0)
    words = rng.choice(["fine", "old", "new", "flat", "house", "tiny", "sunny"], (40, 6))
    X = pd.DataFrame({"size": rng.rand(40), "advert": [" ".join(row) for row in words]})
    return X, 100 * X["size"] + rng.randn(40)


@pytest.mark.parametrize("output", ["pandas", "polars"])
def test_arrays_are_returned_within_and_frames_around(output):
    def scaled():
        return StandardScaler().fit_transform(pd.DataFrame({"a": [1.0, 2.0]}))

    with sklearn.config_context(transform_output=output):
        assert isinstance(as_arrays(scaled)(), np.ndarray)
        assert not isinstance(scaled(), np.ndarray)


@pytest.mark.parametrize("output", ["pandas", "polars"])
@pytest.mark.parametrize("params", FITS.values(), ids=FITS)
def test_fits_are_the_same_whatever_transformers_are_to_return(params, output, texts, tmp_path):
    X, y = texts
    model = LLMRegressor(**params, sft_epochs=1, align_epochs=1, random_state=0).fit(X, y)
    expected = model.predict(X)
    with sklearn.config_context(transform_output=output):
        other = sklearn.clone(model).fit(X, y)
        packed = pickle.dumps(other)
        other.save(tmp_path / "model")
        within = [model.predict(X), other.predict(X)]
    loaded = LLMRegressor.load(tmp_path / "model").predict(X)
    found = [*within, other.predict(X), pickle.loads(packed).predict(X), loaded]
    np.testing.assert_array_equal(found, [expected] * 5)
