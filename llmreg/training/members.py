"""Several models of one shape, trained one after the other in the same place."""

import torch

from llmreg.assembly import assemble

__all__ = ["check_members", "draw_member", "train_members"]


def check_members(count, model, processes):
    """The number of members, or ValueError where there can't be several."""
    if count > 1 and processes.sharded:
        raise ValueError(
            f"n_estimators={count} keeps the trained weights of every member, which FSDP has split "
            "over processes. Set n_estimators=1, or train without FSDP."
        )
    if count > 1 and model.leaf_shift is not None:
        raise ValueError(
            f"n_estimators={count} averages distributions over the same numbers, but every member "
            "of 'learnable_raft' would learn its own. Set n_estimators=1, or choose 'raft'."
        )
    return count


def draw_member(params, state, frame, methods, seed, member):
    """Give the model fresh weights for a further member.

    Adapters on a pretrained base begin as the first member's, and what is drawn in training
    differs.

    Parameters
    ----------
    params, state : dict
        The estimator's parameters and the fitted parts.
    frame : DataFrame
        The training rows.
    methods : sequence of (Method or None)
    seed, member : int
        Of the fit, which the featurizer shares; and the member's number.
    """
    model, serializer = state["model_"], state["serializer_"]
    torch.manual_seed(seed + member)
    if model.pretrained:
        return
    rows = state["prompts_"].extend(serializer.serialize(frame))
    _, _, other = assemble(
        params, rows, state["codec_"], serializer.max_text_tokens, seed,
        methods=methods, target_scale=(state["y_mean_"], state["y_std_"]),
    )  # fmt: skip
    model.restore({name: p.detach() for name, p in other.named_parameters()})


def train_members(model, count, begin, train):
    """Train an ensemble; the model ends as its first member and keeps the others' weights.

    Parameters
    ----------
    model : llmreg.lm.backbone.NumberLM
        With the first member's starting weights and, to go on training, those of the ``others``.
    count : int
        Members.
    begin : callable or None
        ``begin(member)`` makes what the model has (the first one's starting weights) the starting
        weights of member 1, 2, ... None: they go on from where they are.
    train : callable
        ``train(member)`` trains what is in the model and returns the records of its epochs.

    Returns
    -------
    list of dict
        All records, with ``member`` in front if there are several.
    """
    if count == 1:
        return train(0)
    first, starts, finished, history = model.snapshot(), model.others, [], []
    model.keep_others(())  # what is validated is the member alone
    try:
        for member in range(count):
            if member:
                model.restore(first if begin else starts[member - 1])
            if member and begin:
                begin(member)
            history += [{"member": member, **record} for record in train(member)]
            finished.append(model.snapshot())
    except BaseException:
        model.keep_others(starts)
        raise
    model.restore(finished[0])
    model.keep_others(finished[1:])
    return history
