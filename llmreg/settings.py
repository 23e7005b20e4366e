"""What "auto" means: training lengths and rates chosen from the data and the model."""

import numpy as np

from llmreg.training import StageSettings

__all__ = ["auto_dropout", "auto_validation", "stage_settings"]

MIN_ROWS_TO_VALIDATE = 20


def stage_settings(params, n_rows, pretrained):
    """Settings of both stages.

    Parameters
    ----------
    params : dict
        The estimator's parameters.
    n_rows : int
        Training rows, without the validation rows.
    pretrained : bool
        Pretrained models need few epochs at a low rate; fresh weights need about 60,000 rows seen.

    Returns
    -------
    sft, align : StageSettings
    """
    batch_size = _auto(params["batch_size"], 8 if pretrained else 64 if n_rows >= 1500 else 32)
    sft_epochs = _auto(params["sft_epochs"], 3 if pretrained else _fresh_epochs(n_rows))
    common = dict(
        batch_size=batch_size,
        weight_decay=_auto(params["weight_decay"], 0.01 if pretrained else _fresh_decay(n_rows)),
        n_iter_no_change=params["n_iter_no_change"],
    )
    sft = StageSettings(
        "sft",
        sft_epochs,
        _auto(params["sft_learning_rate"], 2e-4 if pretrained else 2e-3),
        **common,
    )
    align_epochs = _auto(params["align_epochs"], max(1, round(sft_epochs / 3)))
    align = StageSettings(
        "align", align_epochs, _auto(params["align_learning_rate"], 5e-5 if pretrained else 5e-4),
        **common,
    )  # fmt: skip
    return sft, align


def _auto(value, default):
    return default if isinstance(value, str) else value


def _fresh_epochs(n_rows):
    """About 60,000 rows seen; early stopping ends it sooner where the noise is large."""
    return int(np.clip(60_000 // max(n_rows, 1), 12, 40 if n_rows < 500 else 60))


def _fresh_decay(n_rows):
    return float(np.clip(300 / max(n_rows, 1), 0.1, 1.0))


def auto_dropout(dropout, n_rows, pretrained):
    """Share of hidden cells: the fewer rows, the more."""
    return _auto(dropout, 0.0 if pretrained else min(0.1, 30 / max(n_rows, 1)))


def auto_validation(fraction, n_rows):
    """Share of the rows to validate on; 0 for none.

    Small tables set more aside, since the choice of the epoch is only as good as the rows that
    make it; large ones need no more than 2,000.
    """
    if fraction is None or n_rows < MIN_ROWS_TO_VALIDATE:
        return 0.0
    return _auto(fraction, 0.15 if n_rows < 1500 else min(0.1, 2000 / n_rows))
