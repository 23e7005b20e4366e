"""Methods that predict one number without writing it: heads on the language model's output.

Each is its own part of the model: the loss, the weights and what they compute are one class.
"""

from numbers import Integral

from sklearn.utils._param_validation import Interval, StrOptions

from llmreg.methods.base import Method
from llmreg.methods.parts import Head, mlp
from llmreg.methods.registry import register

__all__ = [
    "HeadMethod",
    "LogitsMLPHead",
    "Pointwise",
    "PoolHead",
    "ProbabilitiesHead",
    "SpecialTokenHead",
]

RAFT_PAPER = "RAFT (Lukasik et al. 2025)"
SIZE = Interval(Integral, 1, None, closed="left")


class HeadMethod(Head, Method):
    """Base of the heads that predict one number: squared error in z-units.

    A subclass implements ``build`` and ``forward``, and ``read`` if the last hidden state is not
    what it reads; see :class:`llmreg.methods.parts.Head`.
    """

    _parameter_constraints: dict = {"bidirectional": ["boolean"]}
    stage = "sft"
    trains = "one number per row, without a distribution"

    def __init__(self, *, bidirectional: bool = False):
        self.bidirectional = bidirectional

    @property
    def parts(self):
        """dict: the method is its head."""
        return {"head": self}

    def loss(self, policy, targets, statistics=None):
        """(y - ŷ)² in z-units, per row."""
        return (policy.model.head_output(policy.batch) - targets.z) ** 2, {}


@register("head_special_token")
class SpecialTokenHead(HeadMethod):
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
    >>> from llmreg.methods import SpecialTokenHead
    >>> model = LLMRegressor(fit_method=SpecialTokenHead(token="7"))
    """

    equation = "(y − b − f(x)_v)²"
    paper = f"Fernandes et al. 2023; {RAFT_PAPER}, table 2"
    _parameter_constraints: dict = {**HeadMethod._parameter_constraints, "token": [str, None]}

    def __init__(self, token: str | None = None, *, bidirectional: bool = False):
        super().__init__(bidirectional=bidirectional)
        self.token = token

    def build(self, module):
        """b, and the token's number."""
        import torch

        module.register_buffer("token", torch.zeros(1, dtype=torch.long))
        module.bias = torch.nn.Parameter(torch.zeros(()))

    def start(self, module, model, tokenizer):
        """Look the token up."""
        module.token.fill_(_token(tokenizer, self.token))

    def read(self, module, model, batch):
        """The token's logits (B, 1)."""
        from llmreg.lm.readout import answer_logits

        return (answer_logits(model, batch, module.token),)

    def forward(self, module, logits):
        """Numbers (B,)."""
        return module.bias + logits.squeeze(1)


def _token(tokenizer, token):
    if token is not None:
        found = tokenizer.get_vocab().get(token)
        if found is None:
            raise ValueError(
                f"token={token!r} is not in the tokenizer's vocabulary of {len(tokenizer)} tokens. "
                "Use one of tokenizer.get_vocab(), or None for a special token."
            )
        return found
    special = (tokenizer.eos_token_id, tokenizer.unk_token_id, tokenizer.pad_token_id)
    return next(token for token in (*special, 0) if token is not None)


@register("head_logits_mlp")
class LogitsMLPHead(HeadMethod):
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
    >>> from llmreg.methods import LogitsMLPHead
    >>> model = LLMRegressor(fit_method=LogitsMLPHead(hidden_size=64))
    """

    equation = "(y − b − MLP(f(x)))²"
    paper = f"{RAFT_PAPER}, eq. 11"
    _parameter_constraints: dict = {**HeadMethod._parameter_constraints, "hidden_size": [SIZE]}

    def __init__(self, hidden_size: int = 128, *, bidirectional: bool = False):
        super().__init__(bidirectional=bidirectional)
        self.hidden_size = hidden_size

    def build(self, module):
        """The MLP."""
        module.mlp = mlp(module.sizes["vocabulary"], self.hidden_size, 1, "Sigmoid")

    def n_logits(self, module, tree):
        """The vocabulary's."""
        return module.sizes["vocabulary"]

    def read(self, module, model, batch):
        """All logits (B, vocabulary)."""
        from llmreg.lm.readout import answer_logits

        return (answer_logits(model, batch),)

    def forward(self, module, logits):
        """Numbers (B,)."""
        return module.mlp(logits).squeeze(1)


@register("head_max", pooling="max")
@register("head_min", pooling="min")
@register("head_mean", pooling="mean")
@register("head_last", pooling="last")
class PoolHead(HeadMethod):
    """Squared error of b + w·h, h pooled from the prompt's final hidden states.

    Parameters
    ----------
    pooling : {"last", "mean", "min", "max"}, default="last"
        The last token's state; or the mean, the smallest or the largest value of each dimension.
    bidirectional : bool, default=False
        Whether the prompt's tokens attend to those after them. Needs a transformer.

    References
    ----------
    Zhuang et al. 2023; RAFT, table 2, with the last token's output embedding, and tables 2 and 4:
    "pooled output embeddings".

    Examples
    --------
    >>> from llmreg import LLMRegressor, PoolHead
    >>> model = LLMRegressor(fit_method="head_mean")
    >>> model = LLMRegressor(fit_method=PoolHead("mean", bidirectional=True))
    """

    paper = f"Zhuang et al. 2023; {RAFT_PAPER}, tables 2 and 4"
    _parameter_constraints: dict = {
        **HeadMethod._parameter_constraints,
        "pooling": [StrOptions({"last", "mean", "min", "max"})],
    }

    def __init__(self, pooling: str = "last", *, bidirectional: bool = False):
        super().__init__(bidirectional=bidirectional)
        self.pooling = pooling

    @property
    def equation(self):
        """str: what is computed for one row."""
        return f"(y − b − w·{self.pooling} h)²"

    def build(self, module):
        """w and b."""
        from torch import nn

        module.linear = nn.Linear(module.sizes["size"], 1)

    def read(self, module, model, batch):
        """Hidden states (B, P, d) of all tokens, and which of them are real."""
        from llmreg.lm.readout import prompt_states

        return prompt_states(model, batch)

    def forward(self, module, states, mask):
        """Numbers (B,)."""
        return module.linear(pool(states, mask, self.pooling)).squeeze(1)


def pool(states, mask, pooling):
    """One vector per row of its tokens' hidden states.

    Parameters
    ----------
    states : Tensor of shape (B, P, d)
    mask : BoolTensor of shape (B, P)
        True for real tokens, of which each row has some.
    pooling : {"last", "mean", "min", "max"}

    Returns
    -------
    Tensor of shape (B, d)

    Examples
    --------
    >>> import torch
    >>> from llmreg.methods.heads import pool
    >>> states = torch.tensor([[[9.0], [1.0], [3.0]]])
    >>> pool(states, torch.tensor([[False, True, True]]), "mean").tolist()
    [[2.0]]
    """
    import torch

    real = mask.unsqueeze(2)
    if pooling == "last":
        place = torch.arange(mask.shape[1], device=mask.device)
        last = (mask * place).argmax(1)
        return states[torch.arange(len(states), device=mask.device), last]
    if pooling == "mean":
        return states.masked_fill(~real, 0.0).sum(1) / real.sum(1)
    if pooling == "min":
        return states.masked_fill(~real, torch.inf).amin(1)
    return states.masked_fill(~real, -torch.inf).amax(1)


@register("head_probabilities")
class ProbabilitiesHead(HeadMethod):
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
    >>> from llmreg.methods import ProbabilitiesHead
    >>> model = LLMRegressor(fit_method=ProbabilitiesHead(over="symbols"))
    """

    equation = "(y − b − w·p(x))²"
    paper = f"{RAFT_PAPER}, table 2"
    _parameter_constraints: dict = {
        **HeadMethod._parameter_constraints, "over": [StrOptions({"vocabulary", "symbols"})]
    }  # fmt: skip

    def __init__(self, over: str = "vocabulary", *, bidirectional: bool = False):
        super().__init__(bidirectional=bidirectional)
        self.over = over

    def build(self, module):
        """w, drawn from a normal distribution, and b."""
        import torch

        count = module.sizes["vocabulary" if self.over == "vocabulary" else "symbols"]
        module.weight = torch.nn.Parameter(torch.randn(count).to(torch.float32))
        module.bias = torch.nn.Parameter(torch.zeros(()))

    def n_logits(self, module, tree):
        """As many as there are weights."""
        return len(module.weight)

    def read(self, module, model, batch):
        """Logits (B, S) of the first token to be written."""
        from llmreg.lm.readout import answer_logits

        tokens = None if self.over == "vocabulary" else model.symbol_ids
        return (answer_logits(model, batch, tokens),)

    def forward(self, module, logits):
        """Numbers (B,)."""
        return logits.softmax(-1) @ module.weight + module.bias


@register("pointwise")
class Pointwise(HeadMethod):
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
    >>> from llmreg.methods import Pointwise
    >>> model = LLMRegressor(fit_method=Pointwise(hidden_size=64))
    """

    equation = "(y − MLP(h_last))²"
    paper = "GenRe² (arXiv 2512.06533)"
    _parameter_constraints: dict = {**HeadMethod._parameter_constraints, "hidden_size": [SIZE]}

    def __init__(self, hidden_size: int = 256, *, bidirectional: bool = False):
        super().__init__(bidirectional=bidirectional)
        self.hidden_size = hidden_size

    def build(self, module):
        """The MLP."""
        module.mlp = mlp(module.sizes["size"], self.hidden_size, 1, "ReLU")

    def forward(self, module, states):
        """Numbers (B,)."""
        return module.mlp(states).squeeze(1)
