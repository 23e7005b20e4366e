"""What "auto" means: training lengths, rates and regularisation, from the data and the model."""

from numbers import Integral

import numpy as np

from llmreg.config.adapters import Adapters
from llmreg.estimates.kernel_ridge import MOST_ROWS as MOST_ROWS_FOR_KERNEL
from llmreg.tables.words import MANY, n_words, typical

__all__ = [
    "auto_adapters", "auto_dropout", "auto_estimates", "auto_layers", "auto_text_tokens",
    "auto_validation", "estimate_dropout", "long_texts", "stage_settings",
]  # fmt: skip

MIN_ROWS_TO_VALIDATE = 20
MIN_ROWS_TO_CALIBRATE = 30  # fewer say little about the width of a distribution
# Fresh weights learn more from another 15 % of so few rows than 30 of them could tell.
FRESH_MIN_ROWS = 200
MIN_ROWS_FOR_TREES = 100
ROWS_THAT_TEACH = 1000  # pretrained weights; fewer tell them less than estimates do
MANY_ROWS = 16_000  # beyond: fewer epochs, which are long
FEW_ROWS = 1500  # below: smaller steps and batches, more rows set aside
ROWS_FOR_TWO_LAYERS = 1000  # with texts; of more rows a second layer learns something further
MANY_ROWS_WITH_TEXTS = 5000  # from here on they are trained on as tables without

# Adapters on the upper half of a pretrained model's blocks: steps of half the time.
PRETRAINED_DEPTH = 0.5
# Adapters start at nothing and may be moved fast; weights that know how to read may not.
ADAPTER_RATES, WHOLE_RATES = (1e-3, 1e-3), (2e-4, 5e-5)

# Validations without a better one after which a stage stops. Words of few rows are soon learnt by
# heart, and what is not found by then never is (docs/appendix/ablations.md). Fresh weights gain
# little from a second stage, and where they gain they do so at once
# (docs/appendix/second_stage.md): it must not cost much to see.
PATIENCE, PATIENCE_WITH_TEXTS, SHORT_PATIENCE = 10, 4, 1
LEAST_GAIN_WITH_TEXTS = 0.01  # of the error, by which a validation with few texts is better
# A second stage of few, long epochs is validated so often, or it could not end early.
LONG_EPOCHS, VALIDATIONS = 3, 10

LONG = 16  # words from which on texts are sentences, in the mean of a column

# Rows of unlike lengths that a CPU computes at once: less padding, and less to keep in its cache
# (10 to 17 % of a step's time). The second stage would draw its numbers twice.
FEW_AT_ONCE = 16

# Settings of both stages that have no "auto", or keep it.
AS_GIVEN = (
    "optimizer", "schedule", "final_share", "max_grad_norm", "average", "selection",
    "validation_interval",
)  # fmt: skip


def _pretrained(n_rows, adapted, alone):
    """Defaults for weights that know how to read: a short first stage, which finds the range, and a
    longer second one, which learns from sizes; some 750 steps of 8 rows and, on large tables, three
    epochs. A first stage alone takes the time of both. Measured with adapters, on 135 million
    weights (docs/appendix/pretrained.md)."""
    rates = ADAPTER_RATES if adapted else WHOLE_RATES
    first = int(np.clip(round(1000 / n_rows), 1, 6))
    second = int(np.clip(round(5000 / n_rows), 2, 16))
    return {
        "batch_size": 8,
        "weight_decay": 0.01,
        "sft_epochs": first + second if alone else first,
        "align_epochs": second,
        "sft_learning_rate": rates[0],
        "align_learning_rate": rates[1],
    }


def _fresh(n_rows):
    """Defaults for weights that start fresh: about 60,000 rows seen, up to 200,000 where there are
    that many, which early stopping ends sooner where the noise is large; the fewer rows, the more
    decay."""
    few = n_rows < FEW_ROWS
    least = int(np.clip(round(200_000 / n_rows), 1, 12))
    return {
        "batch_size": 32 if few else 64,
        "weight_decay": float(np.clip(300 / n_rows, 0.1, 1.0)),
        "sft_epochs": int(np.clip(60_000 // n_rows, least, 40 if n_rows < 500 else 60)),
        "sft_learning_rate": 1e-3 if few else 2e-3,
        "align_learning_rate": 1e-3 if few else 2e-3,  # of the adapters alone
    }


def _with_texts(n_rows):
    """What is other for fresh weights with texts: twice the steps in an epoch, and so few epochs
    that the learning rate comes down before words are learnt by heart
    (docs/appendix/ablations.md)."""
    if n_rows >= MANY_ROWS_WITH_TEXTS:
        return {}
    epochs = int(np.clip(10_000 // n_rows, 8, 20))
    return {"batch_size": 16 if n_rows < FEW_ROWS else 32, "sft_epochs": epochs}


def stage_settings(params, n_rows, pretrained, alone=False, texts=False, uneven=False):
    """Settings of both stages.

    Parameters
    ----------
    params : dict
        The estimator's parameters; those that are "auto" are chosen here.
    n_rows : int
        Training rows, without the validation rows.
    pretrained : bool
    alone : bool, default=False
        Whether the method trains in the first stage, and there is no second.
    texts : bool, default=False
        Whether there are columns of text.
    uneven : bool, default=False
        Whether a CPU computes rows of unlike lengths.

    Returns
    -------
    sft, align : dict
        Fields of :class:`llmreg.config.plan.StageSettings`. The second stage of fresh weights is a
        third as long as the first.
    """
    adapted = params["adapters"] is not None
    auto = _pretrained(n_rows, adapted, alone) if pretrained else _fresh(n_rows)
    texts = texts and not pretrained  # which pretrained weights can read
    auto |= _with_texts(n_rows) if texts else {}
    first = _auto(params["sft_epochs"], auto["sft_epochs"])
    auto = {"align_epochs": max(1, round(first / 3))} | auto
    chosen = {name: _auto(params[name], default) for name, default in auto.items()}
    short, asked = texts and n_rows < FEW_ROWS, params["n_iter_no_change"]
    common = dict(
        batch_size=chosen["batch_size"],
        weight_decay=chosen["weight_decay"],
        warmup=_auto(params["warmup"], 0 if params["schedule"] == "constant" else 0.15),
        **{name: params[name] for name in AS_GIVEN},
        least_gain=LEAST_GAIN_WITH_TEXTS if short and asked == "auto" else 0.0,
        # Prompts of text differ much in length; cells read as vectors are one token each.
        by_length=pretrained,
    )
    patience = {"sft": PATIENCE, "align": PATIENCE}
    if not pretrained:
        patience = {"sft": PATIENCE_WITH_TEXTS if short else PATIENCE, "align": SHORT_PATIENCE}
    at_once = {"sft": FEW_AT_ONCE if uneven and not pretrained else None, "align": None}
    sft, align = (
        dict(name=name, epochs=chosen[f"{name}_epochs"],
             micro_batch_size=_auto(params["micro_batch_size"], at_once[name]),
             learning_rate=chosen[f"{name}_learning_rate"],
             n_iter_no_change=_auto(asked, patience[name]), **common)
        for name in ("sft", "align")
    )  # fmt: skip
    if not pretrained and n_rows > MANY_ROWS and align["epochs"] <= LONG_EPOCHS:
        n_steps = align["epochs"] * -(-n_rows // align["batch_size"])
        align["validation_interval"] = params["validation_interval"] or -(-n_steps // VALIDATIONS)
    return sft, align


def auto_dropout(dropout, n_rows, pretrained, texts=False):
    """Share of hidden cells: the fewer rows, the more, and more where there are ``texts``, whose
    words are soon learnt by heart."""
    fresh = min(0.2, (1000 / n_rows) ** 2) if texts else min(0.1, (160 / n_rows) ** 2)
    return _auto(dropout, 0.0 if pretrained else fresh)


def auto_estimates(estimates, n_rows, pretrained, texts=False, trains=True):
    """Kinds of :class:`llmreg.estimates.row_estimates.RowEstimates`; () for none.

    By default pretrained models do without from 1,000 rows on: fewer teach them less than estimates
    tell (docs/appendix/pretrained.md). So do models that are not trained; and there are no trees on
    fewer than 100 rows, of which trees say little. "both" has trees beside a kernel ridge
    regression. That is fitted on at most 4,000 rows: where there are more, a linear one, which
    learns slopes and words from all, stands beside them; and in place of the kernel where there are
    ``texts`` and more than 16,000 rows, whose likeness to 4,000 takes long and tells nothing
    further (docs/appendix/ablations.md).
    """
    if estimates == "auto":
        estimates = "both" if n_rows >= MIN_ROWS_FOR_TREES else "linear"
        if not trains or (pretrained and n_rows >= ROWS_THAT_TEACH):
            estimates = None
    if estimates is None:
        return ()
    if estimates != "both":
        return (estimates,)
    linear = ("linear",) if n_rows > MOST_ROWS_FOR_KERNEL else ()
    kernel = () if texts and n_rows > MANY_ROWS else ("kernel",)
    return (*linear, *kernel, "boosted")


def auto_layers(n_rows, estimates, texts=False, both_ways=False):
    """Layers of the model "tiny": one where few rows have ``texts`` and what cells mean together is
    told by estimates. It learns as much as two, in 0.6 of the time
    (docs/appendix/ablations.md). Tokens that see those after them tell of it to a second layer
    alone, so prompts that are read ``both_ways`` need two."""
    few = n_rows < ROWS_FOR_TWO_LAYERS
    return 1 if few and texts and estimates and not both_ways else 2


def auto_adapters(adapters, pretrained):
    """Adapters of a known depth; configurations of peft and None as they are."""
    if isinstance(adapters, Integral):
        adapters = Adapters(int(adapters))
    if not isinstance(adapters, Adapters):
        return adapters
    depth = _auto(adapters.depth, PRETRAINED_DEPTH if pretrained else 1.0)
    return Adapters(adapters.rank, depth=depth)


def auto_text_tokens(max_text_tokens, pretrained):
    """Tokens of one text cell."""
    return _auto(max_text_tokens, 256 if pretrained else 64)


def long_texts(rows):
    """Names of the columns that hold sentences, of which tokens take most of a fit's time and with
    few rows tell little beside words that are counted (docs/appendix/ablations.md); () with many.
    """
    if rows.n_rows >= FEW_ROWS:
        return ()
    return tuple(
        field.name
        for field in rows.fields
        if field.kind == "text" and typical(map(n_words, field.text[:MANY]), LONG) >= LONG
    )


def estimate_dropout(n_rows):
    """Share of the estimates hidden in training: up to half, with 1,500 rows or more.

    A model that always sees them learns to repeat them and little else; with few rows there is
    little else that it could learn.
    """
    return min(0.5, n_rows / 3000)


def auto_validation(fraction, n_rows, pretrained=False):
    """Share of the rows to validate on; 0 for none.

    Small tables set more aside, since the choice of the epoch is only as good as the rows that
    make it; large ones need no more than 2,000. By default fresh weights do without on fewer than
    200 rows.
    """
    fewest = MIN_ROWS_TO_VALIDATE if pretrained or fraction != "auto" else FRESH_MIN_ROWS
    if fraction is None or n_rows < fewest:
        return 0.0
    return _auto(fraction, 0.15 if n_rows < FEW_ROWS else min(0.1, 2000 / n_rows))


def _auto(value, default):
    return default if isinstance(value, str) else value
