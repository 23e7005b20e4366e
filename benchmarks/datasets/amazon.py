"""Amazon product reviews: the stars that go with a review."""

import warnings

import pandas as pd

from benchmarks.datasets.base import RegressionData, draw_parts, existing, finite_targets
from benchmarks.datasets.json_lines import read_json_lines

__all__ = ["load_amazon_reviews"]

# The prompt's name of each field, and what the releases call it: Amazon's own "US reviews", Ni et
# al. 2018 and its forerunners, the release of 2023.
FIELDS = {
    "product_category": ("product_category", "main_category", "main_cat"),
    "product_title": ("product_title",),
    "review_date": ("review_date", "reviewTime", "unixReviewTime", "timestamp"),
    "review_headline": ("review_headline", "review_title", "summary", "title"),
    "review_body": ("review_body", "reviewText", "text"),
}
STARS = ("star_rating", "overall", "rating", "stars")
PRODUCT = ("asin", "parent_asin", "product_id")
META = {"product_title": ("title",), "product_category": ("main_cat", "main_category", "category")}
QUESTION = (
    "Question: In a star rating of 1, 2, 3, 4, 5, the higher the better, what would be the star "
    "rating of the above review? Please only give me the final rating and I do not need any "
    "explanations."
)
SOURCE = (
    "https://cseweb.ucsd.edu/~jmcauley/datasets.html (Amazon review data; one file of json lines "
    "per category)."
)
SHORT = ("product_category", "review_date")
SIZES = (10_000, 1_500, 1_500)  # RAFT, Table 7


def load_amazon_reviews(path, *, metadata=None, max_rows=None, random_state=0):
    """Read Amazon reviews with RAFT's prompt.

    Parameters
    ----------
    path : str or os.PathLike
        One JSON object per line, .gz too. The names of Amazon's own release ("star_rating",
        "review_body", ...), of Ni et al. ("overall", "reviewText", "summary", ...) and of the
        release of 2023 ("rating", "text", "title", ...) are known.
    metadata : str, os.PathLike or None, default=None
        The file of the products (one JSON object per line with "asin" or "parent_asin" and
        "title"), for releases that keep titles and categories apart.
    max_rows : int or None, default=None
        Read the first this many reviews only.
    random_state : int, default=0
        Draws the parts.

    Returns
    -------
    RegressionData
        Columns among "product_category", "product_title", "review_date", "review_headline" and
        "review_body": those that the file has, which are also those that the template names. y
        "star_rating", 1 to 5; RAFT's grid 1 to 5. Parts of 10,000, 1,500 and 1,500 random rows as
        in RAFT's Table 7 (of other rows than RAFT's, which are not published), all smaller by the
        same factor where the file is.

    Raises
    ------
    FileNotFoundError
        If a file is missing.
    ValueError
        For lines that are not JSON objects, a file without review texts or ratings, ratings that
        are not numbers, or ``max_rows`` below 1.

    Warns
    -----
    UserWarning
        If rows without a rating are left out.

    References
    ----------
    Ni et al., EMNLP 2019. Prompt and sizes: RAFT (Lukasik et al., 2025), Tables 6 and 7.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from benchmarks.datasets import load_amazon_reviews
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "reviews.jsonl"
    >>> _ = path.write_text('{"overall": 5.0, "summary": "Great", "reviewText": "I love it."}\\n')
    >>> data = load_amazon_reviews(path)
    >>> data.template[:74]
    'review_headline: {review_headline} review_body: {review_body} Question: In'
    >>> data.y.tolist()
    [5.0]
    """
    path = existing(path, "file of Amazon reviews", SOURCE)
    table = pd.DataFrame(read_json_lines(path, max_rows=max_rows))
    stars = _first(STARS, table)
    body = _first(FIELDS["review_body"], table)
    if stars is None or body is None:
        raise ValueError(
            f"{path} has the fields {list(table)}. Needed are a rating (one of {STARS}) and a "
            f"review text (one of {FIELDS['review_body']})."
        )
    y = finite_targets(table[stars], "star_rating", path.name)
    if y.isna().any():
        warnings.warn(
            f"{int(y.isna().sum())} of {len(y)} reviews in {path.name} have no rating and are left "
            "out.",
            UserWarning,
            stacklevel=2,
        )
    table, y = table[y.notna()].reset_index(drop=True), y.dropna().reset_index(drop=True)
    X = _features(table, None if metadata is None else _products(metadata))
    return RegressionData(
        "amazon_reviews",
        X,
        y,
        parts=draw_parts(len(y), SIZES, random_state),
        template=" ".join([*(f"{name}: {{{name}}}" for name in X), QUESTION]),
        column_kinds={name: "text" for name in X if name not in SHORT},
        target_range=(1.0, 5.0),
        grid=(1.0, 2.0, 3.0, 4.0, 5.0),
        source=f"Ni et al. 2019; {SOURCE}",
    )


def _first(names, table):
    return next((name for name in names if name in table), None)


def _features(table, products):
    found = {field: _first(names, table) for field, names in FIELDS.items()}
    X = pd.DataFrame({field: table[name] for field, name in found.items() if name is not None})
    if "review_date" in X:
        X["review_date"] = _dates(X["review_date"])
    if products is not None:
        keys = table[[name for name in PRODUCT if name in table]].bfill(axis=1).iloc[:, 0]
        for field in products:
            X[field] = keys.map(products[field])
    return X[[field for field in FIELDS if field in X]]


def _dates(values):
    """Days as "2014-07-03", from seconds or milliseconds since 1970 or from any spelling."""
    if pd.api.types.is_numeric_dtype(values):
        unit = "ms" if values.abs().max() > 1e11 else "s"
        moments = pd.to_datetime(values, unit=unit, errors="coerce")
    else:
        moments = pd.to_datetime(values, errors="coerce", format="mixed")
    days = moments.dt.strftime("%Y-%m-%d").astype(object)
    return days.where(moments.notna(), None)


def _products(metadata):
    """Title and category of each product, by its identifier."""
    path = existing(metadata, "file of Amazon products", SOURCE)
    table = pd.DataFrame(read_json_lines(path))
    key, title = _first(PRODUCT, table), _first(META["product_title"], table)
    if key is None or title is None:
        raise ValueError(
            f"{path} has the fields {list(table)}. Needed are one of {PRODUCT} and 'title'."
        )
    table = table.drop_duplicates(key).set_index(key)
    found = {field: _first(names, table) for field, names in META.items()}
    found = pd.DataFrame({field: table[name] for field, name in found.items() if name})
    # Some releases give the path through the categories as a list.
    return found.map(lambda cell: " > ".join(map(str, cell)) if isinstance(cell, list) else cell)
