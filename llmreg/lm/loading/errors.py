"""What went wrong with a pretrained model, in words: what was looked for, where, what to do."""

import os

__all__ = [
    "explained",
    "fills_in",
    "is_causal",
    "require_causal",
    "require_own_kernels",
    "require_read",
    "require_vocabulary",
    "require_whole",
]

REMEDY = (
    "Check the name and the connection, download it first (hf download {name}), or use "
    "model='tiny', which needs no download."
)


# What the hub's errors mean, the more special ones first, and what to do.
ANSWERS = (
    (
        "GatedRepoError",
        "its authors give it only to those who have asked (it is gated).",
        "Ask for access at {page}, then log in with `hf auth login` or set token to one of an "
        "account that has it.",
    ),
    (
        "RevisionNotFoundError",
        "the hub has the model, but no such revision of it.",
        "Set revision to a branch, tag or commit listed at {page}/tree/main, or to None.",
    ),
    (
        "HFValidationError",
        "it is neither a folder on this machine nor a name that a model on the Hugging Face hub "
        "could have.",
        "{usual}",
    ),
    (
        "RepositoryNotFoundError",
        "it is neither a folder on this machine nor a model that the hub ({hub}) shows: there is "
        "none of that name, or it is private.",
        "{usual} For a private one log in with `hf auth login` or set token.",
    ),
)


def explained(error, source, what, refusal=None):
    """The error to raise for one that came up while loading.

    Parameters
    ----------
    error : Exception
        The loader's.
    source : llmreg.lm.loading.hub.ModelSource
    what : {"model", "tokenizer"}
    refusal : Exception or None
        What the hub answered before, if it did not give the model.

    Returns
    -------
    OSError or ValueError
        ``error`` itself where there is nothing to add.
    """
    import torch

    if isinstance(error, (_Unsuitable, torch.OutOfMemoryError)):
        return error
    chain = [*_chain(refusal), *_chain(error)]
    kind, reason, remedy = (
        _of_arguments(error, source)
        or (_of_folder(source, what) if source.is_folder else _of_path(source))
        or _of_hub(chain, source, refusal)
    )
    repeated = refusal is None or str(refusal) in str(error)
    said = "" if repeated else f" The hub said: {_first_lines(refusal)}"
    return kind(
        f"{_named(source)} could not be loaded ({what}): {reason} {remedy}{said} The loader said: "
        f"{error}"
    )


def require_causal(config, source):
    """ValueError if a configuration is not that of a causal language model."""
    found = _what_else(config, source)
    if found is None:
        return
    names = config.architectures or [type(config).__name__]
    raise _Unsuitable(
        f"{_named(source)} is not a causal language model: a {config.model_type!r} model "
        f"({', '.join(names)}) {found}. Choose a model that generates text, such as one of the "
        "families Llama, Qwen, Gemma, Mistral or GPT-2."
    )


def is_causal(config, source):
    """Whether a configuration is that of a causal language model."""
    return _what_else(config, source) is None


def _what_else(config, source):
    """What a model does that is no causal language model, in words; None of one that is."""
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING

    kind, own = type(config), getattr(config, "auto_map", None) or {}
    asked = (source.model_kwargs or {}).get("is_decoder", False)
    if getattr(config, "is_encoder_decoder", False):
        return "reads with an encoder and writes with a decoder"
    if "AutoModelForCausalLM" in own:
        return None
    if kind not in MODEL_FOR_CAUSAL_LM_MAPPING:
        return "does not write text from left to right"
    if fills_in(config) and not asked:
        return "fills in masked words and reads both ways"
    return None


def fills_in(config):
    """Whether a configuration is that of a model that fills in masked words."""
    from transformers import MODEL_FOR_MASKED_LM_MAPPING

    one_way = getattr(config, "is_decoder", False) or getattr(config, "causal", False)
    return type(config) in MODEL_FOR_MASKED_LM_MAPPING and not one_way


def require_own_kernels(config, source):
    """ValueError if a configuration brings in a kernel from the hub, whose code would be run."""
    names = [getattr(part, "_attn_implementation", None) for part in _parts(config)]
    foreign = [name for name in names if name is not None and "/" in str(name)]
    if foreign and not source.trust_remote_code:
        raise _Unsuitable(
            f"{_named(source)} has attn_implementation={foreign[0]!r} in its config.json, which is "
            "code from the hub. Set trust_remote_code=True if you want to run it on this machine, "
            "or model_kwargs={'attn_implementation': 'sdpa'} with a copy of the model without it."
        )


def _parts(config):
    """A configuration and those inside it."""
    inside = [getattr(config, name, None) for name in getattr(config, "sub_configs", None) or {}]
    return [config, *(part for part in inside if part is not None)]


def require_whole(lm, missing, source):
    """ValueError if the output layer's weights were not among those loaded, or adapters were."""
    if getattr(lm, "_hf_peft_config_loaded", False):
        raise _Unsuitable(
            f"{_named(source)} comes with peft adapters on its weights. Merge them "
            "(merge_and_unload) and save that, or choose the model without them."
        )
    head = lm.get_output_embeddings()
    if head is None:
        return
    names = [n for n, p in lm.named_parameters(remove_duplicate=False) if p is head.weight]
    if names and set(names) <= set(missing):
        raise _Unsuitable(
            f"{_named(source)} has no weights for the layer that writes ({names[0]}): they were "
            f"saved from {', '.join(lm.config.architectures or ['a model'])} without it. Choose "
            "a checkpoint of the whole language model."
        )


def require_read(model, missing, source):
    """ValueError if weights were missing that states come from: all but a pooler's."""
    lacking = sorted(name for name in missing if "pool" not in name)
    if lacking:
        raise _Unsuitable(
            f"{_named(source)} has no weights for {len(lacking)} of the parameters of a "
            f"{type(model).__name__} ({lacking[0]}, ...), which would be random. Choose a whole "
            "model that reads text."
        )


def require_vocabulary(tokenizer, source):
    """OSError if a tokenizer came without a vocabulary, as where its files are missing."""
    if len(tokenizer) > len(tokenizer.get_added_vocab()):
        return
    raise OSError(
        f"There is no vocabulary ({', '.join(tokenizer.vocab_files_names.values())}), so that an "
        f"empty {type(tokenizer).__name__} was made up"
    )


class _Unsuitable(ValueError):
    """Already in words."""


def _named(source):
    revision = "" if source.revision is None else f" (revision {source.revision!r})"
    return f"model={source.name!r}{revision}"


def _chain(error):
    """An error and those behind it."""
    seen = []
    while error is not None and error not in seen:
        seen.append(error)
        error = error.__cause__ or error.__context__
    return seen


def _first_lines(error):
    return " ".join(str(error).split())[:300]


def _of_arguments(error, source):
    """Errors that no other place to load from would mend."""
    if "trust_remote_code" in str(error):
        return ValueError, "it comes with Python code of its own.", (
            "Read that code, and set trust_remote_code=True if you want to run it on this machine."
        )  # fmt: skip
    if isinstance(error, TypeError) and "keyword argument" in str(error):
        return ValueError, f"model_kwargs={source.model_kwargs!r} has an unknown name.", (
            "Legal are the arguments of the model's from_pretrained and of its configuration."
        )  # fmt: skip
    if isinstance(error, ImportError):  # a missing distribution too
        return OSError, "a package that this way of loading needs is not installed.", (
            "Install what the loader asks for (such as bitsandbytes), or take it out of "
            f"model_kwargs={source.model_kwargs!r}."
        )  # fmt: skip
    return None


def _of_folder(source, what):
    folder = os.path.abspath(source.path)
    held = set(os.listdir(folder))
    if what == "tokenizer" and "config.json" in held:
        return OSError, f"the folder {folder} holds no tokenizer that can be read.", (
            "Put one there with tokenizer.save_pretrained(folder)."
        )  # fmt: skip
    if "adapter_config.json" in held and "config.json" not in held:
        return OSError, f"the folder {folder} holds peft adapters, not a model.", (
            "Merge them into their base (merge_and_unload) and save that, or give model=(model, "
            "tokenizer)."
        )  # fmt: skip
    return OSError, f"the folder {folder} holds no model that transformers can read.", (
        "Put one there with model.save_pretrained(folder) and tokenizer.save_pretrained(folder)."
    )  # fmt: skip


def _of_path(source):
    """Errors of what can be no name on the hub, which are an owner and a name at most."""
    path, name = source.path, source.name
    is_file = os.path.isfile(path)
    looks_like_one = name.startswith((".", "~", os.sep)) or os.path.isabs(path) or "\\" in name
    if not (is_file or looks_like_one or name.count("/") > 1):
        return None
    found = "is a file, and no folder" if is_file else "is no folder on this machine"
    return OSError, f"{os.path.abspath(path)} {found}.", (
        "Check the path, which counts from the working directory; or give the name of a model on "
        "the Hugging Face hub, such as 'owner/name', or model='tiny', which needs no download."
    )  # fmt: skip


def _of_hub(chain, source, refusal):
    from huggingface_hub import constants

    kinds = {kind.__name__ for error in chain for kind in type(error).__mro__}
    fields = {
        "hub": constants.ENDPOINT,
        "page": f"{constants.ENDPOINT}/{source.name}",
        "usual": REMEDY.format(name=source.name),
    }
    for kind, reason, remedy in ANSWERS:
        if kind in kinds:
            return OSError, reason.format(**fields), remedy.format(**fields)
    if source.local_files_only:
        asked = "was not asked (local_files_only=True)"
    elif "OfflineModeIsEnabled" in kinds:
        asked = "was not asked (HF_HUB_OFFLINE is set)"
    elif refusal is None:
        return OSError, "the hub has the model, but not as files that transformers can load.", (
            "Choose another, in the format of transformers; instead of adapters, their base."
        )  # fmt: skip
    else:
        asked = "could not be reached"
    cache = (source.model_kwargs or {}).get("cache_dir") or constants.HF_HUB_CACHE
    return OSError, (
        "it is neither a folder on this machine with a transformers model nor complete in the "
        f"local cache at {cache}, and the Hugging Face hub {asked}."
    ), fields["usual"]  # fmt: skip
