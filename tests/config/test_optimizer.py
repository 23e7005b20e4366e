"""The optimiser's parameters: legal values, what a name means, what each changes."""

import numpy as np
import pytest
from sklearn.base import clone

from llmreg import LLMRegressor, Optimizer
from llmreg.config.optimizer import as_optimizer


def test_a_name_means_an_optimizer_with_the_defaults():
    assert as_optimizer("adafactor").get_params() == Optimizer("adafactor").get_params()
    given = Optimizer(schedule="constant")
    assert as_optimizer(given) is given
    assert clone(given).get_params() == given.get_params()


@pytest.mark.parametrize(
    "illegal",
    [
        dict(name="sgd"), dict(schedule="linear"), dict(warmup=1.0), dict(warmup=-1),
        dict(final_share=1.5), dict(weight_decay=-0.1), dict(max_grad_norm=0), dict(average=2),
    ],
    ids=str,
)  # fmt: skip
def test_illegal_values_are_named_before_anything_is_fitted(illegal):
    model = LLMRegressor(optimizer=Optimizer(**illegal))
    with pytest.raises(ValueError, match=f"'{next(iter(illegal))}' parameter of Optimizer"):
        model.fit(np.zeros((4, 1)), np.arange(4.0))


@pytest.mark.parametrize(
    "changes",
    [
        dict(schedule="constant"), dict(schedule="cosine"), dict(warmup=3), dict(warmup=0.9),
        dict(schedule="cosine", final_share=1.0), dict(weight_decay=5.0), dict(max_grad_norm=0.1),
        dict(average=False), dict(name="adafactor"),
    ],
    ids=str,
)  # fmt: skip
def test_each_changes_the_fit(changes, table, quick_fit):
    params = dict(fit_method="ce", sft_epochs=2, sft_learning_rate=0.01, estimates=None)
    like = {"schedule": "cosine"} if "final_share" in changes else {}
    before = quick_fit(table.X, table.y, optimizer=Optimizer(**like), **params)
    after = quick_fit(table.X, table.y, optimizer=Optimizer(**changes), **params)
    assert (before.predict(table.X) != after.predict(table.X)).any()


def test_the_rates_of_a_schedule_are_those_in_the_history(table, quick_fit):
    optimizer = Optimizer(schedule="cosine", warmup=2, final_share=0.25)
    params = dict(fit_method="ce", sft_epochs=3, sft_learning_rate=0.01, validation_interval=1)
    rates = quick_fit(table.X, table.y, optimizer=optimizer, **params).history_["learning_rate"]
    # After each of nine steps the next one's: two up, seven down a half cosine to a quarter.
    down = 0.25 + 0.75 * (1 + np.cos(np.pi * np.arange(8) / 7)) / 2
    np.testing.assert_allclose(rates, 0.01 * np.append([1.0], down), rtol=1e-12)
    constant = Optimizer(schedule="constant")
    rates = quick_fit(table.X, table.y, optimizer=constant, **params).history_["learning_rate"]
    assert (rates == 0.01).all()
