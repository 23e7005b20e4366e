"""How noisy a policy gradient is: sampled numbers beside all numbers.

    python -m benchmarks.studies.gradients
    python -m benchmarks.studies.gradients --figure gradients.svg --tables diabetes auto-mpg

After a first stage, the gradient of one batch is computed again and again with new draws, and once
over all numbers. Printed for each method: the draws' variance by the exact gradient's square (0: no
noise; 1: as much noise as signal), and the seconds of a step. No cells are hidden.

--figure draws what the noise costs: the CRPS of test rows (a fifth) after every epoch of a second
stage of GRPO, against the seconds of the processor that training took so far, for all numbers and
for draws. All weights train, at a constant rate; lines are means over --seeds of the draws.
"""

import argparse
import time
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import torch
from sklearn.model_selection import train_test_split

from benchmarks.named_tables import load
from llmreg import GRPO, RLOO, GenRe2, LLMRegressor, ReMax
from llmreg.methods.functional import crps
from llmreg.training.policy import NumberPolicy, ZScale
from llmreg.training.stage import Stage
from llmreg.training.steps import BatchGradients, draw_noise
from llmreg.training.training_data import TrainingData

DRAWS = ("exact", 16, 4)


def first_stage(X, y, epochs):
    """An estimator whose model is ready to train on."""
    fitted = LLMRegressor(
        fit_method="soft_ce", sft_epochs=epochs, estimates=None, dropout=0.0, random_state=0
    ).fit(X, y)
    fitted.model_.place("cpu", torch.float32).train_mode(dropout=False)
    return fitted


def training_data(fitted, X, y):
    """Rows of a table as a stage trains on them."""
    codec = fitted.codec_
    z = (codec.to_axis(np.asarray(y)) - fitted.y_mean_) / fitted.y_std_
    encoded = fitted.prompts_.encode(fitted.serializer_.serialize(X))
    return TrainingData(encoded, z, codec.leaf_of(y), *np.ones((2, len(y))))


def scale_of(fitted):
    return ZScale.from_tree(
        fitted.model_.tree, fitted.y_mean_, fitted.y_std_, "cpu", torch.float32
    )  # fmt: skip


def gradient(model, data, method, scale, rows, generator):
    """The gradient of a batch as one vector (float64), and the seconds it took."""
    from llmreg.training.parallel import Processes

    batch = BatchGradients(model, data, method, scale, Processes(), None)
    noise = draw_noise(len(rows), method.num_draws, model.tree.n_levels, generator)
    start = time.perf_counter()
    batch(rows, noise)
    seconds = time.perf_counter() - start
    found = torch.cat([p.grad.flatten() for p in model.trainable().values() if p.grad is not None])
    model.zero_grad(set_to_none=True)
    return found.double(), seconds


def methods():
    for reward in ("mse", "crps"):
        for kind in (GRPO, RLOO, ReMax, GenRe2):
            yield kind, dict(reward=reward, scale_rewards=False)


def noise_table(epochs, repeats):
    """A row per method and number of draws, on diabetes."""
    X, y = load("diabetes")
    fitted = first_stage(X, y, epochs)
    problem = fitted.model_, training_data(fitted, X, y)
    rows, generator, lines = np.arange(32), torch.Generator().manual_seed(0), []
    after = partial(gradient, scale=scale_of(fitted), rows=rows, generator=generator)
    for kind, params in methods():
        exact, exact_seconds = after(*problem, kind("exact", **params))
        for count in (4, 16, 64):
            drawn = [after(*problem, kind(count, **params)) for _ in range(repeats)]
            variance = torch.stack([found for found, _ in drawn]).var(0).sum()
            lines.append({
                "method": kind.__name__, "reward": params["reward"], "draws": count,
                "variance / exact²": float(variance / exact.square().sum()),
                "step, s": float(np.median([seconds for _, seconds in drawn])),
                "exact step, s": exact_seconds,
            })  # fmt: skip
    return pd.DataFrame(lines)


def learning_curve(fitted, data, test, draws, settings, seed):
    """Seconds of training (E + 1,) and CRPS of test rows, from before the first epoch on."""
    model, scale = fitted.model_, scale_of(fitted)
    points, clock = [], {"spent": 0.0, "since": time.process_time()}

    def validate():
        clock["spent"] += time.process_time() - clock["since"]
        with torch.no_grad():
            batch, targets = test.batch(np.arange(len(test)), test.weight, "cpu", torch.float32)
            policy = NumberPolicy(model, batch, scale)
            found = crps(policy.leaf_log_probs(), policy.leaf_z, targets.z).double().numpy()
        points.append((clock["spent"], found.mean()))
        clock["since"] = time.process_time()
        return found.mean(), found

    Stage(
        model, data, GRPO(draws), scale, settings, validate=validate,
        rng=np.random.RandomState(seed), generator=torch.Generator().manual_seed(seed),
    ).run()  # fmt: skip
    return np.transpose(points)


def curves(name, args):
    """{draws: (seconds, CRPS)} of a table, means over seeds."""
    X, y = load(name)
    X, X_test, y, y_test = train_test_split(X, y, test_size=0.2, random_state=0)
    X, y = X[: args.rows], y[: args.rows]
    fitted = first_stage(X, y, args.epochs)
    data, test = training_data(fitted, X, y), training_data(fitted, X_test, y_test)
    start, found = fitted.model_.snapshot(), {}
    settings = replace(
        fitted.plan_.stages[0][1], name="align", epochs=args.second_epochs,
        learning_rate=args.rate, schedule="constant", warmup=0, n_iter_no_change=None,
        selection="last",
    )  # fmt: skip
    for draws in DRAWS:
        runs = []
        for seed in range(args.seeds):
            fitted.model_.restore(start)
            runs.append(learning_curve(fitted, data, test, draws, settings, seed))
        found[draws] = np.mean(runs, 0)
        seconds, errors = found[draws]
        best = errors.argmin()
        print(f"{name}, {draws}: CRPS {errors[0]:.4f} before, {errors[best]:.4f} after "
              f"{seconds[best]:.1f} s of {seconds[-1]:.1f}", flush=True)  # fmt: skip
    return found


def draw(found, path):
    """A panel for each table."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    fig, axes = plt.subplots(
        ncols=len(found), figsize=(4.5 * len(found), 3.5), layout="constrained", squeeze=False
    )
    for ax, (name, lines) in zip(axes[0], found.items(), strict=True):
        for draws, (seconds, errors) in lines.items():
            label = "all numbers" if draws == "exact" else f"{draws} draws"
            ax.plot(seconds, errors, label=label)
        ax.set(title=name, xlabel="seconds of training", ylabel="CRPS, in deviations of y")
        ax.legend(frameon=False)
    fig.savefig(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=10, help="of the first stage")
    parser.add_argument("--figure", help="draw CRPS against seconds instead, to this file")
    parser.add_argument("--tables", nargs="+", default=["diabetes", "auto-mpg"])
    parser.add_argument("--rows", type=int, default=400, help="to train on, at most")
    parser.add_argument("--second-epochs", type=int, default=30)
    parser.add_argument("--rate", type=float, default=3e-4, help="learning rate of the figure")
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    if args.figure:
        draw({name: curves(name, args) for name in args.tables}, args.figure)
        print(args.figure)
    else:
        print(noise_table(args.epochs, args.repeats).round(3).to_string(index=False))


if __name__ == "__main__":
    main()
