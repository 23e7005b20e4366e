"""Predict a car's fuel consumption from its technical data and its name.

Two baselines and three language models on the Auto MPG data (398 cars). The language models are
small Llamas trained from scratch, so nothing is downloaded, and two CPU cores are enough. Prints a
table of scores, one prompt and one predictive distribution, and draws the learning curves.

    python examples/quickstart.py [--out quickstart.png]
"""

import argparse
import time
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.decomposition import TruncatedSVD
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics import PredictionErrorDisplay, r2_score, root_mean_squared_error
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder

from llmreg import LLMRegressor, RowSerializer

matplotlib.use("Agg")  # a picture in a file needs no display
import matplotlib.pyplot as plt

parser = argparse.ArgumentParser(description="Predict fuel consumption with a language model.")
parser.add_argument("--out", type=Path, default=Path("quickstart.png"), help="path of the picture")
out = parser.parse_args().out.resolve()

# --- The data: numbers, a category, a text, and some missing values ----------

cars = pd.read_csv(Path(__file__).parent / "data" / "auto-mpg.csv")
X, y = cars.drop(columns="mpg"), cars["mpg"]
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.25, random_state=0)
print(f"{len(X_train)} cars to learn from, {len(X_test)} to predict (miles per gallon)\n")

# --- The models --------------------------------------------------------------

# The boosted trees get the names as well, as numbers that they can split on.
boosted_trees = make_pipeline(
    make_column_transformer(
        (OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), ["origin"]),
        (make_pipeline(TfidfVectorizer(), TruncatedSVD(20, random_state=0)), "name"),
        remainder="passthrough",
    ),
    HistGradientBoostingRegressor(random_state=0),
)

baselines = {"mean": DummyRegressor(), "HistGradientBoosting": boosted_trees}
# "grpo" is a second stage that starts from "soft_ce": what it adds is the difference to that row.
language_models = {
    "LLMRegressor ce": LLMRegressor(fit_method="ce", random_state=0),
    "LLMRegressor soft_ce": LLMRegressor(fit_method="soft_ce", random_state=0),
    "LLMRegressor grpo": LLMRegressor(fit_method="grpo", random_state=0),
}

# --- Fit, predict, compare ---------------------------------------------------

print(f"{'model':<22}{'decoding':<10}{'R²':>7}{'RMSE':>8}{'seconds':>9}")


def report(model, decoding, prediction, seconds):
    r2, rmse = r2_score(y_test, prediction), root_mean_squared_error(y_test, prediction)
    print(f"{model:<22}{decoding:<10}{r2:>7.3f}{rmse:>8.2f}{seconds:>9.1f}", flush=True)


for name, model in baselines.items():
    start = time.perf_counter()
    prediction = model.fit(X_train, y_train).predict(X_test)
    report(name, "–", prediction, time.perf_counter() - start)

for name, model in language_models.items():
    start = time.perf_counter()
    model.fit(X_train, y_train)
    fit_seconds = time.perf_counter() - start
    for decoding in ("rail", "greedy"):  # the same model, read in two ways
        start = time.perf_counter()
        prediction = model.predict(X_test, decoding=decoding)
        report(name, decoding, prediction, fit_seconds + time.perf_counter() - start)

# --- What one row looks like on its way through ------------------------------

car = X_test.iloc[[0]]
model = language_models["LLMRegressor grpo"]
distribution = model.predict_distribution(car)
low, high = distribution.interval(0.9)[0]
prompt = RowSerializer().fit(X_train, y_train).transform(car).item()

print(f"\nprompt                {prompt}")
print(f"predicted mean        {distribution.mean()[0]:.1f}")
print(f"90 % interval         {low:.1f} to {high:.1f}")
print(f"true value            {y_test.iloc[0]}")

# --- The picture -------------------------------------------------------------

fig, (left, right) = plt.subplots(ncols=2, figsize=(11, 4.5), layout="constrained")

stage_styles = {"sft": ".-", "align": ".--"}
# The solid part of grpo's curve is soft_ce's, so soft_ce needs none of its own.
for color, name in (("C0", "LLMRegressor ce"), ("C1", "LLMRegressor grpo")):
    curve = language_models[name].history_.dropna(subset=["validation_rmse"])
    epochs = np.arange(1, len(curve) + 1)  # counted through both stages
    for stage, style in stage_styles.items():
        part = (curve["stage"] == stage).to_numpy()
        label = f"{name}, {stage}" if part.any() else None
        left.plot(epochs[part], curve["validation_rmse"][part], style, color=color, label=label)
left.set(xlabel="epoch", ylabel="validation RMSE", title="Learning curves, both stages")
left.legend()

PredictionErrorDisplay.from_predictions(
    y_test, model.predict(X_test), kind="actual_vs_predicted", ax=right
)
right.set_title(f"{name}, rail")

fig.savefig(out, dpi=120)
print(f"picture               {out}")
