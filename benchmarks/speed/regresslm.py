"""Fit and predict Friedman #1 from scratch, beside RegressLM on the same rows as text.

    python -m benchmarks.speed.regresslm                              # about 20 minutes on a core
    python -m benchmarks.speed.regresslm --width 256 --learning-rates 1e-3
    python -m benchmarks.speed.regresslm --epochs 2                   # its cost extrapolated

Needs google-deepmind/regress-lm (from its repository; the package of that name on PyPI is empty)
and sentencepiece, ordered-set and absl-py, for which it asks. Both sides start from random weights
and see the same 2,900 training and 300 validation rows; 300 rows are held out. RegressLM is given
what suits it: one token per character of short texts, batches of 64, its own optimiser (Muon) at
several learning rates, of which the best counts with its own time alone, and the better of median
and trimmed mean of its samples. Its widths and layers are chosen for llmreg's number of parameters
(``--width`` asks for another). If it trains for fewer epochs than ``--full-epochs``, its fitting
time is multiplied up, and the line says so: R² is then that of the short fit. llmreg is timed with
its default fit, and with the shortest that reaches RegressLM's R².
"""

import argparse

import numpy as np
from sklearn.datasets import make_friedman1
from sklearn.metrics import r2_score

from benchmarks.speed.shared import CLOCKS, add_clock, median_ratio, need, verdict
from llmreg import LLMRegressor

BAR = 20
SPLIT = (2900, 3200)  # ends of the training and of the validation rows


def main():
    args = _arguments()
    need("regress_lm", "get https://github.com/google-deepmind/regress-lm and put it on PYTHONPATH")
    X, y = make_friedman1(args.rows, 10, noise=1.0, random_state=0)
    ends = [len(X) * end // 3500 for end in SPLIT]
    default = fit_ours(X, y, ends, args, args.sft_epochs)
    print(line("llmreg", *default))
    found = [fit_theirs(X, y, ends, rate, args) for rate in args.learning_rates]
    for rate, (n_theirs, theirs) in zip(args.learning_rates, found, strict=True):
        print(line(f"RegressLM, learning rate {rate:g}", n_theirs, theirs))
    _, best = max(found, key=lambda result: result[1]["R²"])
    factor = args.full_epochs / args.epochs
    theirs = best["fit"] * factor + best["predict"]
    if factor != 1:
        print(f"RegressLM's {args.epochs} epochs are extrapolated to {args.full_epochs}.")
    _, short = shortest(X, y, ends, args, best["R²"])
    for what, ours in {"default fit": default[1], "shortest fit at its R²": short}.items():
        ratio = median_ratio([theirs], [ours["fit"] + ours["predict"]])
        print(verdict(f"fit + predict, RegressLM (R² {best['R²']:.3f}) / llmreg, {what} (R² "
                      f"{ours['R²']:.3f})", ratio, BAR, at_least=True))  # fmt: skip


def _arguments():
    found = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    found.add_argument("--rows", type=int, default=3500)
    found.add_argument("--method", default="ce", help="of llmreg")
    found.add_argument("--number-input", default="auto", help="of llmreg; 'text': digits alone")
    found.add_argument("--sft-epochs", type=int, default="auto", help="of llmreg's default fit")
    found.add_argument("--width", type=int, default=48, help="of RegressLM, a multiple of 16")
    found.add_argument("--learning-rates", type=float, nargs="+", default=[1e-3, 4e-3])
    found.add_argument("--epochs", type=int, default=20, help="of RegressLM")
    found.add_argument("--full-epochs", type=int, default=None)
    found.add_argument("--samples", type=int, default=128, help="numbers per row of RegressLM")
    add_clock(found)
    args = found.parse_args()
    args.full_epochs = args.full_epochs or args.epochs
    return args


def line(name, n_weights, result):
    return (
        f"{name:32} {n_weights:9,} weights  R² {result['R²']:6.3f}  fit {result['fit']:7.1f} s  "
        f"predict {result['predict']:6.2f} s"
    )


def shortest(X, y, ends, args, score):
    """The shortest of fits of 1, 2, 4, … epochs that reaches a score."""
    for n_epochs in (1, 2, 4, 8, 16):
        found = fit_ours(X, y, ends, args, n_epochs)
        print(line(f"llmreg, {n_epochs} epochs", *found))
        if found[1]["R²"] >= score:
            break
    return found


def fit_ours(X, y, ends, args, n_epochs):
    """Fit on training and validation rows, of which the estimator sets some aside itself."""
    clock = CLOCKS[args.clock]
    model = LLMRegressor(
        fit_method=args.method, number_input=args.number_input, random_state=0, sft_epochs=n_epochs
    )
    start = clock()
    model.fit(X[: ends[1]], y[: ends[1]])
    fitted = clock()
    found = model.predict(X[ends[1] :])
    n_weights = sum(weight.numel() for weight in model.model_.parameters())
    return n_weights, {
        "R²": r2_score(y[ends[1] :], found), "fit": fitted - start, "predict": clock() - fitted,
    }  # fmt: skip


def fit_theirs(X, y, ends, rate, args):
    """Train a RegressLM from scratch; sample for the rows held out."""
    from functools import partial

    import torch
    from regress_lm import core, rlm, vocabs
    from regress_lm.pytorch import optimizers

    torch.manual_seed(0)
    clock = CLOCKS[args.clock]
    texts = [as_text(row) for row in X]
    vocabulary = vocabs.CharacterVocab("".join(sorted(set("".join(texts)))))
    model = rlm.RegressLM.from_scratch(
        encoder_vocab=vocabulary, max_input_len=max(map(len, texts)), d_model=args.width,
        num_encoder_layers=2, num_decoder_layers=1,
    )  # fmt: skip
    examples = [core.Example(x=x, y=float(target)) for x, target in zip(texts, y, strict=True)]
    start = clock()
    model.fine_tune(
        examples[: ends[0]], examples[ends[0] : ends[1]], seed=0, batch_size=64,
        max_epochs=args.epochs, patience=None,
        optimizer_factory=partial(optimizers.muon_adamw, lr=rate),
    )  # fmt: skip
    fitted = clock()
    model.model.eval()
    asked = [core.ExampleInput(x=x) for x in texts[ends[1] :]]
    samples = np.concatenate(
        [model.sample(asked[i : i + 50], args.samples) for i in range(0, len(asked), 50)]
    )
    samples = np.array(samples, dtype=float).reshape(len(asked), args.samples)
    taken = clock() - fitted
    n_weights = sum(weight.numel() for weight in model.model.parameters())
    best = max(r2_score(y[ends[1] :], summary(samples)) for summary in (_median, _trimmed_mean))
    return n_weights, {"R²": best, "fit": fitted - start, "predict": taken}


def as_text(row):
    """Two decimals of each value; the columns are known by their places.

    >>> as_text([0.5, 0.123])
    '.50 .12'
    """
    return " ".join(f"{value:.2f}".lstrip("0") for value in row)


def _median(samples):
    return np.median(samples, axis=1)


def _trimmed_mean(samples):
    """Without a tenth at either end: RegressLM's numbers have no bounds, and outliers."""
    cut = samples.shape[1] // 10
    return np.sort(samples, axis=1)[:, cut : samples.shape[1] - cut].mean(1)


if __name__ == "__main__":
    main()
