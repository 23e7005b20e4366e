"""New tokens that stand for whole numbers: one output row each."""

import numpy as np
from sklearn.utils._param_validation import StrOptions

from llmreg.methods.parts import Part
from llmreg.methods.registry import register
from llmreg.methods.token_level import CE

__all__ = ["NewTokens", "TokenRows", "initial_rows", "spelled"]

STARTS = [StrOptions({"zero", "random", "first", "average"})]


@register("new_tokens")
class NewTokens(CE):
    """Cross-entropy on one new token per number: generative classification.

    Each number of the codec, at the codec's granularity, has a token of its own that the model
    writes in one step, with an output row that is learnt. The vocabulary keeps its size.

    Parameters
    ----------
    init : {"zero", "random", "first", "average"}, default="first"
        What the rows start from: zeros, normal draws with the deviation of the vocabulary's rows,
        the row of the token with the number's first digit, or the mean of the rows of all tokens
        that spell the number with four significant digits.

    Notes
    -----
    RAFT on such tokens, from their start: ``LLMRegressor(fit_method="raft",
    sft_method=NewTokens("random"), sft_epochs=0)``.

    References
    ----------
    Fernandes et al. 2023; RAFT, tables 17 to 19.

    Examples
    --------
    >>> from llmreg import DigitCodec, LLMRegressor
    >>> from llmreg.methods import NewTokens
    >>> model = LLMRegressor(fit_method=NewTokens(init="average"), codec=DigitCodec(10, 2))
    """

    trains = "the whole distribution, without distance"
    equation = "−log p(token of y)"
    paper = "Fernandes et al. 2023; RAFT (Lukasik et al. 2025), tables 17 to 19"

    normalisation = "step"  # new tokens are not in the vocabulary
    _parameter_constraints: dict = {"init": STARTS}

    def __init__(self, init: str = "first"):
        self.init = init

    @property
    def parts(self):
        """dict: the rows."""
        return {"new_tokens": TokenRows(self.init)}


class TokenRows(Part):
    """Output rows of tokens that no vocabulary has: they are written, never read.

    So they need no input embeddings, and the vocabulary keeps its size. The parameter is that of
    :class:`NewTokens`.
    """

    _parameter_constraints: dict = {"init": STARTS}

    def __init__(self, init):
        self.init = init

    def build(self, module):
        """A row for each number, of zeros."""
        import torch

        shape = module.sizes["leaves"], module.sizes["size"]
        module.weight = torch.nn.Parameter(torch.zeros(shape))

    def start(self, module, model, tokenizer):
        """Take the rows of tokens that spell the numbers."""
        import torch

        layer = model.lm.get_output_embeddings()
        rows = getattr(layer, "original_module", layer).weight  # beneath peft's trained copy
        spellings = spelled(tokenizer, model.codec.values_)
        module.weight = torch.nn.Parameter(initial_rows(rows, spellings, self.init))


def initial_rows(rows, spellings, init):
    """The rows that new tokens start from.

    Parameters
    ----------
    rows : Tensor of shape (V, d)
        The vocabulary's output rows.
    spellings : sequence of (list of int, int)
        For each number the tokens that spell it, and which of them has its first digit.
    init : {"zero", "random", "first", "average"}
        Zeros, normal draws with the deviation of the vocabulary's rows (RAFT, table 18; from
        torch's global random state), the row of the first digit's token, or the mean over all
        tokens' rows (table 17).

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
    >>> from llmreg.methods.new_tokens import initial_rows
    >>> initial_rows(torch.eye(3), [([2, 0], 1)], "average").tolist()
    [[0.5, 0.0, 0.5]]
    """
    import torch

    if not rows.is_floating_point():
        raise ValueError(
            f"The output layer's rows are quantised ({rows.dtype}), so new tokens can't start from "
            "them. Leave that layer out of the quantisation (llm_int8_skip_modules=['lm_head'])."
        )
    rows = rows.detach()
    rows = rows.to(torch.promote_types(rows.dtype, torch.float32))
    shape = len(spellings), rows.shape[1]
    if init == "zero":
        return rows.new_zeros(shape)
    if init == "random":
        return rows.std() * torch.randn(shape).to(rows)
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
