"""The training loop: one stage of epochs over encoded rows."""

import time
import warnings
from dataclasses import dataclass

import numpy as np
import torch

from llmreg.policy import NumberPolicy, Targets
from llmreg.selection import BestWeights, RunningMean

__all__ = ["StageSettings", "TrainingData", "train_stage"]


@dataclass(frozen=True)
class TrainingData:
    """Encoded training rows and their targets."""

    rows: object  # llmreg.prompts.EncodedRows
    z: np.ndarray  # (n,) targets in z-units
    leaf: np.ndarray  # (n,) bin of each target
    weight: np.ndarray  # (n,)

    def __len__(self):
        return len(self.z)

    def take(self, rows):
        """These rows only."""
        return TrainingData(self.rows.take(rows), self.z[rows], self.leaf[rows], self.weight[rows])

    def batch(self, rows, device, dtype):
        """Prompts, targets and weights of some rows as tensors."""
        # Targets and losses keep at least float32, whatever the weights are in.
        precise = torch.promote_types(dtype, torch.float32)
        targets = Targets(
            z=torch.as_tensor(self.z[rows]).to(device=device, dtype=precise),
            leaf=torch.as_tensor(self.leaf[rows]).to(device),
        )
        weight = torch.as_tensor(self.weight[rows]).to(device=device, dtype=precise)
        return self.rows.batch(rows, device, dtype), targets, weight


@dataclass(frozen=True)
class StageSettings:
    """How long and how fast a stage trains."""

    name: str  # "sft" or "align"
    epochs: int
    learning_rate: float
    batch_size: int
    weight_decay: float
    n_iter_no_change: int | None
    warmup: float = 0.15  # share of the steps with a rising learning rate


def train_stage(model, data, objective, scale, settings, *, validate, rng, generator, report):
    """Train a model's trainable weights; those of the epoch to keep are left in it.

    The first stage keeps its best epoch; a second stage may keep what it started from (see
    :class:`llmreg.selection.BestWeights`).

    Parameters
    ----------
    model : llmreg.backbone.NumberLM
    data : TrainingData
    objective : llmreg.objectives.Objective
    scale : llmreg.policy.ZScale
    settings : StageSettings
    validate : callable or None
        Returns the validation RMSE as decoded, and each validation row's squared error (weighted,
        in any unit). None: no validation; the last weights are kept.
    rng : numpy.random.RandomState
        Order of the rows.
    generator : torch.Generator
        Sampled numbers.
    report : callable
        Gets each epoch's record (dict).

    Returns
    -------
    list of dict
        One record per epoch.
    """
    n_batches = -(-len(data) // settings.batch_size)
    optimizer, schedule = _optimizer(model, settings, settings.epochs * n_batches)
    average = RunningMean(model)
    best = BestWeights(model, validate, settings, start=objective.stage == "align")
    records, step, start = [], 0, time.perf_counter()
    for epoch in range(1, settings.epochs + 1):
        model.train_mode(dropout=objective.stage == "sft")
        totals = _Averages()
        for rows in np.array_split(rng.permutation(len(data)), n_batches):
            totals.add(_step(model, data, rows, objective, scale, optimizer, generator), len(rows))
            schedule.step()
            average.update()
        step += n_batches
        record = {"stage": settings.name, "epoch": epoch, "step": step, **totals.means()}
        record["learning_rate"] = schedule.get_last_lr()[0]
        with average.in_place():
            stop = best.update(record)
        record["seconds"] = time.perf_counter() - start
        record["kept"] = False
        records.append(record)
        report(record)
        if stop:
            break
    best.restore(average.weights)
    if best.epoch != 0:
        records[-1 if best.epoch is None else best.epoch - 1]["kept"] = True
    if best.harmful:
        _warn_if_worse(records, objective)
    _warn_if_nothing_to_learn(records, objective)
    return records


def _step(model, data, rows, objective, scale, optimizer, generator):
    batch, targets, weight = data.batch(rows, model.device, model.dtype)
    policy = NumberPolicy(model, batch, scale)
    loss, metrics = objective.loss(policy, targets, generator)
    loss = (weight * loss).sum() / weight.sum()
    value = float(loss.detach())
    if not np.isfinite(value):
        raise FloatingPointError(
            f"The training loss became {value}. Lower the learning rate (now "
            f"{optimizer.param_groups[0]['lr']:.2g})"
            + (
                "."
                if model.dtype == torch.float32
                else f", or train in float32 (now {model.dtype})."
            )
        )
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(optimizer.param_groups[0]["params"], 1.0)
    optimizer.step()
    return {"loss": value, **metrics}


def _optimizer(model, settings, n_steps):
    params = list(model.trainable().values())
    optimizer = torch.optim.AdamW(
        params, lr=settings.learning_rate, weight_decay=settings.weight_decay
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, settings.learning_rate, total_steps=n_steps + 1, pct_start=settings.warmup,
        cycle_momentum=False,
    )  # fmt: skip
    return optimizer, schedule


class _Averages:
    """Row-weighted means of the steps' metrics."""

    def __init__(self):
        self.sums, self.rows = {}, 0

    def add(self, metrics, n_rows):
        self.rows += n_rows
        for name, value in metrics.items():
            self.sums[name] = self.sums.get(name, 0.0) + value * n_rows

    def means(self):
        return {name: total / self.rows for name, total in self.sums.items()}


def _warn_if_worse(records, objective):
    best = min(record["validation_rmse"] for record in records)
    warnings.warn(
        f"{type(objective).__name__} made the validation RMSE clearly worse in every epoch (at "
        f"best {best:.4g}), so the first stage's weights are kept. Lower align_learning_rate, or "
        "choose a fit_method without a second stage.",
        UserWarning,
        stacklevel=2,
    )


def _warn_if_nothing_to_learn(records, objective):
    spreads = [record["sample_spread"] for record in records if "sample_spread" in record]
    if spreads and max(spreads) < 1e-6:
        warnings.warn(
            f"All numbers that {type(objective).__name__} drew for a row were equal in every "
            "epoch, so the rewards had no spread and nothing was learnt. Raise its temperature, "
            "or give the first stage fewer epochs.",
            UserWarning,
            stacklevel=2,
        )
