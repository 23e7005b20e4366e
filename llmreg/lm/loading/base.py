"""The language model that a fit begins with: fresh weights, or pretrained ones.

Fresh weights come with a tokenizer fitted on the training cells: ``model="tiny"`` or a
transformers configuration. Pretrained ones come from the hub, a folder or memory.
"""

import copy
from dataclasses import dataclass
from typing import Any

import torch

from llmreg.lm.loading.errors import fills_in
from llmreg.lm.loading.hub import ModelSource, load_lm, load_tokenizer
from llmreg.lm.stored import model_class
from llmreg.prompts.spelling import symbol_tokens
from llmreg.prompts.token_texts import token_texts

__all__ = ["Base", "fresh_base", "model_source", "pretrained_base"]


@dataclass
class Base:
    """A tokenizer, a model's configuration, and its weights if they exist already."""

    tokenizer: Any
    config: Any  # transformers.PretrainedConfig
    symbol_ids: torch.Tensor  # (S,) the tokens of the codec's symbols
    lm: Any = None  # the pretrained model
    known: bool = False  # whether the packed road need not be compared with the plain one
    source: ModelSource | None = None  # where its weights can be loaded from again

    def language_model(self):
        """The pretrained model; or one of that shape with fresh weights, other ones each time."""
        if self.lm is not None:
            return self.lm
        from transformers import AutoModelForCausalLM

        return AutoModelForCausalLM.from_config(self.config)


def fresh_base(model, plan, rows, codec):
    """A base without weights.

    Parameters
    ----------
    model : "tiny" or transformers.PretrainedConfig
    plan : llmreg.config.plan.Plan
    rows : llmreg.tables.rows.SerializedRows
    codec : fitted codec

    Returns
    -------
    Base
    """
    from llmreg.lm.tiny import tiny_config
    from llmreg.prompts.tiny_tokenizer import symbol_names, train_tokenizer

    reading = plan.reading
    texts = token_texts(rows, reading.number_input, reading.max_text_tokens, reading.vector_texts)
    tokenizer = train_tokenizer(texts, symbols=codec.symbols)
    if model == "tiny":
        config = tiny_config(len(tokenizer), num_hidden_layers=plan.n_layers)
    else:
        config = copy.deepcopy(model)
        config.vocab_size, config.pad_token_id = len(tokenizer), tokenizer.pad_token_id
    ids = torch.tensor(tokenizer.convert_tokens_to_ids(symbol_names(codec.symbols)))
    return Base(tokenizer, config, ids, known=model == "tiny")


def pretrained_base(model, codec, dtype=None):
    """A base with weights.

    Parameters
    ----------
    model : PretrainedModel
    codec : fitted codec
    dtype : torch.dtype or None, default=None
        Of the weights as they are loaded; None: float32.

    Returns
    -------
    Base

    Raises
    ------
    ValueError
        For a pair that is no causal language model and its tokenizer, or has adapters already.
    OSError
        If the model can't be loaded.
    """
    source = None
    if isinstance(model.source, tuple):
        lm, tokenizer = map(copy.deepcopy, _checked_pair(model.source))  # training changes the copy
        _compute_buffers(lm, dtype)
    else:
        source = model_source(model)
        tokenizer, lm = load_tokenizer(source), load_lm(source, dtype)
    ids = torch.tensor(symbol_tokens(tokenizer, codec.symbols, codec))
    return Base(tokenizer, lm.config, ids, lm=lm, source=source)


def _compute_buffers(lm, dtype):
    """Compute anew what no checkpoint holds, such as rotary frequencies, as copies and saved models
    do: ``lm.half()`` rounds them along with the weights, and predictions would differ."""
    from accelerate import init_empty_weights

    saved = lm.state_dict(keep_vars=True)
    computed = {name: b for name, b in lm.named_buffers() if name not in saved}
    if not computed:
        return
    with init_empty_weights():  # weights take no memory, and draw nothing
        fresh = model_class(lm)._from_config(copy.deepcopy(lm.config), dtype=dtype or torch.float32)
    fresh = dict(fresh.named_buffers())
    for name, buffer in computed.items():
        if name in fresh and fresh[name].shape == buffer.shape:
            buffer.data = fresh[name].to(buffer.device)


def model_source(model):
    """What to load, of a :class:`llmreg.PretrainedModel` with a name."""
    names = ("revision", "token", "local_files_only", "trust_remote_code", "model_kwargs")
    return ModelSource(model.source, **{name: getattr(model, name) for name in names})


def _checked_pair(pair):
    """A loaded (model, tokenizer); ValueError for anything else."""
    kinds = ", ".join(type(part).__name__ for part in pair)
    if len(pair) != 2 or not hasattr(pair[0], "get_input_embeddings"):
        raise ValueError(
            f"model=({kinds}) is not a pair of a loaded causal language model and its tokenizer. "
            "Pass (model, tokenizer) in this order, or the model's name."
        )
    if not _writes(pair[0]):
        raise ValueError(
            f"model=({kinds}): the first of the pair is no causal language model, which writes "
            "text from left to right. Load it with AutoModelForCausalLM.from_pretrained(...)."
        )
    if not hasattr(pair[1], "convert_tokens_to_ids"):
        raise ValueError(
            f"model=({kinds}): the second of the pair must be the model's tokenizer, such as "
            "AutoTokenizer.from_pretrained(...) gives."
        )
    if hasattr(pair[0], "peft_config"):
        raise ValueError(
            f"model=({kinds}): the model has adapters already. Pass model.merge_and_unload(), or "
            "the base model with a PeftConfig as adapters."
        )
    highest, known = max(pair[1].get_vocab().values()), pair[0].get_input_embeddings().weight
    if highest >= len(known):
        raise ValueError(
            f"model=({kinds}): the tokenizer writes tokens up to {highest}, of which the model "
            f"knows {len(known)}. Pass the tokenizer that belongs to the model."
        )
    return pair


def _writes(lm):
    """Whether a model writes text from left to right, as far as it lets tell."""
    both = getattr(lm.config, "is_encoder_decoder", False) or fills_in(lm.config)
    return lm.get_output_embeddings() is not None and not both
