"""RAFT with values of its own: what numbers, or tokens, are worth is learnt."""

from sklearn.utils._param_validation import StrOptions

from llmreg.methods.base import STAGES, Method, check_bounded
from llmreg.methods.parts import Head, Part
from llmreg.methods.registry import register

__all__ = ["LeafShift", "LearnableRAFT", "TokenValues"]


@register("learnable_raft")
class LearnableRAFT(Method):
    """Squared error of Σ p(v) w_v, with learnt values w that start at the codec's.

    Parameters
    ----------
    weights : {"grid", "vocabulary"}, default="grid"
        "grid": a value for every number of the codec, through the number tree. Its predictive
        distribution has all mass on the learnt values. "vocabulary": a weight for every token of
        the vocabulary, by its probability right after the prompt; symbols start at the mean of
        the numbers that they begin, all other tokens at the mean target. No number is written, so
        all mass is on the prediction.
    stage : {"sft", "align"}, default="align"
        "align": from the weights of a first stage. "sft": at once, for pretrained weights; and for
        "vocabulary" on fresh ones, which needs it: a first stage would train no token but the
        symbols, and leave the others nearly all the mass.
    bidirectional : bool, default=False
        Whether the prompt's tokens attend to those after them. Needs a transformer.

    References
    ----------
    RAFT, eq. 12 and table 4, where it does not beat RAFT.

    Examples
    --------
    >>> from llmreg import LLMRegressor
    >>> from llmreg.methods import LearnableRAFT
    >>> model = LLMRegressor(fit_method=LearnableRAFT(weights="vocabulary", stage="sft"))
    """

    trains = "the mean and the numbers' values"
    equation = "(y − Σ_v p(v) w_v)², w learnt"
    paper = "RAFT (Lukasik et al. 2025), eq. 12"

    _parameter_constraints: dict = {
        "weights": [StrOptions({"grid", "vocabulary"})],
        "stage": STAGES,
        "bidirectional": ["boolean"],
    }

    def __init__(self, weights: str = "grid", *, stage: str = "align", bidirectional: bool = False):
        self.weights = weights
        self.stage = stage
        self.bidirectional = bidirectional

    def check_codec(self, codec):
        """The codec's numbers must be bounded."""
        check_bounded(self, codec)

    @property
    def weighs_vocabulary(self):
        """bool: whether the probabilities of all tokens count."""
        return self.weights == "vocabulary"

    @property
    def parts(self):
        """dict: the learnt values."""
        if self.weights == "grid":
            return {"leaf_shift": LeafShift()}
        return {"head": TokenValues()}

    def loss(self, policy, targets, statistics=None):
        """(y − Σ p(v) w_v)² in z-units, per row."""
        from llmreg.methods import functional as F

        if self.weights == "vocabulary":
            return (policy.model.head_output(policy.batch) - targets.z) ** 2, {}
        values = policy.leaf_z + policy.model.leaf_shift.z
        return F.expected_squared_error(policy.leaf_log_probs(), values, targets.z), {}


class LeafShift(Part):
    """What training adds to the values of the number tree's leaves (RAFT, eq. 12).

    A shift, not the values: weight decay then pulls them to where they started.
    """

    def build(self, module):
        """z, in z-units."""
        import torch

        module.z = torch.nn.Parameter(torch.zeros(module.sizes["leaves"]))

    def values(self, module, places):
        """The learnt places (L,) on the axis, as float64 on the CPU."""
        return places.double().cpu() + module.z.detach().double().cpu() * module.std


class TokenValues(Head):
    """w·p(x): a learnt value for each token, by its probability after the prompt (RAFT, eq. 12)."""

    def build(self, module):
        """w."""
        import torch

        module.weight = torch.nn.Parameter(
            torch.zeros(module.sizes["vocabulary"], dtype=torch.float32)
        )

    def start(self, module, model, tokenizer):
        """Symbols start at the mean of the numbers that they begin, in z-units."""
        import torch

        tree = model.tree
        first, z = tree.path_symbols[:, 0], (tree.leaf_place - module.mean) / module.std
        total = z.new_zeros(len(model.symbol_ids)).index_add(0, first, z)
        count = torch.zeros_like(total).index_add(0, first, torch.ones_like(z))
        with torch.no_grad():
            module.weight[model.symbol_ids] = (total / count.clamp(min=1)).to(module.weight)

    def n_logits(self, module, tree):
        """The vocabulary's."""
        return module.sizes["vocabulary"]

    def read(self, module, model, batch):
        """All logits (B, vocabulary)."""
        from llmreg.lm.readout import answer_logits

        return (answer_logits(model, batch),)

    def forward(self, module, logits):
        """Numbers (B,)."""
        return logits.softmax(-1) @ module.weight
