"""The embedded default model: a small Llama and a tokenizer fitted on the training prompts.

It needs no download and is an ordinary transformers model behind the same road as any other.
"""

from llmreg.lm.tiny.model import tiny_config
from llmreg.lm.tiny.tokenizer import train_tokenizer

__all__ = ["tiny_config", "train_tokenizer"]
