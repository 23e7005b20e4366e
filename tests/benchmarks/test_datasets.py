"""Loaders of the papers' data: small files in each format, and real ones under LLMREG_DATA."""

import gzip
import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.datasets import (
    load_amazon_reviews,
    load_code_metrics,
    load_movielens_1m,
    load_stsb,
    load_talent,
    make_original_1,
)
from benchmarks.datasets.base import draw_parts
from benchmarks.datasets.synthetic import original_1

FOLDER = os.environ.get("LLMREG_DATA")
needs_data = pytest.mark.skipif(
    not FOLDER, reason="LLMREG_DATA, the folder with stsb_en.csv.gz and others, is not set"
)


def write_lines(path, rows):
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    return path


def prompts(data):
    return data.serializer().fit(data.X, data.y).transform(data.X).ravel().tolist()


@pytest.mark.parametrize(
    ("load", "where"),
    [
        (load_talent, "TALENT"),
        (load_stsb, "stswiki"),
        (load_movielens_1m, "grouplens.org"),
        (load_amazon_reviews, "jmcauley"),
        (load_code_metrics, "Code-Regression"),
    ],
)
def test_a_missing_file_is_named_with_the_place_to_get_it(load, where, tmp_path):
    with pytest.raises(FileNotFoundError, match=where) as caught:
        load(tmp_path / "absent")
    assert "absent" in str(caught.value)


def test_a_part_that_the_source_does_not_fix_is_refused():
    data = make_original_1(3, 0, 1)
    data.parts.pop("validation")
    with pytest.raises(ValueError, match="no part 'validation'"):
        data.part("validation")


def test_drawn_parts_are_disjoint_and_shrink_together():
    for n_rows in (130, 13, 7):
        parts = draw_parts(n_rows, (100, 15, 15), random_state=1)
        assert sorted(np.concatenate(list(parts.values()))) == list(range(n_rows))
    assert [len(p) for p in draw_parts(1000, (100, 15, 15), 0).values()] == [100, 15, 15]
    drawn = [draw_parts(50, (30, 10, 10), seed)["test"].tolist() for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]


# -- TALENT ----------------------------------------------------------------------------------

SIZES = {"train": 5, "val": 2, "test": 3}


@pytest.fixture
def talent(tmp_path):
    """10 rows, two numbers (one cell missing), one category (one cell missing)."""
    info = {
        "task_type": "regression",
        "num_feature_intro": {"age": "in years", "size": "in metres"},
        "cat_feature_intro": {"one": "", "too many": ""},
    }
    (tmp_path / "info.json").write_text(json.dumps(info))
    start = 0
    for part, n in SIZES.items():
        rows = np.arange(start, start + n, dtype=float)
        numbers = np.c_[rows, -rows]
        numbers[0, 1] = np.nan
        categories = np.array([["nan" if row == 1 else f"c{row % 2:g}"] for row in rows], object)
        np.save(tmp_path / f"N_{part}.npy", numbers)
        np.save(tmp_path / f"C_{part}.npy", categories)
        np.save(tmp_path / f"y_{part}.npy", 10 * rows)
        start += n
    return tmp_path


def test_talent_keeps_its_fixed_parts_and_names(talent):
    data = load_talent(talent, allow_pickle=True)
    assert list(data.X) == ["age", "size", "C_0"]  # names that do not fit are not used
    assert {part: len(rows) for part, rows in data.parts.items()} == {
        "train": 5, "validation": 2, "test": 3,
    }  # fmt: skip
    X, y = data.part("test")
    assert y.tolist() == [70, 80, 90] and X["age"].tolist() == [7, 8, 9]
    assert (
        np.isnan(X["size"].iloc[0]) and data.X["C_0"].isna().tolist() == [False, True] + [False] * 8
    )
    kinds = data.serializer().fit(data.X, data.y).kinds_
    assert kinds == {"age": "number", "size": "number", "C_0": "category"}


def test_talent_unpickles_only_when_told_to(talent):
    with pytest.raises(ValueError, match="allow_pickle=True"):
        load_talent(talent)
    for part in SIZES:
        (talent / f"C_{part}.npy").unlink()
    assert list(load_talent(talent).X) == ["age", "size"]


@pytest.mark.parametrize("damage", ["task", "lengths", "absent", "nothing"])
def test_talent_refuses_what_is_no_regression_data(talent, damage):
    match = {"task": "binclass", "lengths": "4 rows", "absent": "y_val", "nothing": "N_train"}
    if damage == "task":
        (talent / "info.json").write_text('{"task_type": "binclass"}')
    elif damage == "lengths":
        np.save(talent / "N_val.npy", np.ones((4, 2)))
    elif damage == "absent":
        (talent / "y_val.npy").unlink()
    else:
        (talent / "N_train.npy").unlink()
        (talent / "C_train.npy").unlink()
    with pytest.raises((ValueError, FileNotFoundError), match=match[damage]):
        load_talent(talent, allow_pickle=True)


# -- STS-B -----------------------------------------------------------------------------------

PAIR = ('He said "no', "It, too, is 5'", "3.25")
GLUE = "index\tgenre\tsentence1\tsentence2\tscore\n0\tnews\t" + "\t".join(PAIR) + "\n"
ORIGINAL = "news\tMSRpar\t2012\t0001\t" + "\t".join((PAIR[2], *PAIR[:2], "a licence")) + "\n"
QUOTED = '"He said ""no","It, too, is 5\'",3.25\n'


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("glue.tsv", GLUE),
        ("sts-train.csv", ORIGINAL),
        ("bare.csv", QUOTED),
        ("named.csv", "sentence1,sentence2,similarity_score\n" + QUOTED),
        ("named.csv.gz", "sentence1,sentence2,label\n" + QUOTED),
    ],
)
def test_stsb_reads_every_published_form(name, text, tmp_path):
    path = tmp_path / name
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    data = load_stsb(path)
    assert [*data.X.iloc[0], data.y[0]] == [*PAIR[:2], 3.25]
    assert prompts(data)[0] == (
        "What is the sentence similarity between the following two sentences measured on a scale "
        "of 0 to 5: He said \"no, It, too, is 5'. The similarity measured on a scale of 0 to 5 "
        "with 0 being unrelated and 5 being related is equal to"
    )


def test_stsb_folder_gives_official_and_raft_parts(tmp_path):
    for part, n in (("train", 40), ("dev", 6)):
        rows = "".join(f"a{i},b{i},{i % 6}\n" for i in range(n))
        (tmp_path / f"stsb-en-{part}.csv").write_text(rows)
    (tmp_path / "test.tsv").write_text("index\tsentence1\tsentence2\n0\ta\tb\n")  # GLUE: no scores
    data = load_stsb(tmp_path)
    assert {part: len(rows) for part, rows in data.parts.items()} == {"train": 40, "validation": 6}
    raft = load_stsb(tmp_path, parts="raft").parts
    assert [len(raft[part]) for part in ("train", "validation", "test")] == [34, 6, 6]
    assert raft["test"].tolist() == data.parts["validation"].tolist()
    assert not set(raft["train"]) & set(raft["validation"])
    other = load_stsb(tmp_path, parts="raft", random_state=1).parts["validation"]
    assert set(other) != set(raft["validation"])


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("a,b\n1,2\n", "2 columns without a header"),
        ("sentence1,words\nx,y\n", "one of"),
        ("a,b,high\n", "not numbers.*'high'"),
        ("a,b,7\n", "go from 0 to 5"),
        ("a,b,0.5\n" * 100, "Multiply"),
    ],
)
def test_stsb_refuses_other_columns_and_scales(text, match, tmp_path):
    path = tmp_path / "stsb.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=match):
        load_stsb(path)


@needs_data
def test_the_real_stsb_has_its_official_and_raft_sizes():
    path = Path(FOLDER) / "stsb_en.csv.gz"
    sizes = {part: len(rows) for part, rows in load_stsb(path).parts.items()}
    assert sizes == {"train": 5749, "validation": 1500, "test": 1379}
    raft = load_stsb(path, parts="raft")
    assert [len(rows) for rows in raft.parts.values()] == [4887, 862, 1500]
    assert (raft.y.min(), raft.y.max()) == raft.target_range


# -- MovieLens -------------------------------------------------------------------------------


@pytest.fixture
def movielens(tmp_path):
    """User 2 rates before user 1; user 1's second and third rating share their second."""
    files = {
        "ratings": "1::7::4::300\n1::8::2::310\n1::9::5::310\n2::9::1::100\n2::7::3::200\n",
        "users": "1::F::25::3::00000\n2::M::50::9::99999\n",
        "movies": "7::Amélie (2001)::Comedy|Romance\n8::Heat (1995)::Action\n9::Up::Drama\n",
    }
    for name, text in files.items():
        (tmp_path / f"{name}.dat").write_bytes(text.encode("latin-1"))
    return tmp_path


def test_movielens_shows_only_earlier_ratings_of_the_user(movielens):
    data = load_movielens_1m(movielens)
    assert data.X["rating_history"].tolist() == [
        "Amélie (2001): 4.", "Amélie (2001): 4, Heat (1995): 2.", "Up: 1.",
    ]  # fmt: skip
    assert data.y.tolist() == [2, 5, 3] and data.y.dtype == float
    assert data.groups.tolist() == [1, 1, 2]
    assert prompts(data)[2] == (
        "Instruction: Predict the rating of a target movie based on the user's historical movie "
        "ratings. Rating History: Up: 1. Candidate Item: Amélie (2001). Output:"
    )
    assert load_movielens_1m(movielens, n_history=1).X["rating_history"][1] == "Heat (1995): 2."
    assert load_movielens_1m(movielens, max_users=1).groups.unique().tolist() == [1]


def test_movielens_tests_on_the_latest_ratings(movielens):
    lines = [f"{user}::7::{1 + i % 5}::{10 * i + user}" for user in (1, 2) for i in range(21)]
    (movielens / "ratings.dat").write_text("\n".join(lines))
    data = load_movielens_1m(movielens)
    assert [len(rows) for rows in data.parts.values()] == [32, 4, 4]
    # User and place in the user's sequence of the held-out rows: time runs across users.
    place = data.X.groupby(data.groups).cumcount()
    held_out = {(data.groups[r], place[r]) for r in data.parts["test"]}
    assert held_out == {(1, 18), (1, 19), (2, 18), (2, 19)}


def test_movielens_refuses_other_files(movielens):
    with pytest.raises(ValueError, match="n_history=0"):
        load_movielens_1m(movielens, n_history=0)
    (movielens / "movies.dat").write_text("movieId,title\n")
    with pytest.raises(ValueError, match="1 fields"):
        load_movielens_1m(movielens)
    (movielens / "movies.dat").write_text("seven::Heat::Action\n")
    with pytest.raises(ValueError, match="not numbers"):
        load_movielens_1m(movielens)


# -- Amazon ----------------------------------------------------------------------------------

FIELDS = ["product_category", "product_title", "review_date", "review_headline", "review_body"]
QUESTION = "Question: In a star rating of 1, 2, 3, 4, 5, the higher the better, what would be the"


def test_amazon_writes_rafts_prompt_from_amazons_own_fields(tmp_path):
    row = {name: name[-4:] for name in FIELDS} | {"star_rating": "4", "review_date": "2015-08-31"}
    data = load_amazon_reviews(write_lines(tmp_path / "a.jsonl.gz", [row]))
    assert data.y.tolist() == [4.0]
    assert prompts(data)[0].startswith(
        "product_category: gory product_title: itle review_date: 2015-08-31 review_headline: line "
        f"review_body: body {QUESTION}"
    )


def test_amazon_joins_what_later_releases_keep_apart(tmp_path):
    old = {"asin": "B1", "overall": 5.0, "summary": "Yes", "reviewText": "Good.",
           "reviewTime": "09 13, 2009"}  # fmt: skip
    new = {"parent_asin": "B1", "rating": 1, "title": "No", "text": "Bad.",
           "timestamp": 1252800000000}  # fmt: skip
    meta = write_lines(
        tmp_path / "meta.json", [{"asin": "B1", "title": "Lamp", "category": ["Home", "Light"]}]
    )
    for row, headline in ((old, "Yes"), (new, "No")):
        path = write_lines(tmp_path / "r.json", [row, row | {"asin": "B2", "parent_asin": "B2"}])
        data = load_amazon_reviews(path, metadata=meta)
        assert list(data.X) == FIELDS
        assert data.X.iloc[0].tolist() == [
            "Home > Light", "Lamp", "2009-09-13", headline, row.get("text", "Good.")
        ]  # fmt: skip
        assert data.X["product_title"].isna().tolist() == [False, True]


def test_amazon_leaves_out_reviews_without_stars_and_refuses_wrong_ones(tmp_path):
    rows = [{"overall": i % 5 + 1, "reviewText": "x"} for i in range(26)]
    path = write_lines(tmp_path / "a.json", [*rows, {"overall": None, "reviewText": "y"}])
    with pytest.warns(UserWarning, match="1 of 27"):
        data = load_amazon_reviews(path)
    assert [len(part) for part in data.parts.values()] == [20, 3, 3]
    assert len(load_amazon_reviews(path, max_rows=4).y) == 4
    write_lines(path, [{"overall": "five", "reviewText": "x"}])
    with pytest.raises(ValueError, match="'five' in row 0"):
        load_amazon_reviews(path)
    write_lines(path, [{"stars": 5, "words": "x"}])
    with pytest.raises(ValueError, match="review text"):
        load_amazon_reviews(path)
    path.write_text("[1, 2]\n")
    with pytest.raises(ValueError, match="one object per line"):
        load_amazon_reviews(path)


@needs_data
def test_real_reviews_pass_through_json_lines(tmp_path):
    table = pd.read_csv(Path(FOLDER) / "alexa_reviews.csv.gz").dropna(subset="verified_reviews")
    rows = table.rename(columns={"verified_reviews": "reviewText", "rating": "overall"})
    path = tmp_path / "alexa.jsonl.gz"
    rows.to_json(path, orient="records", lines=True)
    data = load_amazon_reviews(path)
    assert len(data.X) == len(table)
    np.testing.assert_array_equal(data.y, table["rating"])
    sizes = np.array([len(part) for part in data.parts.values()])
    np.testing.assert_allclose(sizes / sizes.sum(), np.array([10, 1.5, 1.5]) / 13, atol=1e-3)


# -- Code metrics ----------------------------------------------------------------------------

CODE = [
    {"space": "APPS", "input": "print(1)", "target": "9216", "metadata": ""},
    {"space": "CDSS", "input": "int x;", "target": 7.5, "metadata": "{'language': 'C++'}"},
    {"space": "CDSS", "input": "x = {}", "target": 2, "metadata": {"language": "Python"}},
]


def test_code_metrics_choose_a_space_and_write_its_prompt(tmp_path):
    path = write_lines(tmp_path / "code.jsonl", CODE)
    data = load_code_metrics(path, space="CDSS")
    assert prompts(data) == [
        "# CDSS\n# Language: C++\nint x;",
        "# CDSS\n# Language: Python\nx = {}",
    ]
    everything = load_code_metrics(path)
    assert everything.y.tolist() == [9216, 7.5, 2]
    assert prompts(everything)[0] == "APPS\nprint(1)"
    assert len(load_code_metrics(path, space="CDSS", max_rows=1).y) == 1


def test_code_metrics_take_other_names_and_given_parts(tmp_path):
    rows = [{"program": f"f({i})", "ms": i, "split": s} for i, s in enumerate(("train", "test"))]
    path = write_lines(tmp_path / "code.jsonl", [*rows, {"program": "g", "ms": "nan"}])
    with pytest.warns(UserWarning, match="1 of 3 rows"):
        data = load_code_metrics(path, code="program", target="ms")
    assert data.template == "{code}" and data.y.name == "ms"
    assert data.part("test")[0]["code"].tolist() == ["f(1)"]
    with pytest.raises(ValueError, match="without 'input'"):
        load_code_metrics(path)


def test_code_metrics_name_the_spaces_that_there_are(tmp_path):
    path = write_lines(tmp_path / "code.jsonl", CODE)
    with pytest.raises(ValueError, match=r"no rows of space 'KBSS'; it has \['APPS', 'CDSS'\]"):
        load_code_metrics(path, space="KBSS")
    with pytest.raises(ValueError, match="max_rows=0"):
        load_code_metrics(path, max_rows=0)


@needs_data
def test_real_kernels_pass_through_json_lines(tmp_path):
    table = pd.read_csv(Path(FOLDER) / "kernelbench_timing.csv.gz").head(300)
    rows = table[["code", "mean_ms"]].rename(columns={"code": "input", "mean_ms": "target"})
    path = tmp_path / "kernels.jsonl"
    rows.assign(space="KBSS").to_json(path, orient="records", lines=True)
    data = load_code_metrics(path, space="KBSS")
    np.testing.assert_allclose(data.y, table["mean_ms"])
    assert prompts(data)[0] == "KBSS\n" + table["code"][0]


# -- Original #1 -----------------------------------------------------------------------------


def test_original_1_follows_its_formula_and_fills_its_range():
    data = make_original_1(random_state=3)
    assert [len(rows) for rows in data.parts.values()] == [10_000, 1_000, 1_000]
    x = data.X["input_score"].to_numpy()
    np.testing.assert_array_equal(x, x.round(2))
    # At 0, 25 and 50 the sines and cosines are known by heart.
    np.testing.assert_allclose(original_1([0, 25, 50]), [10, 25 - 5 * np.sqrt(2), 50], atol=1e-12)
    assert 0 <= data.y.min() < 0.01 and 8.99 < data.y.max() <= 9
    scale = np.polyfit(original_1(x), data.y, 1)
    np.testing.assert_allclose(np.polyval(scale, original_1(x)), data.y, atol=1e-9)
    assert prompts(data)[0].endswith(f"Input score: {x[0]:g}. Output score:")
    assert (make_original_1(5, 0, 0).X != make_original_1(5, 0, 0, random_state=1).X).any(axis=None)


def test_original_1_refuses_negative_sizes():
    with pytest.raises(ValueError, match=r"\(-1, 0, 0\)"):
        make_original_1(-1, 0, 0)
