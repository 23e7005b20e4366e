"""One fit of each kind from end to end: it predicts what its pickle predicts."""

import pickle

import numpy as np
import pytest

KINDS = {
    "two stages": {},
    "cross-entropy": dict(fit_method="ce"),
    "the mean": dict(fit_method="raft"),
    "learnt values": dict(fit_method="learnable_raft"),
    "a head": dict(fit_method="head_mean"),
    "a head with bins": dict(fit_method="histogram"),
    "an ensemble": dict(fit_method="ce", n_estimators=2),
    "pretrained": dict(fit_method="ce", model="pretrained"),
    "untrained": dict(fit_method="zero_shot", sft_epochs=0, model="pretrained"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_fit_of_each_kind_predicts_what_its_pickle_predicts(
    kind, table, quick_fit, pretrained_folder
):
    params = dict(KINDS[kind])
    if "model" in params:
        params["model"] = pretrained_folder
    model = quick_fit(table.X, table.y, **params)
    found = model.predict(table.X)
    assert found.shape == (40,) and np.isfinite(found).all()
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict(table.X), found)
