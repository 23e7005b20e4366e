"""Which weights a stage ends with: the averaged ones that validate best, or the last."""

import contextlib

import numpy as np
import torch

__all__ = ["BestWeights", "RunningMean"]

KEPT = ("weights", "place", "mark", "marked", "harmful")  # in checkpoints, beside the errors


class BestWeights:
    """Early stopping on what held-out rows say, and the weights that they like best.

    What a second stage starts from takes part.

    Parameters
    ----------
    model : llmreg.lm.backbone.NumberLM
    validate : callable or None
        See :class:`llmreg.training.stage.Stage`.
    settings : llmreg.config.plan.StageSettings
    objective : callable or None, default=None
        Each held-out row's value of what the method minimises; None: rows are judged by their
        squared errors.
    """

    def __init__(self, model, validate, settings, objective=None):
        self.model, self.validate, self.objective = model, validate, objective
        self.chooses = settings.selection != "last"
        self.patience = settings.n_iter_no_change or np.inf
        self.least_gain = settings.least_gain
        self.squares, self.weights = None, None
        self.place = None  # of the best weights' record
        self.mark, self.marked = None, 0  # the last clear gain, and the place of its record
        self.harmful = False

    def begin(self, record, takes_part):
        """Add the error of the weights that a stage starts from to a record, its first."""
        record["validation_rmse"], squares = self._judged(record)
        if takes_part and self.chooses:
            self.squares, self.weights = squares, self.model.snapshot()
            self.place, self.harmful = 0, True
            self.mark = float(squares.mean())

    def _judged(self, record):
        self.model.eval()
        error, squares = self.validate()
        if self.objective is not None:
            squares = self.objective()
            record["validation_objective"] = float(squares.mean())
        return error, squares

    def state(self):
        """What :meth:`load` needs to go on, as tensors and plain values."""
        squares = None if self.squares is None else torch.from_numpy(self.squares)
        return {"squares": squares} | {name: getattr(self, name) for name in KEPT}

    def load(self, state):
        """Go on from a :meth:`state`."""
        squares = state["squares"]
        self.squares = None if squares is None else squares.numpy()
        for name in KEPT:
            setattr(self, name, state[name])

    def update(self, record, place):
        """Add the validation error to the record at this place; True when it is time to stop."""
        record["validation_rmse"] = np.nan
        if self.validate is None:
            return False
        record["validation_rmse"], squares = self._judged(record)
        if not self.chooses:
            return False
        if self.squares is not None:
            worse = squares - self.squares
            # Harmful: worse than chance explains, by two standard errors, each time.
            self.harmful &= bool(worse.mean() > 2 * worse.std() / np.sqrt(len(worse)))
        if self.squares is None or worse.mean() < 0:
            self.squares, self.weights = squares, self.model.snapshot()
            self.place = place
        error = float(squares.mean())
        if self.mark is None or self.mark - error > self.least_gain * abs(error):
            self.mark, self.marked = error, place
        return place - self.marked >= self.patience

    def kept(self, last):
        """The best weights, or the last ones where nothing was validated."""
        return last if self.weights is None else self.weights

    def restore(self, last):
        """Put the weights that are kept in place."""
        self.model.restore(self.kept(last))
        self.model.eval()


class RunningMean:
    """Running mean of the trainable weights that looks back over about a fifth of the steps so far.

    What is validated and kept. Averages out the steps' noise, so that each epoch can be judged as
    if the learning rate had come down by then (Karras et al. 2024, power-function averaging).

    Parameters
    ----------
    model : llmreg.lm.backbone.NumberLM
    average : bool, default=True
        False: no mean but the last weights.
    """

    POWER = 3.0

    def __init__(self, model, average=True):
        self.model, self.average = model, average
        self.trained, self.weights = model.trainable(), model.snapshot()
        self.steps = 0

    def state(self):
        """What :meth:`load` needs to go on."""
        return {"weights": self.weights, "steps": self.steps}

    def load(self, state):
        """Go on from a :meth:`state`."""
        for name, weight in self.weights.items():
            weight.copy_(state["weights"][name])
        self.steps = state["steps"]

    @torch.no_grad()
    def update(self):
        """Take the weights of one more step into the mean."""
        self.steps += 1
        # 1 at first: forgets the start.
        share = (self.POWER + 1) / (self.steps + self.POWER) if self.average else 1.0
        current = list(self.trained.values())
        torch._foreach_lerp_(list(self.weights.values()), current, share)

    @contextlib.contextmanager
    def in_place(self):
        """Within this context the model has the mean weights."""
        current = self.model.snapshot()
        self.model.restore(self.weights)
        try:
            yield
        finally:
            self.model.restore(current)
