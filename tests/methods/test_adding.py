"""Adding a method: one file with its loss and its module."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import laplace
from sklearn.model_selection import GridSearchCV

from llmreg import CE, LLMRegressor, estimate_memory, fit_methods, register
from llmreg.methods import METHODS


@pytest.fixture(scope="module", autouse=True)
def Laplace():
    """The class, which has its name in these tests alone."""
    from own_method import Laplace

    yield register("laplace")(Laplace)
    METHODS.pop("laplace")


@pytest.fixture(scope="module")
def fitted(table, quick_fit):
    return quick_fit(table.X, table.y, fit_method="laplace")


def test_a_method_with_a_head_of_its_own_fits_by_name(fitted, table):
    assert fit_methods().loc["laplace", "parameters"] == {"least_width": 0.01}
    assert {name for name in fitted.model_.trainable() if name.startswith("head.")} == {
        "head.linear.weight", "head.linear.bias",
    }  # fmt: skip
    found = fitted.set_params(estimate_weight=0.0).predict_distribution(table.X)
    assert found.probabilities.shape == (len(table.X), 64) and (found.std() > 0).all()


def test_its_head_gives_the_mass_of_bins(Laplace):
    import torch

    head = Laplace().parts["head"]
    module = type("Module", (), {"linear": torch.nn.Linear(3, 2)})()
    with torch.no_grad():
        module.linear.weight.zero_()
        module.linear.bias.copy_(torch.tensor([0.5, -1.0]))
        found = head.forward(module, torch.zeros(1, 3)).exp()[0].numpy()
    width = 0.01 + np.log1p(np.exp(-1.0))
    edges = np.linspace(-4, 4, 65)
    expected = np.diff(laplace(0.5, width).cdf(edges))
    assert np.allclose(found, expected / expected.sum(), atol=1e-6)


def test_it_comes_back_from_a_pickle(fitted, table, Laplace):
    again = pickle.loads(pickle.dumps(fitted))
    assert np.array_equal(again.predict(table.X), fitted.predict(table.X))
    assert isinstance(again.model_.head.part, Laplace)


def test_its_parameters_are_searched(table, Laplace):
    few = dict(sft_epochs=1, batch_size=16, random_state=0, validation_fraction=None)
    search = GridSearchCV(
        LLMRegressor(fit_method=Laplace(), **few), {"fit_method__least_width": [0.01, 0.5]}, cv=2
    )
    search.fit(table.X, table.y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    scores = search.cv_results_["mean_test_score"]
    assert scores[0] != scores[1]


def test_its_memory_is_known_beforehand(table, recwarn):
    estimate_memory(LLMRegressor(fit_method="laplace"), table.X[["size"]], table.y)
    assert not recwarn.list


def test_a_first_stage_cannot_be_a_head_of_ones_own(table, quick_fit):
    with pytest.raises(ValueError, match="sft_method='laplace' trains a head"):
        quick_fit(table.X, table.y, fit_method="raft", sft_method="laplace")


def test_a_folder_cannot_hold_a_class_of_ones_own(fitted, tmp_path):
    with pytest.raises(TypeError, match=r"own_method\.Laplace.*Use pickle or joblib"):
        fitted.save(tmp_path / "model")


def test_a_name_belongs_to_one_class(Laplace):
    with pytest.raises(ValueError, match=r"'ce' belongs to llmreg\.methods\.\w+\.CE already"):
        register("ce")(Laplace)
    assert type(METHODS["ce"]) is CE
    register("laplace")(Laplace)  # as when a notebook's cell runs again


def test_the_example_is_short():
    path = Path(__file__).parents[1] / "helpers" / "own_method.py"
    assert len(path.read_text(encoding="utf-8").splitlines()) < 80
