"""A histogram over the targets' axis in place of written numbers."""

import math
from numbers import Integral, Real

from sklearn.utils._param_validation import Interval

from llmreg.methods.base import Method
from llmreg.methods.parts import Head, mlp
from llmreg.methods.registry import register
from llmreg.numbers.distribution import NumericDistribution

__all__ = ["Histogram", "HistogramHead", "histogram_edges", "histogram_targets"]

# Beyond its last bin a histogram stands for half a normal distribution of this standard deviation
# (GenRe²'s released code).
TAIL_SPREAD = 0.5
SIZES = {
    "n_bins": [Interval(Integral, 2, None, closed="left")],
    "limit": [Interval(Real, 0, None, closed="neither")],
    "hidden_size": [Interval(Integral, 1, None, closed="left")],
}


@register("histogram")
class Histogram(Method):
    """Cross-entropy of a histogram over z against a Gaussian around the target.

    An MLP on the last token's final hidden state gives the probabilities of equal bins on
    [-limit, limit], in standard deviations of the training targets, and of two tails. Unlike the
    other heads it predicts a distribution.

    Parameters
    ----------
    n_bins : int, default=256
    limit : float, default=3.0
        Targets beyond it belong to a tail, which stands for ±(limit + 0.5 √(2/π)).
    sigma : float, default=0.75
        Standard deviation of the Gaussian, in widths of a bin.
    hidden_size : int, default=256
        Of the MLP's one hidden layer (ReLU).
    bidirectional : bool, default=False
        Whether the prompt's tokens attend to those after them. Needs a transformer.

    References
    ----------
    The "Riemann" head of GenRe²'s released code (arXiv 2512.06533), there on an MLP over numeric
    columns; its soft targets are those of HL-Gauss (Imani & White 2018).

    Examples
    --------
    >>> from llmreg import LLMRegressor
    >>> from llmreg.methods import Histogram
    >>> model = LLMRegressor(fit_method=Histogram(n_bins=64))
    """

    trains = "the whole distribution, smoothed, without symbols"
    equation = "−Σ_b q_b log p_b, q_b ∝ exp(−½ ((y − c_b) / σ)²)"
    paper = (
        "GenRe² (arXiv 2512.06533): Riemann head; targets: Imani & White 2018 (arXiv 1806.04613)"
    )

    _parameter_constraints: dict = {
        **SIZES,
        "sigma": [Interval(Real, 0, None, closed="neither")],
        "bidirectional": ["boolean"],
    }
    stage = "sft"

    def __init__(self, n_bins: int = 256, limit: float = 3.0, sigma: float = 0.75, *,
                 hidden_size: int = 256, bidirectional: bool = False):  # fmt: skip
        self.n_bins = n_bins
        self.limit = limit
        self.sigma = sigma
        self.hidden_size = hidden_size
        self.bidirectional = bidirectional

    @property
    def parts(self):
        """dict: the head."""
        return {"head": HistogramHead(self.n_bins, self.limit, self.hidden_size)}

    def loss(self, policy, targets, statistics=None):
        """−Σ q log p over bins and tails, per row."""
        from llmreg.methods import functional as F

        log_probs = policy.model.head_output(policy.batch)
        weights = histogram_targets(targets.z, self.n_bins, self.limit, self.sigma)
        return F.soft_cross_entropy(log_probs, weights), {}


class HistogramHead(Head):
    """Probabilities of equal bins on [-limit, limit] and of two tails (GenRe²'s Riemann head).

    Bins come in ascending order, the lower tail first. The parameters are those of
    :class:`Histogram`.
    """

    _parameter_constraints: dict = SIZES
    spreads = True

    def __init__(self, n_bins, limit, hidden_size):
        self.n_bins = n_bins
        self.limit = limit
        self.hidden_size = hidden_size

    def build(self, module):
        """The MLP."""
        module.mlp = mlp(module.sizes["size"], self.hidden_size, self.n_bins + 2, "ReLU")

    def n_outputs(self, module):
        """Bins and tails."""
        return self.n_bins + 2

    def forward(self, module, states):
        """Log-probabilities (B, n_bins + 2)."""
        return module.mlp(states).log_softmax(-1)

    def estimate(self, module, estimate, tree):
        """Its log-probabilities (B, n_bins + 2) of bins and tails."""
        import torch

        from llmreg.numbers.estimate import interval_log_mass

        edges = torch.from_numpy(self._edges(module)).to(estimate.centre)
        spans = torch.stack([edges[:-1], edges[1:]], -1).unsqueeze(0)
        return interval_log_mass(estimate, spans).log_softmax(-1)

    def distribution(self, module, output, tree):
        """Bins and tails on the axis; its mean is the expectation over their centres."""
        edges = self._edges(module)
        probs = output.detach().double().exp().cpu().numpy()
        centres = (edges[1:] + edges[:-1]) / 2
        return NumericDistribution(
            probs, edges[:-1], edges[1:], values=centres, greedy=centres[probs.argmax(1)]
        )

    def _edges(self, module):
        return histogram_edges(self.n_bins, self.limit).numpy() * module.std + module.mean


def histogram_edges(n_bins, limit):
    """Ends of a histogram's cells in z-units, ascending: a tail, the bins, a tail.

    A tail is an interval with the mean of half a normal distribution of standard deviation 0.5
    beyond the limit: ±(limit + 0.5 √(2/π)) (GenRe²'s released code).

    Parameters
    ----------
    n_bins : int
    limit : float

    Returns
    -------
    Tensor of shape (n_bins + 3,), float64

    Examples
    --------
    >>> from llmreg.methods.histogram import histogram_edges
    >>> edges = histogram_edges(256, 3.0)
    >>> round(float(edges[-2:].mean()), 3)
    3.399
    """
    import torch

    bins = torch.linspace(-limit, limit, n_bins + 1, dtype=torch.float64)
    tail = bins.new_tensor([limit + 2 * TAIL_SPREAD * math.sqrt(2 / math.pi)])
    return torch.cat([-tail, bins, tail])


def histogram_targets(y, n_bins, limit, sigma):
    """Soft targets of a histogram: a discretised Gaussian around y, or a tail.

    Parameters
    ----------
    y : Tensor of shape (B,)
        In z-units.
    n_bins : int
    limit : float
    sigma : float
        Standard deviation, in widths of a bin.

    Returns
    -------
    Tensor of shape (B, n_bins + 2)
        Rows sum to one: ∝ exp(-½ ((y - c) / σ)²) over the bins' centres c; one-hot in a tail where
        y is beyond the limit.

    Examples
    --------
    >>> import torch
    >>> from llmreg.methods.histogram import histogram_targets
    >>> histogram_targets(torch.tensor([-3.5, 0.0]), 2, 3.0, 0.75).tolist()
    [[1.0, 0.0, 0.0, 0.0], [0.0, 0.5, 0.5, 0.0]]
    """
    import torch

    edges = histogram_edges(n_bins, limit)[1:-1].to(y)
    centres, width = (edges[1:] + edges[:-1]) / 2, 2 * limit / n_bins
    inside = y.clamp(-limit, limit).unsqueeze(1)
    bins = (-(((inside - centres) / (sigma * width)) ** 2) / 2).softmax(-1)
    below, above = (y < -limit).unsqueeze(1), (y > limit).unsqueeze(1)
    return torch.cat([below.to(y), bins.masked_fill(below | above, 0.0), above.to(y)], 1)
