"""The language model behind the road: prompt and number-tree forward passes.

Nothing else knows peft, nor how a transformers model is called.
"""

import threading
import warnings
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn

from llmreg.tree import NumberTree

__all__ = ["NumberLM", "TreeCache"]


@dataclass
class TreeCache:
    """A prompt's cached keys and values, and the tree nodes that were appended to them."""

    past: object
    prompt_mask: torch.Tensor  # (B, P)
    nodes: torch.Tensor  # (B, K) nodes so far; -1 marks padding


class NumberLM(nn.Module):
    """A causal language model whose output is restricted to a codec's symbols.

    Parameters
    ----------
    lm : transformers.PreTrainedModel
    cells : llmreg.cell_encoder.CellEncoder or None
        Cell vectors to add to the input embeddings.
    symbol_ids : LongTensor of shape (S,)
        The vocabulary's token for each symbol. Only these rows of the output layer are computed.
    codec : fitted codec
        Its number tree is what the model is asked about.
    base : str or None
        Hub id or folder of the pretrained weights; None for weights that started fresh.
    """

    def __init__(self, lm, cells, symbol_ids, codec, base=None):
        super().__init__()
        self.lm = lm
        self.cells = cells
        self.register_buffer("symbol_ids", symbol_ids, persistent=False)
        self.codec = codec
        self.tree = NumberTree.from_codec(codec)
        self.base = base
        self._reference = None
        self._output_lock = threading.RLock()

    def __reduce__(self):
        from llmreg.persistence import pack_model, unpack_model

        return unpack_model, (pack_model(self),)

    @property
    def device(self):
        """torch.device: where the weights are."""
        return self.symbol_ids.device

    @property
    def dtype(self):
        """torch.dtype: of the weights."""
        return self.lm.get_input_embeddings().weight.dtype

    def place(self, device, dtype=None):
        """Move the weights and the tree; returns self."""
        self.to(device=device, dtype=dtype)
        self.tree = self.tree.to(device)
        return self

    def node_logits(self, batch, nodes):
        """Next-symbol logits at the root and at some nodes, in one forward pass.

        Prompt and nodes are packed in one sequence; each node sees the prompt and its ancestors.

        Parameters
        ----------
        batch : llmreg.prompts.PromptBatch of B rows and P tokens
        nodes : LongTensor of shape (K,) or (B, K)
            Nodes other than the root; every node's ancestors must be among them. -1 is padding.

        Returns
        -------
        Tensor of shape (B, 1 + K, S)
            Root first.
        """
        nodes = nodes.expand(len(batch), -1)  # (B, K)
        embeds = torch.cat([self._embed_prompt(batch), self._embed_nodes(nodes)], 1)
        visible = _packed_visibility(batch.mask, self.tree.visible(nodes, nodes))
        prompt_positions = (batch.mask.cumsum(1) - 1).clamp(min=0)
        positions = torch.cat([prompt_positions, self._node_positions(batch.mask, nodes)], 1)
        return self._forward(embeds, visible, positions, nodes.shape[1] + 1, use_cache=False).logits

    def prefill(self, batch):
        """Root logits (B, S), and the cache that :meth:`extend` grows."""
        visible = _packed_visibility(batch.mask, None)
        positions = (batch.mask.cumsum(1) - 1).clamp(min=0)
        out = self._forward(self._embed_prompt(batch), visible, positions, 1, use_cache=True)
        nodes = torch.empty(len(batch), 0, dtype=torch.long, device=self.device)
        return out.logits[:, 0], TreeCache(out.past_key_values, batch.mask, nodes)

    def extend(self, cache, nodes):
        """Logits (B, K, S) at further nodes, whose ancestors are in the cache; grows the cache.

        Parameters
        ----------
        cache : TreeCache
        nodes : LongTensor of shape (B, K), distinct within a row except for -1 (padding)
        """
        seen = torch.cat([cache.nodes, nodes], 1)
        prompt = cache.prompt_mask.unsqueeze(1).expand(-1, nodes.shape[1], -1)
        visible = torch.cat([prompt, self.tree.visible(nodes, seen)], -1)  # (B, K, P + K')
        positions = self._node_positions(cache.prompt_mask, nodes)
        out = self._forward(
            self._embed_nodes(nodes), visible, positions, nodes.shape[1], use_cache=True,
            past_key_values=cache.past,
        )  # fmt: skip
        cache.nodes, cache.past = seen, out.past_key_values
        return out.logits

    def _embed_prompt(self, batch):
        embeds = self.lm.get_input_embeddings()(batch.ids)
        if self.cells is None:
            return embeds
        embeds = embeds.masked_fill(self.cells.blank(batch.slots).unsqueeze(-1), 0.0)
        vectors = self.cells(batch.numbers, batch.categories, batch.texts)
        index = batch.slots.unsqueeze(-1).expand(-1, -1, vectors.shape[-1])
        return embeds + vectors.gather(1, index)

    def _embed_nodes(self, nodes):
        symbols = self.tree.symbol[nodes.clamp(min=0)]
        return self.lm.get_input_embeddings()(self.symbol_ids[symbols])

    def _node_positions(self, prompt_mask, nodes):
        return prompt_mask.sum(1, keepdim=True) + self.tree.depth[nodes.clamp(min=0)] - 1

    def _forward(self, embeds, visible, positions, keep, **kwargs):
        bias = torch.zeros(visible.shape, dtype=embeds.dtype, device=embeds.device)
        bias.masked_fill_(~visible, torch.finfo(embeds.dtype).min)
        with self._number_rows():
            return self.lm(
                inputs_embeds=embeds, attention_mask=bias.unsqueeze(1), position_ids=positions,
                logits_to_keep=keep, **kwargs,
            )  # fmt: skip

    @contextmanager
    def _number_rows(self):
        """Within this context the output layer computes the symbols' rows alone.

        Patching the layer, not calling the body without it, keeps what a family does to its
        logits (scaling, soft caps). The lock is for threads that predict with one model.
        """
        head, rows = self.lm.get_output_embeddings(), self.symbol_ids

        def forward(hidden):
            bias = None if head.bias is None else head.bias[rows]
            return nn.functional.linear(hidden, head.weight[rows], bias)

        with self._output_lock:
            head.forward = forward
            try:
                yield
            finally:
                del head.forward

    # -- LoRA -------------------------------------------------------------------------------

    def add_lora(self, config):
        """Freeze all weights and put trainable LoRA adapters on the language model.

        Raises
        ------
        ValueError
            If the configuration targets the output layer.
        """
        from peft import get_peft_model

        self.requires_grad_(False)
        with warnings.catch_warnings():
            # peft asks for an attribute that transformers is renaming; nothing of ours to change.
            warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
            # GPT-2's layers store weights transposed; peft notices and says that it copes.
            warnings.filterwarnings("ignore", "fan_in_fan_out is set to False", UserWarning)
            lm = get_peft_model(self.lm, config)
        if not isinstance(lm.get_output_embeddings(), nn.Linear):
            raise ValueError(
                f"target_modules={config.target_modules!r} puts an adapter on the output layer, of "
                "which only the number symbols' rows are computed. Leave that layer out; "
                "'all-linear' does."
            )
        self.lm = lm

    @property
    def has_lora(self):
        """bool: whether adapters are in place."""
        return hasattr(self.lm, "merge_and_unload")

    def merge_lora(self):
        """Add the adapters to the weights and drop them; all weights become trainable again."""
        if self.has_lora:
            self.lm = self.lm.merge_and_unload()
            self.requires_grad_(True)

    def train_mode(self, dropout):
        """Ready for training steps: cells are hidden at random, dropout is on or off.

        Off in roll-outs, so that sampled numbers and their gradient see one and the same network.
        A hidden cell is a change to the row, which both see.
        """
        self.train(dropout)
        if self.cells is not None:
            self.cells.train()

    # -- trainable weights ------------------------------------------------------------------

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

    def keep_reference(self, keep=True):
        """Remember the present trainable weights as the reference of a KL penalty, or forget."""
        self._reference = self.snapshot() if keep else None

    @contextmanager
    def reference(self):
        """Within this context the weights are those of :meth:`keep_reference`; no gradients."""
        current = {name: p.data for name, p in self.trainable().items()}
        try:
            for name, p in self.trainable().items():
                # Swapping storage, not copying: a pending backward pass keeps what it saved.
                p.data = self._reference[name]
            with torch.no_grad():
                yield
        finally:
            for name, p in self.trainable().items():
                p.data = current[name]


def _packed_visibility(prompt_mask, node_visible):
    """Who sees whom in [prompt | nodes]: (B, P + K, P + K) bool.

    Padding sees nothing, so its attention is uniform (the mask is finite) and nobody reads it.
    """
    batch, width = prompt_mask.shape
    device = prompt_mask.device
    causal = torch.ones(width, width, dtype=torch.bool, device=device).tril()
    prompt = causal & prompt_mask.unsqueeze(1)
    if node_visible is None:
        return prompt
    n_nodes = node_visible.shape[1]
    above = torch.zeros(batch, width, n_nodes, dtype=torch.bool, device=device)
    below = prompt_mask.unsqueeze(1).expand(-1, n_nodes, -1)
    return torch.cat([torch.cat([prompt, above], 2), torch.cat([below, node_visible], 2)], 1)
