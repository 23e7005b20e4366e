"""Vectors that a user's transformer gives to texts."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.pipeline import make_pipeline

from llmreg import RowSerializer
from llmreg.tables.text_vectors import TextVectors, fit_text_vectors


class _Length(BaseEstimator):
    """Two features: the length of a text beside the longest known, and a constant."""

    def fit_transform(self, texts):
        self.longest_ = max(map(len, texts))
        return self.transform(texts)

    def transform(self, texts):
        return np.array([[len(text) / self.longest_, 3.0] for text in texts])


@pytest.fixture
def frame():
    size, words = np.arange(9.0), ["red", "blue", "old"]
    t = [f"{a} {b} house" for a in words for b in words]
    return pd.DataFrame({"t": t, "size": size, "u": [text[::-1] for text in t]})


def _rows(frame):
    return RowSerializer(column_kinds={"t": "text", "u": "text"}).fit(frame).serialize(frame)


def test_each_text_column_gets_vectors_from_a_clone_of_its_own(frame):
    own = _Length()
    text_vectors = TextVectors(own, 0)
    rows = _rows(frame.assign(u=frame["u"] + " and more"))
    found = text_vectors.fit_extend(rows)
    assert not hasattr(own, "longest_")
    for field, transformer in zip(found.fields[::2], text_vectors.transformers_, strict=True):
        np.testing.assert_array_equal(field.vectors, transformer.transform(field.text))
    assert found.fields[1] is rows.fields[1] and found.fields[1].vectors is None
    longest = [transformer.longest_ for transformer in text_vectors.transformers_]
    assert longest[1] == longest[0] + len(" and more")
    later = text_vectors.extend(rows.take(np.array([3])))
    np.testing.assert_array_equal(later.fields[0].vectors, found.fields[0].vectors[[3]])
    assert text_vectors.transformers_[0].longest_ == longest[0]


def test_vectors_go_with_their_rows(frame):
    rows = TextVectors(_Length(), 0).fit_extend(_rows(frame))
    some = rows.take(np.array([2, 5]))
    np.testing.assert_array_equal(some.fields[0].vectors, rows.fields[0].vectors[[2, 5]])
    both = some.followed_by(rows).fields[2].vectors
    np.testing.assert_array_equal(both, rows.fields[2].vectors[[2, 5, *range(9)]])


def test_sparse_matrices_are_read(frame):
    rows = TextVectors(HashingVectorizer(n_features=16), 0).fit_extend(_rows(frame))
    vectors = rows.fields[0].vectors
    assert vectors.shape == (9, 16) and isinstance(vectors, np.ndarray) and vectors.any()


def test_the_transformer_gets_our_seed_where_it_has_none(frame):
    def vectors(seed, random_state):
        svd = TruncatedSVD(3, n_iter=1, random_state=random_state)
        pipeline = make_pipeline(HashingVectorizer(n_features=64), svd)
        return TextVectors(pipeline, seed).fit_extend(_rows(frame)).fields[0].vectors

    state = np.random.get_state()[1].copy()  # noqa: NPY002
    np.testing.assert_array_equal(vectors(1, None), vectors(1, None))
    np.testing.assert_array_equal(vectors(1, None), vectors(2, 1))  # its own seed is kept
    assert (np.random.get_state()[1] == state).all()  # noqa: NPY002


class _Returns(BaseEstimator):
    def __init__(self, found):
        self.found = found

    def fit_transform(self, texts):
        return self.found


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (np.zeros(9), r"no matrix of 9 texts \(an array of shape \(9,\)\)"),
        (np.zeros((4, 2)), r"another number of rows than 9 texts \(an array of shape \(4, 2\)\)"),
        (np.full((9, 2), np.nan), "numbers that are not finite of 9 texts"),
    ],
)
def test_what_is_no_matrix_of_finite_numbers_is_refused(found, said, frame):
    said = f"(?s)text_features=_Returns.*made {said}.*It must return"
    with pytest.raises(ValueError, match=said):
        TextVectors(_Returns(found), 0).fit_extend(_rows(frame))


def test_another_number_of_columns_than_in_fit_is_refused(frame):
    class Lengths(_Length):
        def transform(self, texts):
            return np.zeros((len(texts), 2 if len(texts) > 4 else 3))

    text_vectors, rows = TextVectors(Lengths(), 0), _rows(frame)
    text_vectors.fit_extend(rows)
    assert text_vectors.widths_ == [2, 2]
    said = r"another number of columns than in fit \(2\) of 3 texts \(an array of shape \(3, 3\)\)"
    with pytest.raises(ValueError, match=said):
        text_vectors.extend(rows.take(np.arange(3)))


@pytest.mark.parametrize(
    "wide",
    [HashingVectorizer(), HashingVectorizer(n_features=10_001), _Returns(np.ones((9, 10_001)))],
)
def test_matrices_too_wide_to_be_dense_are_refused_with_remedies(wide, frame):
    said = r"(?s)made (1,048,576|10,001) columns.*10,000 the most.*TruncatedSVD.*n_features"
    with pytest.raises(ValueError, match=said):
        TextVectors(wide, 0).fit_extend(_rows(frame))


@pytest.mark.parametrize("features", [True, False])
def test_without_a_transformer_rows_stay_as_they_are(features, frame):
    rows = _rows(frame)
    assert fit_text_vectors(features, rows, 0) == (None, rows)
