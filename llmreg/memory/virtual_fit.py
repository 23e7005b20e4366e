"""A fit without data: what each stage and a prediction would hold on the device.

The bookkeeping of :mod:`llmreg.training.stage` and :mod:`llmreg.training.selection` in bytes;
passes are counted by :mod:`llmreg.memory.virtual_model`.
"""

import copy

import numpy as np
import pandas as pd
import torch
from sklearn.base import clone

from llmreg.assembly import (
    assemble,
    is_pretrained,
    lora_config,
    model_source,
    row_estimates,
)
from llmreg.codecs.digits import DigitCodec
from llmreg.config.defaults import auto_validation, stage_settings
from llmreg.config.devices import precision_of, training_device
from llmreg.config.process_state import own_draws
from llmreg.estimates.target_scale import axis_moments
from llmreg.lm.adapters import adapter_weights
from llmreg.lm.loading.hub import load_config, load_tokenizer
from llmreg.memory.quantised import quantised_bytes
from llmreg.memory.virtual_model import VirtualModel, equal_layers
from llmreg.prediction.distributions import TOKENS_PER_BATCH, tokens_after_prompt
from llmreg.tables.serialization import RowSerializer

__all__ = ["VirtualFit"]

FEW, MORE = 2, 4  # rows of the two passes from which all others follow: bytes grow by the row
SHALLOW = 2, 3  # layers


class VirtualFit:
    """Prompts of a table, and the model that would read them, without weights.

    Parameters
    ----------
    params : dict
        The estimator's parameters.
    frame : DataFrame of n rows
    y : ndarray of shape (n,)
    target_name : str or None
    methods : (Method, Method or None)
        Of both stages.
    """

    def __init__(self, params, frame, y, target_name, methods):
        self.params = params
        self.device = training_device(params["device"])
        self.precision = precision_of(params, self.device)
        serializer = RowSerializer() if params["serializer"] is None else params["serializer"]
        serializer = clone(serializer).fit(frame, pd.Series(y, frame.index, name=target_name))
        codec = DigitCodec() if params["codec"] is None else clone(params["codec"])
        dtype = self.precision.training[0]
        with own_draws(), torch.device("meta"):
            # Cells are hidden by drawn numbers, of which there are none.
            rows = serializer.serialize(frame)
            codec.fit(y)
            moments = axis_moments(codec, y, np.ones(len(y)))
            estimates = row_estimates(params, len(y), codec, *moments, 0)
            if estimates is not None:
                rows = estimates.fit_extend(rows, y, np.ones(len(y)))
            built = params | {"dropout": 0.0, "model": _without_weights(params, dtype)}
            _, self.encoded, self.model = assemble(
                built, rows, codec, serializer.max_text_tokens, 0, dtype,
                verify=False, methods=methods,
            )  # fmt: skip
            self.model.place("meta", dtype)
        self._require_packing()
        self.packed = _quantised(params, self.model)

    def _require_packing(self):
        if not self.model.packs:
            kind = self.model.transformer.config.model_type
            raise ValueError(
                f"The memory of a model of model_type={kind!r} cannot be told beforehand: prompt "
                "and number tree cannot share one sequence of it. Fit a few rows with "
                "micro_batch_size=1, and see what the device reports."
            )

    @property
    def prompt_tokens(self):
        """tuple of (int, float): longest and mean prompt."""
        return int(self.encoded.lengths.max()), float(self.encoded.lengths.mean())

    def stages(self, methods):
        """Fields of :class:`llmreg.memory.estimate.StageMemory`, or None, for each of both stages.

        Parameters
        ----------
        methods : (Method, Method or None)
        """
        n_rows = len(self.encoded)
        fraction = auto_validation(
            self.params["validation_fraction"], n_rows, self.model.pretrained
        )
        n_train = n_rows - int(np.ceil(fraction * n_rows))
        settings = stage_settings(self.params, n_train, self.model.pretrained)
        return [
            self._stage(method, setting, fraction > 0) if method and setting.epochs else None
            for method, setting in zip(methods, settings, strict=True)
        ]

    def _stage(self, method, settings, validates):
        config = lora_config(self.params, self.model.transformer.config.model_type)
        if method.stage == "align" and not self.model.pretrained and config is not None:
            with torch.device("meta"):
                self.model.add_lora(config)
        weights, adapters = self._weights()
        trained = _bytes(self.model.trainable().values())
        # The running mean; the best epoch's; a reference, and where the stage began.
        copies = trained * (1 + validates + 2 * method.needs_reference)
        rows = self._rows_of_a_prediction() if validates else 1

        def measure(virtual):
            return [*virtual.step(method, FEW), *virtual.step(method, MORE), virtual.predict(rows)]

        saved, peak, more_saved, more_peak, predicting = self._measured(
            measure, self.precision.training, self.params["gradient_checkpointing"]
        )
        saved_per_row = (more_saved - saved) // (MORE - FEW)
        working_per_row = max(0, (more_peak - peak) // (MORE - FEW) - saved_per_row)
        working = max(0, peak - FEW * (saved_per_row + working_per_row))
        validation = 0
        if validates:  # with the weights of the moment, and perhaps new best ones, set aside
            validation = sum(weights.values()) + adapters + 2 * trained + copies + 2 * trained
            validation += predicting
        return dict(
            method=type(method).__name__,
            rows=min(settings.micro_batch_size or settings.batch_size, settings.batch_size),
            weights=weights, adapters=adapters, gradients=trained, optimizer=self._moments(trained),
            copies=copies, activations_per_row=saved_per_row,
            working_per_row=working_per_row, working=working + self._unpacked(),
            update=self._update(trained), validation=validation,
        )  # fmt: skip

    def _moments(self, trained):
        """Two numbers per weight for AdamW; sums over rows and over columns for Adafactor."""
        if self.params["optimizer"] == "adamw":
            return 2 * trained
        matrices = [p for p in self.model.trainable().values() if p.ndim > 1 and p.numel()]
        sums = sum(p[..., 0, :].nbytes + p[..., 0].nbytes for p in matrices)
        return sums + trained - _bytes(matrices)

    def _update(self, trained):
        """AdamW works on all weights at once on CUDA, and on one after the other elsewhere."""
        if self.device.type == "cuda":
            return trained
        return max(_bytes([p]) for p in self.model.trainable().values())

    def prediction(self):
        """Bytes of the fitted model's weights, and of a full batch's forward pass."""
        with torch.device("meta"):
            if not self.model.pretrained:
                self.model.merge_lora()
            self.model.place("meta", self.precision.prediction[0])
        weights, adapters = self._weights()
        rows = self._rows_of_a_prediction()
        (working,) = self._measured(lambda v: [v.predict(rows)], self.precision.prediction)
        return sum(weights.values()) + adapters, working + self._unpacked()

    def _rows_of_a_prediction(self):
        tokens = self.prompt_tokens[0] + tokens_after_prompt(self.model)
        return max(1, TOKENS_PER_BATCH // tokens)

    def _measured(self, measure, precision, checkpointing=False):
        """What ``measure`` tells of a :class:`VirtualModel`: a list of bytes.

        Equal layers add equal amounts: two shallow models tell of a deep one.
        """
        layers = equal_layers(self.model.lm)
        depth = 0 if layers is None else len(layers)
        depths = SHALLOW if depth > SHALLOW[1] else (None,)
        bytes_ = [
            np.array(
                measure(
                    VirtualModel(
                        self.model, self.encoded, self._kernels, precision[1],
                        checkpointing=checkpointing, n_layers=n_layers,
                    )
                )
            )
            for n_layers in depths
        ]  # fmt: skip
        if len(bytes_) == 2:
            bytes_[0] += (depth - SHALLOW[0]) * (bytes_[1] - bytes_[0])
        return bytes_[0].tolist()

    @property
    def _kernels(self):
        # torch does not run models without data on Apple's GPUs.
        return self.device if self.device.type == "cuda" else torch.device("cpu")

    def _weights(self):
        """Bytes by number format without adapters, and bytes of the adapters."""
        model = self.model
        added = adapter_weights(model.lm) if model.has_lora else {}
        ids = {id(p) for p in added.values()}
        rest = [t for t in [*model.parameters(), *model.buffers()] if id(t) not in ids]
        by_format = {}
        for tensor in rest:
            plain = str(tensor.dtype).removeprefix("torch."), _bytes([tensor])
            kind, size = self.packed.get(id(tensor), plain)
            by_format[kind] = by_format.get(kind, 0) + size
        return by_format, _bytes(added.values())

    def _unpacked(self):
        """Bytes of the largest quantised weight once it is unpacked to be computed with."""
        sizes = [_bytes([p]) for p in self.model.parameters() if id(p) in self.packed]
        return max(sizes, default=0)


def _bytes(tensors):
    return sum(t.numel() * t.element_size() for t in tensors)


def _quantised(params, model):
    """Formats and bytes of quantised weights by their ``id``; adapters never are."""
    if not is_pretrained(params["model"]):
        return {}
    asked = (params["model_kwargs"] or {}).get("quantization_config")
    own = getattr(model.transformer.config, "quantization_config", None)
    packed = quantised_bytes(model.transformer, own if asked is None else asked)
    added = adapter_weights(model.lm).values() if model.has_lora else ()
    for p in added:
        packed.pop(id(p), None)
    return packed


def _without_weights(params, dtype):
    """A pair of a model of the right shape and its tokenizer, in place of pretrained weights."""
    from transformers import AutoModelForCausalLM

    given = params["model"]
    if not is_pretrained(given):
        return given
    if isinstance(given, tuple):
        if len(given) != 2 or not hasattr(given[0], "config"):
            return given  # for the error that a fit gives
        lm, tokenizer = given
        base = lm.get_base_model() if hasattr(lm, "get_base_model") else lm
        return type(base)(copy.deepcopy(base.config)).to(dtype), tokenizer
    source = model_source(params)
    tokenizer, config = load_tokenizer(source), load_config(source)
    lm = AutoModelForCausalLM.from_config(
        config, dtype=dtype, trust_remote_code=source.trust_remote_code
    )
    return lm, tokenizer
