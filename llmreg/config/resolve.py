"""From parameters to the plan: every "auto" ends here."""

import numpy as np

from llmreg.config.defaults import (
    auto_adapters,
    auto_dropout,
    auto_estimates,
    auto_layers,
    auto_text_tokens,
    auto_validation,
    estimate_dropout,
    long_texts,
    stage_settings,
)
from llmreg.config.device import as_device
from llmreg.config.optimizer import Optimizer, as_optimizer
from llmreg.config.plan import Plan, Predicting, Reading, StageSettings
from llmreg.config.pretrained_model import as_pretrained
from llmreg.config.reasons import reasons
from llmreg.prompts.asking import both_ways, instruction_for
from llmreg.prompts.token_texts import is_spelled

__all__ = ["flat", "resolve"]


def resolve(params, methods, rows, serializer, codec, scale_scores, computing, seed, n_val=None):
    """End every "auto".

    Parameters
    ----------
    params : dict
        The estimator's parameters.
    methods : (Method, Method or None)
        Of the first and the second stage.
    rows : llmreg.tables.rows.SerializedRows of n rows
        Those of ``X_val`` are not among them.
    serializer : fitted RowSerializer
    codec : fitted codec
    scale_scores : dict of str to float
        What the codec's scales had in the comparison; empty if there was none.
    computing : Computing
    seed : int
    n_val : int or None, default=None
        Rows of ``X_val``; None: some of the rows are held out.

    Returns
    -------
    Plan
    """
    params = flat(params, serializer, codec)
    pretrained = as_pretrained(params["model"]) is not None
    n_rows, has_text = rows.n_rows, any(field.kind == "text" for field in rows.fields)
    weights = "pretrained" if pretrained else "fresh"
    fraction = auto_validation(params["validation_fraction"], n_rows, pretrained)
    n_held_out = int(np.ceil(fraction * n_rows))
    n_train = n_rows - n_held_out if n_val is None else n_rows
    if n_train < 1:
        raise ValueError(
            f"validation_fraction={fraction} holds out {n_held_out} of {n_rows} rows, which leaves "
            "none to train on. Lower it, or give rows of your own to validate on, as X_val and "
            "y_val."
        )
    reading = _reading(params, rows, pretrained, has_text, methods[0].stage != "none")
    spelled = any(
        is_spelled(field, "value", reading.max_text_tokens, reading.vector_texts)
        for field in rows.fields
        if field.kind == "text"
    )
    uneven = spelled and computing.device == "cpu"
    tiny = isinstance(params["model"], str) and params["model"] == "tiny"
    settings = stage_settings(
        params, n_train, pretrained, alone=methods[1] is None, texts=has_text, uneven=uneven
    )
    stages = [
        (method, StageSettings(**setting))
        for method, setting in zip(methods, settings, strict=True)
        if method is not None and method.stage != "none" and setting["epochs"]
    ]
    found = Plan(
        weights=weights, codec_scale=getattr(codec, "scale_", None), n_train=n_train,
        n_held_out=n_held_out if n_val is None else n_val, held_out_given=n_val is not None,
        reading=reading, computing=computing,
        adapters=auto_adapters(params["adapters"], pretrained),
        n_estimators=params["n_estimators"], methods=methods, stages=tuple(stages),
        predicting=_predicting(params, methods), seed=seed, why={},
        n_layers=auto_layers(n_train, reading.estimates, has_text, both_ways(methods))
        if tiny else None,
    )  # fmt: skip
    found.why.update(reasons(params, found, has_text, scale_scores))
    return found


def flat(params, serializer, codec):
    """The estimator's parameters beside those of its parts that may be "auto" or matter here."""
    device, model = as_device(params["device"]), as_pretrained(params["model"])
    optimizer = as_optimizer(params["optimizer"])  # of a subclass, perhaps, with fewer parameters
    steps = {name: getattr(optimizer, name) for name in Optimizer._parameter_constraints}
    return params | {
        "optimizer": steps.pop("name"), **steps,
        "device": device.name, "dtype": device.dtype, "micro_batch_size": device.micro_batch_size,
        "max_text_tokens": serializer.max_text_tokens,
        "max_prompt_tokens": serializer.max_prompt_tokens,
        "chat_template": model is not None and model.chat_template,
        "instruction": _instruction(model, serializer, codec),
        "prefill": "" if model is None else model.prefill,
    }  # fmt: skip


def _instruction(model, serializer, codec):
    if model is None or model.instruction != "auto":
        return "" if model is None else model.instruction
    written = serializer.template is None
    return instruction_for(serializer.target_name_, codec) if written else ""


def _reading(params, rows, pretrained, has_text, trains):
    n_rows = rows.n_rows
    number_input, texts = params["number_input"], params["text_features"]
    if number_input == "auto":
        number_input = "text" if pretrained else "value"
    if isinstance(texts, str):  # "auto"
        texts = not pretrained
    max_text_tokens = auto_text_tokens(params["max_text_tokens"], pretrained)
    if has_text and texts is False and not max_text_tokens:
        raise ValueError(
            f"max_text_tokens=0 leaves texts to text_features={params['text_features']!r}, which "
            f"reads none with {'pretrained' if pretrained else 'fresh'} weights. Give "
            "text_features=True or a transformer, or tokens for texts."
        )
    vector_texts = ()
    if params["max_text_tokens"] == "auto" and not pretrained and texts is True:
        vector_texts = long_texts(rows)
    return Reading(
        number_input=number_input, text_features=texts, max_text_tokens=max_text_tokens,
        vector_texts=vector_texts,
        max_prompt_tokens=params["max_prompt_tokens"], chat_template=params["chat_template"],
        instruction=params["instruction"], prefill=params["prefill"],
        estimates=auto_estimates(params["estimates"], n_rows, pretrained, has_text, trains),
        dropout=auto_dropout(params["dropout"], n_rows, pretrained, has_text),
        estimate_dropout=estimate_dropout(n_rows),
    )  # fmt: skip


def _predicting(params, methods):
    scales = params["temperature_scaling"]
    # A model that is asked as it is answers as it is, unless its user wants otherwise.
    if isinstance(scales, str):
        scales = methods[0].stage != "none"
    return Predicting(
        decoding=params["decoding"], temperature="auto" if scales else 1.0,
        estimate_weight=params["estimate_weight"], tree_tolerance=params["tree_tolerance"],
    )  # fmt: skip
