"""A tokenizer as the bytes of its files, and back, rule for rule."""

import json
import tempfile
from pathlib import Path

__all__ = ["pack_tokenizer", "unpack_tokenizer"]

SETTINGS = {  # what is read of its configuration
    *(f"{name}_token" for name in ("bos", "eos", "unk", "sep", "pad", "cls", "mask")),
    "model_max_length", "padding_side", "truncation_side", "clean_up_tokenization_spaces",
    "split_special_tokens", "add_prefix_space", "extra_special_tokens",
    "additional_special_tokens",
}  # fmt: skip
RULES = ("content", "lstrip", "rstrip", "normalized", "single_word", "special")


def pack_tokenizer(tokenizer):
    """The files that transformers writes of a tokenizer: dict from name to bytes."""
    with tempfile.TemporaryDirectory() as folder:
        tokenizer.save_pretrained(folder)
        return {path.name: path.read_bytes() for path in Path(folder).glob("*.*")}


def unpack_tokenizer(files, parse=json.loads):
    """The tokenizer of :func:`pack_tokenizer`.

    Parameters
    ----------
    files : dict of str to bytes
    parse : callable, default=json.loads
        Reads the settings, which may come from strangers.

    Raises
    ------
    ValueError
        If it asks for code of its own.
    """
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    settings = parse(files["tokenizer_config.json"])
    if settings.get("auto_map"):
        raise ValueError("the tokenizer asks for code of its own (auto_map).")
    settings = {name: _as_token(v) for name, v in settings.items() if name in SETTINGS}
    if "chat_template.jinja" in files:
        settings["chat_template"] = files["chat_template.jinja"].decode()
    # Not AutoTokenizer: the classes of some families build their rules anew.
    rules = Tokenizer.from_str(files["tokenizer.json"].decode())
    return PreTrainedTokenizerFast(tokenizer_object=rules, **settings)


def _as_token(value):
    """A special token with rules of its own, which JSON has as a dict; other values as they are."""
    from tokenizers import AddedToken

    if type(value) is not dict or "content" not in value:
        return value
    return AddedToken(**{rule: value[rule] for rule in RULES if rule in value})
