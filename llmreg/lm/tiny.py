"""The shape of the model that is called tiny."""

from transformers import LlamaConfig

__all__ = ["tiny_config"]


def tiny_config(vocab_size, *, hidden_size=64, num_hidden_layers=2, num_attention_heads=4):
    """A Llama configuration of about 0.1 million parameters for tables with a few dozen cells.

    Parameters
    ----------
    vocab_size : int
    hidden_size, num_hidden_layers, num_attention_heads : int

    Returns
    -------
    transformers.LlamaConfig
    """
    return LlamaConfig(
        vocab_size=vocab_size,
        hidden_size=hidden_size,
        intermediate_size=2 * hidden_size,
        num_hidden_layers=num_hidden_layers,
        num_attention_heads=num_attention_heads,
        max_position_embeddings=16384,
        tie_word_embeddings=True,
        pad_token_id=0,
        bos_token_id=None,
        eos_token_id=None,
    )
