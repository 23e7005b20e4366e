"""The default settings on two tables that come with scikit-learn, beside common baselines.

    python -m benchmarks.studies.defaults            # both tables, about 3 minutes on two cores
    python -m benchmarks.studies.defaults diabetes

Friedman #1: 4,000 rows, the last 20 % held out. Diabetes: KFold(5, shuffle=True, random_state=0).
"""

import argparse
import time

import numpy as np
import pandas as pd
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
from sklearn.linear_model import RidgeCV
from sklearn.metrics import r2_score
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.named_tables import load
from llmreg import LLMRegressor

MODELS = {
    "mean": DummyRegressor,
    "ridge": lambda: make_pipeline(StandardScaler(), RidgeCV(np.logspace(-3, 3, 13))),
    "random forest": lambda: RandomForestRegressor(random_state=0, n_jobs=-1),
    "hist. gradient boosting": lambda: HistGradientBoostingRegressor(random_state=0),
    "llmreg, fit_method='ce'": lambda: LLMRegressor(fit_method="ce", random_state=0),
    "llmreg, fit_method='soft_ce'": lambda: LLMRegressor(fit_method="soft_ce", random_state=0),
    "llmreg, defaults": lambda: LLMRegressor(random_state=0),
}


def splits(name, X):
    if name == "diabetes":
        return list(KFold(5, shuffle=True, random_state=0).split(X))
    cut = len(X) * 4 // 5
    return [(np.arange(cut), np.arange(cut, len(X)))]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("tables", nargs="*", default=["friedman1", "diabetes"])
    for name in parser.parse_args().tables:
        X, y = load(name)
        rows = []
        for label, make in MODELS.items():
            scores, start = [], time.perf_counter()
            for train, test in splits(name, X):
                model = make().fit(X.iloc[train], y[train])
                scores.append(r2_score(y[test], model.predict(X.iloc[test])))
            seconds = (time.perf_counter() - start) / len(scores)
            rows.append({"model": label, "R²": np.mean(scores), "seconds per fit": seconds})
            print(f"{name}: {label}: R² {np.mean(scores):.3f}, {seconds:.1f} s", flush=True)
        print(pd.DataFrame(rows).round(3).to_string(index=False), flush=True)


if __name__ == "__main__":
    main()
