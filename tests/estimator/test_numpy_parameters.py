"""Parameters as searches hand them over, NumPy's: fits, checkpoints, saved models.

What is tried follows from each class's constraints, so that a new parameter is tried too.
"""

import json
from numbers import Integral

import numpy as np
import pandas as pd
import pytest
from peft import LoraConfig
from sklearn.base import clone
from sklearn.utils._param_validation import Interval, StrOptions

import llmreg
from llmreg import LLMRegressor
from llmreg.config.parameters import CONSTRAINTS, given_parameters
from llmreg.methods import METHODS

WIDE, NARROW = (np.int64, np.float64), (np.uint8, np.float32)
# Where the first number that is legal would not do.
CHOSEN = {
    "time_limit": 1e4, "validation_interval": 2, "low": -100.0, "high": 300.0, "min_exponent": 0,
    "max_exponent": 2, "random_state": 0, "sft_learning_rate": 1e-3, "align_learning_rate": 1e-3,
    "sft_epochs": 1, "align_epochs": 1, "verbose": 0, "validation_fraction": 0.25, "margin": 0.5,
    "n_decimals": 0, "estimates": "linear",
}  # fmt: skip
QUICK = dict(
    fit_method="ce", sft_epochs=1, align_epochs=1, random_state=0, estimates=None,
    validation_fraction=None, batch_size=16,
)  # fmt: skip
PARTS = {
    "Optimizer": "optimizer", "Device": "device", "Adapters": "adapters",
    "RowSerializer": "serializer", "DigitCodec": "codec", "ScientificCodec": "codec",
    "GridCodec": "codec", "DecimalCodec": "codec",
}  # fmt: skip
TRAINED = sorted(
    {type(method).__name__ for method in METHODS.values() if method.stage != "none"}
    & set(llmreg.__all__)
)


def in_numpy(value, kinds):
    if isinstance(value, bool):
        return np.bool_(value)
    if isinstance(value, int):
        return kinds[0](min(value, np.iinfo(kinds[0]).max))
    if isinstance(value, float):
        return kinds[1](value)
    return np.str_(value) if isinstance(value, str) else value


def settled(part, name):
    """A value that is neither "auto" nor None, where there is one."""
    default = getattr(part, name)
    if name in CHOSEN:
        return CHOSEN[name]
    if not (default is None or (isinstance(default, str) and default == "auto")):
        return default
    for legal in type(part)._parameter_constraints[name]:
        if isinstance(legal, Interval):
            integral = legal.type is Integral
            return max(int(legal.left or 0), 1) if integral else 0.25
        if isinstance(legal, str) and legal == "boolean":
            return True
    return default


def parameters(part, kinds):
    names = type(part)._parameter_constraints
    return {name: in_numpy(settled(part, name), kinds) for name in names}


def check_all_ways(table, folder, **params):
    """Fit, take up the checkpoint, save and load: all the same."""
    X, y = table.X[["size", "city"]], table.y
    params = QUICK | params | {"checkpoint_dir": np.str_(folder / "checkpoints")}
    model = LLMRegressor(**params).fit(X, y)
    expected = model.predict(X)
    assert all(getattr(model, name) is value for name, value in params.items())  # as given
    again = clone(model).fit(X, y)
    np.testing.assert_array_equal(again.predict(X), expected)
    assert len(list((folder / "checkpoints").iterdir())) == (
        again.n_estimators if again.history_.size else 0
    )
    model.save(folder / "model")
    loaded = LLMRegressor.load(folder / "model")
    np.testing.assert_array_equal(loaded.predict(X), expected)
    text = (folder / "model" / "estimator.json").read_text()
    assert '"scalar"' not in json.dumps(json.loads(text)["state"]["optimizer"])
    return model


@pytest.mark.parametrize("kinds", [WIDE, NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize("names", ["numbers", "texts and flags"])
def test_the_estimators_own(names, kinds, table, tmp_path):
    found = parameters(LLMRegressor(), kinds)
    texts = {name for name, value in found.items() if isinstance(value, str | np.bool_)}
    asked = texts if names != "numbers" else found.keys() - texts - {"checkpoint_dir"}
    asked -= {"warm_start"} & asked
    few = {} if names == "numbers" else {"align_epochs": 0}
    check_all_ways(table, tmp_path, **{name: found[name] for name in asked} | few)


@pytest.mark.parametrize("kinds", [WIDE, NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize("name", PARTS)
def test_those_of_parts(name, kinds, table, tmp_path):
    kind = getattr(llmreg, name)
    part = kind(**parameters(kind(), kinds))
    further = {"fit_method": "crps"} if name == "Adapters" else {}
    check_all_ways(table, tmp_path, **{PARTS[name]: part}, **further)


@pytest.mark.parametrize("name", TRAINED)
def test_those_of_methods(name, table, tmp_path):
    kind = getattr(llmreg, name)
    check_all_ways(table, tmp_path, fit_method=kind(**parameters(kind(), NARROW)))


def test_those_of_pretrained_models(table, tmp_path, pretrained_folder):
    given = parameters(llmreg.PretrainedModel(pretrained_folder), NARROW) | {
        "prefill": np.str_(" ")
    }
    given |= {"model_kwargs": {np.str_("num_hidden_layers"): np.int64(1)}}
    lora = LoraConfig(
        r=np.int64(2), lora_alpha=np.float32(4), target_modules=np.array(["q_proj", "v_proj"])
    )
    model = check_all_ways(table, tmp_path, model=llmreg.PretrainedModel(**given), adapters=lora)
    assert model.model_.lm.config.num_hidden_layers == 1


@pytest.mark.parametrize(
    "columns",
    [np.array(["size"]), pd.Index(["size"]), pd.Series(["size"]), ("size",)],
    ids=lambda columns: type(columns).__name__,
)
def test_columns_as_tables_hand_them_over(columns, table, tmp_path):
    kinds = {np.str_("size"): np.str_("number")}
    serializer = llmreg.RowSerializer(columns=columns, column_kinds=kinds)
    check_all_ways(table, tmp_path, serializer=serializer)


@pytest.mark.parametrize("name", CONSTRAINTS)
def test_each_legal_value_is_one_of_pythons(name):
    for legal in CONSTRAINTS[name]:
        values = []
        if isinstance(legal, StrOptions):
            values = [np.str_(option) for option in legal.options]
        elif isinstance(legal, Interval):
            whole = legal.type is Integral
            values = [kind(1 if whole else 0.5) for kind in (WIDE + NARROW)[not whole :: 2]]
        elif legal in ("boolean", "verbose"):
            values = [np.True_, np.False_]
        for value in values:
            model = LLMRegressor(**{name: value})
            model._validate_params()
            found = given_parameters(model)[name]
            assert found == value and type(found) in (int, float, str, bool)
            assert getattr(model, name) is value


def test_pythons_numbers_take_up_the_checkpoint_of_numpys(table, tmp_path, monkeypatch):
    few = dict(sft_learning_rate=0.001, batch_size=8, n_samples=4, dropout=0.5)
    model = check_all_ways(
        table, tmp_path, **{name: in_numpy(value, WIDE) for name, value in few.items()}
    )
    monkeypatch.setattr("llmreg.training.stage.Stage.run", lambda self: pytest.fail("trained"))
    same = clone(model).set_params(**few)
    X = table.X[["size", "city"]]
    np.testing.assert_array_equal(same.fit(X, table.y).predict(X), model.predict(X))


def test_going_on_after_a_search_says_of_no_change(table, quick_fit, recwarn):
    model = quick_fit(table.X, table.y, fit_method="ce", dropout=np.float64(0.5), warm_start=True)
    model.set_params(dropout=0.5, n_estimators=np.int64(1)).fit(table.X, table.y)
    assert not [w for w in recwarn if "warm_start" in str(w.message)]


def test_a_duration_is_refused_as_a_time_limit(table):
    with pytest.raises(ValueError, match="'time_limit' parameter of LLMRegressor must be a float"):
        LLMRegressor(time_limit=np.timedelta64(5, "m")).fit(table.X, table.y)
