"""Which weights of a language model train: all, or adapters; how they were before."""

from contextlib import ExitStack, contextmanager

import torch
from torch import nn

from llmreg.lm import adapters

__all__ = ["TrainableWeights"]


class TrainableWeights(nn.Module):
    """A module around a language model ``lm`` whose trainable weights change, and change back.

    Parameters
    ----------
    lm : transformers.PreTrainedModel

    Attributes
    ----------
    others : tuple of dict of str to Tensor
        Trained weights of the further members of an ensemble, whose first has the model's own.
    """

    def __init__(self, lm):
        super().__init__()
        self.lm = lm
        self.further_members = ()
        self._reference = None

    @property
    def transformer(self):
        """transformers.PreTrainedModel: the language model without peft's wrapper."""
        return self.lm.get_base_model() if self.has_lora else self.lm

    def add_lora(self, config):
        """Freeze all weights and put trainable adapters on the language model.

        Parameters
        ----------
        config : peft.PeftConfig
            LoRA in any of its variants, or another kind of adapters on weights.

        Raises
        ------
        ValueError
            If the configuration targets the output layer, or is one of virtual prompt tokens.
        """
        self.requires_grad_(False)
        self.lm = adapters.add_adapters(self.lm, config)

    @property
    def has_lora(self):
        """bool: whether adapters are in place."""
        return hasattr(self.lm, "merge_and_unload")

    def merge_lora(self):
        """Add the adapters to the weights and drop them; all weights become trainable again."""
        if self.has_lora:
            self.keep_reference(False)
            self.lm = self.lm.merge_and_unload()
            self.requires_grad_(True)

    def trainable(self):
        """dict of str to Parameter: the weights that training moves."""
        return {name: p for name, p in self.named_parameters() if p.requires_grad}

    def snapshot(self):
        """A copy of the trainable weights, for :meth:`restore`."""
        return {name: p.detach().clone() for name, p in self.trainable().items()}

    @torch.no_grad()
    def restore(self, snapshot):
        """Put a snapshot's weights back."""
        for name, p in self.trainable().items():
            p.copy_(snapshot[name])

    def keep_further_members(self, snapshots):
        """Keep the weights of an ensemble's further members, in the formats of the model's own."""
        own = dict(self.named_parameters())
        self.further_members = tuple(
            {name: tensor.to(own[name]) for name, tensor in snapshot.items()}
            for snapshot in snapshots
        )

    def members(self):
        """Go through the ensemble: within each turn of the loop the weights are a member's."""
        yield self
        for weights in self.further_members:
            with self._swapped(weights):
                yield self

    def keep_reference(self, keep=True):
        """Remember the present trainable weights as the reference of a KL penalty, or forget.

        LoRA adapters are copied into a second, frozen adapter; other weights that train (cell
        vectors, or all of them) are copied aside.

        Raises
        ------
        ValueError
            If weights other than LoRA's are split over processes (FSDP).
        """
        self._reference = None
        if self.has_lora:
            adapters.drop_reference(self.lm)
        if keep:
            copied = adapters.copy_reference(self.lm) if self.has_lora else ()
            aside = {
                name: p for name, p in self.trainable().items()
                if name.removeprefix("lm.") not in copied
            }  # fmt: skip
            _refuse_sharded(aside)
            self._reference = {name: p.detach().clone() for name, p in aside.items()}

    @contextmanager
    def reference(self):
        """Within this context the weights are those of :meth:`keep_reference`; no gradients."""
        with ExitStack() as stack:
            stack.enter_context(self._swapped(self._reference))
            if self.has_lora and adapters.has_reference(self.lm):
                stack.enter_context(adapters.active_reference(self.lm))
            stack.enter_context(torch.no_grad())
            yield

    @contextmanager
    def _swapped(self, weights):
        params = dict(self.named_parameters())
        current = {name: params[name].data for name in weights}
        try:
            for name, values in weights.items():
                # Swapping storage, not copying: a pending backward pass keeps what it saved.
                params[name].data = values
            yield
        finally:
            for name, values in current.items():
                params[name].data = values


def _refuse_sharded(weights):
    """FSDP holds on to the storage of its shards: swapping it would change nothing."""
    sharded = [name for name, p in weights.items() if hasattr(p, "full_tensor")]
    if sharded:
        raise ValueError(
            f"A KL penalty (beta > 0) needs a second copy of all weights that train, but "
            f"{len(sharded)} of them are split over processes (FSDP), such as {sharded[0]!r}. "
            "Train LoRA adapters alone (adapters=8, or a config with bias='none' and without "
            "modules_to_save), train without FSDP, or set beta=0."
        )
