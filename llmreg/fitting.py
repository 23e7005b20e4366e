"""The road, end to end: from checked training data to a fitted model, and from rows to
distributions."""

import contextlib
import copy
import warnings

import numpy as np
import pandas as pd
import torch
from sklearn.model_selection import train_test_split

from llmreg.assembly import assemble, lora_config, resolve_device
from llmreg.decoding import bounded_distribution, exact_distribution
from llmreg.distribution import NumericDistribution
from llmreg.policy import ZScale
from llmreg.settings import auto_validation, stage_settings
from llmreg.training import TrainingData, train_stage

__all__ = ["distributions", "fit_model", "ready"]

TOKENS_PER_BATCH = 16384


def fit_model(
    params, frame, y, weight, target_name, *,
    serializer, codec, sft_method, align_method, random_state, start,
):  # fmt: skip
    """Fit every part of the road.

    Parameters
    ----------
    params : dict
        The estimator's parameters.
    frame : DataFrame of n rows
    y, weight : ndarray of shape (n,)
    target_name : str or None
        How the prompt names the target.
    serializer, codec : unfitted parts
    sft_method, align_method : Objective; align_method may be None
    random_state : RandomState
    start : dict or None
        The state of an earlier fit to go on from.

    Returns
    -------
    state : dict of str to object
        Fitted parts by attribute name.
    history : list of dict
    """
    seed = random_state.randint(np.iinfo(np.int32).max)
    device = resolve_device(params["device"])
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(
            f"device={params['device']!r} was asked for, but this machine (or this build of torch) "
            "has no CUDA. Use device='auto', which takes what is there."
        )
    with _own_random_state(seed, device):
        if start is None:
            state, encoded = _build(params, frame, y, weight, target_name, serializer, codec, seed)
        else:
            state = start
            encoded = state["prompts_"].encode(state["serializer_"].serialize(frame))
        _warn_clipped(state["codec_"], y)
        with _undone_on_error(state, start) as model:
            model.place(device, _training_dtype(params["dtype"]))
            history = _train(params, state, encoded, y, weight, sft_method, align_method, seed)
            model.place(device, _prediction_dtype(params["dtype"], model)).eval()
    return state, history


@contextlib.contextmanager
def _undone_on_error(state, start):
    """The model to train: going on from an earlier fit must not spoil that one if it fails.

    Fresh weights are trained in a copy. Pretrained ones may be too large for a second copy: there
    only the weights that train are remembered.
    """
    model = state["model_"]
    if start is None:
        yield model
    elif model.base is None:
        state["model_"] = copy.deepcopy(model)
        yield state["model_"]
    else:
        device, dtype, before = model.device, model.dtype, model.snapshot()
        try:
            yield model
        except BaseException:
            model.place(device, dtype).restore(before)
            model.eval()
            raise


@contextlib.contextmanager
def _own_random_state(seed, device):
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield


def _training_dtype(dtype):
    return torch.float32 if dtype == "auto" else getattr(torch, dtype)


def _prediction_dtype(dtype, model):
    """float64 for fresh weights: rounding then hides no batch effects (see "dtype")."""
    if dtype != "auto":
        return getattr(torch, dtype)
    exact = model.base is None and model.device.type != "mps"
    return torch.float64 if exact else torch.float32


def _build(params, frame, y, weight, target_name, serializer, codec, seed):
    target = pd.Series(y, index=frame.index, name=target_name)
    rows = serializer.fit(frame, target).serialize(frame)
    codec.fit(y)
    prompts, encoded, model = assemble(params, rows, codec, serializer.max_text_tokens, seed)
    mean = np.average(y, weights=weight)
    std = _root_mean_square(y - mean, weight)
    state = {
        "serializer_": serializer, "codec_": codec, "prompts_": prompts, "model_": model,
        "y_mean_": float(mean), "y_std_": std if std > 0 else 1.0,
    }  # fmt: skip
    return state, encoded


def _root_mean_square(values, weight):
    """Weighted, and right where squares of the values would over- or underflow."""
    largest = np.abs(values).max()
    if largest == 0:
        return 0.0
    return float(largest * np.sqrt(np.average((values / largest) ** 2, weights=weight)))


def _warn_clipped(codec, y):
    clipped = codec.n_clipped(y)
    if clipped:
        low, high = codec.edges_[0], codec.edges_[-1]
        warnings.warn(
            f"{clipped} of {len(y)} targets lie outside the codec's range [{low:g}, {high:g}] "
            f"(targets: {y.min():g} to {y.max():g}) and are learnt as its nearest end. Widen low "
            "and high of the codec, or leave them None.",
            UserWarning,
            stacklevel=2,
        )


def _train(params, state, encoded, y, weight, sft_method, align_method, seed):
    model, codec = state["model_"], state["codec_"]
    if codec.edges_[0] == codec.edges_[-1]:
        return []  # a constant target: every number of the codec is that constant
    data = TrainingData(encoded, (y - state["y_mean_"]) / state["y_std_"], codec.leaf_of(y), weight)
    scale = ZScale.from_tree(
        model.tree, state["y_mean_"], state["y_std_"], model.device, model.dtype
    )
    train, held_out = _split(params, len(y), seed)
    sft, align = stage_settings(params, len(train), model.base is not None)
    common = dict(
        scale=scale,
        validate=_validator(params, model, encoded, y, weight, held_out, state["y_std_"]),
        rng=np.random.RandomState(seed),
        generator=torch.Generator(model.device).manual_seed(seed),
        report=_printer(params["verbose"]),
    )
    data = data.take(train)
    history = train_stage(model, data, sft_method, settings=sft, **common) if sft.epochs else []
    if align_method is not None and align.epochs:
        # Not on tuned pretrained weights: what is saved of adapted ones is the adapters alone.
        if model.base is None and not model.has_lora and params["lora_r"] is not None:
            model.add_lora(lora_config(params))
        model.keep_reference(bool(getattr(align_method, "beta", 0)))
        history += train_stage(model, data, align_method, settings=align, **common)
        model.keep_reference(False)
        if model.base is None:
            model.merge_lora()
    return history


def _split(params, n_rows, seed):
    """Rows to train on and rows to validate on; the latter empty for very small tables."""
    fraction = auto_validation(params["validation_fraction"], n_rows)
    if not fraction:
        return np.arange(n_rows), np.arange(0)
    train, held_out = train_test_split(np.arange(n_rows), test_size=fraction, random_state=seed)
    return np.sort(train), np.sort(held_out)


def _validator(params, model, encoded, y, weight, held_out, spread):
    """A function for the validation rows' errors as decoded, or None without such rows."""
    if not len(held_out):
        return None
    rows, truth, weight = encoded.take(held_out), y[held_out], weight[held_out]
    # One draw per row would make the best epoch a matter of luck: samples are judged by the mean.
    decoding = "rail" if params["decoding"] == "sample" else params["decoding"]

    def validate():
        error = distributions(model, rows, 0.0).decode(decoding) - truth
        relative = error / spread  # squares of errors in the units of y may overflow
        return _root_mean_square(error, weight), relative**2 * weight / weight.mean()

    return validate


def _printer(verbose):
    def report(record):
        print(
            f"[{record['stage']}] epoch {record['epoch']}: loss {record['loss']:.4g}, "
            f"validation RMSE {record['validation_rmse']:.5g}, {record['seconds']:.1f} s"
        )

    return report if verbose else lambda record: None


def ready(model, device):
    """The fitted model on the device asked for, ready to predict."""
    device = resolve_device(device)
    if device.type == "cuda" and not torch.cuda.is_available():
        warnings.warn(
            f"device={str(device)!r} was asked for, but this machine has no CUDA: predicting on "
            "the CPU. Set device='auto' to choose what is there.",
            UserWarning,
            stacklevel=2,
        )
        device = torch.device("cpu")
    return model if model.device == device else model.place(device)


@torch.inference_mode()
def distributions(model, encoded, tolerance):
    """Predictive distributions of encoded rows, in their order.

    Parameters
    ----------
    model : llmreg.backbone.NumberLM
    encoded : llmreg.prompts.EncodedRows
    tolerance : float
        Largest error of the mean in the units of y; 0 computes everything.

    Returns
    -------
    NumericDistribution
    """
    order = np.argsort(encoded.lengths, kind="stable")  # rows of like length pad little
    parts = []
    for rows in _batches(order, encoded.lengths, model.tree.n_nodes):
        batch = encoded.batch(rows, model.device, model.dtype)
        if tolerance > 0:
            parts.append(bounded_distribution(model, batch, tolerance))
        else:
            parts.append(exact_distribution(model, batch))
    whole = parts[0] if len(parts) == 1 else NumericDistribution.concatenate(parts)
    return whole if (np.diff(order) == 1).all() else whole[np.argsort(order)]


def _batches(order, lengths, n_nodes):
    """Consecutive runs of rows that stay within the token budget when padded."""
    start = 0
    while start < len(order):
        # Lengths ascend, so the last row of a run sets its width.
        cost = (np.arange(1, len(order) - start + 1)) * (lengths[order[start:]] + n_nodes)
        stop = start + max(1, int(np.searchsorted(cost, TOKENS_PER_BATCH, side="right")))
        yield order[start:stop]
        start = stop
