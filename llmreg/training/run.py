"""Training one model: its stages on the training rows, with checkpoints, judged by others."""

import contextlib
import copy
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch

from llmreg.lm.adapters import adapter_config
from llmreg.lm.lower_layers import keep_lower_states
from llmreg.numbers.tree import NumberTree
from llmreg.tables.targets import warn_of_other_units
from llmreg.training.bandwidths import neighbour_bandwidths
from llmreg.training.checkpoints import Checkpoints
from llmreg.training.little_learnt import warn_if_no_better_than_mean
from llmreg.training.parallel import check_sharded
from llmreg.training.policy import ZScale
from llmreg.training.reporting import Report, reporting
from llmreg.training.sequence import fit_name, train_stages
from llmreg.training.training_data import TrainingData

__all__ = ["Training", "TrainingRows", "placed", "prepared", "undone_on_error", "with_judges"]


@dataclass(frozen=True)
class TrainingRows:
    """Encoded rows with their targets, and which of them train and which are held out."""

    encoded: object  # llmreg.prompts.encoding.EncodedRows of n rows
    y: np.ndarray  # (n,) as far as the codec reaches; those of X_val as they are
    weight: np.ndarray  # (n,)
    train: np.ndarray  # (m,) int
    held_out: np.ndarray  # (n - m,) int


def with_judges(fitted, rows, y, weight, encoded, judges):
    """Training rows, and behind them rows of their own to validate on, read as in predictions.

    Parameters
    ----------
    fitted : llmreg.prediction.fitted.Fitted
    rows : llmreg.tables.rows.SerializedRows of n rows
        With their estimates.
    y, weight : ndarray of shape (n,)
    encoded : llmreg.prompts.encoding.EncodedRows of n rows
    judges : llmreg.config.checks.TrainingTable of m rows, or None
        None: there are none, and all stays as it is.

    Returns
    -------
    rows : llmreg.tables.rows.SerializedRows of n + m rows
    y, weight : ndarray of shape (n + m,)
    encoded : llmreg.prompts.encoding.EncodedRows of n + m rows
    """
    if judges is None:
        return rows, y, weight, encoded
    warn_of_other_units(judges.y, y)
    others = fitted.prompts.extend(fitted.serializer.serialize(judges.frame))
    rows = rows.followed_by(others)
    y, weight = np.append(y, judges.y), np.append(weight, judges.weight)
    return rows, y, weight, fitted.prompts.encode_extended(rows)


def prepared(model, encoded, processes):
    """Rows with all that a placed model need not compute anew in each step: what all prompts begin
    with is read once, and states behind frozen layers are kept."""
    if model.shares_prefix:
        encoded = encoded.share_prefix(model.device)
    # Sharded weights come together for a pass that all processes make, not when one lacks a state.
    return encoded if processes.sharded else keep_lower_states(model, encoded)


class Training:
    """Trains what is in the model, as one member of the ensemble, through the plan's stages.

    Parameters
    ----------
    fitted : llmreg.prediction.fitted.Fitted
    rows : TrainingRows
    validate : callable or None
        As in :class:`llmreg.training.stage.Stage`.
    processes : llmreg.training.parallel.Processes
    time_limit : llmreg.training.time_limit.TimeLimit
    checkpoint_dir : str, os.PathLike or None
    checkpoint_interval : float
        Seconds.
    verbose : int
    callbacks : llmreg.integrations.callbacks.FitCallbacks
    interim : callable
        Gives the ``Fitted`` that these weights would be, for callbacks that ask for it.
    """

    def __init__(
        self, fitted, rows, validate, processes, *, time_limit, checkpoint_dir,
        checkpoint_interval, verbose, callbacks, interim,
    ):  # fmt: skip
        self.fitted, self.rows, self.validate, self.processes = fitted, rows, validate, processes
        self.time_limit = time_limit
        self.folder, self.interval, self.verbose = checkpoint_dir, checkpoint_interval, verbose
        self.callbacks, self.interim = callbacks, interim
        model, plan, codec = fitted.model, fitted.plan, fitted.codec
        z = (codec.to_axis(rows.y) - fitted.mean) / fitted.std
        counted = rows.train[rows.weight[rows.train] > 0]
        bandwidth = neighbour_bandwidths(z, z[counted], rows.weight[counted])
        self.data = TrainingData(rows.encoded, z, codec.leaf_of(rows.y), rows.weight, bandwidth)
        rewards = [method.reward for method in plan.methods if method is not None]
        self.scale = ZScale.from_tree(
            model.tree, fitted.mean, fitted.std, model.device, model.dtype,
            targets=z[counted] if "quantile_mse" in rewards else None,
        )  # fmt: skip
        self.adapters = None
        if plan.methods[1] is not None and not plan.pretrained:  # whose adapters are there already
            self.adapters = adapter_config(plan.adapters, model.lm)
        if processes.sharded:
            check_sharded(model, plan.methods[1], self.adapters)
        if processes.index == 0:  # which speaks for all
            callbacks.begin(plan.n_tasks, model.device)

    def __call__(self, member):
        """Train as this member; returns the records of all epochs."""
        plan = self.fitted.plan
        seed = plan.seed + member  # of what makes members differ
        data, checkpoints = self.data.take(self.rows.train), self._checkpoints(seed)
        held_out = self.data.take(self.rows.held_out) if len(self.rows.held_out) else None
        with self._reporting(member) as report:
            records = train_stages(
                self.fitted.model, data, plan.stages, checkpoints,
                seconds=partial(self._seconds, member),
                lora=self.adapters,
                held_out=held_out,
                scale=self.scale,
                validate=self.validate,
                rng=np.random.RandomState(seed % 2**32),
                generator=torch.Generator().manual_seed(seed),
                report=report,
                processes=self.processes,
            )  # fmt: skip
        if plan.pretrained and self.processes.index == 0:
            warn_if_no_better_than_mean(records, self.rows)
        return records

    def has_time(self):
        """Whether the time limit leaves any for a further member."""
        return self.processes.agree(self.time_limit.left()) > 0

    def _seconds(self, member, index):
        """That this member's stage with this index may take, by how many epochs are to come."""
        plan = self.fitted.plan
        lengths = [settings.epochs for _, settings in plan.stages]
        seconds = self.time_limit.share(lengths * plan.n_estimators, index + member * len(lengths))
        return self.processes.agree(seconds)

    def _checkpoints(self, seed):
        if self.folder is None:
            return Checkpoints(None, "", 0.0)
        if self.processes.sharded:
            raise ValueError(
                f"checkpoint_dir={str(self.folder)!r} cannot be used with FSDP, whose processes "
                "hold parts of the weights. Set checkpoint_dir=None, or train without FSDP."
            )
        model, plan, rows = self.fitted.model, self.fitted.plan, self.rows
        name = fit_name(
            model, plan, seed, data=self.data.bare(), y=rows.y,
            held_out=rows.held_out, scale=self.scale, std=self.fitted.std,
            time_limit=self.time_limit.seconds,
        )  # fmt: skip
        return Checkpoints(self.folder, name, self.interval, writes=self.processes.index == 0)

    def _reporting(self, member):
        if self.processes.index:  # the first process speaks for all
            return contextlib.nullcontext(Report())
        return reporting(self.fitted, member, self.verbose, self.callbacks, self.interim)


@contextlib.contextmanager
def placed(model, plan, processes):
    """Within this context the model is where and as it trains; then as it predicts."""
    computing, tree = plan.computing, model.tree
    if any(method is not None and method.spells_out for method in plan.methods):
        model.tree = NumberTree.from_codec(model.codec, whole=True)
    place = partial(model.place, torch.device(computing.device))
    formats = computing.formats("training")
    if processes.sharded:  # before anything is on the device, which may be too small
        model.place("cpu", *formats)
    rejoin = processes.shard(model)
    place(*formats)
    model.checkpointing(computing.gradient_checkpointing)
    if computing.torch_compile:
        model.compile()
    yield
    rejoin()
    model.tree = tree
    model.checkpointing(False)
    place(*computing.formats("prediction")).eval()


@contextlib.contextmanager
def undone_on_error(fitted, start):
    """What is to be trained: going on from an earlier fit must not spoil that one if it fails.

    Fresh weights are trained in a copy. Pretrained ones may be too large for a second copy: there
    only the weights that train are remembered.
    """
    model = fitted.model
    if start is None:
        yield fitted
    elif not model.pretrained:
        yield replace(fitted, model=copy.deepcopy(model))
    else:
        before, tree = model.snapshot(), model.tree
        place = model.device, model.dtype, model._autocast
        try:
            yield fitted
        except BaseException:
            model.keep_reference(False)
            model.checkpointing(False)
            model.tree = tree
            model.place(*place).restore(before)
            model.eval()
            raise
