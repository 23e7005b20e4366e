"""Errors on held-out rows, as predictions would make them: what the best epoch is chosen by."""

import numpy as np

from llmreg.estimates.target_scale import root_mean_square
from llmreg.prediction.distributions import distributions, on_axis

__all__ = ["validator"]

JUDGED_AS = {"auto": "rail", "sample": "rail", "sampled_mean": "rail", "sampled_median": "median"}


def validator(fitted, rows, processes):
    """A function for the held-out rows' errors as decoded, or None without such rows.

    Parameters
    ----------
    fitted : llmreg.prediction.fitted.Fitted
    rows : llmreg.training.run.TrainingRows
    processes : llmreg.training.parallel.Processes
        That share the rows.

    Returns
    -------
    callable or None
        See ``validate`` of :class:`llmreg.training.stage.Stage`.
    """
    if not len(rows.held_out):
        return None
    model, spread = fitted.model, fitted.std
    mine = rows.held_out if processes.sharded else processes.share(rows.held_out)
    encoded, y = rows.encoded.take(mine), rows.y[mine]
    # Draws would make the best epoch a matter of luck: they are judged by what they estimate.
    asked = fitted.plan.predicting.decoding
    decoding = JUDGED_AS.get(asked, asked)
    place = model.codec.to_axis(y)
    tolerance = fitted.plan.predicting.tree_tolerance * spread

    def validate():
        errors = np.zeros((2, 0))
        if len(mine):
            found = distributions(model, encoded, tolerance)
            placed = on_axis(found, model.codec).decode(decoding)
            errors = np.stack([found.decode(decoding) - y, placed - place])
        errors, weights = processes.join((errors.T, rows.weight[mine]))
        relative = errors[:, 1] / spread  # squares of errors in the units of y may overflow
        return root_mean_square(errors[:, 0], weights), relative**2 * weights / weights.mean()

    return validate
