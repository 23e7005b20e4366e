"""The small modules that methods put into the model beside the language model.

What they are made of, and what they compute, the methods' :class:`llmreg.methods.parts.Part`
objects know; here are the torch modules that hold their weights, and what builds them.
"""

from torch import nn

from llmreg.prompts.asking import both_ways

__all__ = ["PLACES", "HeadModule", "PartModule", "check_parts", "give_parts", "restore_parts"]


class PartModule(nn.Module):
    """The weights of a part.

    Parameters
    ----------
    part : llmreg.methods.parts.Part
        Builds the weights, and knows what they mean.
    sizes : dict of str to int
        ``size`` of the hidden states, tokens of the ``vocabulary``, and the codec's ``symbols`` and
        ``leaves`` (its numbers).
    mean, std : float
        Of the training targets on the codec's axis: z-units to places there.
    """

    def __init__(self, part, sizes, mean, std):
        super().__init__()
        self.part, self.sizes, self.mean, self.std = part, sizes, mean, std
        part.build(self)

    @property
    def recipe(self):
        """dict: the parameters that a module of the same shape is built from."""
        return {"part": self.part, "sizes": self.sizes, "mean": self.mean, "std": self.std}


class HeadModule(PartModule):
    """The weights of a :class:`llmreg.methods.parts.Head`, which all is passed on to."""

    def __init__(self, part, sizes, mean, std):
        super().__init__(part, sizes, mean, std)
        self.spreads, self.whole = part.spreads, part.whole
        self.sums_shares, self.on_axis = part.sums_shares, part.on_axis

    def read(self, model, batch):
        """Tensors of B rows that :meth:`forward` gets."""
        return self.part.read(self, model, batch)

    def forward(self, *read):
        """Numbers (B,) in z-units, or log-probabilities (B, K)."""
        return self.part.forward(self, *read)

    def n_logits(self, tree):
        """int: logits that are computed for each row beside the language model's states."""
        return self.part.n_logits(self, tree)

    @property
    def n_outputs(self):
        """int: K, what :meth:`forward` gives for each row."""
        return self.part.n_outputs(self)

    def estimate(self, estimate, tree):
        """What simple regressors say, in the terms of :meth:`forward`."""
        return self.part.estimate(self, estimate, tree)

    def distribution(self, output, tree):
        """The :class:`NumericDistribution` of a :meth:`forward`'s output."""
        return self.part.distribution(self, output, tree)


# The model's attributes that they become (llmreg.lm.backbone.NumberLM.put_parts).
PLACES = {"head": HeadModule, "leaf_shift": PartModule, "new_tokens": PartModule}


def give_parts(model, tokenizer, methods, mean=0.0, std=1.0):
    """Give a model with weights the fresh parts that its methods ask for.

    Parameters
    ----------
    model : llmreg.lm.backbone.NumberLM
    tokenizer : transformers tokenizer
    methods : sequence of (Method or None)
        Of both stages; None for none.
    mean, std : float
        Of the training targets.

    Raises
    ------
    ValueError
        If a token is not in the vocabulary, or if bidirectional attention is asked of a model that
        cannot have it.
    """
    modules = _built(_recipes(model, methods, mean, std))
    for module in modules.values():
        module.part.start(module, model, tokenizer)
    model.put_parts(modules, both_ways(methods))


def check_parts(model, methods):
    """Refuse to go on with a model that has other parts than the methods need.

    Parameters are those of :func:`give_parts`; the targets' scale is the model's own.

    Raises
    ------
    ValueError
        If parts are missing, too many, or of another kind.
    """
    scale = next(((part.mean, part.std) for part in model.parts.values()), (0.0, 1.0))
    wanted = _named(_recipes(model, methods, *scale), both_ways(methods))
    found = {place: module.recipe for place, module in model.parts.items()}
    found = _named(found, model.bidirectional)
    if wanted != found:
        raise ValueError(
            f"warm_start=True goes on with a model that has {found}, but the methods need "
            f"{wanted}. Set warm_start=False to start anew, or keep the fit_method and its "
            "parameters."
        )


def restore_parts(model, recipes, bidirectional):
    """Give a model untrained parts of known shapes, to load weights into.

    Parameters
    ----------
    model : llmreg.lm.backbone.NumberLM
    recipes : dict of str to dict
        :attr:`PartModule.recipe` of ``model.parts``.
    bidirectional : bool
    """
    model.put_parts(_built(recipes), bidirectional)


def _built(recipes):
    return {place: PLACES[place](**recipe) for place, recipe in recipes.items()}


def _recipes(model, methods, mean, std):
    """What to build, by place."""
    layer = model.lm.get_output_embeddings()
    layer = getattr(layer, "original_module", layer)  # beneath peft's trained copy
    vocabulary, size = layer.weight.shape
    sizes = {
        "vocabulary": vocabulary, "symbols": len(model.symbol_ids),
        "leaves": len(model.tree.leaf_value), "size": size,
    }  # fmt: skip
    parts = {}
    for method in reversed([method for method in methods if method is not None]):
        parts |= method.parts
    scale = {"mean": float(mean), "std": float(std)}
    return {place: {"part": parts[place], "sizes": sizes, **scale} for place in PLACES
            if place in parts}  # fmt: skip


def _named(recipes, bidirectional):
    """Parts in words: equal words, equal parts."""
    names = [
        f"{place} {type(recipe['part']).__name__}{recipe['part'].get_params()} of "
        f"{recipe['sizes']}, mean {recipe['mean']:g} and std {recipe['std']:g}"
        for place, recipe in recipes.items()
    ]
    names += ["bidirectional attention"] * bidirectional
    return ", ".join(names) or "no head or other part"
