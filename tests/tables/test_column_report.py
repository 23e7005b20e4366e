"""The table that says what became of each column."""

import pickle

import numpy as np
import pandas as pd
import pytest

from llmreg import RowSerializer


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    n = 30
    return pd.DataFrame(
        {
            "price": [f"${value:,.2f}" for value in rng.uniform(10, 5000, n)],
            "sold": pd.date_range("2021-01-01", periods=n).strftime("%m/%d/%Y"),
            "city": rng.choice(["Graz", "Linz"], n),
            "smoker": rng.choice(["yes", "no"], n),
            "row": np.arange(n) + 7,
            "key": [f"k{i}" for i in range(n)],
            "same": 1.5,
            "none": None,
            "length": ["12 km", "7 mi"] * (n // 2),
            "day": pd.date_range("2021-01-01", periods=n).strftime("%Y%m%d").astype(int),
            "month": [f"Dec-{10 + i % 15}" for i in range(n)],
            "gaps": ["n/a", "1", "2"] * (n // 3),
            "at": pd.date_range("2021-01-01", periods=n, freq="h", tz="Asia/Tokyo"),
        }
    )


@pytest.fixture
def serializer(table):
    with pytest.warns(UserWarning, match="mixed units"):
        return RowSerializer().fit(table)


def test_it_has_a_row_for_each_column_and_says_how_it_was_read(serializer, table):
    report = serializer.report_
    assert list(report.index) == list(table)
    assert report["kind"].to_dict() == serializer.kinds_
    read_as = report["read_as"]
    assert read_as["price"] == f"number of $, written as {table['price'][0]!r}"
    assert read_as["sold"] == "date, written as '01/01/2021', month first"
    assert read_as["city"] == "one of 2 words"
    assert read_as["smoker"].startswith("true or false, written as")
    assert read_as["at"] == "date and time in Asia/Tokyo"
    assert report.loc["gaps", "missing"] == pytest.approx(1 / 3)
    assert report.loc["city", "distinct"] == 2
    assert report.loc["gaps", "examples"] == "'1', '2'"
    assert (report[["unseen", "unreadable"]] == 0).all(axis=None)


def test_it_gives_advice(serializer):
    advice = serializer.report_["advice"]
    assert advice[["row", "key"]].str.contains("looks like an id").all()
    assert "constant" in advice["same"] and "empty" in advice["none"]
    assert "mixed units" in advice["length"] and "numbers of one unit" in advice["length"]
    assert advice[["day", "month"]].str.contains("looks like dates").all()
    assert not advice[["price", "sold", "city", "smoker", "gaps", "at"]].any()


def test_other_rows_have_a_report_of_their_own_that_changes_nothing(serializer, table):
    before = pickle.dumps(serializer)
    new = table.assign(city="Wien", price=["many"] * 3 + ["$5"] * 27)
    report = serializer.report(new)
    assert report.loc["city", "unseen"] == 1 and "not seen" in report.loc["city", "advice"]
    assert report.loc["price", "unreadable"] == pytest.approx(0.1)
    assert "'many'" in report.loc["price", "advice"]
    assert list(report.columns) == list(serializer.report_.columns)
    assert pickle.dumps(serializer) == before


def test_unused_columns_are_left_out(table):
    assert list(RowSerializer(columns=["city", "row"]).fit(table).report_.index) == ["city", "row"]


def test_numbers_farther_apart_than_any_float_are_described_without_a_word():
    column = np.append(np.arange(40.0), [-1.7e308, 1.7e308])
    with np.errstate(all="raise"):
        report = RowSerializer().fit(pd.DataFrame({"size": column})).report_
    assert report.loc["size", "kind"] == "number"


@pytest.mark.parametrize("form", ["%Y %m %d", "%d–%m–%Y", "%Y%m%d", "%Y%m%d%H%M%S"])
def test_dates_that_are_not_read_are_no_ids(form):
    days = pd.date_range("2019-01-01", periods=30).strftime(form)
    column = days.astype(int) if form.startswith("%Y%m%d") else days
    report = RowSerializer().fit(pd.DataFrame({"day": column, "a": range(30)})).report_
    assert report.loc["day", "advice"].startswith("looks like dates")
