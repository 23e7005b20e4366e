"""A fresh model's tokenizer: byte-level BPE fitted on the training cells."""

from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from llmreg.codecs.base import END

__all__ = ["CELL_TOKENS", "symbol_names", "train_tokenizer"]

# One token per cell that is read as a vector, one for a text column's feature vectors, and the
# place where the answer begins.
CELL_TOKENS = {"number": "<num>", "category": "<cat>", "soft": "<soft>", "answer": "<answer>"}


def symbol_names(symbols):
    """What a fresh vocabulary calls a codec's symbols: apart from all that cells may hold, but for
    the single bytes, which cells are read with as well."""
    bytes_ = {*pre_tokenizers.ByteLevel.alphabet(), END}
    return [symbol if symbol in bytes_ else f"<write {symbol}>" for symbol in symbols]


def train_tokenizer(texts, vocab_size=1000, symbols=()):
    """Fit a tokenizer whose digits are always single tokens and that knows every byte.

    Parameters
    ----------
    texts : iterable of str
        Training cells; may be empty, which leaves bytes alone.
    vocab_size : int, default=1000
        Upper bound on the number of tokens (at least the 256 bytes and the special tokens).
    symbols : sequence of str, default=()
        What a codec writes. Those that are no single bytes, such as END, become special tokens.

    Returns
    -------
    transformers.PreTrainedTokenizerFast
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    further = [name for name in symbol_names(symbols) if len(name) > 1]
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=["<pad>", "<unk>", *CELL_TOKENS.values(), *further],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        min_frequency=2,
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>", padding_side="left"
    )
