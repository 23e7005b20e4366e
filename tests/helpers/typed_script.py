"""What strict type checkers have to accept; test_packaging.py and pyright read it."""

# ruff: noqa: F841, RUF059

from pathlib import Path
from typing import assert_type

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from llmreg import (
    CRPS,
    GRPO,
    MBR,
    RAFT,
    CoverageDisplay,
    DecimalCodec,
    Device,
    DigitCodec,
    DistributionDisplay,
    GenRe2,
    GridCodec,
    Histogram,
    HistoryDisplay,
    LearnableRAFT,
    LLMRegressor,
    MemoryEstimate,
    NumericDistribution,
    Optimizer,
    PretrainedModel,
    PromptDisplay,
    QuantileView,
    ReMax,
    RowSerializer,
    SamplesDisplay,
    ScientificCodec,
    SoftCE,
    SpecialTokenHead,
    ZeroShot,
    combine_scorers,
    estimate_memory,
    fit_methods,
    get_scorer,
)
from llmreg.metrics import mean_crps

Floats = NDArray[np.float64]


def own_reward(samples: np.ndarray, y: Floats) -> np.ndarray:
    return -np.abs(samples - y)


def script() -> None:
    X = pd.DataFrame({"size": [30.0, 45.0, 60.0], "city": ["A", "B", "A"]})
    y = [300.0, 380.0, 590.0]

    model = LLMRegressor(
        fit_method=GRPO(num_generations=8, reward=own_reward, scale_rewards=False),
        sft_method=SoftCE(sigma=0.5),
        codec=DigitCodec(base=10, n_digits=2, scale="log", low=0, high=10.0),
        serializer=RowSerializer(max_text_tokens=32, columns=["size"]),
        text_features=False,
        estimates=None,
        estimate_weight=0.5,
        temperature_scaling=True,
        sft_epochs=1,
        align_epochs=2,
        sft_learning_rate=1e-3,
        align_learning_rate=1e-3,
        batch_size=8,
        device=Device("cpu", micro_batch_size=4, dtype="float64"),
        optimizer=Optimizer("adamw", weight_decay=0.1),
        dropout=0.1,
        adapters=None,
        validation_fraction=None,
        n_iter_no_change=None,
        checkpoint_dir=Path("here"),
        checkpoint_interval=5,
        tree_tolerance=0,
        random_state=np.random.RandomState(0),
    )
    named = PretrainedModel(
        "some/model", token=True, revision=None, model_kwargs={"attn_implementation": "eager"}
    )
    LLMRegressor(named, device="cpu")
    LLMRegressor("some/model", RAFT(normalisation=None, stage="sft"), codec=GridCodec([1, 2, 3]))
    LLMRegressor(fit_method=ZeroShot(4, normalisation="grid"), codec=DecimalCodec(1, low=0, high=5))
    LLMRegressor(fit_method=MBR(8), codec=ScientificCodec(3, max_exponent=4))
    LLMRegressor(fit_method=MBR(4, stage="sft"), device=Device(torch_compile=True))
    LLMRegressor(fit_method=MBR("exact"), validation_fraction=0.1, n_iter_no_change=5)
    LLMRegressor(fit_method=GRPO("exact", reward="mse"), estimates="linear", adapters=4)
    LLMRegressor(fit_method=GenRe2(8, expert_weight=0), sft_method="ce", text_features=True)
    LLMRegressor(fit_method=ReMax(beta=1, temperature=2), checkpoint_dir="here")
    LLMRegressor(fit_method=Histogram(n_bins=9, limit=2), sft_method=CRPS("sft"))
    LLMRegressor(fit_method=LearnableRAFT("vocabulary"), model=PretrainedModel(("a", "b")))
    LLMRegressor(fit_method=SpecialTokenHead("x", bidirectional=True), model=("a", "b"))

    found = model.fit(X, y, sample_weight=[1, 2, 3]).predict(X)
    assert_type(found, Floats)
    shapes: tuple[int, ...] = found.shape
    low, high = model.predict_interval(X, coverage=0.9).T
    model.predict_interval(X, coverage=1)
    quantiles = model.predict_quantiles(X, [0.1, 0.9])
    model.predict_quantiles(X, 0.5)
    distribution: NumericDistribution = model.predict_distribution(X)
    assert_type(model.predict_interval(X), Floats)
    assert_type(model.predict_quantiles(X, 0.5), Floats)
    assert_type(model.predict_distribution(X), NumericDistribution)
    assert_type(model.sample_y(X, 3, random_state=None), Floats)
    assert_type(distribution.mean(), Floats)
    assert_type(distribution.quantile([0.5]), Floats)
    assert_type(distribution.interval(0.9), Floats)
    assert_type(distribution.crps(y), Floats)
    assert_type(distribution.cdf(3.0), Floats)
    assert_type(distribution.sample(2, random_state=0), Floats)
    assert_type(distribution.decode("median"), Floats)
    first: NumericDistribution = distribution[:1]
    both = model.predict(X, return_std=True)
    model.predict(X, decoding="median").mean()
    y_hat, y_std = both
    assert_type(both, tuple[Floats, Floats])
    assert_type(model.predict(X, quantiles=[0.1, 0.9]), Floats)
    assert_type(model.predict(X, coverage=0.9), Floats)
    assert_type(QuantileView(model, 0.9).fit(X, y).predict(X), Floats)
    assert_type(model.score(X, y), float)
    assert_type(distribution.to_frame([0.1, 0.9], index=X.index), pd.DataFrame)
    scorers = {"crps": get_scorer("neg_crps"), "low": get_scorer("neg_pinball_loss", quantile=0.1)}
    scorer = combine_scorers(scorers)
    crps: float = mean_crps(y, distribution, sample_weight=[1, 2, 3])
    HistoryDisplay.from_estimator(model).figure_.savefig("history.png")
    CoverageDisplay.from_predictions(y, distribution).plot(kind="pit")
    DistributionDisplay.from_estimator(model, X, y, n_rows=2)
    SamplesDisplay.from_estimator(model, X, y).rmse_of_best.tolist()
    assert_type(PromptDisplay.from_estimator(model, X).to_frame(), pd.DataFrame)
    RowSerializer().fit(X, y).transform(X).ravel().tolist()
    model.save("folder")
    model.save(Path("folder"), merge=True)
    again: LLMRegressor = LLMRegressor.load("folder", device="cpu", token="x", revision="main")
    assert_type(LLMRegressor.load(Path("folder")), LLMRegressor)
    again.push_to_hub("you/model", private=True)
    model.set_params(fit_method__num_generations=4, codec__n_digits=3).fit(X, np.array(y))
    model.score(X, y)
    estimate: MemoryEstimate = estimate_memory(model, X, y)
    rows: int = estimate.largest_micro_batch(2**30)
    table: pd.DataFrame = fit_methods()
    history: pd.DataFrame = model.history_
    codec = DigitCodec().fit(y)
    codec.decode(codec.encode(y)).tolist()
    NumericDistribution(np.ones((1, 1)), np.zeros((1, 1)), np.ones((1, 1)), greedy=np.zeros(1))
