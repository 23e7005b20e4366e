"""Which tables are refused, and which match the table of the fit."""

import warnings
from collections import namedtuple
from dataclasses import make_dataclass
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from table_reading import fitted_on, read

from llmreg.tables.reading import read_table

Row = namedtuple("Row", "a b")
Record = make_dataclass("Record", ["a", "b"])
TEXTS = ["a flat", "a house"]


LIST = r"One row is a list of one, \[row\]; one column is \[\[cell\] for cell in column\]"
SERIES = r"One row is X.iloc\[\[0\]\] in place of X.iloc\[0\]; one column is series.to_frame\(\)"


@pytest.mark.parametrize(
    ("X", "remedy"),
    [
        (np.arange(3.0), "Reshape your data"), (np.array([]), "Reshape your data"),
        ([1, 2, 3], LIST), (["a", 5], LIST), ((None, None), LIST), (Row(1, "a"), LIST),
        (pd.Series([1.5, 2.5]), SERIES), (pd.Series({"a": 1, "b": "x"}), SERIES),
    ],
)  # fmt: skip
def test_one_dimension_of_anything_but_strings_is_refused(X, remedy):
    with pytest.raises(ValueError, match=rf"Expected 2D array, got 1D array[\s\S]*{remedy}"):
        read(X)


@pytest.mark.parametrize(
    ("X", "remedy"),
    [
        (3.0, r"one row is a list of one, \[row\]"), (np.array(3.0), r"\[row\]"),
        (Record(1, "a"), r"\[row\]"), (np.zeros(1, "f8, i4")[0], r"\[row\]"),
        (None, "DataFrame, an array, or the rows as a list.$"),
        ("ford pinto", r"One text is a list of one, \['ford pinto'\]; a file is read first"),
        (Path("cars.csv"), "pandas.read_csv"), (b"text", "pandas.read_csv"),
    ],
)  # fmt: skip
def test_what_has_no_dimension_is_refused_by_its_type(X, remedy):
    said = rf"Expected 2D array, got .* of type {type(X).__name__} instead.*{remedy}"
    with pytest.raises(ValueError, match=said):
        read(X)


def test_one_row_of_words_alone_is_no_column_of_text():
    X = pd.DataFrame({"a": ["x", "y"], "b": ["u", "v"]})
    for row, remedy in ((X.iloc[0], SERIES), (list(X.iloc[0]), LIST), (X.iloc[0].array, "Reshape")):
        with pytest.raises(ValueError, match=remedy):
            read_table(fitted_on(X), row, reset=False)
    with pytest.raises(ValueError, match=r"X\['a'\] is 'x' .*a dict that is one row goes in"):
        read_table(fitted_on(X), X.iloc[0].to_dict(), reset=False)


@pytest.mark.parametrize("labels", ["abc", [2, 0, 1], [1.5, 0.5, 2], [("a", 1), ("b", 2), "c"]])
def test_dicts_and_records_come_in_the_order_of_the_fit_whatever_their_names(labels):
    X = pd.DataFrame([[1, 2, 3], [4, 5, 6]])
    X.columns = pd.Index(list(labels), dtype=object, tupleize_cols=False)
    estimator = fitted_on(X)
    expected = read_table(estimator, X, reset=False)
    backward = X.iloc[:, ::-1]
    for table in (
        {name: list(backward[name]) for name in backward.columns},
        [dict(zip(backward.columns, row, strict=True)) for row in backward.to_numpy().tolist()],
    ):
        pd.testing.assert_frame_equal(read_table(estimator, table, reset=False), expected)
    absent = [{labels[0]: 1}, {}]
    assert read_table(estimator, absent, reset=False).notna().to_numpy().sum() == 1
    with pytest.raises(ValueError, match="missing"):
        read_table(estimator, {labels[0]: [1], labels[1]: [2]}, reset=False)


def test_names_beside_numbered_columns_still_go_by_position():
    estimator = fitted_on(pd.DataFrame([[1, 2], [3, 4]]))
    for table in ({"q": [1], "p": [2]}, [{"q": 1, "p": 2}]):
        with pytest.warns(UserWarning, match="feature names"):
            assert read_table(estimator, table, reset=False).to_numpy().tolist() == [[1, 2]]


@pytest.mark.parametrize("X", [np.zeros((2, 2, 2)), np.zeros((2, 2, 2)).tolist()])
def test_three_dimensions_are_refused(X):
    with pytest.raises(ValueError, match=r"Found array with dim 3\. Thing expected <= 2"):
        read(X)


@pytest.mark.parametrize("container", [sparse.csr_matrix, sparse.coo_array])
def test_sparse_matrices_are_refused_with_the_remedy(container):
    with pytest.raises(TypeError, match=r"Sparse data was passed.*toarray\(\)"):
        read(container(np.eye(2)))


def test_rows_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match=r"rows of different lengths instead: \[1, 2\]"):
        read([[1, 2], [3]])
    with pytest.raises(ValueError, match=r"rows of different lengths instead: \[None, 2\]"):
        read([[1, 2], 3])


def test_records_must_all_be_dicts():
    with pytest.raises(TypeError, match="one of its rows is 3 of type int"):
        read([{"a": 1}, 3])


@pytest.mark.parametrize("value", [1 + 2j, np.complex64(1 + 2j)])
@pytest.mark.parametrize("dtype", [complex, object])
def test_complex_values_are_refused(value, dtype):
    with pytest.raises(ValueError, match="Complex data not supported: column 'x1'"):
        read(pd.DataFrame({"x0": [1.0], "x1": np.array([value], dtype=dtype)}))


@pytest.mark.parametrize("X", [np.empty((0, 3)), pd.DataFrame({"a": []})])
def test_a_table_without_rows_is_refused(X):
    with pytest.raises(ValueError, match=r"0 sample\(s\) \(shape=\(0, \d\)\) while a minimum of 1"):
        read(X)


@pytest.mark.parametrize("X", [np.empty((3, 0)), pd.DataFrame(index=range(3)), [[], [], []]])
def test_a_table_without_columns_is_refused(X):
    with pytest.raises(ValueError, match=r"0 feature\(s\) \(shape=\(3, 0\)\) while a minimum of 1"):
        read(X)


INFINITE = {
    "float": pd.Series([1.0, -np.inf]),
    "float32": pd.Series([1.0, -np.inf], dtype=np.float32),
    "nullable": pd.Series([1.0, -np.inf], dtype="Float64"),
    "object": pd.Series([1.0, -np.inf], dtype=object),
    "numpy object": pd.Series([None, np.float32(-np.inf)], dtype=object),
    "Decimal": pd.Series([None, Decimal("-Infinity")], dtype=object),
    "among strings": pd.Series(["a", -np.inf], dtype=object),
}


@pytest.mark.parametrize("column", INFINITE.values(), ids=INFINITE)
def test_an_infinite_value_is_refused_by_column_and_row(column):
    with pytest.raises(ValueError, match=r"column 'price' holds -[Ii]nf\w* at row 1.*NaN.*clip"):
        read(pd.DataFrame({"size": [1.0, np.nan], "price": column}))


BEYOND = [10**400, 10**5000, Decimal("1e400"), np.longdouble("1e4000")]


@pytest.mark.parametrize("value", BEYOND, ids=["integer", "long", "Decimal", "longdouble"])
def test_a_number_beyond_the_range_of_floats_is_refused(value):
    with pytest.raises(ValueError, match=r"too large for float64: column 'x0' holds .* at row 1"):
        read([[1], [value]])


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA, pd.NaT])
def test_missing_values_are_fine(missing):
    X = pd.DataFrame({"a": pd.Series([1.0, missing], dtype=object)})
    assert read(X)["a"].isna().tolist() == [False, True]


@pytest.mark.parametrize("names", [["a", "a"], [1, "1"], [("a", 1), "('a', 1)"]])
def test_names_that_coincide_as_strings_are_refused(names):
    X = pd.DataFrame([[1, 2]], columns=pd.Index(names, dtype=object, tupleize_cols=False))
    with pytest.raises(ValueError, match=r"occur more than once: \[.*Rename"):
        read(X)


@pytest.mark.parametrize(
    ("names", "as_strings"),
    [
        ([0, 1], ["0", "1"]),
        (["a", 1], ["a", "1"]),
        ([("a", "x"), ("a", "y")], ["('a', 'x')", "('a', 'y')"]),
    ],
)
def test_names_that_are_no_strings_are_accepted_and_still_compared(names, as_strings):
    X = pd.DataFrame([[1, 2], [3, 4]], columns=names)
    estimator = fitted_on(X)
    assert not hasattr(estimator, "feature_names_in_")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert list(read_table(estimator, X, reset=False).columns) == as_strings
    with pytest.raises(ValueError, match="Feature names must be in the same order as they were"):
        read_table(estimator, X.iloc[:, ::-1], reset=False)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["b", "a"], "Feature names must be in the same order"),
        (["a", "c"], "Feature names unseen at fit time:\n- c\n"),
        (["a"], "Feature names seen at fit time, yet now missing:\n- b\n"),
        (["a", 7], "Feature names unseen at fit time:\n- 7\n"),
    ],
)
def test_other_names_than_in_fit_are_refused_in_the_words_of_scikit_learn(names, message):
    estimator = fitted_on(pd.DataFrame({"a": [1], "b": [2]}))
    with pytest.raises(ValueError, match=message) as caught:
        read_table(estimator, pd.DataFrame([[1] * len(names)], columns=names), reset=False)
    assert "The feature names should match those that were passed during fit" in str(caught.value)


@pytest.mark.parametrize("X", [np.ones((2, 3)), ["text"], [[1]]])
def test_another_number_of_columns_than_in_fit_is_refused(X):
    with pytest.raises(ValueError, match=r"X has \d features, but Thing is expecting 2 features"):
        read_table(fitted_on(np.ones((2, 2))), X, reset=False)


def test_names_given_only_in_fit_warn_and_match_by_position():
    estimator = fitted_on(pd.DataFrame({"a": [1], "b": [2]}))
    with pytest.warns(UserWarning, match="X does not have valid feature names, but Thing was"):
        frame = read_table(estimator, [[3, 4]], reset=False)
    assert frame.to_dict("records") == [{"a": 3, "b": 4}]


def test_names_given_only_later_warn_and_match_by_position():
    estimator = fitted_on(np.ones((2, 2)))
    with pytest.warns(UserWarning, match="X has feature names, but Thing was fitted without"):
        frame = read_table(estimator, pd.DataFrame({"a": [3], "b": [4]}), reset=False)
    assert frame.to_dict("records") == [{"x0": 3, "x1": 4}]


def test_a_series_and_a_list_of_strings_are_interchangeable():
    estimator = fitted_on(pd.Series(TEXTS, name="advert"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_table(estimator, TEXTS, reset=False)["advert"].tolist() == TEXTS


def test_records_match_by_key_and_a_lacking_key_is_a_missing_value():
    estimator = fitted_on([{"a": 1, "b": 2}, {"b": 3}])
    frame = read_table(estimator, [{"b": 5, "a": 4}, {"b": 6}], reset=False)
    assert list(frame.columns) == ["a", "b"]
    assert frame["a"].iloc[0] == 4
    assert frame["a"].isna().tolist() == [False, True]
    assert read_table(estimator, [{"b": 6}], reset=False)["a"].isna().all()
    with pytest.raises(ValueError, match="unseen at fit time:\n- c\n"):
        read_table(estimator, [{"a": 1, "b": 2, "c": 3}], reset=False)


def test_fitting_again_forgets_the_names_of_the_previous_table():
    estimator = fitted_on(pd.DataFrame({"a": [1], "b": [2]}))
    assert list(read_table(estimator, np.ones((1, 3)), reset=True).columns) == ["x0", "x1", "x2"]
    assert not hasattr(estimator, "feature_names_in_")
    assert estimator.n_features_in_ == 3
