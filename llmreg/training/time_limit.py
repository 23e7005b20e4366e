"""How long a fit may take, and what of it each stage has."""

import math
import time
from dataclasses import dataclass, field

__all__ = ["TimeLimit"]

TO_TRAIN = 0.9  # of the time; the rest is for what held-out rows say afterwards


@dataclass(frozen=True)
class TimeLimit:
    """The time of a fit, which runs from when this is made.

    Parameters
    ----------
    seconds : float or None
        None: there is no limit.

    Examples
    --------
    >>> from llmreg.training.time_limit import TimeLimit
    >>> 26 < TimeLimit(60).share([40, 13, 13], 1) <= 27
    True
    >>> TimeLimit(None).share([40, 13], 0)
    inf
    """

    seconds: float | None
    began: float = field(default_factory=lambda: time.perf_counter(), compare=False)

    def left(self):
        """Seconds that are left for training, 0 where there are none."""
        if self.seconds is None:
            return math.inf
        return max(0.0, self.began + TO_TRAIN * self.seconds - time.perf_counter())

    def share(self, lengths, index):
        """Seconds that the part with this index may take, if it and those behind it share what is
        left by their lengths."""
        return self.left() * lengths[index] / sum(lengths[index:])
