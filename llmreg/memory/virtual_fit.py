"""A fit without data: what each stage and a prediction would hold on the device.

The bookkeeping of :mod:`llmreg.training.stage` and :mod:`llmreg.training.selection` in bytes;
passes are counted by :mod:`llmreg.memory.virtual_model`.
"""

import copy

import numpy as np
import pandas as pd
import torch

from llmreg.config.device import as_device
from llmreg.config.devices import computing_of, training_device
from llmreg.config.pretrained_model import PretrainedModel, as_pretrained
from llmreg.config.resolve import resolve
from llmreg.estimates.target_scale import axis_moments
from llmreg.integrations.process_state import own_draws
from llmreg.lm.adapters import adapter_config, adapter_weights
from llmreg.lm.building import prompts_and_model
from llmreg.lm.loading.base import model_source
from llmreg.lm.loading.hub import load_config, load_tokenizer
from llmreg.memory.quantised import quantised_bytes
from llmreg.memory.virtual_model import VirtualModel, equal_layers
from llmreg.prediction.distributions import TOKENS_PER_BATCH, tokens_after_prompt

__all__ = ["VirtualFit"]

FEW, MORE = 2, 4  # rows of the two passes from which all others follow: bytes grow by the row
SHALLOW = 3, 4  # layers; a prediction with two holds less at once than with more


class VirtualFit:
    """Prompts of a table, and the model that would read them, without weights.

    Parameters
    ----------
    params : dict
        The estimator's parameters.
    table : llmreg.config.checks.TrainingTable of n rows
    serializer, codec : parts to fit
    methods : (Method, Method or None)
        Of both stages.
    """

    def __init__(self, params, table, serializer, codec, methods):
        device, pretrained = as_device(params["device"]), as_pretrained(params["model"])
        self.device = training_device(device.name)
        computing = computing_of(device, self.device, pretrained, params["adapters"])
        frame, y, weight = table.frame, table.y, table.weight
        serializer.fit(frame, pd.Series(y, frame.index, name=table.target))
        # Cells are hidden by drawn numbers, of which there are none. What a transformer makes
        # of texts takes as many tokens as TF-IDF does.
        texts = params["text_features"]
        texts = texts if isinstance(texts, (bool, str)) else True
        still = params | {"dropout": 0.0, "text_features": texts}
        dtype, _ = computing.formats("training")
        with own_draws(), torch.device("meta"):
            rows = serializer.serialize(frame, training=True)
            codec.fit(y)
            self.plan = resolve(still, methods, rows, serializer, codec, {}, computing, 0)
            model = _without_weights(pretrained, dtype) if pretrained else params["model"]
            moments = axis_moments(codec, y, weight)
            _, _, self.encoded, build = prompts_and_model(
                self.plan, model, rows, y, weight, codec, *moments, estimating=False
            )
            self.model = build(verify=False)
            self.model.place("meta", dtype)
        self._require_packing()
        self.packed = _quantised(pretrained, self.model)

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

    def stages(self):
        """Fields of :class:`llmreg.memory.needs.StageMemory` by the names of the stages."""
        return {
            settings.name: self._stage(method, settings, self.plan.n_held_out > 0)
            for method, settings in self.plan.stages
        }

    def _stage(self, method, settings, validates):
        config = adapter_config(self.plan.adapters, self.model.transformer)
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
            measure, "training", self.plan.computing.gradient_checkpointing
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
            weights=weights, adapters=adapters, gradients=trained,
            optimizer=self._moments(trained, settings.optimizer),
            copies=copies, activations_per_row=saved_per_row,
            working_per_row=working_per_row, working=working + self._unpacked(),
            update=self._update(trained), validation=validation,
        )  # fmt: skip

    def _moments(self, trained, optimizer):
        """Two numbers per weight for AdamW; sums over rows and over columns for Adafactor."""
        if optimizer == "adamw":
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
            self.model.place("meta", self.plan.computing.formats("prediction")[0])
        weights, adapters = self._weights()
        rows = self._rows_of_a_prediction()
        (working,) = self._measured(lambda v: [v.predict(rows)], "prediction")
        return sum(weights.values()) + adapters, working + self._unpacked()

    def _rows_of_a_prediction(self):
        tokens = self.prompt_tokens[0] + tokens_after_prompt(self.model)
        return max(1, TOKENS_PER_BATCH // tokens)

    def _measured(self, measure, purpose, checkpointing=False):
        """What ``measure`` tells of a :class:`VirtualModel`: a list of bytes.

        Equal layers add equal amounts: two shallow models tell of a deep one.
        """
        _, autocast = self.plan.computing.formats(purpose)
        layers = equal_layers(self.model.lm)
        depth = 0 if layers is None else len(layers)
        depths = SHALLOW if depth > SHALLOW[1] else (None,)
        bytes_ = [
            np.array(
                measure(
                    VirtualModel(
                        self.model, self.encoded, self._kernels, autocast,
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


def _quantised(pretrained, model):
    """Formats and bytes of quantised weights by their ``id``; adapters never are."""
    if pretrained is None:
        return {}
    asked = (pretrained.model_kwargs or {}).get("quantization_config")
    own = getattr(model.transformer.config, "quantization_config", None)
    packed = quantised_bytes(model.transformer, own if asked is None else asked)
    added = adapter_weights(model.lm).values() if model.has_lora else ()
    for p in added:
        packed.pop(id(p), None)
    return packed


def _without_weights(pretrained, dtype):
    """A :class:`PretrainedModel` of a model of the right shape, in place of one with weights."""
    from transformers import AutoModelForCausalLM

    if isinstance(pretrained.source, tuple):
        if len(pretrained.source) != 2 or not hasattr(pretrained.source[0], "config"):
            return pretrained  # for the error that a fit gives
        lm, tokenizer = pretrained.source
        base = lm.get_base_model() if hasattr(lm, "get_base_model") else lm
        lm = type(base)(copy.deepcopy(base.config)).to(dtype)
    else:
        source = model_source(pretrained)
        tokenizer, config = load_tokenizer(source), load_config(source)
        lm = AutoModelForCausalLM.from_config(
            config, dtype=dtype, trust_remote_code=source.trust_remote_code
        )
    return PretrainedModel((lm, tokenizer))
