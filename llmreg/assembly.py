"""From the estimator's parameters to prompts and a model: the embedded road and the pretrained one.

"Embedded" means fresh weights with a tokenizer fitted on the training cells: ``model="tiny"`` or a
transformers configuration. "Pretrained" means a hub id or a folder.
"""

import copy

import numpy as np
import torch

from llmreg.backbone import NumberLM
from llmreg.cell_encoder import CellEncoder
from llmreg.cells import CellFeaturizer
from llmreg.hub import load_lm, load_tokenizer
from llmreg.prompts import CellPrompts, TextPrompts
from llmreg.settings import auto_dropout

__all__ = ["assemble", "is_pretrained", "lora_config", "resolve_device"]

N_KNOTS = 8
N_SOFT = 8
N_COMPONENTS = 64


def is_pretrained(model):
    """Whether ``model`` names weights to load (a hub id or a folder)."""
    return isinstance(model, str) and model != "tiny"


def resolve_device(device):
    """torch.device for "auto" (cuda, then mps, then cpu) or an explicit name."""
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        return torch.device(device)
    except RuntimeError as error:
        raise ValueError(
            f"device={device!r} is not a device. Use 'auto', 'cpu', 'cuda' (or 'cuda:1' and so "
            "on) or 'mps'."
        ) from error


def assemble(params, rows, codec, max_text_tokens, seed):
    """Fit prompts on serialised training rows and build the model.

    Parameters
    ----------
    params : dict
        The estimator's parameters.
    rows : llmreg.serialization.SerializedRows
    codec : fitted codec
    max_text_tokens : int
    seed : int

    Returns
    -------
    prompts : CellPrompts or TextPrompts
    encoded : llmreg.prompts.EncodedRows
        The training rows.
    model : llmreg.backbone.NumberLM
        On the CPU.
    """
    pretrained = is_pretrained(params["model"])
    number_input = params["number_input"]
    if number_input == "auto":
        number_input = "text" if pretrained else "value"
    featurizer = _featurizer(params, number_input, pretrained, seed)
    settings = dict(
        number_input=number_input,
        max_prompt_tokens=params["max_prompt_tokens"],
        max_text_tokens=max_text_tokens,
        n_soft=N_SOFT if featurizer.texts else 0,
    )
    build = _pretrained if pretrained else _embedded
    return build(params, rows, codec, featurizer, settings)


def _featurizer(params, number_input, pretrained, seed):
    texts = params["text_features"]
    if isinstance(texts, str):  # "auto"
        texts = not pretrained
    transformer = None if isinstance(texts, bool) else texts
    return CellFeaturizer(
        numbers=number_input != "text", categories=not pretrained, texts=texts is not False,
        n_knots=N_KNOTS, text_transformer=transformer, n_components=N_COMPONENTS,
        random_state=seed,
    )  # fmt: skip


def _embedded(params, rows, codec, featurizer, settings):
    from transformers import AutoModelForCausalLM

    from llmreg.tiny import tiny_config, train_tokenizer

    tokenizer = train_tokenizer(_token_texts(rows, settings["number_input"]))
    if params["model"] == "tiny":
        config = tiny_config(len(tokenizer))
    else:
        config = copy.deepcopy(params["model"])
        config.vocab_size, config.pad_token_id = len(tokenizer), tokenizer.pad_token_id
    settings = _within_positions(settings, config, codec)
    prompts = CellPrompts(tokenizer, featurizer, **settings)
    encoded = prompts.fit_encode(rows)
    lm = AutoModelForCausalLM.from_config(config)
    cells = _cell_encoder(
        prompts, encoded, lm, std=0.1, dropout=auto_dropout(params["dropout"], rows.n_rows, False)
    )
    symbol_ids = torch.tensor(tokenizer.convert_tokens_to_ids(list(codec.symbols)))
    return prompts, encoded, NumberLM(lm, cells, symbol_ids, codec)


def _within_positions(settings, config, codec, n_texts=0):
    """Settings whose longest prompt, with the digits after it, is within the model's positions.

    ``n_texts`` columns of text features come on top of ``max_prompt_tokens``.
    """
    positions = getattr(config, "max_position_embeddings", None)
    if positions is None:
        return settings
    room = positions - codec.n_digits - n_texts * settings["n_soft"]
    return {**settings, "max_prompt_tokens": min(settings["max_prompt_tokens"], room)}


def _token_texts(rows, number_input):
    """Distinct cells that will be written as tokens."""
    texts = set()
    for field in rows.fields:
        if field.kind == "text" or (field.numbers is not None and number_input != "value"):
            texts.update(np.unique(field.text.astype(str)))
    return sorted(texts)


def _cell_encoder(prompts, encoded, lm, std, dropout):
    featurizer, layout = prompts.featurizer, prompts.layout
    n_texts, n_components = encoded.cells.texts.shape[1:]
    return CellEncoder(
        layout,
        knots=torch.as_tensor(featurizer.knots_),
        n_levels=[len(levels) + 2 for levels in featurizer.levels_],
        n_columns=layout.soft - layout.column,
        n_texts=n_texts,
        n_components=n_components,
        size=lm.get_input_embeddings().embedding_dim,
        std=std,
        dropout=dropout,
    )


def _pretrained(params, rows, codec, featurizer, settings):
    name = params["model"]
    tokenizer, lm = load_tokenizer(name), load_lm(name)
    symbol_ids = _own_symbols(tokenizer, codec, name)
    n_texts = sum(field.kind == "text" for field in rows.fields)
    settings = _within_positions(settings, lm.config, codec, n_texts)
    prompts = TextPrompts(tokenizer, featurizer, **settings)
    encoded = prompts.fit_encode(rows)
    cells = None
    if prompts.layout.n_slots > 1:
        cells = _cell_encoder(
            prompts,
            encoded,
            lm,
            std=0.0,
            dropout=auto_dropout(params["dropout"], rows.n_rows, True),
        )
    model = NumberLM(lm, cells, symbol_ids, codec, base=name)
    if params["lora_r"] is not None:
        model.add_lora(lora_config(params))
        if cells is not None:
            model.cells.requires_grad_(True)
    return prompts, encoded, model


def _own_symbols(tokenizer, codec, name):
    vocabulary = tokenizer.get_vocab()
    absent = [symbol for symbol in codec.symbols if symbol not in vocabulary]
    if absent:
        raise ValueError(
            f"The tokenizer of model={name!r} has no token of its own for the symbols {absent} "
            f"that {codec!r} writes. Use a codec with a smaller base."
        )
    return torch.tensor([vocabulary[symbol] for symbol in codec.symbols])


def lora_config(params):
    """peft's configuration from the estimator's LoRA parameters."""
    from peft import LoraConfig

    return LoraConfig(
        r=params["lora_r"],
        lora_alpha=params["lora_alpha"],
        lora_dropout=params["lora_dropout"],
        target_modules=params["target_modules"],
        task_type="CAUSAL_LM",
    )
