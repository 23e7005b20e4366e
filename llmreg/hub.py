"""Loading pretrained models and tokenizers from the Hugging Face hub or a folder."""

__all__ = ["load_lm", "load_tokenizer"]


def load_lm(name):
    """The causal language model of a hub id or a folder; OSError says what to do without one."""
    from transformers import AutoModelForCausalLM

    return _load(AutoModelForCausalLM, name)


def load_tokenizer(name):
    """The tokenizer that belongs to it, with a padding token."""
    from transformers import AutoTokenizer

    tokenizer = _load(AutoTokenizer, name)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def _load(kind, name):
    if name.lower() == "tiny":
        raise ValueError(f"model={name!r} is not a model; did you mean 'tiny'?")
    try:
        return kind.from_pretrained(name)
    except (OSError, ValueError) as error:
        raise OSError(
            f"model={name!r} could not be loaded: it is neither a folder with a transformers "
            "model on this machine nor one that the Hugging Face hub or its local cache could "
            "give. Check the name and the connection, download it first, or use model='tiny', "
            f"which needs no download. The loader said: {error}"
        ) from error
