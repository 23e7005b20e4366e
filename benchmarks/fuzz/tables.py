"""Hostile tables for the fuzz command: columns, names, containers, targets and weights.

Everything takes a numpy Generator, so that a case is the same each time.
"""

import datetime as dt
import uuid
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd

__all__ = [
    "BLANKS", "CONTAINERS", "MISSING", "any_column", "any_names", "any_target", "any_text",
    "any_weight", "as_objects", "as_series", "contain", "held", "with_gaps",
]  # fmt: skip

WORDS = (
    "red", "blue", "old", "new", "big", "tiny", "Graz", "Linz", "Wien", "Zürich", "東京", "שלום",
    "مرحبا", "ß", "İstanbul", "🚗", "👩\u200d👧", "\u00e9", "e\u0301",
)  # fmt: skip
MISSING = (None, float("nan"), pd.NaT, pd.NA)
BLANKS = ("", " ", "\t", "n/a", "NA", "-", "?", "nan", "None", "null", "missing")
DAY = dt.timedelta(days=1)
START = dt.datetime(2021, 3, 5)


# -- cells: functions of (rng, n) that return a list ----------------------------------------------


def _choice(rng, n, values):
    return [values[i] for i in rng.integers(len(values), size=n)]


def _floats(rng, n):
    return (rng.standard_normal(n) * 10.0 ** rng.integers(-3, 4)).tolist()


def _ints(rng, n):
    return rng.integers(-50, 1000, n).tolist()


def _spelled(rng, n):
    styles = [
        "${:,.2f}", "€ {:.2f}", "{:.2f} %", "{:.2f}%", "{:,.0f}", "{:.2f} km", "{:.1f}kg",
        "{:.3e}", "+{:.2f}", " {:.2f} ", "({:.2f})", "{:.2f}-", "−{:.2f}", "~{:.1f}", ">{:.0f}",
        "0x{:.0f}", "{:.2f} USD", "{:.0f}e400",
    ]  # fmt: skip
    style = styles[rng.integers(len(styles))]
    return [style.format(x) for x in abs(rng.standard_normal(n)) * 5000]


def _comma_decimals(rng, n):
    style = ["{:.2f}", "{:,.2f}"][rng.integers(2)]
    swap = str.maketrans(".,", ",.")
    return [style.format(x).translate(swap) for x in rng.standard_normal(n) * 3000]


def _odd_numerals(rng, n):
    return _choice(
        rng, n, ["½", "١٢٣", "1_000", "inf", "-inf", "nan", "1e999", "٣", "Ⅳ", "1 000", "1'000"]
    )


def _texts(rng, n):
    lengths = _choice(rng, n, [0, 1, 3, 5, 8, 20])
    return [" ".join(_choice(rng, k, WORDS)) for k in lengths]


def _long_texts(rng, n):
    cells = _texts(rng, n)
    for row in rng.integers(n, size=2):
        words = " ".join(_choice(rng, 50, WORDS))
        cells[row] = (words * 200)[: rng.integers(500, 20_000)]
    return cells


def _nasty_texts(rng, n):
    nasty = [
        "\x00", "a\x00b", "\ud83d", "cut \ud83d", "\udc00x", "\u202eRTL", "\ufeffbom", "a\nb\r\nc",
        "{}", "{x}", "{0!r}", "<end>", "<|endoftext|>", "</s>", "a, b: c.", "%s", "\\", "'", '"',
        "", " ", "e" + "\u0301" * 50, "\U0010ffff", "𝟙𝟚", "x" * 3000, "ﬁ", "\x1b[31m", "\u2028",
    ]  # fmt: skip
    return _choice(rng, n, nasty)


def _booleans(rng, n):
    pairs = [
        (True, False), ("yes", "no"), ("Y", "N"), ("true", "false"), ("TRUE", "FALSE"),
        ("t", "f"), (1, 0), ("1", "0"), (1.0, 0.0), ("on", "off"), (True, "true"), (np.True_, 0),
    ]  # fmt: skip
    return _choice(rng, n, pairs[rng.integers(len(pairs))])


def _dates(rng, n):
    moments = [START + DAY * int(d) for d in rng.integers(0, 900, n)]
    if rng.random() < 0.5:
        moments = [
            m + dt.timedelta(seconds=int(s))
            for m, s in zip(moments, rng.integers(0, 86_400, n), strict=True)
        ]
    return moments


def _date_strings(rng, n):
    formats = [
        "%Y-%m-%d", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S+09:00",
        "%m/%d/%Y", "%d.%m.%Y", "%d %b %Y", "%Y%m%d", "%H:%M", "%Y-W%V", "%Y-%m",
        "%Y-%m-%d %H:%M:%S.%f", "%A, %d %B %Y",
    ]  # fmt: skip
    several = formats if rng.random() < 0.2 else [formats[rng.integers(len(formats))]]
    return [m.strftime(f) for m, f in zip(_dates(rng, n), _choice(rng, n, several), strict=True)]


def _far_dates(rng, n):
    return _choice(rng, n, [
        dt.datetime(1, 1, 1), dt.datetime(9999, 12, 31, 23, 59, 59), START, dt.date(1500, 1, 1),
        np.datetime64("2262-04-12"), np.datetime64("NaT"), "0000-00-00", "2021-02-30",
    ])  # fmt: skip


def _zoned(rng, n):
    zones = [dt.timezone(dt.timedelta(hours=h)) for h in (-5, 0, 9)]
    several = zones if rng.random() < 0.5 else zones[:1]
    return [
        m.replace(tzinfo=z) for m, z in zip(_dates(rng, n), _choice(rng, n, several), strict=True)
    ]


def _durations(rng, n):
    return [dt.timedelta(seconds=int(s)) for s in rng.integers(-(10**6), 10**8, n)]


def _nested(rng, n):
    return _choice(rng, n, [[1, 2], {"a": 1}, (1,), {3}, [], {}, np.arange(3), [[1], [2]], b"\xff"])


def _mixed(rng, n):
    return _choice(rng, n, [
        1, 1.0, True, "1", "a", None, Decimal("1.5"), Fraction(1, 3), START, DAY, b"x", (1, 2),
        10**30, 1e-320, np.float32(0.1), np.int8(3), uuid.UUID(int=7), pd.NA, "", START.date(),
        pd.Timestamp("2020-01-01", tz="Asia/Tokyo"), pd.Period("2020-01"), pd.Interval(0, 1),
    ])  # fmt: skip


CELLS = {
    "floats": _floats,
    "ints": _ints,
    "huge floats": lambda rng, n: (rng.standard_normal(n) * 1e300).tolist(),
    "tiny floats": lambda rng, n: (rng.standard_normal(n) * 1e-300).tolist(),
    "subnormal": lambda rng, n: (rng.integers(-9, 9, n) * 5e-324).tolist(),
    "all sizes": lambda rng, n: (10.0 ** rng.integers(-320, 308, n)).tolist(),
    "signed zeros": lambda rng, n: _choice(rng, n, [0.0, -0.0]),
    "ids": lambda rng, n: list(range(1000, 1000 + n)),
    "huge ids": lambda rng, n: [2**53 + int(i) for i in rng.integers(0, 99, n)],
    "id strings": lambda rng, n: [f"{i:05d}" for i in rng.integers(0, 10**5, n)],
    "uint64": lambda rng, n: [2**63 + int(i) for i in rng.integers(0, 9, n)],
    "bigints": lambda rng, n: _choice(rng, n, [10**400, -(10**20), 3, 10**18]),
    "timestamps": lambda rng, n: rng.integers(1_600_000_000_000, 1_700_000_000_000, n).tolist(),
    "infinite": lambda rng, n: _choice(rng, n, [1.0, float("inf"), -2.0]),
    "booleans": _booleans,
    "levels": lambda rng, n: _choice(rng, n, WORDS[:4]),
    "many levels": lambda rng, n: [f"level {i}" for i in rng.integers(0, n, n)],
    "texts": _texts,
    "long texts": _long_texts,
    "nasty texts": _nasty_texts,
    "number strings": lambda rng, n: [repr(x) for x in _floats(rng, n)],
    "int strings": lambda rng, n: [str(x) for x in _ints(rng, n)],
    "spelled numbers": _spelled,
    "comma decimals": _comma_decimals,
    "odd numerals": _odd_numerals,
    "dates": _dates,
    "days": lambda rng, n: [START.date() + DAY * int(d) for d in rng.integers(0, 900, n)],
    "times": lambda rng, n: [m.time() for m in _dates(rng, n)],
    "date strings": _date_strings,
    "far dates": _far_dates,
    "zoned dates": _zoned,
    "durations": _durations,
    "decimals": lambda rng, n: [Decimal(int(i)) / 100 for i in rng.integers(-999, 9999, n)],
    "odd decimals": lambda rng, n: _choice(rng, n, [*map(Decimal, ("NaN", "1E+5000", "1"))]),
    "fractions": lambda rng, n: [Fraction(int(i), 7) for i in rng.integers(-99, 99, n)],
    "complex": lambda rng, n: [complex(1, i) for i in range(n)],
    "nested": _nested,
    "mixed": _mixed,
    "constant": lambda rng, n: [_choice(rng, 1, [3, "a", 1.5, True, START])[0]] * n,
    "all missing": lambda rng, n: [MISSING[rng.integers(4)]] * n,
    "all blank": lambda rng, n: [BLANKS[rng.integers(len(BLANKS))]] * n,
}  # fmt: skip
REFUSED = ("complex", "infinite")
PLAIN = ("floats", "ints", "levels", "texts", "booleans", "dates", "number strings", "all sizes")

# dtype -> cells it is given; what cannot be cast stays as it is
DTYPES = {
    "Int64": "ints", "Float64": "floats", "boolean": "booleans", "string": "texts",
    "float32": "floats", "float16": "floats", "int8": "booleans", "uint64": "uint64",
    "category": "levels", "int64[pyarrow]": "ints", "double[pyarrow]": "floats",
    "string[pyarrow]": "texts", "timestamp[us][pyarrow]": "dates", "duration[us][pyarrow]":
    "durations", "bool[pyarrow]": "booleans", "date32[pyarrow]": "days",
    "Sparse[float64]": "floats", "datetime64[s]": "dates", "datetime64[ns, Asia/Tokyo]": "dates",
    "timedelta64[ns]": "durations", "period[M]": "dates", "period[D]": "dates",
    "S10": "id strings", "str": "levels",
}  # fmt: skip


def as_series(cells):
    """A Series of these cells, with the dtype pandas infers, or of objects where it can't."""
    try:
        return pd.Series(cells)
    except Exception:  # lone surrogates and numbers too large for the inferred dtype
        return as_objects(cells)


def as_objects(cells):
    column = np.empty(len(cells), dtype=object)
    column[:] = cells
    return pd.Series(column, dtype=object)


def any_column(rng, n, plain=False):
    """(kind, Series): a column of any kind, perhaps with missing cells."""
    if not plain and rng.random() < 0.3:
        kind, column = _typed(rng, n)
    else:
        kinds = PLAIN if plain or rng.random() < 0.4 else tuple(CELLS)
        kind = kinds[rng.integers(len(kinds))]
        if kind in REFUSED and rng.random() < 0.8:
            kind = "floats"
        cells = CELLS[kind](rng, n)
        column = as_objects(cells) if rng.random() < 0.3 else as_series(cells)
    if rng.random() < (0.15 if plain else 0.3):
        kind, column = f"{kind} with gaps", with_gaps(rng, column)
    return kind, column


def any_text(rng, n):
    """(kind, Series): a column of strings, perhaps with missing cells."""
    kinds = ("texts", "long texts", "nasty texts", "spelled numbers", "levels", "date strings")
    kind = kinds[rng.integers(len(kinds))]
    column = as_objects(CELLS[kind](rng, n))
    if rng.random() < 0.3:
        column = column.mask(rng.random(n) < 0.2, MISSING[rng.integers(len(MISSING))])
    return kind, column


def _typed(rng, n):
    if rng.random() < 0.2:
        return _binned(rng, n)
    dtype = list(DTYPES)[rng.integers(len(DTYPES))]
    cells = CELLS[DTYPES[dtype]](rng, n)
    try:
        if dtype.startswith("period"):
            return dtype, pd.Series(pd.DatetimeIndex(cells).to_period(dtype[7]))
        if dtype == "datetime64[ns, Asia/Tokyo]":
            return dtype, pd.Series(cells).dt.tz_localize("Asia/Tokyo")
        return dtype, pd.Series(cells).astype(dtype)
    except Exception:
        return DTYPES[dtype], as_series(cells)


def _binned(rng, n):
    """Categories that hold intervals, have an order, or levels that do not occur."""
    column = pd.cut(pd.Series(rng.standard_normal(n)), [-9, -1, 0, 1, 2, 9])
    if rng.random() < 0.5:
        return "bins", column
    codes, levels = column.cat.codes, [["a", "b", "c", "d", "z"], [1, 2, 3, 4, 9]][rng.integers(2)]
    return "unused levels", pd.Series(pd.Categorical.from_codes(codes, levels, ordered=True))


def with_gaps(rng, column):
    """The column with one to all of its cells missing, in one of the ways to write that."""
    mask = rng.random(len(column)) < rng.choice([0.05, 0.3, 0.9])
    if column.dtype != object and rng.random() < 0.6:
        return column.mask(mask)
    token = _choice(rng, 1, MISSING * 2 + BLANKS)[0]
    return as_objects([token if gone else x for x, gone in zip(column, mask, strict=True)])


# -- tables ---------------------------------------------------------------------------------------


def any_names(rng, n):
    """Labels for n columns, mostly harmless."""
    if rng.random() < 0.6:
        return [f"col {i}" for i in range(n)]
    if rng.random() < 0.1:
        return pd.MultiIndex.from_tuples([("a", i) for i in range(n)])
    odd = [
        "", " ", "{x}", "{", "a{0!r}", "größe", "🚗", "\ud800", "a\nb", "x" * 3000, "target", "x0",
        0, 1, 2.5, None, float("nan"), ("a", 1), "col: 1", "text", pd.Timestamp("2020-01-01"),
        "a__timestamp", "missing", "a",
    ]  # fmt: skip
    repeat = rng.random() < 0.05
    return [odd[i] for i in rng.choice(len(odd), n, replace=repeat)]


def _polars(frame):
    import polars

    return polars.from_pandas(frame)


def _arrow(frame):
    import pyarrow

    return pyarrow.Table.from_pandas(frame, preserve_index=False)


CONTAINERS = {
    "pandas": lambda frame: frame,
    "polars": _polars,
    "arrow": _arrow,
    "array": lambda frame: frame.to_numpy(dtype=object),
    "rows": lambda frame: [list(row) for row in frame.itertuples(index=False, name=None)],
    "tuples": lambda frame: list(frame.itertuples(index=False, name=None)),
    "dicts": lambda frame: frame.to_dict("records"),
    "columns": lambda frame: {name: frame[name].tolist() for name in frame},
    "records": lambda frame: frame.to_records(index=False),
    "texts": lambda frame: frame.iloc[:, 0].tolist(),
    "series": lambda frame: frame.iloc[:, 0],
}


def contain(name, frame):
    """The frame in a container, or itself where the container cannot hold it."""
    try:
        return CONTAINERS[name](frame)
    except Exception:
        return frame


def held(X):
    """The rows of a typed container as it holds them, as text; None for other containers."""
    read = getattr(X, "to_pylist", None) or getattr(X, "rows", None)
    return read and list(map(repr, read()))


# -- targets and weights --------------------------------------------------------------------------


def _finite_targets(rng, n):
    normal, uniform = rng.standard_normal(n), rng.random(n)
    size = 10.0 ** rng.integers(-2, 6)
    return {
        "normal": normal * size,
        "lognormal": np.exp(2 * normal),
        "cauchy": np.tan(3.1 * (uniform - 0.5)) * size,
        "two tails": np.sinh(3 * normal),
        "zero-inflated": np.where(uniform < 0.6, 0.0, np.exp(normal)),
        "counts": rng.poisson(3, n),
        "stars": rng.integers(1, 6, n),
        "constant": np.full(n, _choice(rng, 1, [0.0, 3.0, -1e300, 1e-310])[0]),
        "near-constant": 1e9 + 1e-6 * normal,
        "huge": normal * 1e300,
        "largest": rng.choice([-1.7e308, 1.7e308, 0.0], n),
        "tiny": normal * 1e-300,
        "subnormal": rng.integers(0, 9, n) * 5e-324,
        "outlier": np.where(np.arange(n) == 3, 1e9, normal),
        "ties": np.where(uniform < 0.9, 7.0, normal),
        "two values": rng.integers(0, 2, n),
        "booleans": uniform < 0.5,
        "float32": normal.astype(np.float32),
        "int8": rng.integers(-128, 128, n).astype(np.int8),
        "huge ints": 2**53 + rng.integers(0, 9, n),
        "negative": -np.exp(normal),
    }


def _refusable_targets(rng, n):
    y = rng.standard_normal(n)
    return {
        "nan": np.where(np.arange(n) == 1, np.nan, y),
        "inf": np.where(np.arange(n) == 1, np.inf, y),
        "two columns": np.stack([y, y], 1),
        "short": y[:-1],
        "scalar": 3.0,
        "none": None,
        "words": ["a"] * n,
        "number strings": [str(x) for x in y],
        "complex": y + 1j,
        "with None": [None, *y[1:]],
        "Decimals": [Decimal(str(x)) for x in y],
        "with NA": pd.Series(y).astype("Float64").mask(np.arange(n) == 1),
        "nullable": pd.Series(y).astype("Float64"),
        "dates": pd.Series(_dates(rng, n)),
        "durations": pd.Series(_durations(rng, n)),
        "durations in s": pd.Series(_durations(rng, n)).astype("timedelta64[s]"),
        "periods": pd.Series(pd.period_range("2020-01", periods=n, freq="M")),
        "categories": pd.Series(_choice(rng, n, [1, 2, 3])).astype("category"),
        "surrogates": ["\ud800"] * n,
        "bigints": [10**400] * n,
    }


def any_target(rng, n):
    """(kind, y): n targets of any kind, in any container."""
    kinds = _refusable_targets(rng, n) if rng.random() < 0.12 else _finite_targets(rng, n)
    kind = list(kinds)[rng.integers(len(kinds))]
    y = kinds[kind]
    if not isinstance(y, np.ndarray) or y.ndim != 1 or rng.random() < 0.6:
        return kind, y
    forms = [
        y.tolist(), pd.Series(y, name="price {x}"), y.reshape(-1, 1), pd.DataFrame({"y": y}),
        pd.Series(y, index=range(len(y), 0, -1), name=7), tuple(y.tolist()), y.astype(object),
    ]  # fmt: skip
    return kind, forms[rng.integers(len(forms))]


def any_weight(rng, n):
    """(kind, sample_weight): mostly None."""
    if rng.random() < 0.75:
        return "no weights", None
    u = rng.random(n)
    kinds = {
        "ones": np.ones(n), "random": u, "mostly zero": np.where(u < 0.8, 0, u),
        "one row": np.eye(n)[0], "zero": np.zeros(n), "huge": u * 1e300,
        "huge equal": np.full(n, 1e40), "tiny": np.full(n, 1e-300),
        "all sizes": 10.0 ** rng.integers(-300, 300, n), "negative": u - 0.5,
        "nan": np.where(u < 0.1, np.nan, u), "short": u[:-1], "ints": rng.integers(0, 3, n),
        "list": u.tolist(), "scalar": 2.0, "words": ["a"] * n,
    }  # fmt: skip
    kind = list(kinds)[rng.integers(len(kinds))]
    return f"weights {kind}", kinds[kind]
