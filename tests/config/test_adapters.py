"""Adapters as a parameter with parameters."""

import pytest
from sklearn.base import clone

from llmreg import Adapters, LLMRegressor
from llmreg.config.defaults import auto_adapters


@pytest.mark.parametrize(
    "depth, found", [(1.0, 12), (0.5, 6), (0.01, 1), (1, 1), (5, 5), (12, 12), (99, 12)]
)
def test_a_share_of_the_blocks_or_a_number_of_them(depth, found):
    assert Adapters(depth=depth).n_blocks(12) == found


@pytest.mark.parametrize("pretrained, share", [(True, 0.5), (False, 1.0)])
def test_half_of_a_pretrained_models_blocks_and_all_of_fresh_ones(pretrained, share):
    for given in (4, Adapters(4)):
        found = auto_adapters(given, pretrained)
        assert (found.rank, found.depth) == (4, share)
    assert auto_adapters(Adapters(4, depth=3), pretrained).depth == 3
    assert auto_adapters(None, pretrained) is None


@pytest.mark.parametrize("adapters", [16, Adapters(16)])
def test_its_parameters_are_within_reach_of_a_search(adapters):
    model = clone(LLMRegressor("owner/name", adapters=adapters)).set_params(adapters__depth=3)
    assert (model.adapters.rank, model.adapters.depth) == (16, 3)


def test_a_rank_alone_is_adapters(table, pretrained_folder, quick_fit):
    fits = [
        quick_fit(table.X, table.y, model=pretrained_folder, fit_method="ce", adapters=adapters)
        for adapters in (4, Adapters(4))
    ]
    assert (fits[0].predict(table.X) == fits[1].predict(table.X)).all()
    assert fits[1].plan_.rows()[[row[0] for row in fits[1].plan_.rows()].index("adapters")][1] == (
        "rank 4, depth 0.5"
    )


def test_fresh_weights_get_them_in_the_second_stage_alone(table, quick_fit):
    model = quick_fit(table.X, table.y, fit_method="raft", adapters=Adapters(2, depth=1))
    assert model.predict(table.X).shape == (40,)


@pytest.mark.parametrize(
    "wrong", [dict(rank=0), dict(depth=0), dict(depth=1.5), dict(depth="half")]
)
def test_illegal_values_are_refused_when_fitting(wrong, table):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        LLMRegressor(adapters=Adapters(**wrong)).fit(table.X, table.y)


def test_they_come_back_from_files(table, pretrained_folder, quick_fit, tmp_path):
    adapters = Adapters(3, depth=0.5)
    model = quick_fit(table.X, table.y, model=pretrained_folder, fit_method="ce", adapters=adapters)
    model.save(tmp_path / "saved")
    opened = LLMRegressor.load(tmp_path / "saved")
    assert opened.adapters.get_params() == adapters.get_params()
    assert (opened.predict(table.X) == model.predict(table.X)).all()
