"""The same seed gives the same fit, whatever the global states are."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.pipeline import make_pipeline

from llmreg import fit_methods

METHODS = list(fit_methods().index)

TRAINED = [name for name in METHODS if name != "zero_shot"]  # which asks pretrained models


@pytest.mark.filterwarnings("ignore:.* did not improve the validation")
@pytest.mark.parametrize("fit_method", TRAINED)
def test_the_same_random_state_gives_bit_identical_fits(fit_method, table, quick_fit):
    params = dict(fit_method=fit_method, validation_fraction=0.1)
    models = [quick_fit(table.X, table.y, **params) for _ in range(2)]
    one, other = (model.history_.drop(columns="seconds") for model in models)
    pd.testing.assert_frame_equal(one, other, check_exact=True)
    one, other = (model.predict(table.X) for model in models)
    np.testing.assert_array_equal(one, other)


def test_different_random_states_give_different_fits(table, predictions, quick_fit):
    assert (quick_fit(table.X, table.y, random_state=1).predict(table.X) != predictions).all()
    states = [quick_fit(table.X, table.y, random_state=np.random.RandomState(3)) for _ in range(2)]
    np.testing.assert_array_equal(*(model.predict(table.X) for model in states))


def test_random_state_none_differs_from_fit_to_fit(table, quick_fit):
    one, other = (quick_fit(table.X, table.y, random_state=None) for _ in range(2))
    assert (one.predict(table.X) != other.predict(table.X)).any()


def test_fit_and_predict_leave_global_states_alone(table, quick_fit):
    transformer = make_pipeline(HashingVectorizer(n_features=64), TruncatedSVD(4))  # no seed

    def states():
        return (
            torch.get_rng_state().numpy().tobytes(), pickle.dumps(np.random.get_state()),  # noqa: NPY002
            torch.get_num_threads(), torch.get_default_dtype(), torch.is_grad_enabled(),
            pickle.dumps(np.geterr()), len(warnings.filters),
        )  # fmt: skip

    torch.manual_seed(123)
    before = states()
    model = quick_fit(table.X, table.y, text_features=transformer)
    assert states() == before
    for decoding in ("rail", "sample"):
        model.predict(table.X, decoding=decoding)
    assert states() == before


def test_the_fit_does_not_depend_on_global_states(table, predictions, quick_fit):
    transformer = make_pipeline(HashingVectorizer(n_features=64), TruncatedSVD(4))
    found = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002  (the legacy global state is the point)
        np.testing.assert_array_equal(quick_fit(table.X, table.y).predict(table.X), predictions)
        model = quick_fit(table.X, table.y, text_features=transformer)
        found.append(model.predict(table.X))
    np.testing.assert_array_equal(*found)
