"""A fitted pipeline whose pictures are taken, without a screen."""

import matplotlib
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from llmreg import LLMRegressor

matplotlib.use("Agg")


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    import matplotlib.pyplot as plt

    plt.close("all")


@pytest.fixture(scope="session")
def pipeline(table):
    model = LLMRegressor(
        fit_method="grpo", sft_epochs=2, align_epochs=1, validation_fraction=0.3, random_state=0
    )
    return make_pipeline(FunctionTransformer(), model).fit(table.X, table.y)


@pytest.fixture(scope="session")
def distribution(pipeline, table):
    return pipeline[-1].predict_distribution(table.X)
