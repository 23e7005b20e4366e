"""What the codec's numbers share among them: the head that reads probabilities of whole spellings.

The probabilities are those among all that the vocabulary can write (RAFT, eq. 5 and 10, appendix
E.6), where the number tree has them among the symbols that may be written next.
"""

from sklearn.utils._param_validation import StrOptions

from llmreg.methods.parts import Head

__all__ = ["NORMALISATIONS", "GridHead", "grid_parts"]

NORMALISATIONS = [StrOptions({"step", "grid"}), None]  # of the probabilities of numbers


def grid_parts(normalisation):
    """:attr:`llmreg.Method.parts` that a normalisation takes: none for "step"."""
    return {} if normalisation == "step" else {"head": GridHead(normalisation)}


class GridHead(Head):
    """The codec's numbers, by the probability of their whole spelling, of its END where the codec
    writes one. Nothing is learnt but the language model.

    Parameters
    ----------
    normalisation : {"grid"} or None
        "grid": p(v) / Σ p over the numbers, a distribution over them. None: Σ p(v) v, one number;
        what is no number counts as a zero of y.
    """

    _parameter_constraints: dict = {"normalisation": [StrOptions({"grid"}), None]}
    whole = True

    def __init__(self, normalisation="grid"):
        self.normalisation = normalisation

    @property
    def spreads(self):
        """bool: whether a distribution is predicted."""
        return self.normalisation is not None

    @property
    def sums_shares(self):
        """bool: whether the sum of shares is predicted."""
        return self.normalisation is None

    @property
    def on_axis(self):
        """bool: whether predictions are on the codec's axis."""
        return self.normalisation is None

    def build(self, module):
        """No weights."""

    def n_logits(self, module, tree):
        """The vocabulary's, at each node."""
        return module.sizes["vocabulary"] * tree.n_open

    def read(self, module, model, batch):
        """Log-probabilities (B, L) of spellings among all that the vocabulary can write; for the
        sum the values (1, L) besides, in z-units."""
        import torch

        from llmreg.numbers.tree import leaf_log_probs

        nodes = torch.arange(1, model.tree.n_open, device=model.device)
        shares = leaf_log_probs(model.node_logits(batch, nodes, shares=True), model.tree)
        if self.spreads:
            return (shares,)
        return shares, ((model.tree.leaf_value - module.mean) / module.std).unsqueeze(0)

    def forward(self, module, log_shares, z=None):
        """Log-probabilities (B, L) that sum to one, or numbers (B,)."""
        if self.spreads:
            return log_shares.log_softmax(-1)
        shares = log_shares.exp()
        rest = 1 - shares.sum(1)
        return shares @ z.squeeze(0) - rest * (module.mean / module.std)

    def estimate(self, module, estimate, tree):
        """Its log-probabilities (B, L) of the numbers' bins, or its means."""
        if not self.spreads:
            return super().estimate(module, estimate, tree)
        from llmreg.numbers.estimate import interval_log_mass

        spans = tree.leaf_span
        found = interval_log_mass(estimate, spans.unsqueeze(0), spans[[0, -1], [0, 1]])
        return found.log_softmax(-1)

    def distribution(self, module, output, tree):
        """Mass in the codec's cells; greedy writes the symbol that the most mass is behind."""
        if not self.spreads:
            return super().distribution(module, output, tree)
        from llmreg.numbers.decoding import tree_distribution

        tree = tree.to("cpu")
        return tree_distribution(tree, _steps_to(output.detach().cpu().double().exp(), tree))


def _steps_to(probs, tree):
    """Log-probabilities (B, n_open, S) of the steps to numbers with probabilities (B, L)."""
    import torch

    shape = len(probs), tree.n_open, tree.child.shape[1]
    mass = probs.new_zeros(shape).flatten(1)
    for nodes, symbols in zip(tree.path_nodes.long().T, tree.path_symbols.T, strict=True):
        passed = nodes < tree.n_open
        mass.index_add_(1, (nodes * shape[2] + symbols)[passed], probs[:, passed])
    mass = mass.view(shape)
    return (mass / mass.sum(-1, keepdim=True).clamp(min=torch.finfo(mass.dtype).tiny)).log()
