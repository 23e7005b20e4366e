"""The learning rate over a stage's steps."""

import math
from numbers import Integral

import torch

__all__ = ["rate_share", "scheduled"]


def rate_share(step, n_steps, *, warmup, final_share=1.0):
    """The learning rate of a step, as a share of the peak: up by a line, down by a cosine.

    Parameters
    ----------
    step : int
        From 0 on; the first step of a warm-up takes a step already.
    n_steps : int
        Of the stage.
    warmup : int
        Steps on the way up.
    final_share : float, default=1.0
        Where the way down ends; 1.0: there is none.

    Returns
    -------
    float

    Examples
    --------
    >>> from llmreg.training.schedules import rate_share
    >>> [round(rate_share(step, 6, warmup=2, final_share=0.1), 3) for step in range(7)]
    [0.5, 1.0, 1.0, 0.868, 0.55, 0.232, 0.1]
    """
    if step < warmup:
        return (step + 1) / warmup
    progress = min(1.0, (step - warmup) / max(1, n_steps - warmup))
    return final_share + (1 - final_share) * (1 + math.cos(math.pi * progress)) / 2


def scheduled(optimizer, settings, n_steps):
    """A scheduler of torch for an optimiser.

    Parameters
    ----------
    optimizer : torch.optim.Optimizer
    settings : llmreg.config.plan.StageSettings
    n_steps : int
        Of the stage.
    """
    warmup = settings.warmup
    if settings.schedule == "one_cycle":
        share = warmup / n_steps if isinstance(warmup, Integral) else warmup
        return torch.optim.lr_scheduler.OneCycleLR(
            optimizer, settings.learning_rate, total_steps=n_steps + 1, pct_start=min(share, 1.0),
            cycle_momentum=False,
        )  # fmt: skip
    warmup = int(warmup) if isinstance(warmup, Integral) else round(warmup * n_steps)
    final = settings.final_share if settings.schedule == "cosine" else 1.0

    def share(step):
        return rate_share(step, n_steps, warmup=warmup, final_share=final)

    return torch.optim.lr_scheduler.LambdaLR(optimizer, share)
