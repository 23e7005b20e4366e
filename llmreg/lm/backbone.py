"""The language model behind the road: prompt and number-tree forward passes.

Nothing else knows how a transformers model is called. The packed road puts prompt and tree into one
sequence; models that cannot do that take the plain one (:mod:`llmreg.lm.plain`).
"""

import threading
import warnings
from contextlib import ExitStack
from dataclasses import dataclass
from inspect import signature

import torch
from transformers import DynamicCache

from llmreg.lm.adapters import adapter_weights
from llmreg.lm.attention import (
    attend_exactly,
    attention_masks,
    packed_visibility,
    packing_obstacle,
)
from llmreg.lm.embedding import cell_input, cells_added, fix_hidden_cells
from llmreg.lm.last_layer import last_layer_at
from llmreg.lm.lower_layers import states_given
from llmreg.lm.modes import PassModes
from llmreg.lm.number_rows import new_rows, number_rows, shares_of_all, whole_rows
from llmreg.lm.placement import base_dtype, place_language_model, precise
from llmreg.lm.plain import plain_logits
from llmreg.lm.prefix import behind_prefix, expanded_cache
from llmreg.lm.readout import right_padded
from llmreg.lm.recompute import recomputing
from llmreg.lm.verification import packing_problem, shorten
from llmreg.lm.weights import TrainableWeights
from llmreg.numbers.tree import NumberTree, one_level

__all__ = ["NumberLM", "TreeCache"]


@dataclass
class TreeCache:
    """A prompt's cached keys and values, and the tree nodes that were appended to them.

    On the plain road there is nothing to cache but the batch.
    """

    batch: object  # llmreg.prompts.cell_prompts.PromptBatch of B rows
    past: object
    nodes: torch.Tensor  # (B, K) nodes so far; -1 marks padding


class NumberLM(PassModes, TrainableWeights):
    """A causal language model whose output is restricted to a codec's symbols.

    Parameters
    ----------
    lm : transformers.PreTrainedModel
        Soft-capped attention (Gemma 2) is set to its eager implementation if it has sdpa, which
        does not know it.
    cells : llmreg.prompts.cell_encoder.CellEncoder or None
        Cell vectors to add to the input embeddings.
    symbol_ids : LongTensor of shape (S,)
        The vocabulary's token for each symbol. Only these rows of the output layer are computed.
    codec : fitted codec
        Its number tree is what the model is asked about.
    source : llmreg.lm.loading.hub.ModelSource or None
        Where the pretrained weights can be loaded from again; None for weights that started fresh
        or came as a model in memory.
    pretrained : bool, default=False
        Whether the weights came from elsewhere.

    Attributes
    ----------
    packs : bool
        Whether prompt and tree share one sequence. False is slower and gives the same numbers;
        :meth:`verify_packing` can turn it off.
    head : llmreg.lm.parts.HeadModule or None
        Predicts in the number tree's place. None, unless a method asked for one.
    leaf_shift : llmreg.lm.parts.PartModule or None
        What training has added to the values of the tree's leaves.
    new_tokens : llmreg.lm.parts.PartModule or None
        Output rows of tokens that stand for whole numbers.
    bidirectional : bool
        Whether the prompt's tokens see those after them.
    """

    # Parts beside the language model and the cells, which some methods ask for (put_parts).
    PARTS = ("head", "leaf_shift", "new_tokens")

    def __init__(self, lm, cells, symbol_ids, codec, source=None, pretrained=False):
        super().__init__(lm)
        attend_exactly(lm)
        self.cells = cells
        self.register_buffer("symbol_ids", symbol_ids, persistent=False)
        self.codec = codec
        self.tree = NumberTree.from_codec(codec)
        self.source = source
        self.pretrained = pretrained
        self.packs = packing_obstacle(lm) is None
        self.head = self.leaf_shift = self.new_tokens = None
        self.bidirectional = False
        # Patches and hooks are the model's for the length of a pass: one pass at a time.
        self._pass_lock = threading.RLock()

    def __reduce__(self):
        from llmreg.lm.packing import pack_model, unpack_model

        return unpack_model, (pack_model(self),)

    @property
    def device(self):
        """torch.device: where prompts are expected."""
        return self.symbol_ids.device

    @property
    def dtype(self):
        """torch.dtype: of the language model's base weights."""
        return base_dtype(self.lm)

    @property
    def compute_dtype(self):
        """torch.dtype: of the matrix products, and with them of the rounding."""
        return self._autocast or self.dtype

    @property
    def parts(self):
        """dict of str to Module: the heads and other small parts that are there, by name."""
        found = {name: getattr(self, name) for name in self.PARTS}
        return {name: part for name, part in found.items() if part is not None}

    def add_lora(self, config):
        """Freeze all weights but those of heads and other parts, which start fresh, and put
        trainable adapters on the language model (:meth:`TrainableWeights.add_lora`)."""
        super().add_lora(config)
        for part in self.parts.values():
            part.requires_grad_(True)

    def put_parts(self, parts, bidirectional=False):
        """Put heads and other parts in place, for good.

        Parameters
        ----------
        parts : dict of str to Module
            With ``new_tokens``, each number is written as one token of its own, in place of the
            codec's symbols: the number tree becomes one of a single level, over the same numbers.
            With a head that reads whole spellings it becomes one of these.
        bidirectional : bool, default=False
            Let the prompt's tokens attend to those after them, too. Numbers stay causal: no token
            of the prompt sees them, and each sees its own beginning.

        Raises
        ------
        ValueError
            If the model is to be bidirectional and takes no attention mask of ours.
        """
        if bidirectional and not self.packs:
            raise ValueError(
                "bidirectional=True needs a model that attends as our masks tell it, but "
                f"{type(self.transformer).__name__} (model_type="
                f"{self.transformer.config.model_type!r}) does not. Set bidirectional=False, or "
                "use a transformer with attn_implementation='sdpa' or 'eager'."
            )
        for name, part in parts.items():
            setattr(self, name, part)
        if "new_tokens" in parts:
            self.tree = one_level(self.tree)
        if self.head is not None and self.head.whole:
            self.tree = self._whole_tree()
        self.bidirectional = bidirectional

    def _whole_tree(self):
        return NumberTree.from_codec(self.codec, whole=True).to(self.tree.symbol.device)

    def place(self, device, dtype=None, autocast=None):
        """Move the weights and the tree.

        Parameters
        ----------
        device : torch.device or str
        dtype : torch.dtype or None, default=None
            Of the language model's base weights; None leaves all formats as they are. Adapters,
            cell vectors and heads keep at least float32; quantised weights stay as they are.
        autocast : torch.dtype or None, default=None
            What matrix products are computed in (:class:`torch.autocast`); None: in the weights'
            own format, or as before where ``dtype`` is None too.

        Returns
        -------
        NumberLM
            This one.
        """
        names = adapter_weights(self.lm) if self.has_lora else ()
        device = place_language_model(self.lm, device, dtype, names)
        self.symbol_ids = self.symbol_ids.to(device)
        small = [*self.parts.values(), *([] if self.cells is None else [self.cells])]
        for part in small:
            part.to(device=device, dtype=None if dtype is None else precise(dtype))
        self.tree = self.tree.to(device)
        self.keep_further_members(self.further_members)
        if dtype is not None or autocast is not None:
            self._autocast = autocast
        return self

    def node_logits(self, batch, nodes, shares=False):
        """Next-symbol logits at the root and at some nodes, in one forward pass.

        Prompt and nodes are packed in one sequence; each node sees the prompt and its ancestors.

        Parameters
        ----------
        batch : llmreg.prompts.cell_prompts.PromptBatch of B rows and P tokens
        nodes : LongTensor of shape (K,) or (B, K)
            Nodes other than the root, distinct within a row; every node's ancestors must be among
            them. -1 is padding.
        shares : bool, default=False
            Give log-probabilities among the whole vocabulary, which takes the whole output layer
            at every node. They are logits, too: the same but for a constant of each node.

        Returns
        -------
        Tensor of shape (B, 1 + K, S), at least float32
            Root first.
        """
        nodes = nodes.expand(len(batch), -1)  # (B, K)
        if not self.packs:
            return self.plain_logits(batch, nodes, shares)
        ids = torch.cat([batch.ids, self._node_ids(nodes)], 1)
        visible = packed_visibility(batch.mask, self.tree.visible(nodes, nodes), self.bidirectional)
        positions = torch.cat([batch.positions, self._node_positions(batch, nodes)], 1)
        out = self._masked_pass(
            ids, batch, visible, positions, positions, use_cache=False, shares=shares,
            lower=self._lower(batch, nodes),
        )  # fmt: skip
        return out.logits[:, -nodes.shape[1] - 1 :]

    def prefill(self, batch):
        """Root logits (B, S), and the cache that :meth:`extend` grows."""
        batch = self.fix_hidden_cells(batch)
        nodes = batch.ids.new_empty(len(batch), 0)
        if not self.packs:
            return self.plain_logits(batch, nodes)[:, 0], TreeCache(batch, None, nodes)
        # Without padding the model's own causal mask will do, and its kernels need not read it.
        causal = batch.unpadded and not self.bidirectional and batch.lower is None
        visible = None if causal else packed_visibility(batch.mask, None, self.bidirectional)
        positions = batch.positions
        # Without a configuration no layer forgets what lies before its window: a later node may
        # be nearer to it than the last column is.
        out = self._masked_pass(
            batch.ids, batch, visible, positions, positions, past_key_values=DynamicCache(),
            lower=self._lower(batch, nodes),
        )  # fmt: skip
        return out.logits[:, -1], TreeCache(batch, out.past_key_values, nodes)

    def extend(self, cache, nodes):
        """Logits (B, K, S) at further nodes, whose ancestors are in the cache; grows the cache.

        Parameters
        ----------
        cache : TreeCache
        nodes : LongTensor of shape (B, K), distinct within a row except for -1 (padding)
        """
        batch, seen = cache.batch, torch.cat([cache.nodes, nodes], 1)
        if not self.packs:
            cache.nodes = seen
            return self.plain_logits(batch, nodes)[:, 1:]
        prompt = batch.mask.unsqueeze(1).expand(-1, nodes.shape[1], -1)
        visible = torch.cat([prompt, self.tree.visible(nodes, seen)], -1)  # (B, K, P + K')
        key = torch.cat([batch.positions, self._node_positions(batch, seen)], 1)
        query = key[:, -nodes.shape[1] :]
        visible, key = behind_prefix(batch, visible, key)
        out = self._masked_pass(
            self._node_ids(nodes), None, visible, query, key,
            past_key_values=cache.past, lower=self._lower(batch, nodes, prompt=False),
        )  # fmt: skip
        cache.nodes, cache.past = seen, out.past_key_values
        return out.logits

    def head_output(self, batch):
        """What the head makes of the prompts, with gradients.

        Parameters
        ----------
        batch : llmreg.prompts.cell_prompts.PromptBatch of B rows

        Returns
        -------
        Tensor of shape (B,) or (B, K)
            At least float32: numbers in z-units, or a histogram's log-probabilities.
        """
        read = self.head.read(self, self.fix_hidden_cells(batch))
        kind = next((p.dtype for p in self.head.parameters()), precise(self.dtype))
        with torch.autocast(self.device.type, enabled=False):
            return self.head(*(x.to(kind) if x.is_floating_point() else x for x in read))

    def prompt_pass(self, batch, output, keep):
        """A pass over the prompts alone, with another output layer.

        Parameters
        ----------
        batch : llmreg.prompts.cell_prompts.PromptBatch of B rows
        output : callable
            ``output(layer, at)`` gives a context in which the output layer answers as wanted
            (:mod:`llmreg.lm.number_rows`). ``at`` picks the prompts' last states (B, 1, d) of those
            that the layer gets.
        keep : int
            How many of the last columns the layer gets, at least; 1 where the last is enough.

        Returns
        -------
        Tensor
            The output layer's answer, after what the family does to logits; at least float32.
        """
        layer = self.lm.get_output_embeddings()
        if self.packs:
            visible = packed_visibility(batch.mask, None, self.bidirectional)
            positions = batch.positions
            context = output(layer, lambda hidden: hidden[:, -1:])
            return self._masked_pass(
                batch.ids, batch, visible, positions, positions, keep=keep, output=context,
                use_cache=False, lower=self._lower(batch, batch.ids[:, :0]),
            ).logits  # fmt: skip
        ids, real, cells = right_padded(self, batch)
        rows, last = torch.arange(len(ids), device=ids.device), real.sum(1) - 1
        context = output(layer, lambda hidden: hidden[rows, last].unsqueeze(1))
        kwargs = {"attention_mask": real.long()} if self._takes_mask else {}
        return self._forward(ids, cells, use_cache=False, output=context, **kwargs).logits

    def fix_hidden_cells(self, batch):
        """The batch with its hidden cells drawn: every pass over it then hides the same ones.

        Outside of training, and for models that hide no cells, this is the batch itself. A
        roll-out and its gradient have to see one and the same row.
        """
        return fix_hidden_cells(self.cells, batch)

    @property
    def shares_prefix(self):
        """bool: whether tokens that all prompts begin with can be read once for all of them.

        Heads read the whole prompt, and compiled layers no cache.
        """
        return self.caches_gradients and not (
            self.head is not None or self.bidirectional or self._compiled
        )

    def read_prefix(self, ids, cache=None, lower=None):
        """Keys and values of tokens (S,) that all prompts of a batch begin with.

        They also go into ``cache``, if there is one; ``lower`` are their states behind the first
        layers, if these are known.

        Returns
        -------
        tuple of pairs of Tensor of shape (1, heads, S, d)
            One pair for each layer: :attr:`llmreg.prompts.encoding.Prefix.past`.
        """
        ids = ids.unsqueeze(0)
        positions = torch.arange(ids.shape[1], device=ids.device).unsqueeze(0)
        visible = packed_visibility(torch.ones_like(ids, dtype=torch.bool), None)
        cache = DynamicCache() if cache is None else cache
        self._masked_pass(
            ids, None, visible, positions, positions, keep=1, past_key_values=cache, lower=lower
        )
        return tuple((layer.keys, layer.values) for layer in cache.layers)

    @property
    def caches_gradients(self):
        """bool: whether gradients flow through :meth:`prefill` and :meth:`extend`.

        False with gradient checkpointing, which keeps no keys, and on the plain road, where every
        call would start from the prompt: sample without gradients, then score the numbers.
        """
        return self.packs and not self._checkpointing

    def alone(self):
        """A context in which no other thread makes a pass with this model."""
        return self._pass_lock

    def _lower(self, batch, nodes, prompt=True):
        """States of the batch behind the layers that training leaves alone, where they are kept."""
        return batch.lower and batch.lower.of(self, batch, nodes, prompt)

    def _node_ids(self, nodes):
        return self.symbol_ids[self.tree.symbol[nodes.clamp(min=0)]]

    def _node_positions(self, batch, nodes):
        before = batch.mask.sum(1, keepdim=True) + batch.n_before
        return before + self.tree.depth[nodes.clamp(min=0)] - 1

    def _masked_pass(self, ids, batch, visible, query, key, keep=None, **kwargs):
        """A pass with a mask and positions of our own; logits at the last ``keep`` tokens, by
        default at the prompt's last one and all after it."""
        kwargs = {"use_cache": True, **kwargs}
        if batch is not None and batch.prefix is not None:
            if visible is not None:
                visible, key = behind_prefix(batch, visible, key)
            known = batch.lower and batch.lower.kept.of_prefix(self, batch.prefix)
            past = batch.prefix.past or self.read_prefix(batch.prefix.ids, lower=known)
            kwargs |= {"use_cache": True, "past_key_values": expanded_cache(past, len(batch))}
        mask = None
        if visible is not None:
            lowest = torch.finfo(self.compute_dtype).min
            mask = attention_masks(self.transformer.config, visible, query, key, self.dtype, lowest)
        if keep is None:
            keep = ids.shape[1] - (0 if batch is None else batch.ids.shape[1] - 1)
        cells = None if batch is None else cell_input(self.cells, batch)
        return self._forward(
            ids, cells, attention_mask=mask, position_ids=query, logits_to_keep=keep, **kwargs
        )

    def plain_logits(self, batch, nodes, shares=False):
        """:meth:`node_logits` on the plain road, whatever the model can do; nodes are (K,) or
        (B, K), and their ancestors need not be among them."""

        def forward(ids, mask, cells):
            kwargs = {"attention_mask": mask.long()} if self._takes_mask else {}
            return self._forward(ids, cells, use_cache=False, shares=shares, **kwargs).logits

        nodes, cells = nodes.expand(len(batch), -1), cell_input(self.cells, batch)
        return plain_logits(forward, self.tree, self.symbol_ids, batch, cells, nodes)

    @property
    def _takes_mask(self):
        return "attention_mask" in signature(self.transformer.forward).parameters

    def _number_rows(self):
        """The context in which the output layer gives the symbols' logits alone."""
        layer = self.lm.get_output_embeddings()
        if self.new_tokens is not None:
            return new_rows(layer, self.new_tokens.weight)
        return number_rows(layer, self.symbol_ids)

    def _forward(self, ids, cells, use_cache, output=None, shares=False, lower=None, **kwargs):
        """Call the language model once; logits of the symbols alone, in at least float32.

        ``output`` is another context for the output layer. ``shares``: log-probabilities among the
        whole vocabulary.
        """
        if shares:
            output = whole_rows(self.lm.get_output_embeddings(), self.symbol_ids)
        with ExitStack() as stack:
            stack.enter_context(self._pass_lock)
            stack.enter_context(self._autocasting())
            stack.enter_context(self._number_rows() if output is None else output)
            stack.enter_context(cells_added(self.lm.get_input_embeddings(), cells))
            if lower is not None:
                stack.enter_context(states_given(self.transformer, lower))
            if self._last_layer is not None and "logits_to_keep" in kwargs:
                stack.enter_context(last_layer_at(self._last_layer, kwargs["logits_to_keep"]))
            if self._checkpointing:
                active = torch.is_grad_enabled() and not use_cache
                stack.enter_context(recomputing(self.transformer, active))
            if self._compiled and use_cache:
                # Compiled code would be one for each layer's place in the cache.
                stack.enter_context(torch.compiler.set_stance("force_eager"))
            out = self.lm(input_ids=ids, use_cache=use_cache, **kwargs)
        out.logits = out.logits.to(precise(out.logits.dtype))
        if shares:
            out.logits = shares_of_all(out.logits, self.symbol_ids)
        return out

    def verify_packing(self, batch):
        """Compare the packed road with the plain one, and leave it where they disagree.

        transformers has families whose attention follows rules of its own. What differs by more
        than rounding can explain, or fails, is computed the plain way from then on.

        Parameters
        ----------
        batch : llmreg.prompts.cell_prompts.PromptBatch
            The last few tokens of its first two rows are used.

        Returns
        -------
        bool
            Whether the packed road is taken.
        """
        if not self.packs:
            return False
        modes = [(module, module.training) for module in self.modules()]
        tree = self.tree
        # To the end of all spellings: whatever a method asks for is a part of that.
        self.tree = self._whole_tree()
        try:
            with torch.no_grad():
                problem = packing_problem(self.eval(), shorten(batch))
        finally:
            self.tree = tree
            for module, training in modes:
                module.training = training
        if problem is not None:
            self.packs = False
            warnings.warn(
                f"Prompt and number tree cannot share one sequence of this model (model_type="
                f"{self.transformer.config.model_type!r}): {problem}. Numbers are computed one "
                "path at a time instead: slower, same predictions.",
                UserWarning,
                stacklevel=2,
            )
        return self.packs
