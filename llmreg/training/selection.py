"""Which weights a stage ends with: the averaged ones of the epoch that validates best."""

import contextlib

import numpy as np
import torch

__all__ = ["BestWeights", "RunningMean"]


class BestWeights:
    """Early stopping on the validation error, and the weights of the epoch with the lowest one.

    What a second stage starts from takes part, as epoch 0.
    """

    def __init__(self, model, validate, settings):
        self.model = model
        self.validate = validate
        self.patience = settings.n_iter_no_change or settings.epochs
        self.squares, self.weights, self.epoch = None, None, None
        self.harmful = False

    def begin(self):
        """Let the present weights take part, as epoch 0."""
        if self.validate is not None:
            self.model.eval()
            _, self.squares = self.validate()
            self.weights, self.epoch, self.harmful = self.model.snapshot(), 0, True

    def state(self):
        """What :meth:`load` needs to go on, as tensors and plain values."""
        squares = None if self.squares is None else torch.from_numpy(self.squares)
        return dict(squares=squares, weights=self.weights, epoch=self.epoch, harmful=self.harmful)

    def load(self, state):
        """Go on from a :meth:`state`."""
        squares = state["squares"]
        self.squares = None if squares is None else squares.numpy()
        self.weights, self.epoch, self.harmful = (
            state[name] for name in ("weights", "epoch", "harmful")
        )

    def update(self, record):
        """Add the validation error to an epoch's record; True when it is time to stop."""
        record["validation_rmse"] = np.nan
        if self.validate is None:
            return False
        self.model.eval()
        record["validation_rmse"], squares = self.validate()
        if self.squares is not None:
            worse = squares - self.squares
            # Harmful: worse than chance explains, by one standard error, in every epoch.
            self.harmful &= bool(worse.mean() > worse.std() / np.sqrt(len(worse)))
        if self.squares is None or worse.mean() < 0:
            self.squares, self.weights = squares, self.model.snapshot()
            self.epoch = record["epoch"]
        return record["epoch"] - self.epoch >= self.patience

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
    """

    POWER = 3.0

    def __init__(self, model):
        self.model = model
        self.weights = model.snapshot()
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
        share = (self.POWER + 1) / (self.steps + self.POWER)  # 1 at first: forgets the start
        current = self.model.trainable()
        torch._foreach_lerp_(list(self.weights.values()), list(current.values()), share)

    @contextlib.contextmanager
    def in_place(self):
        """Within this context the model has the mean weights."""
        current = self.model.snapshot()
        self.model.restore(self.weights)
        try:
            yield
        finally:
            self.model.restore(current)
