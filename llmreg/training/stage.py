"""The training loop: one stage of epochs over encoded rows."""

import math
import time

import numpy as np
import torch

from llmreg.training.clipping import GradientClip
from llmreg.training.little_learnt import (
    warn_if_hurried,
    warn_if_nothing_to_learn,
    warn_if_worse,
)
from llmreg.training.parallel import Processes
from llmreg.training.reporting import Report
from llmreg.training.schedules import scheduled
from llmreg.training.selection import BestWeights, RunningMean
from llmreg.training.steps import BatchGradients, draw_noise, random_states, set_random_states

__all__ = ["Stage"]

FEW = 8  # rows that say whether a model still answers in numbers
LEAST_TIME = 1e-9  # seconds
POOL = 64  # batches whose rows are sorted by length together


class Stage:
    """One stage of training, which can be left after any step and taken up again.

    Held-out rows judge the weights after each epoch, or each ``validation_interval`` steps; the
    best are kept. A second stage may keep what it started from (see
    :class:`llmreg.training.selection.BestWeights`).

    Parameters
    ----------
    model : llmreg.lm.backbone.NumberLM
    data : llmreg.training.training_data.TrainingData
    method : llmreg.methods.Method
    scale : llmreg.training.policy.ZScale
    settings : llmreg.config.plan.StageSettings
    validate : callable or None
        Returns the validation RMSE as decoded, and each validation row's squared error (weighted,
        in any unit). None: no validation; the last weights are kept.
    rng : numpy.random.RandomState
        Order of the rows.
    generator : torch.Generator
        Noise for sampled numbers; on the CPU.
    report : llmreg.training.reporting.Report or None, default=None
        Hears of steps and epochs, and may end the stage early.
    held_out : llmreg.training.training_data.TrainingData or None, default=None
        Rows on which the method's own objective may choose the weights.
    processes : llmreg.training.parallel.Processes or None, default=None
        Those that train together; None: this one alone.
    after_step : callable or None, default=None
        Called with the stage after each step, for checkpoints.
    seconds : float, default=inf
        That it may take: the learning rate comes down within them, and at their end the stage
        closes as at the end of an epoch, after a step at least.
    """

    def __init__(
        self, model, data, method, scale, settings, *, validate, rng, generator, report=None,
        held_out=None, processes=None, after_step=None, seconds=math.inf,
    ):  # fmt: skip
        data = data.dealt()
        self.model, self.data, self.method = model, data, method
        self.settings, self.report, self.after_step = settings, report or Report(), after_step
        self.rng, self.generator = rng, generator
        self.n_batches = -(-len(data) // settings.batch_size)
        self.every = settings.validation_interval or self.n_batches
        self.n_steps = settings.epochs * self.n_batches
        self.optimizer, self.schedule = _optimizer(model, settings, self.n_steps)
        common = method, scale, processes or Processes(), settings.micro_batch_size
        self.gradients = BatchGradients(model, data, *common)
        self.clip = GradientClip(settings.max_grad_norm)
        self.average = RunningMean(model, settings.average)
        objective = None
        if settings.selection == "objective" and held_out is not None:
            objective = BatchGradients(model, held_out, *common).objectives
        self.best = BestWeights(model, validate, settings, objective)
        self.records, self.batches, self.stopped = [], None, False
        self.stop_asked, self.told = False, False  # by who hears the reports; of the next record
        self.epoch, self.done = 0, 0  # that are finished, and batches of the next
        self.totals, self.seconds = {"rows": 0}, 0.0
        self.limit, self.late = seconds, False

    @property
    def steps(self):
        """int: taken so far."""
        return self.epoch * self.n_batches + self.done

    @property
    def ends(self):
        """bool: whether there are no more steps to take."""
        return self.stopped or self.stop_asked or self.late or self.steps >= self.n_steps

    def run(self):
        """Train until the end; returns all records."""
        self.began = time.perf_counter()
        self.started = self.began - self.seconds
        with self.report.stage(self):
            if not self.steps and not self.records:
                self._begin()
            while not self.ends:
                self._epoch()
        self.best.restore(self.average.weights)
        self._check_weights()
        if self.records:
            self.records[-1 if self.best.place is None else self.best.place]["kept"] = True
        if self.late:
            warn_if_hurried(self)
        if self.best.harmful:
            warn_if_worse(self.records, self.method)
        warn_if_nothing_to_learn(self.records, self.method)
        return self.records

    def _begin(self):
        """What held-out rows say before the first step, where it tells something: of weights that
        can write numbers already."""
        aligns = self.method.stage == "align"
        if self.best.validate is None or not (aligns or self.model.pretrained):
            return
        record = {"stage": self.settings.name, "epoch": 0, "step": 0, "loss": np.nan}
        self.best.begin(record, takes_part=aligns)
        self._record(record)
        self.report.start(self.records[-1])

    def _epoch(self):
        """Go through the batches, or through those that are left."""
        if self.batches is None:
            self.order_state = self.rng.get_state()
            self.batches = self._shuffle()
        self.model.train_mode(dropout=self.method.stage == "sft")
        while self.batches is not None and not self.ends:
            if not self.told:
                self.report.begin_epoch(self.epoch + 1)
                self.told = True
            self._step(self.batches[self.done])
            self.done += 1
            # Before the checkpoint: at the end of an epoch comes its record.
            if self.steps % self.every == 0 or self.steps == self.n_steps or self.late:
                self._close()
                self.model.train_mode(dropout=self.method.stage == "sft")
            if self.done == self.n_batches:
                self.epoch, self.done, self.batches = self.epoch + 1, 0, None
            self._leave_trace()

    def _shuffle(self):
        lengths = self.data.rows.lengths
        batches = np.array_split(self.rng.permutation(len(lengths)), self.n_batches)
        return _by_length(batches, lengths, self.rng) if self.settings.by_length else batches

    def _step(self, rows):
        noise = draw_noise(
            len(rows), self.method.num_draws, self.model.tree.n_levels, self.generator
        )
        means = self.gradients(rows, noise)
        self._check("loss", means["loss"])
        norm, clipped = self.clip(self.optimizer.param_groups[0]["params"])
        self._check("gradient", norm)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self._keep_time()
        self.average.update()
        self.totals["rows"] += len(rows)
        for name, mean in (means | {"grad_norm": norm, "clipped": float(clipped)}).items():
            self.totals[name] = self.totals.get(name, 0.0) + mean * len(rows)
        self.report.step(len(rows))

    def _keep_time(self):
        """The next step's learning rate: of the time that has passed, where time is short."""
        if np.isfinite(self.limit):
            passed = (time.perf_counter() - self.began) / max(self.limit, LEAST_TIME)
            passed = self.gradients.processes.agree(passed)
            self.late = passed >= 1
            reached = int(min(passed, 1) * self.n_steps) - 1
            self.schedule.last_epoch = max(self.schedule.last_epoch, reached)
        self.schedule.step()

    def _check(self, what, size):
        if not np.isfinite(size):
            raise FloatingPointError(self._diverged(what, size))

    def _check_weights(self):
        """The last step's weights were in no loss yet: are they numbers, and what they say?"""
        weights = self.model.trainable().values()
        own = [p.to_local() if hasattr(p, "to_local") else p for p in weights]
        some = np.arange(min(len(self.data), self.gradients.rows_at_once or FEW, FEW))
        with torch.no_grad():
            said = self.gradients.answers(some)
        spoilt = sum(not numbers.isfinite().all() for numbers in (*own, said))
        if self.gradients.processes.sum(torch.tensor(spoilt)):
            raise FloatingPointError(self._diverged("weights", "NaN or infinite, or too large"))

    def _diverged(self, what, became):
        settings, dtype = self.settings, self.model.dtype
        half = dtype not in (torch.float32, torch.float64)
        return (
            f"The training {what} became {became}. Lower the learning rate (now "
            f"{settings.name}_learning_rate={settings.learning_rate:.2g})"
        ) + (f", or train in float32 (now {dtype})." if half else ".")

    def _close(self):
        """End an epoch, or an interval: its record, its validation, and whether it was the last."""
        rows = self.totals.pop("rows")
        record = {"stage": self.settings.name, "epoch": self.epoch + 1, "step": self.steps}
        record |= {name: total / rows for name, total in self.totals.items()}
        record["learning_rate"] = self.schedule.get_last_lr()[0]
        with self.average.in_place():
            self.stopped = self.best.update(record, len(self.records))
        self.totals, self.told = {"rows": 0}, False
        self._record(record)
        asked = self.report.end_epoch(
            self.records[-1], lambda: self.best.kept(self.average.weights)
        )
        self.stop_asked = self.gradients.processes.agree(asked)

    def _record(self, record):
        self.records.append(record | {"seconds": time.perf_counter() - self.started, "kept": False})

    def _leave_trace(self):
        if self.after_step is not None:
            self.after_step(self)

    # -- taking up again ----------------------------------------------------------------------

    def state(self):
        """All that the stage needs to be taken up again, as tensors and plain values."""
        return {
            "weights": self.model.snapshot(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "norms": list(self.clip.norms),
            "average": self.average.state(),
            "best": self.best.state(),
            "records": self.records,
            "epoch": self.epoch,
            "done": None if self.batches is None else self.done,
            "stopped": self.stopped,
            "totals": self.totals,
            "seconds": time.perf_counter() - self.started,
            "rows_at_once": self.gradients.rows_at_once,
            # Within an epoch, the order of its rows is drawn again from where it was drawn.
            "rng": _plain(self.rng.get_state() if self.batches is None else self.order_state),
            "generator": self.generator.get_state(),
            "global": random_states(self.model.device),  # dropout, hidden cells
        }

    def load(self, state):
        """Take up a stage from its :meth:`state`."""
        self.model.restore(state["weights"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.clip.norms.extend(state["norms"])
        self.average.load(state["average"])
        self.best.load(state["best"])
        self.records, self.stopped = state["records"], state["stopped"]
        self.epoch = state["epoch"]
        self.totals, self.seconds = state["totals"], state["seconds"]
        self.gradients.rows_at_once = state["rows_at_once"]
        kind, keys, *rest = state["rng"]
        self.rng.set_state((kind, keys.numpy(), *rest))
        if state["done"] is not None:
            self.order_state = self.rng.get_state()
            self.batches, self.done = self._shuffle(), state["done"]
        self.generator.set_state(state["generator"])
        set_random_states(state["global"], self.model.device)


def _plain(rng_state):
    kind, keys, *rest = rng_state
    return (kind, torch.from_numpy(keys.astype(np.int64)), *rest)


def _by_length(batches, lengths, rng):
    """Batches of rows of like length: those of a few batches are sorted and dealt out again."""
    dealt = []
    for start in range(0, len(batches), POOL):
        sizes = [len(batch) for batch in batches[start : start + POOL]]
        rows = np.concatenate(batches[start : start + POOL])
        rows = rows[np.argsort(lengths[rows], kind="stable")]
        pool = np.split(rows, np.cumsum(sizes)[:-1])
        dealt += [pool[i] for i in rng.permutation(len(pool))]
    return dealt


def _optimizer(model, settings, n_steps):
    params = [p for p in model.trainable().values() if p.numel()]  # Adafactor divides by the size
    common = dict(lr=settings.learning_rate, weight_decay=settings.weight_decay)
    if settings.optimizer == "adafactor":
        optimizer = torch.optim.Adafactor(params, **common)
    else:
        optimizer = torch.optim.AdamW(params, fused=True, **common)  # one kernel for all weights
    return optimizer, scheduled(optimizer, settings, n_steps)
