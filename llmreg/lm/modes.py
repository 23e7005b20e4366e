"""How passes are computed in training: with dropout, checkpointed, compiled, in which format."""

import warnings
from contextlib import nullcontext

import torch
from torch import nn

from llmreg.lm.recompute import repeated_layers, switch_checkpointing

__all__ = ["PassModes"]


class PassModes:
    """The switches of a :class:`llmreg.lm.backbone.NumberLM`. All are off at first."""

    _autocast = None
    _checkpointing = False
    _compiled = False

    def checkpointing(self, on=True):
        """Compute activations again in the backward pass instead of keeping them, or keep them.

        Less memory for about a third more time. Acts in every pass that has gradients and no
        cache, with dropout on or off; gradients are the same.

        Raises
        ------
        ValueError
            If the model has no gradient checkpointing.
        """
        if bool(on) != self._checkpointing:
            switch_checkpointing(self.transformer, on)
        self._checkpointing = bool(on)

    def compile(self):
        """Compile the transformer's layers with :func:`torch.compile`, for sequences of any length.

        The first pass of each kind takes the time to compile. The output layer and the embeddings,
        which change from pass to pass, are left alone, and so are passes with a cache. Copies and
        pickles of the model are not compiled.
        """
        layers = repeated_layers(self.transformer)
        if not layers:
            warnings.warn(
                f"Device(torch_compile=True) has no effect on {type(self.transformer).__name__}: "
                "transformers marks none of its layers as such.",
                UserWarning,
                stacklevel=2,
            )
        for layer in layers:
            layer.compile(dynamic=True)
        self._compiled = bool(layers)

    def train_mode(self, dropout):
        """Ready for training steps: cells are hidden at random, dropout is on or off.

        Off in roll-outs, so that sampled numbers and their gradient see one and the same network.
        A hidden cell is a change to the row, which both see.
        """
        self.train(dropout)
        if self.cells is not None:
            self.cells.train()

    @property
    def takes_layers_apart(self):
        """bool: whether layers may be left out or computed in part."""
        return not (self._checkpointing or self._compiled)

    @property
    def _last_layer(self):
        """The last of the transformer's layers, if it may be computed in part."""
        layers = repeated_layers(self.transformer)
        if not layers or not self.takes_layers_apart:
            return None
        # Dropout draws for every token, so that checkpoints, which compute all, draw the same.
        drops = (isinstance(m, nn.Dropout) and m.p and m.training for m in layers[-1].modules())
        return None if any(drops) else layers[-1]

    def _autocasting(self):
        if self._autocast is None:
            return nullcontext()
        return torch.autocast(self.device.type, self._autocast)
