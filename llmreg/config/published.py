"""The papers' recipes: parameters that make :class:`llmreg.LLMRegressor` what was published."""

from llmreg.codecs.digits import DigitCodec
from llmreg.codecs.grids import GridCodec
from llmreg.config.optimizer import Optimizer
from llmreg.methods import (
    CE,
    DIST2,
    GRPO,
    NTLMSE,
    NTLWAS,
    RAFT,
    GenRe2,
    Histogram,
    Pointwise,
    PoolHead,
    ReMax,
    ZeroShot,
)

__all__ = ["published"]

# The language model alone: no estimates, no pooling, no temperature, all weights, the whole tree.
ALONE = dict(
    estimates=None, estimate_weight=0.0, temperature_scaling=False, adapters=None, dropout=0.0,
    tree_tolerance=0.0, n_iter_no_change=None,
)  # fmt: skip


def _genre2(fit_method, **changes):
    """GenRe², on tables: appendix and release."""
    optimizer = Optimizer(
        schedule="cosine", warmup=100, final_share=0.1, weight_decay=0.01, max_grad_norm=None,
        average=False,
    )  # fmt: skip
    rate = 5e-5
    return ALONE | dict(
        fit_method=fit_method, sft_method="ce",
        codec=DigitCodec(base=2, n_digits=8, scale="minmax", rounding="nearest"),
        decoding="sampled_mean", n_samples=128, batch_size=128, optimizer=optimizer,
        sft_epochs=200, align_epochs=100, sft_learning_rate=rate, align_learning_rate=rate,
        selection="objective",
    ) | changes  # fmt: skip


def _baseline_head(fit_method):
    """The heads that GenRe² compares with: trained once, on their own."""
    optimizer = Optimizer(
        schedule="cosine", warmup=100, final_share=0.1, weight_decay=0.0, max_grad_norm=None,
        average=False,
    )  # fmt: skip
    return _genre2(
        fit_method, sft_epochs=100, sft_learning_rate=1e-5, optimizer=optimizer, decoding="rail"
    )


def _raft(fit_method, **changes):
    """RAFT, on Gemma 2: appendix D."""
    optimizer = Optimizer(
        "adafactor", schedule="constant", weight_decay=0.0, max_grad_norm=None, average=False
    )
    return ALONE | dict(
        fit_method=fit_method, codec=GridCodec([1, 2, 3, 4, 5]), decoding="rail", batch_size=16,
        optimizer=optimizer, sft_epochs=20, sft_learning_rate=1e-5, validation_interval=100,
    ) | changes  # fmt: skip


RECIPES = {
    "genre2": lambda: _genre2(GenRe2(compare_with="written")),
    "genre2-remax": lambda: _genre2(ReMax(compare_with="written")),
    "genre2-grpo": lambda: _genre2(
        GRPO(reward="mse", scale_rewards="group", compare_with="written")
    ),
    "genre2-ce": lambda: _genre2(CE()),
    "genre2-ntl-mse": lambda: _genre2(NTLMSE(stage="align")),
    "genre2-ntl-was": lambda: _genre2(NTLWAS(stage="align")),
    "genre2-dist2": lambda: _genre2(DIST2(stage="align")),
    "genre2-pointwise": lambda: _baseline_head(Pointwise(hidden_size=2048)),
    "genre2-riemann": lambda: _baseline_head(Histogram(hidden_size=2048)),
    "raft": lambda: _raft(RAFT(stage="sft", normalisation=None)),
    "raft-head": lambda: _raft(PoolHead(pooling="mean")),
    "raft-ce": lambda: _raft(CE(normalisation=None), selection="objective"),
    "rail-zero-shot": lambda: ALONE | dict(
        fit_method=ZeroShot(normalisation=None), codec=GridCodec([1, 2, 3, 4, 5]), decoding="rail"
    ),
}  # fmt: skip


def published(name):
    """Parameters of a published recipe, to the letter where this package has the letter.

    The language model is alone: nothing of what llmreg adds (estimates, pooling, temperature,
    averaged weights, hidden cells). docs/methods.md says what still differs.

    Parameters
    ----------
    name : str
        GenRe² (ICML 2026), on tables: "genre2" (ReMax and an expert), "genre2-remax",
        "genre2-grpo" (the first version's), and what it compares with: "genre2-ce",
        "genre2-ntl-mse", "genre2-ntl-was", "genre2-dist2", "genre2-pointwise", "genre2-riemann".
        RAFT (ICLR 2025), for pretrained models: "raft", "raft-head", "raft-ce", and
        "rail-zero-shot", which trains nothing.

    Returns
    -------
    dict
        Parameters of :class:`llmreg.LLMRegressor`, new objects each time. What a paper tunes for
        each table or leaves open is yours to change: the model; learning rates (GenRe² searches
        from 1e-5 to 1e-4, RAFT among 1e-4, 1e-5 and 1e-6); base and digits; RAFT's grid, which is
        {1, ..., 5} here, its prompt, and its length: it trains for 200,000 steps.

    Raises
    ------
    ValueError
        For an unknown name.

    References
    ----------
    GenRe²: arXiv 2512.06533, and its release. RAFT: Lukasik et al. 2025, appendix D. RAIL: Lukasik
    et al. 2024.

    Examples
    --------
    >>> from llmreg import LLMRegressor, published
    >>> model = LLMRegressor(**published("genre2"), random_state=0)
    >>> model.codec
    DigitCodec(base=2, n_digits=8, rounding='nearest', scale='minmax')
    >>> smaller = LLMRegressor(**published("genre2") | {"sft_epochs": 20, "align_epochs": 10})
    """
    if name not in RECIPES:
        raise ValueError(f"{name!r} is no recipe; choose one of {sorted(RECIPES)}.")
    return RECIPES[name]()
