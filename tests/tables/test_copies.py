"""Rows that are there more than once."""

import numpy as np
import pandas as pd
import pytest

from llmreg import LLMRegressor, RowSerializer
from llmreg.tables.copies import copy_groups


def _copies(X, y):
    return copy_groups(RowSerializer().fit(X).serialize(X), np.array(y, float)).tolist()


def test_copies_of_a_table_are_equal_as_written_and_in_the_target():
    X = pd.DataFrame({"a": [1.0, 2, 1, 1, None, None], "b": ["x y", "x", "x y", "x y", "z", "z"]})
    assert _copies(X, [1, 2, 1, 3, 4, 4]) == [0, 1, 0, 2, 3, 3]
    assert _copies(X, range(6)) == [0, 1, 2, 3, 4, 5]


def test_rows_that_are_bound_to_repeat_are_no_copies():
    few = pd.DataFrame({"a": list("xxyyxy"), "b": [1, 2, 1, 2, 1, 1]})  # of four combinations
    assert _copies(few, [1, 2, 3, 4, 1, 3]) == [0, 1, 2, 3, 4, 5]
    goods = pd.DataFrame({"name": [f"good {n}" for n in range(5)], "size": range(5)})
    assert _copies(goods.iloc[[0, 1, 2, 3, 4, 0]], [0, 1, 2, 3, 4, 0]) == [0, 1, 2, 3, 4, 0]
    often = np.repeat(np.arange(5), 6)  # a price list of 25 combinations, and thirty sales
    assert _copies(goods.iloc[often], often) == list(range(30))
    detailed = goods.assign(weight=range(5), colour=list("abcde"))  # 625 combinations, five goods
    assert _copies(detailed.iloc[often], often) == list(range(30))


def test_one_column_of_texts_or_numbers_has_endless_values():
    twice = np.tile(np.arange(30), 2)
    for values in ([f"text number {n} of many" for n in range(30)], np.arange(30) / 7):
        assert _copies(pd.DataFrame({"a": values}).iloc[twice], twice) == twice.tolist()


@pytest.mark.filterwarnings("error")
def test_of_many_columns_there_are_endless_combinations():
    X = pd.DataFrame(np.random.RandomState(0).rand(10, 500)).add_prefix("c")
    assert _copies(X.iloc[[*range(10), 3]], [*range(10), 3]) == [*range(10), 3]


def test_a_price_list_is_learnt():
    goods = pd.DataFrame({"name": [f"good {n}" for n in range(12)], "size": list("abcd") * 3})
    prices, sold = np.random.RandomState(0).randint(1, 100, 12), np.repeat(np.arange(12), 20)
    model = LLMRegressor(fit_method="soft_ce", sft_epochs=2, random_state=0)
    model.fit(goods.iloc[sold], prices[sold])
    model.estimate_weight_ = 1.0
    assert model.score(goods, prices) > 0.99


def test_copies_are_validated_together():
    X = pd.DataFrame({"a": np.arange(200.0), "b": list("xyzw") * 50})
    twice = np.random.RandomState(0).permutation(np.tile(np.arange(200), 2))
    model = LLMRegressor(fit_method="soft_ce", sft_epochs=1, estimates=None, random_state=0)
    model.fit(X.iloc[twice], np.arange(200.0)[twice])
    train, held_out = model.plan_.split(twice)
    assert not set(twice[train]) & set(twice[held_out])
    assert (len(train), len(held_out)) == (model.plan_.n_train, model.plan_.n_held_out) == (340, 60)
    plain = model.plan_.split()
    assert (len(plain[0]), len(plain[1])) == (340, 60)
    one = model.plan_.split(np.zeros(400, int))  # all are copies of one row
    assert (len(one[0]), len(one[1])) == (340, 60)


def test_rows_that_are_there_twice_are_no_reason_to_believe_trees():
    """A twin in another fold tells a tree the answer, and its errors seem smaller than they are."""
    random = np.random.RandomState(0)
    X = pd.DataFrame(random.rand(1200, 4), columns=list("abcd"))
    y = (2 * X["a"] + X["b"] - X["c"] + 0.5 * random.randn(1200)).to_numpy()
    twice = random.permutation(np.tile(np.arange(200), 2))
    model = LLMRegressor(fit_method="soft_ce", sft_epochs=1, random_state=0)
    model.fit(X.iloc[twice], y[twice])
    model.estimate_weight_, model.temperature_ = 1.0, 1.0
    low, high = model.predict_interval(X[200:], coverage=0.9).T
    assert 0.85 < np.mean((low <= y[200:]) & (y[200:] <= high)) < 0.95
