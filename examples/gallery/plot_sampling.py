"""
What a reward does to draws
===========================

Language models are often asked several times, and the answers averaged. A second stage that
rewards close numbers (here ReMax with the squared error, as in GenRe²) makes single draws better:
fewer of them are enough. It does so by making the distribution narrow, and that has a price, which
the second picture shows.
"""

# %%
# Before and after
# ----------------
# The same first stage, cross-entropy; then nothing, or some epochs of rewards. The estimates of
# simple regressors and the temperature that held-out rows choose would hide what the stage does.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from llmreg import LLMRegressor, ReMax, SamplesDisplay

rng = np.random.default_rng(0)


def houses(n_rows):
    X = pd.DataFrame(
        {"area": rng.uniform(30, 200, n_rows), "place": rng.choice(list("ABC"), n_rows)}
    )
    euros = X["area"] * np.select([X["place"] == "A", X["place"] == "B"], [4.0, 2.5], 1.5)
    return X, (40 + euros + rng.normal(0, 0.3 * euros)).rename("price")


(X_train, y_train), (X_test, y_test) = houses(400), houses(400)
alone = dict(estimates=None, temperature_scaling=False, sft_epochs=12, random_state=0)
remax = dict(fit_method=ReMax(), sft_method="ce", adapters=None, selection="last")
models = {
    "cross-entropy": LLMRegressor(fit_method="ce", **alone),
    "then ReMax": LLMRegressor(**remax, align_epochs=8, align_learning_rate=1e-3, **alone),
}
found = {
    name: model.fit(X_train, y_train).predict_distribution(X_test) for name, model in models.items()
}

# %%
# Draws
# -----
# One draw is much better after the second stage, and few do for a mean. But the best of many is
# worse: draws that are alike leave a judge less to choose from.

fig, axes = plt.subplots(ncols=2, figsize=(10, 4), sharey=True, layout="constrained")
for ax, (name, distribution) in zip(axes, found.items(), strict=True):
    display = SamplesDisplay.from_predictions(y_test, distribution, target_name="price", ax=ax)
    ax.set_title(name)
    one, many = display.rmse_of_mean[[0, -1]]
    print(f"{name:14} RMSE of one draw {one:5.1f}, of the mean of 64 {many:5.1f}")
plt.show()

# %%
# What it costs
# -------------
# The entropy falls, and intervals hold less than they promise.

promised = np.array([50, 80, 95])
fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
for place, (name, distribution) in enumerate(found.items()):
    ends = [distribution.interval(coverage / 100).T for coverage in promised]
    held = [100 * np.mean((low <= y_test) & (y_test <= high)) for low, high in ends]
    entropy, crps = distribution.entropy().mean(), distribution.crps(y_test).mean()
    label = f"{name}: entropy {entropy:.2f}, CRPS {crps:.1f}"
    ax.bar(np.arange(3) + 0.35 * place, held, 0.35, label=label)
ax.hlines(promised, np.arange(3) - 0.2, np.arange(3) + 0.55, color="black", label="promised")
ax.set_xticks(np.arange(3) + 0.175, [f"{coverage} % interval" for coverage in promised])
ax.set(ylabel="test rows within, in %")
fig.legend(frameon=False, loc="outside lower center")
plt.show()
