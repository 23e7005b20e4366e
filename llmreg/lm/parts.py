"""The small parts that methods ask for beside the language model: heads, leaf values, new tokens.

An objective says what it needs: ``head_spec()`` gives the kind of a head and its parameters, or
None; ``learns_leaf_values`` is True for a learnt value per leaf; ``new_token_init`` names the
start of one new token per number; ``bidirectional`` is True for full attention in the prompt.
What an objective doesn't mention, it doesn't need.
"""

import torch

from llmreg.lm.heads import LeafShift, build_head
from llmreg.lm.new_tokens import NewTokens, initial_rows, spelled
from llmreg.numbers.tree import NumberTree

__all__ = ["check_parts", "give_parts", "restore_parts"]

GRIDS = ("grid_sum", "grid_shares")  # heads on the probabilities of whole spellings
BUILDERS = {
    "head": build_head,
    "leaf_shift": lambda recipe: LeafShift(**recipe),
    "new_tokens": NewTokens.from_recipe,
}


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
        If a token is not in the vocabulary, if heads and new tokens are to read one another, or if
        bidirectional attention is asked of a model that cannot have it.
    """
    recipes = _recipes(model, tokenizer, methods, mean, std)
    parts = {name: BUILDERS[name](recipe) for name, recipe in recipes.items()}
    init = _new_token_init(methods)
    if init is not None:
        _refuse_symbols(methods)
        spellings = spelled(tokenizer, model.codec.values_)
        parts["new_tokens"] = NewTokens(initial_rows(_output_layer(model).weight, spellings, init))
    model.put_parts(parts, _both_ways(methods))


def check_parts(model, tokenizer, methods):
    """Refuse to go on with a model that has other parts than the methods need.

    Parameters are those of :func:`give_parts`; the targets' scale is the model's own.

    Raises
    ------
    ValueError
        If parts are missing, too many, or of another kind.
    """
    mean, std = 0.0, 1.0
    for part in (model.head, model.leaf_shift):
        mean, std = getattr(part, "mean", mean), getattr(part, "std", std)
    wanted = {
        name: {k: v for k, v in recipe.items() if k != "weight"}
        for name, recipe in _recipes(model, tokenizer, methods, mean, std).items()
    }
    found = {name: part.recipe for name, part in model.parts.items()}
    if wanted != found or _both_ways(methods) != model.bidirectional:
        raise ValueError(
            "warm_start=True goes on with a model that has "
            f"{_named(found, model.bidirectional)}, but the methods need "
            f"{_named(wanted, _both_ways(methods))}. Set warm_start=False to start anew, or keep "
            "the fit_method and its parameters."
        )


def restore_parts(model, recipes, bidirectional):
    """Give a model untrained parts of known shapes, to load weights into.

    Parameters
    ----------
    model : llmreg.lm.backbone.NumberLM
    recipes : dict of str to dict
        Of ``model.parts``.
    bidirectional : bool
    """
    parts = {name: BUILDERS[name](recipe) for name, recipe in recipes.items()}
    model.put_parts(parts, bidirectional)


# -- what is asked for -----------------------------------------------------------------------


def _new_token_init(methods):
    found = [getattr(method, "new_token_init", None) for method in methods]
    return next((init for init in found if init is not None), None)


def _both_ways(methods):
    return any(getattr(method, "bidirectional", False) for method in methods)


def _specs(methods):
    found = [method.head_spec() for method in methods if hasattr(method, "head_spec")]
    return [spec for spec in found if spec is not None]


def _refuse_symbols(methods):
    if any(spec["kind"] in ("probabilities", *GRIDS) for spec in _specs(methods)):
        raise ValueError(
            "Probabilities among the vocabulary's symbols cannot follow NewTokens, after which no "
            "symbol is written. Choose another sft_method, LearnableRAFT(weights='grid') or "
            "RAFT(normalisation='step')."
        )


def _named(recipes, bidirectional):
    names = [f"{name} {recipe}" for name, recipe in recipes.items()]
    names += ["bidirectional attention"] * bidirectional
    return ", ".join(names) or "no head or other part"


def _recipes(model, tokenizer, methods, mean, std):
    """What to build, by the part's name."""
    recipes = {}
    layer, specs = _output_layer(model), _specs(methods)
    vocabulary, size = layer.weight.shape
    if specs:
        sizes = {"vocabulary": vocabulary, "size": size}
        recipe = {**specs[0], "sizes": sizes, "mean": float(mean), "std": float(std)}
        recipes["head"] = _resolved(model, tokenizer, recipe)
    if any(getattr(method, "learns_leaf_values", False) for method in methods):
        recipes["leaf_shift"] = {"n_leaves": len(model.tree.leaf_value), "std": float(std)}
    if _new_token_init(methods) is not None:
        recipes["new_tokens"] = {"shape": [len(model.tree.leaf_value), size]}
    return recipes


def _output_layer(model):
    layer = model.lm.get_output_embeddings()
    return getattr(layer, "original_module", layer)  # beneath peft's trained copy


def _resolved(model, tokenizer, recipe):
    """An objective's words in the model's terms: tokens as their numbers."""
    if recipe["kind"] == "special_token_logit":
        recipe["token"] = _token(tokenizer, recipe["token"])
    if recipe["kind"] in GRIDS:
        recipe["sizes"]["nodes"] = NumberTree.from_codec(model.codec, whole=True).n_open
    if recipe["kind"] == "probabilities":
        over, start = recipe.pop("over"), recipe.pop("start", None)
        symbols = over == "symbols"
        # On the meta device, where memory is estimated, no token has a number.
        meta = model.symbol_ids.is_meta
        ids = list(range(len(model.symbol_ids))) if meta else model.symbol_ids.tolist()
        recipe["tokens"] = ids if symbols else None
        if start == "values":
            values = _first_symbol_values(model, recipe["mean"], recipe["std"])
            weight = values.new_zeros(recipe["sizes"]["vocabulary"])
            weight[model.symbol_ids] = values
            recipe |= {"weight": weight, "bias": False}
    return recipe


def _token(tokenizer, token):
    if token is not None:
        found = tokenizer.get_vocab().get(token)
        if found is None:
            raise ValueError(
                f"token={token!r} is not in the tokenizer's vocabulary of {len(tokenizer)} tokens. "
                "Use one of tokenizer.get_vocab(), or None for a special token."
            )
        return found
    special = (tokenizer.eos_token_id, tokenizer.unk_token_id, tokenizer.pad_token_id)
    return next(token for token in (*special, 0) if token is not None)


def _first_symbol_values(model, mean, std):
    """The mean (S,) of the numbers that each symbol begins, in z-units; 0 for those that begin
    none."""
    tree = model.tree
    first, z = tree.path_symbols[:, 0], (tree.leaf_place - mean) / std
    total = z.new_zeros(len(model.symbol_ids)).index_add(0, first, z)
    count = torch.zeros_like(total).index_add(0, first, torch.ones_like(z))
    return total / count.clamp(min=1)
