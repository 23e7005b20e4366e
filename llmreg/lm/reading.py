"""A pretrained model as a reader: states of texts, without anything written."""

import warnings

import numpy as np
import torch
from sklearn.preprocessing import normalize
from torch.nn.utils.rnn import pad_sequence

from llmreg.integrations.process_state import own_modes
from llmreg.lm.loading.hub import load_reader, load_tokenizer
from llmreg.lm.recompute import repeated_layers

__all__ = ["TextReader"]

CAUSAL_DEPTH = 0.5  # where meaning is; the last blocks of a model that writes prepare the next word
LONGEST_PIECE = 512  # tokens that are read at once: attention's memory grows with their square


class TextReader:
    """A model and its tokenizer, placed on a device.

    Parameters
    ----------
    source : llmreg.lm.loading.hub.ModelSource
    device : torch.device

    Attributes
    ----------
    size : int
        Of the states.
    writes : bool
        Whether tokens see those before them alone.
    """

    def __init__(self, source, device):
        self.tokenizer = load_tokenizer(source)
        self.model, self.writes = load_reader(source)
        self.model.to(device).eval()
        self.size = self.model.get_input_embeddings().embedding_dim
        self.device = device

    def read(self, texts, depth, max_tokens, batch_size):
        """Mean states of texts, scaled to length 1; warns of texts that are cut.

        Parameters
        ----------
        texts : list of str
        depth : float or "auto"
            Share of the blocks that are computed.
        max_tokens : int
            Of a text. Those beyond what the model reads at once are read in pieces.
        batch_size : int
            Of pieces.

        Returns
        -------
        ndarray of shape (n_texts, size), dtype float32
        """
        pieces, owners = self._pieces(texts, max_tokens)
        order = np.argsort([len(ids) for ids in pieces], kind="stable")
        found = np.zeros((len(texts), self.size), np.float32)
        for start in range(0, len(order), batch_size):
            some = order[start : start + batch_size]
            sums = self._sums([pieces[i] for i in some], self._n_blocks(depth))
            np.add.at(found, owners[some], sums)
        return normalize(found) if len(found) else found

    def _pieces(self, texts, max_tokens):
        """Lists of ids that the model can read, and of which text each is."""
        if not texts:
            return [], np.zeros(0, int)
        bare = self.tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]
        _warn_cut(sum(len(ids) > max_tokens for ids in bare), len(texts), max_tokens)
        before, after = self._frame()
        positions = getattr(self.model.config, "max_position_embeddings", None) or LONGEST_PIECE
        longest = min(LONGEST_PIECE, self.tokenizer.model_max_length, positions)
        step = max(1, int(longest) - len(before) - len(after))
        cut = [ids[:max_tokens] for ids in bare]
        starts = [range(0, max(1, len(ids)), step) for ids in cut]
        pieces = [
            [*before, *ids[start : start + step], *after]
            for ids, places in zip(cut, starts, strict=True)
            for start in places
        ]
        return pieces, np.repeat(np.arange(len(texts)), [len(places) for places in starts])

    def _frame(self):
        """Ids before and after a text's own. A model that writes gives its first token a state of
        no meaning: one goes before the text that doesn't count."""
        if self.writes:
            marks = self.tokenizer.bos_token_id, self.tokenizer.eos_token_id, 0
            return [next(mark for mark in marks if mark is not None)], []
        bare, whole = (
            self.tokenizer("a", add_special_tokens=special)["input_ids"]
            for special in (False, True)
        )
        n_before = next(i for i in range(len(whole)) if whole[i : i + len(bare)] == bare)
        return whole[:n_before], whole[n_before + len(bare) :]

    def _n_blocks(self, depth):
        """How many blocks are computed; None: all, and the norm behind them."""
        if depth == "auto":
            depth = CAUSAL_DEPTH if self.writes else 1.0
        available = len(repeated_layers(self.model))
        count = max(1, round(depth * available))
        return None if count >= available else count

    @own_modes()
    @torch.inference_mode()
    def _sums(self, pieces, n_blocks):
        """Sums of the states of pieces (B, d)."""
        parts = [torch.tensor(one, dtype=torch.long) for one in pieces]
        ids = pad_sequence(parts, batch_first=True, padding_value=self.tokenizer.pad_token_id or 0)
        lengths = torch.tensor([len(one) for one in pieces])
        mask = (torch.arange(ids.shape[1]) < lengths[:, None]).long().to(self.device)
        if not ids.shape[1]:
            return np.zeros((len(pieces), self.size), np.float32)
        states = _states(self.model, ids.to(self.device), mask, n_blocks)
        counted = mask.clone()
        counted[:, : int(self.writes)] = 0
        return (states.float() * counted[..., None]).sum(1).cpu().numpy()


def _warn_cut(n_cut, n_texts, max_tokens):
    if n_cut:
        warnings.warn(
            f"Texts were cut to {max_tokens} tokens in {n_cut} of {n_texts} different texts; what "
            "lies beyond is not read. Raise max_tokens of the TextEncoder to read more.",
            UserWarning,
            stacklevel=5,
        )


class _Enough(Exception):
    """The states are there: what is above is not needed."""


def _states(model, ids, mask, n_blocks):
    """States (B, T, d) behind so many blocks; None: the model's own output."""
    if n_blocks is None:
        return model(input_ids=ids, attention_mask=mask).last_hidden_state
    kept = []

    def keep(block, args, output):
        kept.append(output[0] if isinstance(output, tuple) else output)
        raise _Enough

    handle = repeated_layers(model)[n_blocks - 1].register_forward_hook(keep)
    try:
        model(input_ids=ids, attention_mask=mask, use_cache=False)
    except _Enough:
        return kept[0]
    finally:
        handle.remove()
