"""Prompts for a model and a table: which kind, how long, with which vectors of cells."""

import warnings

import numpy as np

from llmreg.prompts.cell_prompts import CellPrompts
from llmreg.prompts.cells import CellFeaturizer
from llmreg.prompts.text_prompts import TextPrompts

__all__ = ["fit_prompts", "show_examples"]

N_KNOTS = 8
N_EDGES = 17
N_SOFT = 8  # vectors of one text's features
N_COMPONENTS = 64


def fit_prompts(plan, base, rows, codec):
    """Fit prompts on serialised training rows.

    Parameters
    ----------
    plan : llmreg.config.plan.Plan
    base : llmreg.lm.loading.base.Base
        Whose tokenizer and configuration they are for.
    rows : llmreg.tables.rows.SerializedRows
        Extended by estimates, where there are some.
    codec : fitted codec

    Returns
    -------
    prompts : CellPrompts or TextPrompts
    encoded : llmreg.prompts.encoding.EncodedRows
        The training rows.
    """
    reading, fresh = plan.reading, not plan.pretrained
    texts = reading.text_features
    featurizer = CellFeaturizer(
        numbers=reading.number_input != "text", categories=fresh, texts=texts is not False,
        n_knots=N_KNOTS, n_edges=N_EDGES, n_components=N_COMPONENTS, random_state=plan.seed,
    )  # fmt: skip
    n_soft = 0 if texts is False else N_SOFT
    n_texts = 0 if fresh else sum(field.kind == "text" for field in rows.fields)
    settings = dict(
        number_input=reading.number_input,
        max_prompt_tokens=_room(reading, base.config, codec.max_length + n_texts * n_soft),
        max_text_tokens=reading.max_text_tokens, n_soft=n_soft,
    )  # fmt: skip
    if fresh:
        settings["vector_texts"] = reading.vector_texts
        prompts = CellPrompts(base.tokenizer, featurizer, **settings)
    else:
        prompts = TextPrompts(
            base.tokenizer, featurizer, chat_template=reading.chat_template,
            instruction=reading.instruction, **settings,
        )  # fmt: skip
    encoded = prompts.fit_encode(rows)
    if not reading.max_text_tokens:
        _warn_unread(rows, encoded.cells.texts)
    return prompts, encoded


def _warn_unread(rows, features):
    """Without tokens, texts in which features find nothing to count are not read at all."""
    names = [field.name for field in rows.fields if field.kind == "text"]
    found = features.any((0, 2)) if features.size else np.zeros(len(names), bool)
    unread = [name for name, some in zip(names, found, strict=True) if not some]
    if unread:
        warnings.warn(
            f"max_text_tokens=0 leaves texts to text_features, which found nothing to count in "
            f"column {', '.join(map(repr, unread))}: the language model does not read it. Raise "
            "max_text_tokens of the RowSerializer.",
            UserWarning,
            stacklevel=2,
        )


def _room(reading, config, beside):
    """Tokens of the longest prompt that is within the model's positions, with what is beside."""
    positions = getattr(config, "max_position_embeddings", None)
    wished = reading.max_prompt_tokens
    return wished if positions is None else min(wished, positions - beside)


def show_examples(prompts, count, rows, y, codec, seed):
    """Put ``count`` solved training rows in front of every prompt from now on.

    Returns
    -------
    llmreg.prompts.encoding.EncodedRows
        The training rows, with the examples before them.
    """
    chosen = np.random.RandomState(seed).choice(len(y), min(count, len(y)), replace=False)
    prompts.show(rows.take(chosen), codec.spell(y[chosen]))
    return prompts.encode_extended(rows)
