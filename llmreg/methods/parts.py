"""Modules that methods put into the model: what they are made of, and what they compute.

A part is written without torch: :class:`llmreg.lm.parts.PartModule` is the torch module that holds
its weights, which ``build`` puts there and all other functions get as ``module``.
"""

from sklearn.base import BaseEstimator

__all__ = ["Head", "Part", "mlp"]


class Part(BaseEstimator):
    """Base class of the modules that methods put into the model.

    Its parameters, those of ``__init__``, are kept with a fitted model. torch is imported where it
    is used.
    """

    def build(self, module):
        """Give a module its weights, of the final shapes.

        Parameters
        ----------
        module : llmreg.lm.parts.PartModule
            Weights are assigned to it as in any ``torch.nn.Module``. It has ``sizes``: ``size`` of
            the hidden states, tokens of the ``vocabulary``, and the codec's ``symbols`` and
            ``leaves`` (its numbers); and ``mean`` and ``std`` of the targets on the codec's axis.
        """
        raise NotImplementedError

    def start(self, module, model, tokenizer):
        """Set what the weights start from, where the model or the tokenizer decides it.

        By default they stay as built.

        Parameters
        ----------
        module : llmreg.lm.parts.PartModule
        model : llmreg.lm.backbone.NumberLM
        tokenizer : transformers tokenizer
        """


class Head(Part):
    """Base class of the parts that predict without writing a number.

    By default one number per row in z-units (standardised by the training targets, on the codec's
    axis), from the last hidden state. A subclass implements ``build`` and :meth:`forward`.

    Attributes
    ----------
    spreads : bool, default=False
        Whether :meth:`forward` gives log-probabilities, not one number.
    sums_shares : bool, default=False
        As in :class:`llmreg.Method`.
    whole : bool, default=False
        Whether it reads the codec's numbers to the end of their spelling.
    on_axis : bool, default=True
        Whether :meth:`distribution` lies on the codec's axis, and not in the units of y.
    """

    spreads = sums_shares = whole = False
    on_axis = True

    def read(self, module, model, batch):
        """Tensors of B rows that :meth:`forward` gets: by default the last hidden states (B, d).

        :mod:`llmreg.lm.readout` has what there is to read.
        """
        from llmreg.lm.readout import last_states

        return (last_states(model, batch),)

    def forward(self, module, *read):
        """What :meth:`read` gave to numbers (B,) in z-units, or to log-probabilities (B, K)."""
        raise NotImplementedError

    def n_logits(self, module, tree):
        """int: logits that are computed for each row beside the language model's states."""
        return 0

    def n_outputs(self, module):
        """int: K, what :meth:`forward` gives for each row."""
        return 1

    def estimate(self, module, estimate, tree):
        """What simple regressors say, in the terms of :meth:`forward`: by default their means.

        Parameters
        ----------
        estimate : llmreg.estimates.stacking.Estimate of B rows
        tree : llmreg.numbers.tree.NumberTree
        """
        return (estimate.mean - module.mean) / module.std

    def distribution(self, module, output, tree):
        """The :class:`llmreg.NumericDistribution` of a :meth:`forward`'s output.

        By default all mass is on the number.
        """
        import numpy as np

        from llmreg.numbers.distribution import NumericDistribution

        number = output.detach().double().cpu().numpy() * module.std + module.mean
        atom = number[:, None]
        return NumericDistribution(np.ones_like(atom), atom, atom, greedy=number)


def mlp(n_inputs, hidden_size, n_outputs, activation):
    """Two linear layers with an activation (a class of torch.nn, by name) between them."""
    from torch import nn

    return nn.Sequential(
        nn.Linear(n_inputs, hidden_size),
        getattr(nn, activation)(),
        nn.Linear(hidden_size, n_outputs),
    )
