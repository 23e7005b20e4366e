"""A method as a user would add it: its loss and its module in one file."""

from numbers import Real

from sklearn.utils._param_validation import Interval

from llmreg import HeadMethod, NumericDistribution, register

LIMIT, N_BINS = 4.0, 64  # in standard deviations of the training targets


@register("laplace")
class Laplace(HeadMethod):
    """Log-loss of a Laplace distribution, whose place and width are read off the last state.

    Parameters
    ----------
    least_width : float, default=0.01
    """

    trains = "the whole distribution, of one shape"
    equation = "−log p(bin of y), p Laplace"
    paper = "none"
    spreads = True

    _parameter_constraints: dict = {"least_width": [Interval(Real, 0, None, closed="neither")]}

    def __init__(self, least_width=0.01):
        self.least_width = least_width

    def build(self, module):
        """Two numbers of each hidden state."""
        from torch import nn

        module.linear = nn.Linear(module.sizes["size"], 2)

    def n_outputs(self, module):
        """Bins."""
        return N_BINS

    def forward(self, module, states):
        """Hidden states (B, d) to log-probabilities (B, N_BINS)."""
        import torch

        centre, width = module.linear(states).split(1, -1)
        width = torch.nn.functional.softplus(width) + self.least_width
        cdf = torch.distributions.Laplace(centre, width, validate_args=False).cdf(_edges(states))
        return (cdf.diff(dim=-1) + 1e-9).log().log_softmax(-1)

    def loss(self, policy, targets, statistics=None):
        """−log p of the bin that holds y, per row."""
        log_probs = policy.model.head_output(policy.batch)
        edges = _edges(targets.z)
        bins = (targets.z.unsqueeze(1) >= edges[1:-1]).sum(1, keepdim=True)
        return -log_probs.gather(1, bins).squeeze(1), {}

    def estimate(self, module, estimate, tree):
        """What simple regressors say of the bins."""
        from llmreg.numbers.estimate import interval_log_mass

        edges = _edges(estimate.centre) * module.std + module.mean
        return interval_log_mass(estimate, edges.unfold(0, 2, 1).unsqueeze(0)).log_softmax(-1)

    def distribution(self, module, output, tree):
        """Bins on the codec's axis."""
        edges = _edges(output).double().numpy() * module.std + module.mean
        return NumericDistribution(output.exp().double().numpy(), edges[:-1], edges[1:])


def _edges(like):
    import torch

    return torch.linspace(-LIMIT, LIMIT, N_BINS + 1).to(like)
