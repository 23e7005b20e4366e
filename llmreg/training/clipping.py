"""How large a step's gradient may be, measured by those before it."""

from collections import deque

import numpy as np
import torch

__all__ = ["GradientClip"]

RECENT = 100  # steps that the running bound looks back over
FEWEST = 10  # steps that it must have seen
TIMES = 10.0  # the median norm


class GradientClip:
    """Shortens gradients that are far longer than usual; rare by design.

    Losses differ in size by orders of magnitude (digits, rewards of one's own), and so do their
    gradients: no constant suits all. The running bound is ten times the median norm of the last
    hundred steps; the first ten steps are never clipped.

    Parameters
    ----------
    limit : float, "auto" or None
        Largest norm; "auto": the running bound; None: no bound.
    """

    def __init__(self, limit):
        self.limit = limit
        self.norms = deque(maxlen=RECENT)

    @property
    def bound(self):
        """float: the largest norm that the next gradient may have."""
        if self.limit != "auto":
            return np.inf if self.limit is None else float(self.limit)
        return TIMES * float(np.median(self.norms)) if len(self.norms) >= FEWEST else np.inf

    def __call__(self, parameters):
        """Clip the parameters' gradients together.

        Returns
        -------
        norm : float
            Before clipping. If it is not finite, neither are the gradients.
        clipped : bool
        """
        bound = self.bound
        gradients = [p.grad for p in parameters if p.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        norm = float(norm.full_tensor() if hasattr(norm, "full_tensor") else norm)
        if norm > bound:  # not torch's clip_grad_norm_, which takes all below 1e-6 for zero
            torch._foreach_mul_(gradients, bound / norm)
        if norm > 0:  # steps without a gradient say nothing about those with one
            self.norms.append(norm)
        return norm, norm > bound
