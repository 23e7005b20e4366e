"""The hub token is there for whoever asks for it, and shown nowhere."""

import copy
import pickle

import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from llmreg import LLMRegressor, PretrainedModel
from llmreg.lm.loading.hub import ModelSource

SECRET = "hf_secret"


def test_no_representation_shows_the_token():
    model = LLMRegressor(PretrainedModel("owner/name", token=SECRET))
    for shown in (model, make_pipeline(model), GridSearchCV(model, {"adapters": [4, 8]})):
        for text in (repr(shown), str(shown), shown._repr_html_(), repr(shown.get_params())):
            assert SECRET not in text
    assert "token='***'" in repr(model)
    assert SECRET not in f"{model.model.token} {model.model.token!r}"


def test_the_token_is_still_there():
    model = LLMRegressor("owner/name").set_params(model__token=SECRET)
    assert SECRET not in repr(model)
    copies = (model, clone(model), clone(clone(model)), copy.deepcopy(model))
    for each in (*copies, pickle.loads(pickle.dumps(model))):
        assert each.model.token == each.get_params()["model__token"] == SECRET
        assert SECRET not in repr(each)
    token = model.model.token
    assert hash(token) == hash(SECRET) and token.startswith("hf_")
    source = ModelSource("owner/name", token=token)
    assert type(source.token) is str and f"Bearer {source.token}" == "Bearer hf_secret"


@pytest.mark.parametrize("token", [None, True, False])
def test_what_is_no_string_stays_what_it_is(token):
    model = PretrainedModel("owner/name", token=token)
    assert model.token is token
    assert LLMRegressor(model).get_params()["model__token"] is token


def test_errors_do_not_show_the_token(table):
    model = LLMRegressor(
        PretrainedModel("no-such-organisation-zq/none", token=SECRET, local_files_only=True)
    )
    with pytest.raises(OSError) as error:
        model.fit(table.X, table.y)
    assert SECRET not in str(error.value)
    model.set_params(verbose=-1)
    with pytest.raises(ValueError) as error:
        model.fit(table.X, table.y)
    assert SECRET not in str(error.value)


def test_a_fitted_model_and_its_checkpoints_are_without_the_token(
    table, quick_fit, pretrained_folder, tmp_path
):
    model = quick_fit(
        table.X, table.y, model=PretrainedModel(pretrained_folder, token=SECRET), fit_method="ce",
        checkpoint_dir=tmp_path, checkpoint_interval=0,
    )  # fmt: skip
    assert SECRET.encode() not in pickle.dumps(model)
    assert pickle.loads(pickle.dumps(model)).model.token is None
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files and not any(SECRET.encode() in path.read_bytes() for path in files)
