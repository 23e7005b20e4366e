"""What ``verbose=1`` prints of a fit."""

import numpy as np

__all__ = ["printer"]


def printer(plan, model, n_rows, n_validated, member=None):
    """Print what is going to be trained; returns a function that prints an epoch's record.

    Parameters
    ----------
    plan : list of (Method, StageSettings)
    model : llmreg.lm.backbone.NumberLM
    n_rows, n_validated : int
        Rows that are trained and validated on.
    member : str or None, default=None
        Which of an ensemble's models this is.

    Returns
    -------
    callable
        Takes a record of ``history_``.
    """
    prefix = "" if member is None else f"{member} "
    validated = f"validated on {n_validated}" if n_validated else "no validation"
    place = f"{model.device}, {str(model.dtype).removeprefix('torch.')}"
    for method, chosen in plan:
        print(
            f"{prefix}[{chosen.name}] {type(method).__name__}, {chosen.epochs} epochs: "
            f"{n_rows} rows, {validated}, batch_size {chosen.batch_size}, learning_rate "
            f"{chosen.learning_rate:g}, weight_decay {chosen.weight_decay:.3g}, {place}"
        )
    epochs = {chosen.name: chosen.epochs for _, chosen in plan}

    def report(record):
        stage, rmse = record["stage"], record["validation_rmse"]
        error = "" if np.isnan(rmse) else f"validation RMSE {rmse:.5g}, "
        print(
            f"{prefix}[{stage}] epoch {record['epoch']}/{epochs[stage]}: loss "
            f"{record['loss']:.4g}, {error}{record['seconds']:.1f} s since the stage began"
        )

    return report
