"""The suite's results: a line per fit in a CSV file, which any number of runs may add to."""

import pandas as pd

from benchmarks.suite.measure import COVERAGES

KEY = ["data", "split", "estimator", "max_rows"]
FIGURES = [
    *["r2", "rmse", "mae", "spearman", "crps"],
    *[f"coverage_{coverage}" for coverage in COVERAGES],
    *["r2_greedy", "fit_seconds", "predict_seconds"],
]
COLUMNS = [*KEY, "group", "n_train", "n_test", "spread", *FIGURES, "error", "status"]


class Results:
    """The file. Later lines replace earlier ones of the same key; half lines do not count.

    Parameters
    ----------
    path : Path
        Made if it does not exist.
    """

    def __init__(self, path):
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or not path.stat().st_size:
            pd.DataFrame(columns=COLUMNS).to_csv(path, index=False)
        elif not path.read_bytes().endswith(b"\n"):  # a run was killed while it wrote
            with path.open("a", encoding="utf-8") as file:
                file.write("\n")

    def add(self, line):
        """Append a line, at once: several runs may write to one file."""
        line = {**line, "status": "failed" if "error" in line else "ok"}
        text = pd.DataFrame([line], columns=COLUMNS).to_csv(
            index=False, header=False, lineterminator="\n"
        )
        with self.path.open("a", encoding="utf-8", newline="") as file:
            file.write(text)

    def read(self):
        """All whole lines, the last of each key."""
        table = pd.read_csv(self.path, on_bad_lines="skip")
        table = table[table["status"].isin(["ok", "failed"])]
        return table.drop_duplicates(KEY, keep="last")

    def finished(self, max_rows):
        """The lines of fits that came to their end, of runs with this ``max_rows``."""
        table = self.read()
        return table[(table["status"] == "ok") & (table["max_rows"] == max_rows)]

    def failed(self, max_rows):
        table = self.read()
        return table[(table["status"] == "failed") & (table["max_rows"] == max_rows)]
