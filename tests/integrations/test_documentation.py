"""Links and help in HTML representations."""

import inspect

import pytest
import sklearn
from sklearn.base import BaseEstimator
from sklearn.utils.fixes import parse_version

import llmreg
from llmreg.integrations.documentation import API

CLASSES = [
    kind
    for kind in (getattr(llmreg, name) for name in llmreg.__all__)
    if inspect.isclass(kind) and issubclass(kind, BaseEstimator) and not inspect.isabstract(kind)
]


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_public_class_with_parameters_has_a_link_to_its_page(kind):
    instance = object.__new__(kind)
    assert instance._get_doc_link() == f"{API}llmreg.{kind.__name__}.html"


def test_the_page_of_an_estimator_has_the_link():
    assert f'href="{API}llmreg.LLMRegressor.html"' in llmreg.LLMRegressor()._repr_html_()


def test_classes_of_others_have_none():
    class OwnCodec(llmreg.DigitCodec):
        """Defined by a user."""

    assert OwnCodec()._get_doc_link() == ""
    assert OwnCodec()._repr_html_()


@pytest.mark.skipif(
    parse_version(sklearn.__version__) < parse_version("1.9"), reason="newer than scikit-learn 1.8"
)
@pytest.mark.parametrize(
    "kind",
    [llmreg.LLMRegressor, llmreg.RowSerializer, llmreg.DigitCodec, llmreg.GRPO, llmreg.Histogram],
)
def test_parameters_have_their_help(kind):
    page = kind()._repr_html_()
    for name in inspect.signature(kind).parameters:
        assert f"{API}llmreg.{kind.__name__}.html#:~:text={name}," in page, name
