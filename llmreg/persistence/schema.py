"""What a saved model may hold: its classes, and for each attribute what is legal.

The one place to extend. A parameter of an estimator, codec or method needs no entry: it is
checked by the class's own ``_parameter_constraints``, and a field of a dataclass by ``sizes``. A
new fitted attribute needs a line under its class: a test of :mod:`llmreg.persistence.legal`, within
``maybe`` if it is not always there. A new class needs an entry. Without, ``save`` names what is
missing.
"""

import dataclasses
import functools
import importlib
import os
import re

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import InvalidParameterError

from llmreg.config.device import as_device
from llmreg.methods import METHODS, Method
from llmreg.methods.parts import Part
from llmreg.numbers.distribution import DECODINGS
from llmreg.persistence.legal import (
    FINITE,
    FLOATS,
    SEED,
    SMALL,
    WHOLE,
    array,
    column,
    each,
    flag,
    format_spec,
    maybe,
    number,
    one_of,
    plain,
    sizes,
    text,
    texts,
)

__all__ = ["MODEL", "check_fields", "check_state", "name_of"]


def a(*names):
    """An instance of one of the schema's classes; llmreg's own estimators are fitted."""
    return lambda value: name_of(type(value)) in names and (
        _is_fitted(value) or not type(value).__module__.startswith("llmreg.")
    )


# -- rules across attributes -----------------------------------------------------------------


def _device(name):
    return re.fullmatch(r"(auto|cpu|cuda|mps|xpu|hpu|npu|mlu|musa)(:\d{1,3})?", name)


def _of_peft(value):
    return type(value).__module__.startswith("peft.")


def _method(value):
    return isinstance(value, Method)


def _fitted_trees(trees):
    shape, places = trees.value_.shape, range(trees.value_.shape[1])
    for name in ("feature_", "threshold_", "gap_left_", "left_", "right_"):
        if getattr(trees, name).shape != shape:
            return False
    ends = [end for side in (trees.left_, trees.right_) for end in (side.min(), side.max())]
    return trees.depth_ <= shape[1] and all(int(end) in places for end in ends)


def _digits(codec):
    n_bins, share, heap = len(codec.values_), codec.heaps_, codec.heap_values_
    fits = int(codec.base) ** int(codec.n_digits) == n_bins == len(share) == len(heap)
    if not (fits and _ends_and_values(codec)):
        return False
    # With points the nearest number, which another bin holds.
    ends = codec.edges_[[0, -1]]
    below, above = ends if codec.points_ else (codec.edges_[:-1], codec.edges_[1:])
    within = (below <= heap) & (heap <= above) & (share >= 0) & (share <= 1)
    return bool(within.all() and (np.diff(heap) >= 0).all())


def _magnitudes(codec):
    low, high = (int(end) for end in codec.exponents_)
    signs = int(codec.negative_) + int(codec.positive_)
    n_sizes = (high - low + 1) * 9 * 10 ** (int(codec.n_mantissa) - 1)
    within = -307 <= low <= high <= 307
    return _ends_and_values(codec) and within and signs * n_sizes + 1 == len(codec.values_)


def _spellings(codec):
    longest = max(map(len, codec.texts_), default=0)
    known = set("".join(codec.texts_)) <= set(codec.characters_)
    fits = len(codec.texts_) == len(codec.values_) and longest <= 64
    return _ends_and_values(codec) and known and fits


def _ends_and_values(codec):
    edges, values = codec.edges_, codec.values_
    finite = np.isfinite(edges).all() and np.isfinite(values).all()
    return 0 < len(values) <= 10**6 and len(edges) == len(values) + 1 and finite


def _reads_texts(vectorizer):
    """No files, and no pattern that takes for ever: one repetition at most."""
    pattern = getattr(vectorizer, "token_pattern", None)
    if vectorizer.input != "content" or len(re.findall(r"[*+{]", pattern or "")) > 1:
        raise ValueError(
            f"{type(vectorizer).__name__}(input={vectorizer.input!r:.50}, token_pattern="
            f"{pattern!r:.100}) must read texts, by a pattern with one repetition at most, in a "
            "saved model. Use another pattern, or pickle."
        )
    return True


def _counts_words(vectorizer):
    """Places in the vocabulary are columns of the matrix, which scipy does not check."""
    words = getattr(vectorizer, "vocabulary_", {})
    idf = getattr(getattr(vectorizer, "_tfidf", None), "idf_", words)
    places = sorted(words.values()) == list(range(len(words)))
    given = vectorizer.vocabulary
    same = given is None or not words or sorted(given) == sorted(words)
    return _reads_texts(vectorizer) and places and same and len(idf) == len(words)


def _transformer(value):
    return name_of(type(value)) in TRANSFORMERS


def _no_cache(pipeline):
    return getattr(pipeline, "memory", None) is None


# -- classes ---------------------------------------------------------------------------------

INPUT = {
    "feature_names_in_": maybe(texts), "n_features_in_": maybe(SMALL),
    "_input_columns": maybe(each(tuple, column)), "_input_naming": maybe(text),
}  # fmt: skip
CODEC = {"edges_": FLOATS, "values_": FLOATS}
PROMPTS = {
    "tokenizer": lambda value: value is None, "featurizer": a("CellFeaturizer"),
    "max_prompt_tokens": WHOLE, "max_text_tokens": WHOLE, "n_soft": SMALL,
    "text_vectors": maybe(a("TextVectors")), "estimates": maybe(a("RowEstimates")),
    "layout": a("SlotLayout"), "number_input": one_of("text", "text+value", "value"),
}  # fmt: skip
COUNTERS = {"vocabulary_": maybe(each(dict, WHOLE)), "fixed_vocabulary_": maybe(flag)}
TRANSFORMERS = (
    "CountVectorizer", "TfidfVectorizer", "TfidfTransformer", "HashingVectorizer", "TruncatedSVD",
    "Pipeline", "FeatureUnion", "Normalizer", "StandardScaler", "MaxAbsScaler", "TextEncoder",
)  # fmt: skip


def _class(module, attributes=None, rule=None):
    """A class: where it is, its attributes beside parameters and fields, a rule across them."""
    return module, attributes or {}, rule or (lambda value: True)


CLASSES = {
    "LLMRegressor": _class("llmreg.estimator", INPUT | {
        "fitted_": a("Fitted"), "history_": each(dict, each(list, plain)),
        "_built_with": each(dict, text),
    }, lambda estimator: _device(as_device(estimator.device).name)),
    "Fitted": _class("llmreg.prediction.fitted", {
        "serializer": a("RowSerializer"), "prompts": a("CellPrompts", "TextPrompts"),
        "codec": lambda value: a(*_codecs())(value), "model": lambda value: value is None,
        "plan": a("Plan"), "mean": FINITE, "std": FINITE, "decoding": one_of(*DECODINGS),
        "scale_scores": each(dict, number(0)), "temperature": number(1e-12, 1e12),
        "estimate_weight": number(0, 1),
    }),
    "Plan": _class("llmreg.config.plan", {
        "weights": one_of("fresh", "pretrained"), "n_train": WHOLE, "n_held_out": WHOLE,
        "reading": a("Reading"), "computing": a("Computing"), "predicting": a("Predicting"),
        "adapters": maybe(
            lambda value: SMALL(value) or _of_peft(value) or name_of(type(value)) == "Adapters"
        ),
        "methods": each(tuple, maybe(_method)), "seed": SEED, "why": each(dict, text),
        "stages": each(tuple, lambda pair: len(pair) == 2 and _method(pair[0])
                       and a("StageSettings")(pair[1])),
    }),
    "Reading": _class("llmreg.config.plan", {
        "text_features": lambda value: flag(value) or _transformer(value),
        **dict.fromkeys(("estimates", "vector_texts"), each(tuple, text))}),
    "Computing": _class("llmreg.config.plan", {"device": lambda value: _device(value)}),
    "StageSettings": _class("llmreg.config.plan"),
    "Predicting": _class("llmreg.config.plan"),
    "PretrainedModel": _class("llmreg.config.pretrained_model"),
    "Device": _class("llmreg.config.device"),
    "Adapters": _class("llmreg.config.adapters"),
    "Optimizer": _class("llmreg.config.optimizer"),
    "RowSerializer": _class("llmreg.tables.serialization", INPUT | {
        "columns_": each(list, column), "kinds_": each(dict, text),
        "plans_": each(dict, a("ColumnPlan")), "target_name_": maybe(text),
        "literals_": each(tuple, text), "template_": text,
        "_report": each(dict, each(dict, plain)),
        "fields_": each(tuple, lambda pair: len(pair) == 2 and maybe(format_spec)(pair[1])),
    }, lambda value: format_spec(value.number_format)),
    "ColumnPlan": _class("llmreg.tables.columns"),
    "CellPrompts": _class("llmreg.prompts.cell_prompts", PROMPTS | {
        "special": each(dict, WHOLE), "vector_texts": each(tuple, text)}),
    "TextPrompts": _class("llmreg.prompts.text_prompts", PROMPTS | {
        "frame": a("Frame"), "as_chat": flag, "instruction": text, "prefill": text,
        "examples": each(tuple, each(tuple, text)),
    }),
    "Frame": _class("llmreg.prompts.chat"),
    "SlotLayout": _class("llmreg.prompts.cell_encoder"),
    "CellFeaturizer": _class("llmreg.prompts.cells", {
        **dict.fromkeys(("numbers", "categories", "texts"), flag),
        **dict.fromkeys(("n_knots", "n_edges", "n_components", "n_estimates_"), SMALL),
        "random_state": SEED, "scaler_": a("NumberScaler"),
        **dict.fromkeys(("knots_", "edges_"), array("f", 2)),
        "levels_": each(list, each(dict, WHOLE)), "text_models_": each(list, a("TextFeaturizer")),
    }),
    "TextFeaturizer": _class("llmreg.prompts.cells", {
        "n_components": SMALL, "random_state": SEED, "model_": maybe(a("TfidfVectorizer")),
        "svd_": maybe(a("TruncatedSVD")), **dict.fromkeys(("mean_", "spread_"), maybe(FLOATS)),
    }),
    "TextVectors": _class("llmreg.tables.text_vectors", {
        "transformers_": each(list, _transformer), "widths_": each(list, SMALL)}),
    "TextEncoder": _class("llmreg.config.text_encoder", {"n_features_out_": SMALL}),
    "NumberScaler": _class("llmreg.estimates.scaling", {"mean_": FLOATS, "scale_": FLOATS}),
    "NormalScores": _class("llmreg.estimates.scaling", {
        "columns_": each(list, WHOLE), **dict.fromkeys(("knots_", "scores_"), each(list, FLOATS))}),
    "RowEstimates": _class("llmreg.estimates.row_estimates", {
        "codec": lambda value: a(*_codecs())(value), "weights_": FLOATS,
        "range_": each(tuple, FINITE), "features_": a("RowFeatures"),
        "regressors_": each(dict, a("Ridge", "TunedKernelRidge", "BoostedTrees")),
        "spread_": each(tuple, FINITE), "widths_": each(tuple, FLOATS),
        "heaps_": maybe(each(tuple, FLOATS)),
    }),
    "RowFeatures": _class("llmreg.estimates.row_features", {
        "scaler_": a("NumberScaler"), "gaps_": array("b"), "levels_": each(list, each(dict, WHOLE)),
        "frequent_": each(list, array("b")), "components_": each(list, maybe(a("TruncatedSVD"))),
        "counters_": each(list, each(list, a("TfidfVectorizer"))), "centres_": each(list, FLOATS),
        "spreads_": each(list, FINITE), "likeness_": a("TextLikeness"), "ranks_": a("NormalScores"),
        "blocks_": maybe(each(list, each(list, WHOLE))), "written_": a("WrittenNumbers")}),
    "WrittenNumbers": _class("llmreg.estimates.written_numbers", {
        "kept_": each(list, each(tuple, WHOLE))}),
    "TextLikeness": _class("llmreg.estimates.likeness", {
        "pairs_": each(list, each(tuple, WHOLE)), "common_": maybe(a("TfidfVectorizer"))}),
    "TunedKernelRidge": _class("llmreg.estimates.kernel_ridge", {
        "blocks": each(list, each(list, WHOLE)), "random_state": SEED,
        "gamma_": FINITE, "penalty_": FINITE, "columns_": array("i"), "starts_": array("i"),
        **dict.fromkeys(("factors_", "values_", "dual_"), FLOATS),
    }, lambda model: model.fits_together()),
    "BoostedTrees": _class("llmreg.estimates.boosted_trees", {
        **dict.fromkeys(("feature_", "left_", "right_"), array("i", 2)),
        **dict.fromkeys(("threshold_", "value_"), array("f", 2)), "gap_left_": array("b", 2),
        "depth_": WHOLE, "baseline_": FINITE}, _fitted_trees),
    "DigitCodec": _class("llmreg.codecs.digits", CODEC | {
        **dict.fromkeys(("heaps_", "heap_values_"), FLOATS), "points_": flag,
        "scale_": one_of("minmax", "log", "shifted_log", "symlog", "quantile"),
        "centre_": FINITE, "unit_": number(1e-320, 1e308),
    }, _digits),
    "ScientificCodec": _class("llmreg.codecs.scientific", CODEC | {
        "exponents_": array("i"), "negative_": flag, "positive_": flag}, _magnitudes),
    "GridCodec": _class("llmreg.codecs.grids", CODEC | {
        "texts_": each(list, text), "characters_": text,
        **dict.fromkeys(("ragged_", "even_"), flag)}, _spellings),
    "DecimalCodec": _class("llmreg.codecs.decimals", CODEC | {
        "first_": number(-(2**53), 2**53, whole=True), "exact_": flag}, _ends_and_values),
    "GridHead": _class("llmreg.methods.vocabulary_shares"),
    "HistogramHead": _class("llmreg.methods.histogram"),
    "LeafShift": _class("llmreg.methods.learnable_raft"),
    "TokenRows": _class("llmreg.methods.new_tokens"),
    "TokenValues": _class("llmreg.methods.learnable_raft"),
    "Ridge": _class("sklearn.linear_model"),
    "CountVectorizer": _class("sklearn.feature_extraction.text", COUNTERS, _counts_words),
    "TfidfVectorizer": _class("sklearn.feature_extraction.text", COUNTERS | {
        "_tfidf": maybe(a("TfidfTransformer")),
    }, _counts_words),
    "TfidfTransformer": _class("sklearn.feature_extraction.text"),
    "HashingVectorizer": _class("sklearn.feature_extraction.text", {}, _reads_texts),
    "TruncatedSVD": _class("sklearn.decomposition"),
    "Pipeline": _class("sklearn.pipeline", {}, _no_cache),
    "FeatureUnion": _class("sklearn.pipeline"),
    **dict.fromkeys(
        ("Normalizer", "StandardScaler", "MaxAbsScaler"), _class("sklearn.preprocessing")
    ),
}  # fmt: skip


DTYPES = one_of("float16", "bfloat16", "float32", "float64")
SOURCE = {
    "name": lambda value: text(value) and _model_name(value), "revision": maybe(text),
    "token": lambda value: value is None, "local_files_only": flag, "trust_remote_code": flag,
    "model_kwargs": maybe(lambda value: type(value) is dict),
}  # fmt: skip
PART = {
    "part": lambda value: isinstance(value, Part), "sizes": sizes, "mean": FINITE, "std": FINITE,
}  # fmt: skip
# The model beside its weights: llmreg.lm.stored.describe, and what saving adds.
MODEL = {
    "source": maybe(lambda value: check_fields("source", value, SOURCE)),
    "revision": maybe(text), "checksum": maybe(text), "pretrained": flag,
    "adapters": maybe(_of_peft),
    "cells": maybe(each(dict, lambda value: sizes(value) or a("SlotLayout")(value))),
    "parts": each(dict, lambda recipe: check_fields("part", recipe, PART)), "bidirectional": flag,
    "symbol_ids": each(list, WHOLE), "packs": flag,
    "loaded_dtype": DTYPES, "dtype": DTYPES, "autocast": maybe(DTYPES), "class": maybe(text),
    "attention": maybe(text), "folder": maybe(one_of(".", "base")), "n_members": SMALL,
}  # fmt: skip


def _model_name(name):
    """A hub id, or an absolute path to a folder on this machine."""
    from_hub = re.fullmatch(r"[\w.-]+(/[\w.-]+)?", name) and not name.startswith(".")
    local = os.path.isabs(name) and "\0" not in name and not name.startswith(("//", "\\\\"))
    return (
        len(name) < 4096 and ".." not in name.replace("\\", "/").split("/") and (from_hub or local)
    )


def _codecs():
    return [name for name, entry in CLASSES.items() if entry[1].keys() >= CODEC.keys()]


def _entry(name):
    return _entries().get(name) if type(name) is str else None


@functools.cache
def _entries():
    kinds = {type(method) for method in METHODS.values()}
    own = [kind for kind in kinds if kind.__module__.startswith("llmreg.")]
    return CLASSES | {kind.__name__: _class(kind.__module__) for kind in own}


def _resolve(name):
    return getattr(importlib.import_module(_entry(name)[0]), name)


def name_of(kind):
    """The name that the schema has for a class, or None."""
    name = kind.__name__
    return name if _entry(name) is not None and _resolve(name) is kind else None


def check_state(name, state):
    """Hold the attributes of an instance against the schema.

    Parameters
    ----------
    name : str
        Of the class.
    state : dict

    Returns
    -------
    type
        The class.

    Raises
    ------
    ValueError
        Which attribute is missing, unknown or illegal.
    """
    if _entry(name) is None:
        raise ValueError(
            f"it names the class {name!r:.100}, which is not one of those that a saved model may "
            "hold. The file was written by another version, or tampered with."
        )
    kind, (_, attributes, rule) = _resolve(name), _entry(name)
    value = kind.__new__(kind)
    vars(value).update(state)
    fitted = _is_fitted(value)
    foreign = {attribute: _foreign(kind, attribute) for attribute in state}
    check_fields(name, state, foreign | _declared(kind) | (attributes if fitted else {}))
    _check_parameters(kind, value)
    if (fitted or kind.__module__.startswith("sklearn.")) and not rule(value):
        raise ValueError(f"the attributes of {name} don't fit one another.")
    return kind


def check_fields(name, values, tests):
    """Hold named values against tests.

    Raises
    ------
    ValueError
        Which value is missing, unknown or illegal.
    """
    if type(values) is not dict:
        raise ValueError(f"{name} is {values!r:.100}, not a dict.")
    for key in [*tests, *values]:
        test = tests.get(key, _never)
        if not (test(values[key]) if key in values else _optional(test)):
            found = f"{values[key]!r:.100}" if key in values else "missing"
            raise ValueError(f"{name}.{key} is {found}, which is not legal in a saved model.")
    return True


def _never(value):
    return False


def _is_fitted(value):
    """Whether an estimator has more than parameters; other objects have all that they have."""
    return not isinstance(value, BaseEstimator) or any(name.endswith("_") for name in vars(value))


def _declared(kind):
    """What a class says of itself: parameters of an estimator, fields of a dataclass."""
    if dataclasses.is_dataclass(kind):
        return {field.name: sizes for field in dataclasses.fields(kind)}
    names = kind._get_param_names() if issubclass(kind, BaseEstimator) else ()
    return dict.fromkeys(names, _parameter)


def _parameter(value):
    """Whatever can be written; which values are legal is checked by the class itself."""
    return True


def _foreign(kind, attribute):
    """scikit-learn's own attributes may be plain values, where they are named as such."""
    named = re.fullmatch(r"[a-z]\w*_|_sklearn_version|transform_input", attribute)
    free = kind.__module__.startswith("sklearn.") and not hasattr(kind, attribute)
    return plain if named and free else _never


def _optional(test):
    try:
        return test()
    except TypeError:
        return False


def _check_parameters(kind, value):
    if issubclass(kind, BaseEstimator) and getattr(kind, "_parameter_constraints", None):
        try:
            value._validate_params()
        except InvalidParameterError as error:
            raise ValueError(f"{error}") from error
