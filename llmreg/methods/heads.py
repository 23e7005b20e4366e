"""Methods that predict without writing a number: heads on the language model's output.

A head is built into the model because its objective asks for one, in :meth:`head_spec`
(see :mod:`llmreg.lm.parts`).
"""

from numbers import Integral, Real

from sklearn.utils._param_validation import Interval, StrOptions

from llmreg.methods.base import Method

__all__ = [
    "Histogram",
    "LastStateHead",
    "LogitsMLPHead",
    "MaxPoolHead",
    "MeanPoolHead",
    "MinPoolHead",
    "Pointwise",
    "ProbabilitiesHead",
    "SpecialTokenHead",
]

RAFT_PAPER = "RAFT (Lukasik et al. 2025)"
GENRE2 = "GenRe² (arXiv 2512.06533)"
SIZE = Interval(Integral, 1, None, closed="left")


class Head(Method):
    """Base of the heads that predict one number: squared error in z-units."""

    _parameter_constraints: dict = {"bidirectional": ["boolean"]}
    stage = "sft"
    trains = "one number per row, without a distribution"

    def __init__(self, *, bidirectional=False):
        self.bidirectional = bidirectional

    def head_spec(self):
        """dict: ``kind`` of :data:`llmreg.lm.heads.HEADS`, and its parameters."""
        raise NotImplementedError

    def loss(self, policy, targets, statistics=None):
        """(y - ŷ)² in z-units, per row."""
        return (policy.model.head_output(policy.batch) - targets.z) ** 2, {}


class SpecialTokenHead(Head):
    """Squared error of b + f(x)_v, the logit of one token at the prompt's end.

    Parameters
    ----------
    token : str or None, default=None
        The token v, as the tokenizer's vocabulary spells it. None: its end-of-sequence token, or
        the one for unknown text or padding.
    bidirectional : bool, default=False
        Whether the prompt's tokens attend to those after them. Needs a transformer.

    References
    ----------
    Fernandes et al. 2023; RAFT, table 2: "final-token logit".

    Examples
    --------
    >>> from llmreg import LLMRegressor
    >>> from llmreg.methods.heads import SpecialTokenHead
    >>> model = LLMRegressor(fit_method=SpecialTokenHead(token="7"))
    """

    name = "head_special_token"
    equation = "(y − b − f(x)_v)²"
    paper = f"Fernandes et al. 2023; {RAFT_PAPER}, table 2"

    _parameter_constraints: dict = {**Head._parameter_constraints, "token": [str, None]}

    def __init__(self, token=None, *, bidirectional=False):
        super().__init__(bidirectional=bidirectional)
        self.token = token

    def head_spec(self):
        return {"kind": "special_token_logit", "token": self.token}


class LogitsMLPHead(Head):
    """Squared error of b + MLP(f(x)), two layers with a sigmoid on all logits.

    Computes the whole vocabulary's logits at the prompt's end.

    Parameters
    ----------
    hidden_size : int, default=128
    bidirectional : bool, default=False
        Whether the prompt's tokens attend to those after them. Needs a transformer.

    References
    ----------
    RAFT, eq. 11.

    Examples
    --------
    >>> from llmreg import LLMRegressor
    >>> from llmreg.methods.heads import LogitsMLPHead
    >>> model = LLMRegressor(fit_method=LogitsMLPHead(hidden_size=64))
    """

    name = "head_logits_mlp"
    equation = "(y − b − MLP(f(x)))²"
    paper = f"{RAFT_PAPER}, eq. 11"

    _parameter_constraints: dict = {**Head._parameter_constraints, "hidden_size": [SIZE]}

    def __init__(self, hidden_size=128, *, bidirectional=False):
        super().__init__(bidirectional=bidirectional)
        self.hidden_size = hidden_size

    def head_spec(self):
        return {"kind": "logits_mlp", "hidden_size": self.hidden_size}


class PoolHead(Head):
    """Base of the heads that pool hidden states."""

    pooling = None

    def head_spec(self):
        return {"kind": "pooling", "pooling": self.pooling}


class LastStateHead(PoolHead):
    """Squared error of b + w·h, h the last token's final hidden state.

    Parameters
    ----------
    bidirectional : bool, default=False
        Whether the prompt's tokens attend to those after them. Needs a transformer.

    References
    ----------
    RAFT, table 2, with the last token's output embedding.

    Examples
    --------
    >>> from llmreg import LLMRegressor
    >>> from llmreg.methods.heads import LastStateHead
    >>> model = LLMRegressor(fit_method=LastStateHead())
    """

    name = "head_last"
    equation = "(y − b − w·h_last)²"
    paper = f"{RAFT_PAPER}, table 2"

    pooling = "last"


class MeanPoolHead(PoolHead):
    """Squared error of b + w·h, h the mean of the prompt's final hidden states.

    Parameters
    ----------
    bidirectional : bool, default=False
        Whether the prompt's tokens attend to those after them. Needs a transformer.

    References
    ----------
    Zhuang et al. 2023; RAFT, tables 2 and 4: "pooled output embeddings (mean)".

    Examples
    --------
    >>> from llmreg import LLMRegressor
    >>> from llmreg.methods.heads import MeanPoolHead
    >>> model = LLMRegressor(fit_method=MeanPoolHead(bidirectional=True))
    """

    name = "head_mean"
    equation = "(y − b − w·mean h)²"
    paper = f"Zhuang et al. 2023; {RAFT_PAPER}, tables 2 and 4"

    pooling = "mean"


class MinPoolHead(PoolHead):
    """Squared error of b + w·h, h the smallest final hidden state in each dimension.

    Parameters
    ----------
    bidirectional : bool, default=False
        Whether the prompt's tokens attend to those after them. Needs a transformer.

    References
    ----------
    RAFT, table 4: "pooled output embeddings (min)".

    Examples
    --------
    >>> from llmreg import LLMRegressor
    >>> from llmreg.methods.heads import MinPoolHead
    >>> model = LLMRegressor(fit_method=MinPoolHead())
    """

    name = "head_min"
    equation = "(y − b − w·min h)²"
    paper = f"{RAFT_PAPER}, table 4"

    pooling = "min"


class MaxPoolHead(PoolHead):
    """Squared error of b + w·h, h the largest final hidden state in each dimension.

    Parameters
    ----------
    bidirectional : bool, default=False
        Whether the prompt's tokens attend to those after them. Needs a transformer.

    References
    ----------
    RAFT, table 4: "pooled output embeddings (max)".

    Examples
    --------
    >>> from llmreg import LLMRegressor
    >>> from llmreg.methods.heads import MaxPoolHead
    >>> model = LLMRegressor(fit_method=MaxPoolHead())
    """

    name = "head_max"
    equation = "(y − b − w·max h)²"
    paper = f"{RAFT_PAPER}, table 4"

    pooling = "max"


class ProbabilitiesHead(Head):
    """Squared error of b + w·p, p the probabilities of the token after the prompt.

    Parameters
    ----------
    over : {"vocabulary", "symbols"}, default="vocabulary"
        Which tokens: all, or the codec's symbols, among which probabilities are then normalised.
    bidirectional : bool, default=False
        Whether the prompt's tokens attend to those after them. Needs a transformer.

    References
    ----------
    RAFT, table 2: "probability-vector projection".

    Examples
    --------
    >>> from llmreg import LLMRegressor
    >>> from llmreg.methods.heads import ProbabilitiesHead
    >>> model = LLMRegressor(fit_method=ProbabilitiesHead(over="symbols"))
    """

    name = "head_probabilities"
    equation = "(y − b − w·p(x))²"
    paper = f"{RAFT_PAPER}, table 2"

    _parameter_constraints: dict = {
        **Head._parameter_constraints, "over": [StrOptions({"vocabulary", "symbols"})]
    }  # fmt: skip

    def __init__(self, over="vocabulary", *, bidirectional=False):
        super().__init__(bidirectional=bidirectional)
        self.over = over

    def head_spec(self):
        return {"kind": "probabilities", "over": self.over}


class Pointwise(Head):
    """Squared error of an MLP on the last token's final hidden state.

    Parameters
    ----------
    hidden_size : int, default=256
        Of the one hidden layer (ReLU).
    bidirectional : bool, default=False
        Whether the prompt's tokens attend to those after them. Needs a transformer.

    References
    ----------
    The pointwise head of GenRe² (arXiv 2512.06533), there on an MLP over numeric columns; here the
    language model reads the row.

    Examples
    --------
    >>> from llmreg import LLMRegressor
    >>> from llmreg.methods.heads import Pointwise
    >>> model = LLMRegressor(fit_method=Pointwise(hidden_size=64))
    """

    name = "pointwise"
    equation = "(y − MLP(h_last))²"
    paper = GENRE2

    _parameter_constraints: dict = {**Head._parameter_constraints, "hidden_size": [SIZE]}

    def __init__(self, hidden_size=256, *, bidirectional=False):
        super().__init__(bidirectional=bidirectional)
        self.hidden_size = hidden_size

    def head_spec(self):
        return {"kind": "pointwise", "hidden_size": self.hidden_size}


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
    >>> from llmreg.methods.heads import Histogram
    >>> model = LLMRegressor(fit_method=Histogram(n_bins=64))
    """

    name = "histogram"
    trains = "the whole distribution, smoothed, without symbols"
    equation = "−Σ_b q_b log p_b, q_b ∝ exp(−½ ((y − c_b) / σ)²)"
    paper = f"{GENRE2}: Riemann head; targets: Imani & White 2018 (arXiv 1806.04613)"

    _parameter_constraints: dict = {
        "n_bins": [Interval(Integral, 2, None, closed="left")],
        "limit": [Interval(Real, 0, None, closed="neither")],
        "sigma": [Interval(Real, 0, None, closed="neither")],
        "hidden_size": [SIZE],
        "bidirectional": ["boolean"],
    }
    stage = "sft"

    def __init__(self, n_bins=256, limit=3.0, sigma=0.75, *, hidden_size=256,
                 bidirectional=False):  # fmt: skip
        self.n_bins = n_bins
        self.limit = limit
        self.sigma = sigma
        self.hidden_size = hidden_size
        self.bidirectional = bidirectional

    def head_spec(self):
        """dict: ``kind`` of :data:`llmreg.lm.heads.HEADS`, and its parameters."""
        sizes = {name: getattr(self, name) for name in ("n_bins", "limit", "hidden_size")}
        return {"kind": "histogram", **sizes}

    def loss(self, policy, targets, statistics=None):
        """−Σ q log p over bins and tails, per row."""
        from llmreg.lm.heads import histogram_targets
        from llmreg.methods import functional as F

        log_probs = policy.model.head_output(policy.batch)
        weights = histogram_targets(targets.z, self.n_bins, self.limit, self.sigma)
        return F.soft_cross_entropy(log_probs, weights), {}
