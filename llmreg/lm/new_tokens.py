"""New tokens that stand for whole numbers: one output row each, and a number tree of one level."""

from dataclasses import replace

import numpy as np
import torch
from torch import nn

__all__ = ["NewTokens", "initial_rows", "one_level", "spelled"]


class NewTokens(nn.Module):
    """Output rows of tokens that no vocabulary has: they are written, never read.

    So they need no input embeddings, and the vocabulary keeps its size.

    Parameters
    ----------
    weight : Tensor of shape (L, d)
        The rows to start from, one for each number.
    """

    def __init__(self, weight):
        super().__init__()
        self.recipe = {"shape": list(weight.shape)}
        self.weight = nn.Parameter(weight)

    @classmethod
    def from_recipe(cls, recipe):
        """Untrained rows of a known shape, to load weights into."""
        return cls(torch.zeros(recipe["shape"]))


def initial_rows(rows, spellings, init):
    """The rows that new tokens start from.

    Parameters
    ----------
    rows : Tensor of shape (V, d)
        The vocabulary's output rows.
    spellings : sequence of (list of int, int)
        For each number the tokens that spell it, and which of them has its first digit.
    init : {"zero", "first", "average"}
        Zeros, the row of the first digit's token, or the mean over all tokens' rows (RAFT,
        appendix, table 17).

    Returns
    -------
    Tensor of shape (L, d), at least float32

    Raises
    ------
    ValueError
        If the rows are quantised: what they stand for can't be read off them.

    Examples
    --------
    >>> import torch
    >>> from llmreg.lm.new_tokens import initial_rows
    >>> initial_rows(torch.eye(3), [([2, 0], 1)], "average").tolist()
    [[0.5, 0.0, 0.5]]
    """
    if not rows.is_floating_point():
        raise ValueError(
            f"The output layer's rows are quantised ({rows.dtype}), so new tokens can't start from "
            "them. Leave that layer out of the quantisation (llm_int8_skip_modules=['lm_head'])."
        )
    rows = rows.detach()
    rows = rows.to(torch.promote_types(rows.dtype, torch.float32))
    if init == "zero":
        return rows.new_zeros(len(spellings), rows.shape[1])
    if init == "first":
        return rows[[tokens[first] for tokens, first in spellings]]
    return torch.stack([rows[tokens].mean(0) for tokens, _ in spellings])


def spelled(tokenizer, values):
    """How a tokenizer writes numbers with four significant digits.

    Parameters
    ----------
    tokenizer : transformers tokenizer
    values : array-like of shape (L,)

    Returns
    -------
    list of (list of int, int)
        Tokens without those that write nothing, such as a space; place of the first with a digit.

    Raises
    ------
    ValueError
        If the tokenizer knows no token for the digits of a number.
    """
    return [_spelled(tokenizer, float(value)) for value in np.asarray(values)]


def _spelled(tokenizer, value):
    text = np.format_float_positional(value, precision=4, fractional=False, trim="-")
    tokens = tokenizer(text, add_special_tokens=False)["input_ids"]
    written = [(token, tokenizer.decode([token])) for token in tokens]
    written = [(token, piece) for token, piece in written if piece.strip()]
    digits = [any(c.isdigit() for c in piece) for _, piece in written]
    if not any(digits):
        raise ValueError(
            f"The tokenizer writes {text!r} as {[piece for _, piece in written]}, without a digit, "
            "so no row of the output layer can start a new token for it. Use "
            "NewTokens(init='zero')."
        )
    return [token for token, _ in written], digits.index(True)


def one_level(tree):
    """The tree over the same numbers of which each is a single symbol.

    Parameters
    ----------
    tree : llmreg.numbers.tree.NumberTree of L leaves

    Returns
    -------
    llmreg.numbers.tree.NumberTree
        With the root as its only node, and L symbols.
    """
    root = torch.zeros_like(tree.symbol[:1])
    leaves = torch.arange(len(tree.leaf_value), device=root.device)
    span = tree.span[:1]
    return replace(
        tree, symbol=root, depth=root, ancestors=tree.ancestors[:1, :1],
        child=torch.full_like(leaves, -1).unsqueeze(0), leaf=leaves.unsqueeze(0),
        path_nodes=tree.path_nodes[:, :1], path_symbols=leaves.unsqueeze(1),
        span=span, runs=span.unsqueeze(1), run_share=torch.ones_like(span[:, :1]),
    )  # fmt: skip
