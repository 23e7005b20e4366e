"""Subclasses whose ``__init__`` has parameters of its own, and settles others itself."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from llmreg import (
    GRPO,
    Adapters,
    Device,
    DigitCodec,
    EpochCallback,
    LLMRegressor,
    Optimizer,
    RowSerializer,
    estimate_memory,
)


class Short(LLMRegressor):
    def __init__(self, extra=3, reward="own", sft_epochs=2):
        super().__init__(
            "tiny", "ce", sft_epochs=sft_epochs, validation_fraction=None, random_state=0
        )
        self.extra = extra
        self.reward = reward  # once a parameter of LLMRegressor, which says where it went


class Cosine(Optimizer):
    def __init__(self, warmup=0.25):
        super().__init__(schedule="cosine", warmup=warmup)


class Cpu(Device):
    def __init__(self):
        super().__init__("cpu", micro_batch_size=8)


class Few(Adapters):
    def __init__(self, rank=2):
        super().__init__(rank, depth=1)


class Octal(DigitCodec):
    def __init__(self, n_digits=2):
        super().__init__(8, n_digits)


class Brief(RowSerializer):
    def __init__(self, missing="none"):
        super().__init__(missing=missing)


class Small(GRPO):
    def __init__(self, beta=0.1):
        super().__init__(4, beta=beta)


@pytest.fixture(scope="module")
def fitted(table):
    return Short().fit(table.X, table.y)


def test_it_fits_as_the_parameters_that_it_settles(fitted, table):
    same = LLMRegressor(
        fit_method="ce", sft_epochs=2, validation_fraction=None, random_state=0
    ).fit(table.X, table.y)
    np.testing.assert_array_equal(fitted.predict(table.X), same.predict(table.X))


def test_it_is_cloned_pickled_and_searched(fitted, table):
    changed = clone(Short(extra=5).set_params(reward="other"))
    assert changed.get_params() == {"extra": 5, "reward": "other", "sft_epochs": 2}
    again = pickle.loads(pickle.dumps(fitted))
    assert type(again) is Short and again.extra == 3
    np.testing.assert_array_equal(again.predict(table.X), fitted.predict(table.X))
    search = GridSearchCV(Short(), {"sft_epochs": np.arange(1, 3)}, cv=2, error_score="raise")
    assert search.fit(table.X, table.y).best_params_["sft_epochs"] in (1, 2)


def test_it_goes_on_and_is_heard(table):
    epochs = []
    model = Short().set_callbacks(EpochCallback(lambda record: epochs.append(record["epoch"])))
    model.fit(table.X, table.y).warm_start = True
    before = model.predict(table.X)
    assert (model.fit(table.X, table.y).predict(table.X) != before).any()
    assert epochs == [1, 2, 1, 2]
    assert estimate_memory(Short(), table.X).sft is not None


def test_a_folder_cannot_say_where_to_find_it(fitted, table, quick_fit, tmp_path):
    with pytest.raises(TypeError, match="Short is not one of llmreg's own classes"):
        fitted.save(tmp_path / "a")
    assert not (tmp_path / "a").exists()
    quick_fit(table.X, table.y, fit_method="ce").save(tmp_path / "b")
    with pytest.raises(TypeError, match="holds a LLMRegressor, which is no Short"):
        Short.load(tmp_path / "b")


def test_what_it_settles_is_checked_too(table):
    class Wrong(LLMRegressor):
        def __init__(self, extra=1):
            super().__init__(decoding="meen")
            self.extra = extra

    with pytest.raises(ValueError, match=r"'decoding' parameter of Wrong must be.*'meen'"):
        Wrong().fit(table.X, table.y)
    with pytest.raises(TypeError, match="no parameter 'lora_r' any more"):
        Short(lora_r=3)


def test_parts_settle_parameters_too(table):
    model = LLMRegressor(
        fit_method=Small(), serializer=Brief(), codec=Octal(np.int64(2)), device=Cpu(),
        optimizer=Cosine(np.float32(0.5)), adapters=Few(), sft_epochs=1, align_epochs=1,
        random_state=0,
    ).fit(table.X, table.y)  # fmt: skip
    settings = model.plan_.stages[1][1]
    assert (settings.schedule, settings.warmup, settings.micro_batch_size) == ("cosine", 0.5, 8)
    assert model.codec_.base == 8 and model.plan_.methods[1].num_generations == 4
    assert np.isfinite(model.predict(table.X)).all()
