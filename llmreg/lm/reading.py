"""A pretrained model as a reader: states of texts, without anything written."""

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence

from llmreg.lm.loading.hub import load_reader, load_tokenizer
from llmreg.lm.recompute import repeated_layers

__all__ = ["TextReader", "mean_states"]

CAUSAL_DEPTH = 0.5  # where meaning is; the last blocks of a model that writes prepare the next word


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
        """Mean states of texts, scaled to length 1.

        Parameters
        ----------
        texts : list of str
        depth : float or "auto"
            Share of the blocks that are computed.
        max_tokens, batch_size : int

        Returns
        -------
        ndarray of shape (n_texts, size), dtype float32
        """
        tokens = self._tokens(texts, max_tokens)
        order = np.argsort([len(ids) for ids in tokens], kind="stable")
        found = np.zeros((len(texts), self.size), np.float32)
        for start in range(0, len(order), batch_size):
            some = order[start : start + batch_size]
            found[some] = self._mean([tokens[i] for i in some], self._n_blocks(depth))
        return found

    def _tokens(self, texts, max_tokens):
        """Lists of ids. A model that writes gives its first token a state of no meaning: one goes
        before the text that doesn't count."""
        if not texts:
            return []
        tokenizer = self.tokenizer
        positions = getattr(self.model.config, "max_position_embeddings", None) or np.inf
        most = int(min(max_tokens, tokenizer.model_max_length, positions - self.writes))
        if not self.writes:
            return tokenizer(texts, truncation=True, max_length=most)["input_ids"]
        marks = tokenizer.bos_token_id, tokenizer.eos_token_id, 0
        start = next(mark for mark in marks if mark is not None)
        bare = tokenizer(texts, add_special_tokens=False)["input_ids"]
        return [[start, *ids[:most]] for ids in bare]

    def _n_blocks(self, depth):
        """How many blocks are computed; None: all, and the norm behind them."""
        if depth == "auto":
            depth = CAUSAL_DEPTH if self.writes else 1.0
        available = len(repeated_layers(self.model))
        count = max(1, round(depth * available))
        return None if count >= available else count

    @torch.inference_mode()
    def _mean(self, tokens, n_blocks):
        parts = [torch.tensor(one, dtype=torch.long) for one in tokens]
        ids = pad_sequence(parts, batch_first=True, padding_value=self.tokenizer.pad_token_id or 0)
        lengths = torch.tensor([len(one) for one in tokens])
        mask = (torch.arange(ids.shape[1]) < lengths[:, None]).long()
        if not ids.shape[1]:
            return np.zeros((len(tokens), self.size), np.float32)
        states = _states(self.model, ids.to(self.device), mask.to(self.device), n_blocks)
        counted = mask.to(self.device)
        counted[:, : int(self.writes)] = 0
        return mean_states(states.float(), counted).cpu().numpy()


def mean_states(states, counted):
    """The mean of the states that count, scaled to length 1.

    Parameters
    ----------
    states : Tensor of shape (B, T, d)
    counted : Tensor of shape (B, T)
        1 where a state counts, else 0.

    Returns
    -------
    Tensor of shape (B, d)
        Zeros where none counts.

    Examples
    --------
    >>> import torch
    >>> from llmreg.lm.reading import mean_states
    >>> mean_states(torch.tensor([[[6.0, 0.0], [0.0, 8.0], [9.0, 9.0]]]), torch.tensor([[1, 1, 0]]))
    tensor([[0.6000, 0.8000]])
    """
    total = (states * counted[..., None]).sum(1)
    return torch.nn.functional.normalize(total, dim=-1)


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
