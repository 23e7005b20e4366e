"""Vectors that a user's transformer gives to texts."""

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix
from sklearn.base import BaseEstimator
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import HashingVectorizer, TfidfVectorizer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder

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
        (np.full((9, 2), np.nan), "numbers not finite of 9 texts"),
        (np.full((9, 1), 1 + 2j), "something else than real numbers of 9 texts"),
        (csr_matrix(np.full((9, 1), 1j)), "something else than real numbers of 9 texts"),
        (np.full((9, 1), "1.5"), "something else than real numbers of 9 texts"),
        (np.full((9, 1), "1.5", object), "something else than real numbers of 9 texts"),
        (np.zeros((9, 1), "M8[s]"), "something else than real numbers of 9 texts"),
        (np.ma.masked_equal(np.eye(9), 1), "something else than real numbers of 9 texts"),
        ([[1], [2, 3]], "no matrix of 9 texts"),
    ],
)
def test_what_is_no_matrix_of_finite_numbers_is_refused(found, said, frame):
    said = f"(?s)text_features=_Returns.*made {said}.*of column 't'.*must return"
    with pytest.raises(ValueError, match=said):
        TextVectors(_Returns(found), 0).fit_extend(_rows(frame))


@pytest.mark.parametrize(
    ("transformer", "said"),
    [
        (FunctionTransformer(np.char.upper, validate=False), "TypeError"),
        (OneHotEncoder(), "ValueError: Expected 2D array, got 1D"),
        (TfidfVectorizer(max_df=0.2), "ValueError: After pruning, no terms remain"),
    ],
)
def test_errors_of_transformers_name_the_parameter_and_the_column(transformer, said, frame):
    said = f"(?s)text_features=.*column 't'.*1-D array of strings, and must return.* {said}"
    with pytest.raises(ValueError, match=said) as raised:
        TextVectors(transformer, 0).fit_extend(_rows(frame))
    assert type(raised.value.__cause__).__name__ in str(raised.value)


def test_errors_for_new_texts_are_named_too(frame):
    class Known(_Length):
        def transform(self, texts):
            return super().transform([{"red": "r"}[text[:3]] for text in texts])

        fit_transform = _Length.transform
        longest_ = 3

    text_vectors = TextVectors(Known(), 0)
    text_vectors.transformers_, text_vectors.widths_ = [Known(), Known()], [2, 2]
    with pytest.raises(ValueError, match=r"(?s)failed on the texts of column 't'.*KeyError: 'blu'"):
        text_vectors.extend(_rows(frame))


def test_what_cannot_be_cloned_is_told(frame):
    class Plain:
        fit_transform = transform = None

    with pytest.raises(ValueError, match=r"(?s)text_features=.*cannot be cloned.*get_params"):
        TextVectors(Plain(), 0).fit_extend(_rows(frame))


def test_files_that_are_missing_stay_such_errors_with_a_note(frame):
    class Reader(_Length):
        def fit_transform(self, texts):
            raise FileNotFoundError("vectors.bin")

    with pytest.raises(FileNotFoundError) as raised:
        TextVectors(Reader(), 0).fit_extend(_rows(frame))
    assert "column 't'" in raised.value.__notes__[0]


def test_a_transformer_without_texts_warns_with_the_columns_that_became_categories():
    frame = pd.DataFrame({"note": ["good", "bad"] * 5, "code": pd.Categorical([1, 2] * 5),
                          "new": [True, False] * 5, "size": np.arange(10.0)})  # fmt: skip
    rows = RowSerializer().fit(frame).serialize(frame)
    said = r"text_features=_Length\(\) reads nothing.*column_kinds=\{'note': 'text'\}\)"
    with pytest.warns(UserWarning, match=said):
        fit_text_vectors(_Length(), rows, 0)
    rows = RowSerializer().fit(frame[["size"]]).serialize(frame[["size"]])
    with pytest.warns(UserWarning, match="reads nothing.*Leave it out"):
        fit_text_vectors(_Length(), rows, 0)


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
