"""MovieLens-1M as rating prediction from a user's earlier ratings."""

import numpy as np
import pandas as pd

from benchmarks.datasets.base import RegressionData, consecutive_parts, existing

__all__ = ["load_movielens_1m"]

TEMPLATE = (
    "Instruction: Predict the rating of a target movie based on the user's historical movie "
    "ratings. Rating History: {rating_history} Candidate Item: {candidate_item}. Output:"
)
SOURCE = "https://grouplens.org/datasets/movielens/1m/ (ml-1m.zip)."
COLUMNS = {
    "ratings": ["user", "movie", "rating", "timestamp"],
    "users": ["user", "gender", "age", "occupation", "zip"],
    "movies": ["movie", "title", "genres"],
}
HELD_OUT = 10_145  # rows for validation, and as many for testing: RAFT, Table 7


def load_movielens_1m(folder, *, n_history=10, max_users=None):
    """Read MovieLens-1M: each rating, with the ratings that its user gave before.

    A row is a rating that has at least one earlier rating by the same user; the history lists the
    latest ``n_history`` of those, oldest first ("Heat (1995): 4, ..."). Ratings of the same second
    count in the order of the file. Nothing in a row comes from after its rating.

    Parameters
    ----------
    folder : str or os.PathLike
        Holds ratings.dat, users.dat and movies.dat (latin-1, fields separated by "::").
    n_history : int, default=10
        Most ratings in the history. RAFT does not say how many it shows.
    max_users : int or None, default=None
        Only the users with the smallest identifiers: all of them make a million prompts.

    Returns
    -------
    RegressionData
        Columns "rating_history" and "candidate_item", which the prompt names, and "genres",
        "gender", "age" and "occupation" (codes as in the files); y "rating", 1 to 5; groups: the
        users. Parts in the order of time: the latest ratings are the test, those before them the
        validation rows, 10,145 each as in RAFT's Table 7, but at most a tenth of all rows. (How
        RAFT drew its rows and why it trains on 797,758 is not said.)

    Raises
    ------
    FileNotFoundError
        If one of the files is missing.
    ValueError
        For lines with another number of fields, ratings that are not numbers, or ``n_history`` or
        ``max_users`` below 1.

    References
    ----------
    Harper and Konstan, ACM TiiS 2015. Prompt: RAFT (Lukasik et al., 2025), Table 6, after Luo et
    al. 2024.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from benchmarks.datasets import load_movielens_1m
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> for name, lines in {
    ...     "ratings": "1::7::4::100\\n1::9::5::200\\n", "users": "1::F::25::3::00000\\n",
    ...     "movies": "7::Heat (1995)::Action\\n9::Alien (1979)::Horror\\n",
    ... }.items():
    ...     _ = (folder / f"{name}.dat").write_text(lines, encoding="latin-1")
    >>> data = load_movielens_1m(folder)
    >>> data.X.loc[0, ["rating_history", "candidate_item"]].tolist(), data.y.tolist()
    (['Heat (1995): 4.', 'Alien (1979)'], [5.0])
    """
    for name, value in (("n_history", n_history), ("max_users", max_users)):
        if value is not None and value < 1:
            raise ValueError(f"{name}={value}; give a number of at least 1.")
    folder = existing(folder, "folder of MovieLens-1M", SOURCE)
    ratings, users, movies = (_read(folder, name) for name in COLUMNS)
    if max_users is not None:
        chosen = np.unique(ratings["user"])[:max_users]
        ratings = ratings[ratings["user"].isin(chosen)]
    ratings = ratings.sort_values(["user", "timestamp"], kind="stable")
    ratings = ratings.merge(movies, on="movie", how="left").merge(users, on="user", how="left")
    ratings["history"] = _histories(ratings, n_history)
    ratings = ratings[ratings["history"] != ""].reset_index(drop=True)
    X = ratings[["history", "title", "genres", "gender", "age", "occupation"]].rename(
        columns={"history": "rating_history", "title": "candidate_item"}
    )
    return RegressionData(
        "movielens_1m",
        X,
        ratings["rating"].astype(float),
        parts=_parts_by_time(ratings["timestamp"]),
        template=TEMPLATE,
        column_kinds={"rating_history": "text", "candidate_item": "text"},
        target_range=(1.0, 5.0),
        grid=(1.0, 2.0, 3.0, 4.0, 5.0),
        groups=ratings["user"],
        source=f"Harper and Konstan 2015; {SOURCE}",
    )


def _read(folder, name):
    path = existing(folder / f"{name}.dat", f"{name}.dat", SOURCE)
    names = COLUMNS[name]
    lines = path.read_text(encoding="latin-1").splitlines()
    rows = [line.split("::") for line in lines if line]
    wrong = next((row for row in rows if len(row) != len(names)), None)
    if wrong is not None:
        raise ValueError(
            f"{path} has the line {'::'.join(wrong)!r} with {len(wrong)} fields; needed are "
            f"{len(names)}, separated by '::': {names}. Is it MovieLens-1M's file?"
        )
    table = pd.DataFrame(rows, columns=names)
    numeric = [column for column in names if column in ("user", "movie", "rating", "timestamp")]
    try:
        table[numeric] = table[numeric].apply(pd.to_numeric)
    except ValueError as error:
        raise ValueError(
            f"{path} has fields among {numeric} that are not numbers: {error}. Is it "
            "MovieLens-1M's file?"
        ) from error
    return table


def _histories(ratings, n_history):
    """The earlier ratings of each row's user as text; "" for a user's first rating."""
    entries = [f"{t}: {r:g}" for t, r in zip(ratings["title"], ratings["rating"], strict=True)]
    user = ratings["user"].to_numpy()
    first = np.flatnonzero(np.r_[True, user[1:] != user[:-1]]) if len(user) else np.zeros(0, int)
    start = np.repeat(first, np.diff(np.r_[first, len(user)]))
    return [
        ", ".join(entries[max(begin, row - n_history) : row]) + "." if row > begin else ""
        for row, begin in enumerate(start)
    ]


def _parts_by_time(timestamp):
    order = np.argsort(timestamp.to_numpy(), kind="stable")
    held_out = min(HELD_OUT, len(order) // 10)
    parts = consecutive_parts((len(order) - 2 * held_out, held_out, held_out))
    return {part: np.sort(order[rows]) for part, rows in parts.items()}
