"""Several models of one shape, trained one after the other in the same place."""

import warnings

import torch

__all__ = ["train_members"]


def train_members(train, count, build=None):
    """Train an ensemble; the model ends as its first member and keeps the others' weights.

    Parameters
    ----------
    train : llmreg.training.run.Training
        ``train(member)`` trains what is in the model and returns the records of its epochs.
    count : int
        Members of a new ensemble; one that goes on has as many as it had.
    build : callable or None, default=None
        Builds a model like the first member with other fresh weights, as torch's random state has
        them. None: the members go on from where they are.

    Returns
    -------
    list of dict
        All records, with ``member`` in front if there are several. New members for which no time
        is left are left out, with a warning.

    Raises
    ------
    ValueError
        If there can't be several members.
    """
    model, seed = train.fitted.model, train.fitted.plan.seed
    starts = model.further_members
    count = count if build else 1 + len(starts)
    _check(count, model, train.processes)
    if count == 1:
        return train(0)
    first, finished, history = model.snapshot(), [], []
    model.keep_further_members(())  # what is validated is the member alone
    try:
        for member in range(count):
            if member and build and not train.has_time():
                _say_left_out(count, member)
                break
            if member:
                model.restore(first if build else starts[member - 1])
            if member and build:
                _draw(model, build, seed + member)
            history += [{"member": member, **record} for record in train(member)]
            finished.append(model.snapshot())
    except BaseException:
        model.keep_further_members(starts)
        raise
    model.restore(finished[0])
    model.keep_further_members(finished[1:])
    return history


def _check(count, model, processes):
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


def _say_left_out(count, trained):
    warnings.warn(
        f"The time limit left no time for {count - trained} of {count} members: predictions are "
        f"those of {trained}. Raise time_limit, or lower n_estimators.",
        UserWarning,
        stacklevel=2,
    )


def _draw(model, build, seed):
    """Give the model other fresh weights.

    Adapters on a pretrained base begin as the first member's, and what is drawn in training
    differs.
    """
    torch.manual_seed(seed)
    if not model.pretrained:
        other = build(verify=False)
        model.restore({name: p.detach() for name, p in other.named_parameters()})
