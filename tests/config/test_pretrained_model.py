"""A pretrained model as a parameter with parameters."""

import pytest
from sklearn.base import clone

from llmreg import LLMRegressor, PretrainedModel
from llmreg.config.pretrained_model import as_pretrained, built_from


def test_names_and_pairs_are_pretrained_and_the_rest_is_fresh():
    assert as_pretrained("owner/name").source == "owner/name"
    pair = (object(), object())
    assert as_pretrained(pair).source is pair
    given = PretrainedModel("owner/name", revision="v1")
    assert as_pretrained(given) is given
    assert as_pretrained("tiny") is None and as_pretrained(object()) is None


@pytest.mark.parametrize("model", ["owner/name", PretrainedModel("owner/name")])
def test_its_parameters_are_within_reach_of_a_search(model):
    estimator = clone(LLMRegressor(model)).set_params(model__revision="v2")
    assert estimator.model.revision == "v2" and estimator.model.source == "owner/name"
    assert estimator.get_params()["model__chat_template"] is True


def test_a_token_is_never_shown():
    model = LLMRegressor(PretrainedModel("owner/name", token="hf_secret"))
    for shown in (repr(model), model._repr_html_(), repr(model.get_params())):
        assert "hf_secret" not in shown
    assert clone(model).model.token == "hf_secret"


def test_what_a_fit_was_built_from_does_not_depend_on_who_downloads():
    plain = built_from("owner/name")
    assert built_from(PretrainedModel("owner/name", token="t", local_files_only=True)) == plain
    assert built_from(PretrainedModel("owner/name", revision="v1")) != plain
    assert built_from("tiny") != plain


def test_tiny_has_none_of_these_parameters(table):
    for model in (
        LLMRegressor(PretrainedModel("tiny")),
        LLMRegressor().set_params(model__chat_template=False),
    ):
        with pytest.raises(ValueError, match=r"'tiny' starts from fresh weights.*Set model='tiny'"):
            model.fit(table.X, table.y)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (dict(revision=3), "revision"), (dict(chat_template="no"), "chat_template"),
        (dict(model_kwargs=[]), "model_kwargs"),
    ],
)  # fmt: skip
def test_illegal_values_are_refused_when_fitting(wrong, said, table):
    with pytest.raises(ValueError, match=said):
        LLMRegressor(PretrainedModel("owner/name", **wrong)).fit(table.X, table.y)
