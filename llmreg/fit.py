"""From checked training data to a fitted model."""

import contextlib
import copy
import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import torch
from sklearn.model_selection import train_test_split

from llmreg.assembly import assemble, lora_config, row_estimates
from llmreg.codecs.choosing import axis_moments, fit_codec, root_mean_square
from llmreg.config.defaults import auto_validation, stage_settings
from llmreg.config.devices import precision_of, training_device
from llmreg.config.parameters import is_pretrained
from llmreg.config.process_state import own_draws, survive_forks
from llmreg.integrations.autologging import unlogged
from llmreg.lm.parts import check_parts
from llmreg.prediction.distributions import distributions, is_constant, on_axis, sums_shares
from llmreg.prediction.held_out import fitted_calibration, fitted_decoding
from llmreg.training.checkpoints import Checkpoints, check_folder
from llmreg.training.members import check_members, draw_member, train_members
from llmreg.training.parallel import launched_processes
from llmreg.training.policy import ZScale
from llmreg.training.reporting import printer
from llmreg.training.sequence import fit_name, train_stages
from llmreg.training.stage import TrainingData

__all__ = ["fit_model"]

# Parameters that don't decide what training ends with, or only through what a checkpoint's name
# holds in any case: the weights, the encoded rows, the fitted codec and the seed.
UNDECISIVE = {
    "model", "serializer", "codec", "text_features", "token", "local_files_only",
    "device", "checkpoint_dir", "checkpoint_interval", "random_state", "verbose", "warm_start",
}  # fmt: skip


@unlogged()
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
    sft_method, align_method : Method; align_method may be None
    random_state : RandomState
    start : dict or None
        The state of an earlier fit to go on from.

    Returns
    -------
    state : dict of str to object
        Fitted parts by attribute name.
    history : list of dict
    """
    device = training_device(params["device"])
    processes = launched_processes(device)
    device = processes.device(device)
    seed = processes.agree(random_state.randint(np.iinfo(np.int32).max))
    precision = precision_of(params, device)
    if params["checkpoint_dir"] is not None and processes.index == 0:
        check_folder(params["checkpoint_dir"])
    survive_forks()
    with own_draws(seed, device):
        if start is None:
            state, encoded = _build(
                params, frame, y, weight, target_name, serializer, codec, seed,
                precision.training[0], (sft_method, align_method),
            )  # fmt: skip
        else:
            state = start
            check_parts(state["model_"], (sft_method, align_method))
            rows = state["serializer_"].serialize(frame)
            encoded = state["prompts_"].encode_training(rows, y, weight)
        if not sums_shares(state["model_"]):  # a sum of shares is not held to the grid's range
            _warn_clipped(state["codec_"], y)
        with _undone_on_error(state, start) as model:
            if processes.sharded:  # before anything is on the device, which may be too small
                model.place("cpu", *precision.training)
            rejoin = processes.shard(model)
            model.place(device, *precision.training)
            model.checkpointing(params["gradient_checkpointing"])
            if params["torch_compile"]:
                model.compile()
            methods = (sft_method, align_method)

            def train(member):
                return _train(params, state, encoded, y, weight, *methods, seed, member, processes)

            def begin(member):
                draw_member(params, state, frame, methods, seed, member)

            count = 1
            if sft_method.stage != "none" and not is_constant(state["model_"]):
                asked = 1 + len(model.others) if start else params["n_estimators"]
                count = check_members(asked, model, processes)
            history = train_members(model, count, None if start else begin, train)
            rejoin()
            model.checkpointing(False)
            model.place(device, *precision.prediction).eval()
            found = _calibration(params, state, encoded, y, weight, sft_method, seed)
            # Processes on unlike devices may differ in the last digits.
            found = processes.agree(found)
            decoding = _decoding(params, state, encoded, y, weight, seed, found)
            state |= {
                "temperature_": found.temperature, "estimate_weight_": found.estimate_weight,
                "decoding_": processes.agree(decoding),
            }  # fmt: skip
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
    elif not model.pretrained:
        state["model_"] = copy.deepcopy(model)
        yield state["model_"]
    else:
        before = model.snapshot()
        place = model.device, model.dtype, model._autocast
        try:
            yield model
        except BaseException:
            model.keep_reference(False)
            model.checkpointing(False)
            model.place(*place).restore(before)
            model.eval()
            raise


def _build(params, frame, y, weight, target_name, serializer, codec, seed, dtype, methods):
    target = pd.Series(y, index=frame.index, name=target_name)
    rows = replace(serializer.fit(frame, target).serialize(frame), weight=weight)
    scores = fit_codec(codec, rows, y, weight, seed, methods)
    mean, std = axis_moments(codec, y, weight)
    estimates = row_estimates(params, len(y), codec, mean, std, seed)
    if estimates is not None:
        rows = estimates.fit_extend(rows, y, weight)
    prompts, encoded, model = assemble(
        params, rows, codec, serializer.max_text_tokens, seed, dtype,
        methods=methods, target_scale=(mean, std),
    )  # fmt: skip
    prompts.estimates = estimates
    shown = methods[0].num_examples
    if shown:
        chosen = np.random.RandomState(seed).choice(len(y), min(shown, len(y)), replace=False)
        prompts.show(rows.take(chosen), codec.spell(y[chosen]))
    state = {
        "serializer_": serializer, "codec_": codec, "prompts_": prompts, "model_": model,
        "y_mean_": mean, "y_std_": std, "target_scale_scores_": scores,
    }  # fmt: skip
    return state, encoded


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


def _train(params, state, encoded, y, weight, sft_method, align_method, seed, member, processes):
    model, codec = state["model_"], state["codec_"]
    if is_constant(model):
        return []
    if model.shares_prefix:
        encoded = encoded.share_prefix(model.device)
    z = (codec.to_axis(y) - state["y_mean_"]) / state["y_std_"]
    data = TrainingData(encoded, z, codec.leaf_of(y), weight)
    scale = ZScale.from_tree(
        model.tree, state["y_mean_"], state["y_std_"], model.device, model.dtype
    )
    train, held_out = _split(params, len(y), seed)
    stages = zip(
        (sft_method, align_method), stage_settings(params, len(train), model.pretrained),
        strict=True,
    )  # fmt: skip
    plan = [
        (method, setting)
        for method, setting in stages
        if method is not None and method.stage != "none" and setting.epochs
    ]
    own_seed = seed + member  # of what makes members differ
    decisive = {"data": data, "y": y, "held_out": held_out, "scale": scale, "std": state["y_std_"]}
    checkpoints = _checkpoints(params, model, plan, own_seed, decisive, processes)
    # A pretrained model is tuned through adapters in both stages, or whole in both.
    lora = None
    if align_method is not None and not model.pretrained:
        lora = lora_config(params, model.lm.config.model_type)
    if processes.sharded:
        _check_sharded(model, align_method, lora)
    return train_stages(
        model, data.take(train), plan, checkpoints,
        lora=lora,
        scale=scale,
        validate=_validator(
            params, model, encoded, y, weight, held_out, state["y_std_"], processes
        ),
        rng=np.random.RandomState(own_seed % 2**32),
        generator=torch.Generator().manual_seed(own_seed),
        report=_printer(
            params, processes, plan, model, len(train), len(held_out), member=member
        ),
        processes=processes,
    )  # fmt: skip


def _calibration(params, state, encoded, y, weight, method, seed):
    """What is done to the distributions of the trained model, from the validation rows."""
    asked = params["temperature_scaling"]
    # A model that is asked as it is answers as it is, unless its user wants otherwise.
    scales = method.stage != "none" if isinstance(asked, str) else asked
    _, held_out = _split(params, len(y), seed)
    return fitted_calibration(
        state["model_"], encoded.take(held_out), y[held_out], weight[held_out], scales=scales,
        asked=asked is True, estimate_weight=params["estimate_weight"],
    )  # fmt: skip


def _decoding(params, state, encoded, y, weight, seed, calibration):
    _, held_out = _split(params, len(y), seed)
    return fitted_decoding(
        state["model_"], encoded, y, weight, held_out, calibration, params["decoding"]
    )


def _check_sharded(model, align_method, lora):
    """Refuse what cannot be done to weights that FSDP has split over processes."""
    if not model.packs:
        raise ValueError(
            f"FSDP needs a model whose prompt and number tree share one sequence; "
            f"{type(model.transformer).__name__} computes one path at a time, and processes would "
            "fall out of step. Train without FSDP."
        )
    if model.parts:
        raise ValueError(
            f"FSDP does not know the parts of its own that a method trains beside the model "
            f"({', '.join(model.parts)}). Choose another method, or train without FSDP."
        )
    if lora is not None:
        raise ValueError(
            f"Under FSDP fresh weights can't get adapters for the second stage (r={lora.r}). Set "
            "lora_r=None to train all weights in both stages."
        )
    if align_method is not None and align_method.needs_reference and not model.has_lora:
        raise ValueError(
            f"Under FSDP the KL penalty of {align_method!r} needs adapters, whose first stage is "
            "kept beside them. Set lora_r, or beta=0."
        )


def _checkpoints(params, model, plan, seed, decisive, processes):
    folder = params["checkpoint_dir"]
    if folder is None:
        return Checkpoints(None, "", 0.0)
    if processes.sharded:
        raise ValueError(
            f"checkpoint_dir={str(folder)!r} cannot be used with FSDP, whose processes hold parts "
            "of the weights. Set checkpoint_dir=None, or train without FSDP."
        )
    chosen = {name: value for name, value in params.items() if name not in UNDECISIVE}
    name = fit_name(model, plan, seed, params=chosen, **decisive)
    return Checkpoints(folder, name, params["checkpoint_interval"], writes=processes.index == 0)


def _split(params, n_rows, seed):
    """Rows to train on and rows to validate on; the latter empty for very small tables."""
    fraction = auto_validation(
        params["validation_fraction"], n_rows, is_pretrained(params["model"])
    )
    if not fraction:
        return np.arange(n_rows), np.arange(0)
    train, held_out = train_test_split(np.arange(n_rows), test_size=fraction, random_state=seed)
    return np.sort(train), np.sort(held_out)


def _validator(params, model, encoded, y, weight, held_out, spread, processes):
    """A function for the validation rows' errors as decoded, or None without such rows."""
    if not len(held_out):
        return None
    mine = held_out if processes.sharded else processes.share(held_out)
    rows = encoded.take(mine)
    # Draws would make the best epoch a matter of luck: they are judged by what they estimate.
    sampled = params["decoding"] in ("auto", "sample", "sampled_rail")
    decoding = "rail" if sampled else params["decoding"]
    place = model.codec.to_axis(y)
    tolerance = params["tree_tolerance"] * spread

    def validate():
        errors = np.zeros((2, 0))
        if len(mine):
            found = distributions(model, rows, tolerance)
            placed = on_axis(found, model.codec).decode(decoding)
            errors = np.stack([found.decode(decoding) - y[mine], placed - place[mine]])
        errors, weights = processes.join((errors.T, weight[mine]))
        relative = errors[:, 1] / spread  # squares of errors in the units of y may overflow
        return root_mean_square(errors[:, 0], weights), relative**2 * weights / weights.mean()

    return validate


def _printer(params, processes, plan, model, *n_rows, member):
    if not params["verbose"] or processes.index:
        return lambda record: None
    count = params["n_estimators"]
    name = f"member {member + 1}/{count}" if count > 1 else None
    return printer(plan, model, *n_rows, name)
