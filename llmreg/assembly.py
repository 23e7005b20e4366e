"""From the estimator's parameters to prompts and a model: the embedded road and the pretrained one.

"Embedded" means fresh weights with a tokenizer fitted on the training cells: ``model="tiny"`` or a
transformers configuration. "Pretrained" means a hub id, a folder, or a model in memory.
"""

import copy

import numpy as np
import torch

from llmreg.config.defaults import (
    auto_dropout,
    auto_estimates,
    auto_text_tokens,
    estimate_dropout,
)
from llmreg.config.parameters import is_pretrained
from llmreg.estimates.row_estimates import RowEstimates
from llmreg.lm.backbone import NumberLM
from llmreg.lm.loading.hub import ModelSource, load_lm, load_tokenizer
from llmreg.lm.parts import give_parts
from llmreg.prompts.cell_encoder import CellEncoder
from llmreg.prompts.cell_prompts import CellPrompts
from llmreg.prompts.cells import CellFeaturizer
from llmreg.prompts.cutting import most_characters
from llmreg.prompts.spelling import symbol_tokens
from llmreg.prompts.text_prompts import TextPrompts
from llmreg.tables.plain_cells import legible

__all__ = ["assemble", "lora_config", "row_estimates"]

N_KNOTS = 8
N_EDGES = 17
N_SOFT = 8
N_COMPONENTS = 64
MAMBA_TYPES = {"falcon_h1", "falcon_mamba", "mamba", "mamba2", "nemotron_h"}


def assemble(
    params, rows, codec, max_text_tokens, seed, dtype=None, verify=True, methods=(),
    target_scale=(0.0, 1.0),
):  # fmt: skip
    """Fit prompts on serialised training rows and build the model.

    Parameters
    ----------
    params : dict
        The estimator's parameters.
    rows : llmreg.tables.serialization.SerializedRows
    codec : fitted codec
    max_text_tokens : int or "auto"
    seed : int
    dtype : torch.dtype or None, default=None
        Of the weights of a pretrained model as they are loaded; None: float32.
    verify : bool, default=True
        Whether the packed road is compared with the plain one; the model "tiny" is known.
    methods : sequence of (Method or None), default=()
        Of the stages to come, None for none: heads, learnt values and new tokens that they need are
        built.
    target_scale : (float, float), default=(0.0, 1.0)
        Mean and standard deviation of the training targets, which heads predict in units of.

    Returns
    -------
    prompts : CellPrompts or TextPrompts
    encoded : llmreg.prompts.cell_prompts.EncodedRows
        The training rows.
    model : llmreg.lm.backbone.NumberLM
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
        max_text_tokens=auto_text_tokens(max_text_tokens, pretrained),
        n_soft=N_SOFT if featurizer.texts else 0,
    )
    if pretrained:
        trains = not any(m is not None and m.stage == "none" for m in methods)
        built = _pretrained(params, rows, codec, featurizer, settings, dtype, verify, trains)
    else:
        built = _embedded(params, rows, codec, featurizer, settings, verify)
    prompts, _, model = built
    give_parts(model, prompts.tokenizer, methods, *target_scale)
    return built


def row_estimates(params, n_rows, codec, mean, std, seed):
    """Unfitted :class:`RowEstimates` for a codec and the targets' moments on its axis, or None."""
    kinds = auto_estimates(params["estimates"], n_rows, is_pretrained(params["model"]))
    return RowEstimates(kinds, codec, mean, std, seed) if kinds else None


def _featurizer(params, number_input, pretrained, seed):
    texts = params["text_features"]
    if isinstance(texts, str):  # "auto"
        texts = not pretrained
    transformer = None if isinstance(texts, bool) else texts
    return CellFeaturizer(
        numbers=number_input != "text", categories=not pretrained, texts=texts is not False,
        n_knots=N_KNOTS, n_edges=N_EDGES, text_transformer=transformer,
        n_components=N_COMPONENTS, random_state=seed,
    )  # fmt: skip


def _embedded(params, rows, codec, featurizer, settings, verify):
    from transformers import AutoModelForCausalLM

    from llmreg.lm.tiny import tiny_config, train_tokenizer

    texts = _token_texts(rows, settings["number_input"], settings["max_text_tokens"])
    tokenizer = train_tokenizer(texts, symbols=codec.symbols)
    if params["model"] == "tiny":
        config = tiny_config(len(tokenizer))
    else:
        config = copy.deepcopy(params["model"])
        config.vocab_size, config.pad_token_id = len(tokenizer), tokenizer.pad_token_id
    settings = _within_positions(settings, config, codec)
    prompts = CellPrompts(tokenizer, featurizer, **settings)
    encoded = prompts.fit_encode(rows)
    lm = AutoModelForCausalLM.from_config(config)
    texts = any(field.kind == "text" for field in rows.fields)
    dropout = auto_dropout(params["dropout"], rows.n_rows, False, texts)
    cells = _cell_encoder(prompts, encoded, lm, std=0.1, dropout=dropout)
    symbol_ids = torch.tensor(tokenizer.convert_tokens_to_ids(list(codec.symbols)))
    model = NumberLM(lm, cells, symbol_ids, codec)
    if verify and params["model"] != "tiny":
        _verify(model, encoded)
    return prompts, encoded, model


def _within_positions(settings, config, codec, n_texts=0):
    """Settings whose longest prompt, with the digits after it, is within the model's positions.

    ``n_texts`` columns of text features come on top of ``max_prompt_tokens``.
    """
    positions = getattr(config, "max_position_embeddings", None)
    if positions is None:
        return settings
    room = positions - codec.max_length - n_texts * settings["n_soft"]
    return {**settings, "max_prompt_tokens": min(settings["max_prompt_tokens"], room)}


def _token_texts(rows, number_input, budget):
    """Distinct cells that will be written as tokens, as far as ``budget`` tokens may reach."""
    texts = set()
    for field in rows.fields:
        if field.kind == "text" or (field.numbers is not None and number_input != "value"):
            texts.update(legible(text[: most_characters(budget)]) for text in field.text)
    return sorted(texts)


def _cell_encoder(prompts, encoded, lm, std, dropout):
    featurizer, layout = prompts.featurizer, prompts.layout
    n_texts, n_components = encoded.cells.texts.shape[1:]
    return CellEncoder(
        layout,
        knots=torch.as_tensor(featurizer.knots_),
        edges=torch.as_tensor(featurizer.edges_),
        n_levels=[len(levels) + 2 for levels in featurizer.levels_],
        n_columns=layout.soft - layout.column,
        n_texts=n_texts,
        n_components=n_components,
        size=lm.get_input_embeddings().embedding_dim,
        std=std,
        dropout=dropout,
        n_estimates=featurizer.n_estimates_,
        estimate_dropout=estimate_dropout(len(encoded)),
    )


def _pretrained(params, rows, codec, featurizer, settings, dtype, verify, trains):
    source, tokenizer, lm = _given_model(params, dtype)
    symbol_ids = torch.tensor(symbol_tokens(tokenizer, codec.symbols, codec))
    n_texts = sum(field.kind == "text" for field in rows.fields)
    settings = _within_positions(settings, lm.config, codec, n_texts)
    prompts = TextPrompts(tokenizer, featurizer, chat_template=params["chat_template"], **settings)
    encoded = prompts.fit_encode(rows)
    cells = None
    if prompts.layout.n_slots > 1:
        dropout = auto_dropout(params["dropout"], rows.n_rows, True)
        cells = _cell_encoder(prompts, encoded, lm, std=0.0, dropout=dropout)
    model = NumberLM(lm, cells, symbol_ids, codec, source=source, pretrained=True)
    config = lora_config(params, lm.config.model_type) if trains else None
    model.requires_grad_(trains)
    if config is not None:
        model.add_lora(config)
        if cells is not None:
            model.cells.requires_grad_(True)
    if verify:
        _verify(model, encoded)
    return prompts, encoded, model


def _given_model(params, dtype):
    """Where the model can be loaded from again (None for one in memory), tokenizer and model."""
    if isinstance(params["model"], tuple):
        lm, tokenizer = _checked_pair(params["model"])
        return None, copy.deepcopy(tokenizer), copy.deepcopy(lm)  # training changes the copy
    source = model_source(params)
    return source, load_tokenizer(source), load_lm(source, dtype)


def _checked_pair(pair):
    """A loaded (model, tokenizer); ValueError for anything else."""
    kinds = ", ".join(type(part).__name__ for part in pair)
    if len(pair) != 2 or not hasattr(pair[0], "get_input_embeddings"):
        raise ValueError(
            f"model=({kinds}) is not a pair of a loaded causal language model and its tokenizer. "
            "Pass (model, tokenizer) in this order, or the model's name."
        )
    if not hasattr(pair[1], "convert_tokens_to_ids"):
        raise ValueError(
            f"model=({kinds}): the second of the pair must be the model's tokenizer, such as "
            "AutoTokenizer.from_pretrained(...) gives."
        )
    if hasattr(pair[0], "peft_config"):
        raise ValueError(
            f"model=({kinds}): the model has adapters already. Pass model.merge_and_unload(), or "
            "the base model with a peft_config."
        )
    highest, known = max(pair[1].get_vocab().values()), pair[0].get_input_embeddings().weight
    if highest >= len(known):
        raise ValueError(
            f"model=({kinds}): the tokenizer writes tokens up to {highest}, of which the model "
            f"knows {len(known)}. Pass the tokenizer that belongs to the model."
        )
    return pair


def model_source(params):
    """What to load, from the estimator's parameters."""
    names = ("revision", "token", "local_files_only", "trust_remote_code", "model_kwargs")
    return ModelSource(params["model"], **{name: params[name] for name in names})


def _verify(model, encoded):
    """Compare packed with plain forward passes once, on the two shortest prompts."""
    shortest = np.argsort(encoded.lengths, kind="stable")[:2]
    model.eval()
    model.verify_packing(encoded.batch(shortest, model.device, model.dtype))


def lora_config(params, model_type):
    """peft's configuration from the estimator's parameters; None to train all weights."""
    if params["peft_config"] is not None:
        return copy.deepcopy(params["peft_config"])
    if params["lora_r"] is None:
        return None
    from peft import LoraConfig

    return LoraConfig(
        r=params["lora_r"],
        lora_alpha=params["lora_alpha"],
        lora_dropout=params["lora_dropout"],
        target_modules=params["target_modules"],
        # Their kernels read these weights past the layers, so peft refuses adapters on them.
        exclude_modules=["out_proj", "conv1d"] if model_type in MAMBA_TYPES else None,
        task_type="CAUSAL_LM",
    )
