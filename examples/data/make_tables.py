"""Write flats.csv and reviews.csv, two made-up tables with texts whose truth is known.

python examples/data/make_tables.py
"""

from pathlib import Path

import numpy as np
import pandas as pd

FOLDER = Path(__file__).parent
DISTRICTS = {"old town": 1.35, "harbour": 1.15, "university": 1.05, "west": 0.95, "mill": 0.8}
# What an ad says, and by how much that changes the rent.
REMARKS = {
    "large balcony facing south": 1.10, "small balcony": 1.04, "freshly renovated": 1.12,
    "needs some work": 0.85, "old windows": 0.94, "quiet courtyard": 1.05, "busy street": 0.92,
    "new kitchen": 1.07, "no kitchen": 0.93, "lift": 1.03, "fifth floor without lift": 0.91,
    "view of the river": 1.13, "damp cellar": 0.96, "parquet floor": 1.04, "garage": 1.08,
}  # fmt: skip
OPENINGS = ["Bright flat", "Flat", "Cosy flat", "Family flat", "Nice flat for two", "Loft"]
# What a review says, and the stars that it gives or takes.
PRAISE = {
    "works as promised": 0.6, "a joy to use": 1.2, "great value": 0.9, "my best buy this year": 1.5,
    "looks lovely": 0.6, "arrived early": 0.3, "very quiet": 0.5, "easy to clean": 0.4,
}  # fmt: skip
BLAME = {
    "broke after a week": -1.9, "the lid does not close": -0.9, "too loud": -0.7,
    "overpriced": -0.6, "arrived late": -0.3, "smells of plastic": -0.8,
    "the manual is a joke": -0.4,
    "sent it back": -1.6, "smaller than I thought": -0.4,
}  # fmt: skip
THINGS = ["kettle", "toaster", "blender", "coffee grinder", "lunch box", "desk lamp"]


def flats(rng, n_rows=360):
    """Ads for flats with their monthly rent in euros."""
    rows = []
    for _ in range(n_rows):
        size = float(np.clip(rng.normal(68, 22), 22, 150).round())
        district = rng.choice(list(DISTRICTS))
        remarks = rng.choice(list(REMARKS), rng.integers(1, 5), replace=False)
        rent = (140 + 11 * size) * DISTRICTS[district]
        rent *= np.prod([REMARKS[r] for r in remarks]) * np.exp(rng.normal(0, 0.04))
        year = rng.integers(1890, 2021)
        rows.append({
            "size": size, "rooms": max(1, round(size / 27 + rng.normal(0, 0.3))),
            "district": district, "built": year if rng.random() > 0.1 else None,
            "ad": f"{rng.choice(OPENINGS)}, {', '.join(remarks)}.", "rent": round(rent),
        })  # fmt: skip
    return pd.DataFrame(rows).astype({"built": "Int64"})


def reviews(rng, n_rows=360):
    """Reviews of household things with their stars, one to five."""
    rows = []
    for _ in range(n_rows):
        liking = rng.random()
        said = [rng.choice(list(PRAISE if rng.random() < liking else BLAME))
                for _ in range(rng.integers(1, 4))]  # fmt: skip
        stars = 3.2 + sum({**PRAISE, **BLAME}[s] for s in dict.fromkeys(said))
        text = f"The {rng.choice(THINGS)}: {', '.join(dict.fromkeys(said))}."
        stars = int(np.clip(round(stars + rng.normal(0, 0.35)), 1, 5))
        rows.append({"review": text, "stars": stars})
    return pd.DataFrame(rows)


if __name__ == "__main__":
    for make in (flats, reviews):
        path = FOLDER / f"{make.__name__}.csv"
        make(np.random.default_rng(0)).to_csv(path, index=False)
        print(path)
