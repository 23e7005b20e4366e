"""Names of methods."""

from pathlib import Path

import pytest
from free_policies import row_gradients
from sklearn.utils._param_validation import InvalidParameterError

from llmreg.methods import (
    GRPO,
    METHODS,
    Method,
    SoftCE,
    fit_methods,
    resolve_method,
)

NAMES = {
    "ce": "sft", "soft_ce": "sft", "ntl_mse": "sft", "ntl_was": "sft", "dist2": "sft",
    "raft": "align", "mbr": "align", "crps": "align",
    "remax": "align", "grpo": "align", "rloo": "align", "genre2": "align",
}  # fmt: skip


def test_the_methods_of_the_papers_are_there_by_name():
    table = fit_methods()
    assert list(table.index) == list(METHODS)
    assert table["stage"][list(NAMES)].to_dict() == NAMES


def test_fit_methods_lists_every_name_with_what_it_does():
    table = fit_methods()
    assert table.index.name == "name" and table.index.is_unique
    for name, row in table.iterrows():
        assert type(METHODS[name]).__name__ == row["class"]
        assert row["parameters"] == METHODS[name].get_params()
        for column in ("paper", "equation", "trains", "summary"):
            assert row[column] and "\n" not in row[column], (name, column)
        assert len(row["summary"]) > 20
    assert (table["class"] == "PoolHead").sum() == 4  # one class, four names
    assert table["class"][table["class"] != "PoolHead"].is_unique
    assert table.loc["soft_ce", "parameters"] == {"sigma": 0.2, "mean_weight": 1.0}


@pytest.mark.parametrize("name", METHODS)
def test_a_name_makes_the_method_with_its_defaults(name):
    found = resolve_method(name, "fit_method")
    assert type(found) is type(METHODS[name]) and found is not METHODS[name]
    assert found.get_params() == METHODS[name].get_params()


def test_a_method_is_copied_not_kept():
    given = GRPO(5, beta=0.1)
    found = resolve_method(given, "align_method")
    assert found is not given
    assert found.get_params() == given.get_params()


def test_an_unknown_name_is_answered_with_all_methods():
    with pytest.raises(ValueError, match="fit_method='ppo' is not a method") as error:
        resolve_method("ppo", "fit_method")
    for name, row in fit_methods().iterrows():
        line = f"{name!r} ({row['stage']}): {row['summary']} [{row['paper']}]"
        assert line in str(error.value)


@pytest.mark.parametrize("name", ["GRPO", "GRPO()", "grppo", " Grpo"])
def test_a_misspelt_name_is_answered_with_the_nearest(name):
    with pytest.raises(ValueError, match=r"is not a method. Did you mean 'grpo'[?] The methods"):
        resolve_method(name, "fit_method")


@pytest.mark.parametrize("value", [None, 3, GRPO, ["ce"]])
def test_anything_else_is_a_type_error(value):
    with pytest.raises(TypeError, match=r"fit_method must be a name \(ce, .*grpo.*\) or a method"):
        resolve_method(value, "fit_method")


def test_illegal_parameters_are_found_when_a_method_is_resolved():
    with pytest.raises(InvalidParameterError, match="'sigma' parameter of SoftCE"):
        resolve_method(SoftCE(sigma=-1), "fit_method")
    with pytest.raises(InvalidParameterError, match="'reward' parameter of GRPO"):
        resolve_method(GRPO(reward="rmse"), "align_method")


def test_a_method_of_ones_own_is_accepted():
    class Own(Method):
        def __init__(self, power=2):
            self.power = power

        def loss(self, policy, targets, statistics=None):
            return (policy.leaf_log_probs().exp() @ policy.leaf_z - targets.z) ** self.power, {}

    assert resolve_method(Own(4), "fit_method").power == 4
    assert row_gradients(resolve_method(Own(), "fit_method")).abs().max() > 0


def test_the_page_on_methods_has_them_with_their_defaults():
    page = (Path(__file__).parents[2] / "docs" / "methods.md").read_text(encoding="utf-8")
    rows = {line.split("`")[1]: line for line in page.splitlines() if line.startswith("| `")}
    for name in NAMES:
        assert name in rows
    for name in ("soft_ce", "ntl_mse", "ntl_was", "dist2", "mbr", "raft", "remax"):
        for parameter, default in METHODS[name].get_params().items():
            spelled = f"`{parameter}={default!r}`".replace("'", '"')
            assert parameter == "stage" or spelled in rows[name], (name, spelled)
