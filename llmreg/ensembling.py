"""Several models of one shape, trained one after the other in the same place."""

__all__ = ["train_members"]


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
