"""
A cost of your own
==================

A baker bakes the evening before. A loaf too few loses a customer (4 euros), a loaf too many goes
to the pigs (1 euro). The best number is not the mean of the demand but its quantile at 4 / (4 +
1). With a whole distribution that is one line, and nothing has to be trained again when prices
change.
"""

# %%
# The demand
# ----------

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from llmreg import LLMRegressor

rng = np.random.default_rng(0)


def days(n_rows):
    weekday = rng.choice(["Mon", "Tue", "Wed", "Thu", "Fri", "Sat"], n_rows)
    weather = rng.choice(["sun", "clouds", "rain"], n_rows)
    market = rng.choice(["", "market on the square", "street works"], n_rows, p=[0.7, 0.2, 0.1])
    mean = 90 + 45 * (weekday == "Sat") + 20 * (weekday == "Fri") - 15 * (weather == "rain")
    mean = mean * np.select([market == "street works", market != ""], [0.6, 1.3], 1.0)
    X = pd.DataFrame({"weekday": weekday, "weather": weather, "note": market})
    return X, pd.Series(rng.negative_binomial(12, 12 / (12 + mean)), name="loaves", dtype=float)


(X_train, y_train), (X_test, y_test) = days(700), days(700)
model = LLMRegressor(fit_method="crps", sft_epochs=12, align_epochs=4, random_state=0)
distribution = model.fit(X_train, y_train).predict_distribution(X_test)

# %%
# What to bake
# ------------

TOO_FEW, TOO_MANY = 4.0, 1.0
best = TOO_FEW / (TOO_FEW + TOO_MANY)
choices = {
    "the mean": distribution.mean(),
    "the median": distribution.median(),
    f"the quantile at {best:.1f}": distribution.quantile([best])[:, 0],
}


def cost(baked):
    missing = y_test - baked
    return np.where(missing > 0, TOO_FEW * missing, -TOO_MANY * missing).mean()


for name, baked in choices.items():
    print(f"{name:22} costs {cost(baked):5.1f} euros a day")

# %%
# The cost at every quantile. On these 700 days the lowest point lies a little higher than 0.8; the
# curve is flat around it, so that a distribution that is a little off costs little.

levels = np.linspace(0.3, 0.97, 40)
costs = [cost(q) for q in distribution.quantile(levels).T]
fig, ax = plt.subplots(figsize=(8, 3.2), layout="constrained")
ax.plot(levels, costs, color="C0", lw=2)
ax.axvline(best, color="C1", ls="--", lw=1.5, label="4 / (4 + 1)")
ax.set(xlabel="quantile that is baked", ylabel="euros a day")
ax.legend()
plt.show()

# %%
# Any cost
# --------
# For costs of another shape there is no such rule, and none is needed: `predict` takes the cost
# itself, and weighs every number against all that may come true. Here with a fine of 60 euros for
# each day on which bread runs out:


def with_fine(baked, asked):
    missing = asked - baked
    return np.where(missing > 0, 60 + TOO_FEW * missing, -TOO_MANY * missing)


cautious = model.predict(X_test, cost=with_fine)
for name, baked in (choices | {"the least expected cost": cautious}).items():
    print(f"{name:23} costs {with_fine(baked, y_test).mean():5.1f} euros a day, fines included")
