"""Loading pretrained models and tokenizers from the Hugging Face hub or a folder.

Also what identifies the weights that were loaded: their revision and a checksum.
"""

import hashlib
import os
import re
import warnings
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial

from llmreg.integrations.masking import Masked

__all__ = [
    "ModelSource",
    "load_config",
    "load_lm",
    "load_reader",
    "load_tokenizer",
    "resolved_revision",
    "weights_checksum",
]

# Arguments of from_pretrained that say where files are: the tokenizer needs them as well.
SHARED = ("cache_dir", "code_revision", "force_download", "gguf_file", "proxies", "subfolder")
# Arguments that have a parameter of their own, which would contradict them.
RESERVED = (
    {
        name: f"PretrainedModel({name}=...)"
        for name in ("revision", "token", "local_files_only", "trust_remote_code")
    }
    | dict.fromkeys(("dtype", "torch_dtype"), "device=Device(dtype=...)")
    | {"device_map": "device"}
)
SAMPLE = 4096  # values of each tensor that the checksum reads


@dataclass(frozen=True)
class ModelSource:
    """Which pretrained model to load, and how.

    Parameters
    ----------
    name : str
        Hub id or folder ("~" is the home directory). A folder of that name comes first.
    revision : str or None, default=None
        Branch, tag or commit on the hub; None: the main branch. Folders have none.
    token : str, bool or None, default=None
        Hub token of a private or gated model; True or None: the one of ``hf auth login``, False:
        none. Neither shown nor compared, and no part of what is loaded.
    local_files_only : bool, default=False
        Look in the local cache only. The hub is asked once otherwise; where it does not answer
        or refuses, what the cache holds is used.
    trust_remote_code : bool, default=False
        Run the Python code that comes with some models.
    model_kwargs : dict or None, default=None
        Further arguments of the model's ``from_pretrained``, such as ``attn_implementation`` or
        ``quantization_config``. Those that say where files are (``cache_dir``, ``code_revision``,
        ``force_download``, ``gguf_file``, ``proxies``, ``subfolder``) go to the tokenizer too.

    Raises
    ------
    ValueError
        If ``name`` is a misspelt "tiny", or ``model_kwargs`` holds what has a parameter of its
        own (``revision``, ``token``, ``local_files_only``, ``trust_remote_code``, ``dtype``;
        ``device_map`` is ``device``).
    """

    name: str
    revision: str | None = None
    token: str | bool | None = field(default=None, repr=False, compare=False)
    local_files_only: bool = False
    trust_remote_code: bool = False
    model_kwargs: dict | None = None

    def __post_init__(self):
        if isinstance(self.token, Masked):
            object.__setattr__(self, "token", self.token.reveal())
        if self.name.lower() == "tiny":
            raise ValueError(f"model={self.name!r} is not a model; did you mean 'tiny'?")
        for key in self.model_kwargs or {}:
            if key in RESERVED:
                raise ValueError(
                    f"model_kwargs holds {key!r}, which has a parameter of its own: set "
                    f"{RESERVED[key]} instead."
                )

    @property
    def path(self):
        """str: the name as transformers gets it."""
        return os.path.expanduser(self.name)

    @property
    def is_folder(self):
        """bool: whether the name is that of a folder on this machine."""
        return os.path.isdir(self.path)


def load_lm(source, dtype=None):
    """Load a causal language model.

    Parameters
    ----------
    source : ModelSource or str
        A string is a name without further settings.
    dtype : torch.dtype or None, default=None
        Of the weights that are not quantised; None: float32, whatever the checkpoint's own is.

    Returns
    -------
    transformers.PreTrainedModel
        On the CPU unless ``model_kwargs`` says otherwise, in eval mode.

    Raises
    ------
    OSError
        If the model cannot be found, reached or read; the message says where it was looked for
        and what to do, its cause is the loader's error.
    ValueError
        If it is no causal language model, needs code of its own or other arguments.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    from llmreg.lm.loading.errors import require_causal, require_own_kernels, require_whole

    source = _as_source(source)
    dtype = torch.float32 if dtype is None else dtype
    with _loading(source, "model") as where:
        # The configuration first: it is small, and says whether the weights are worth fetching.
        config = AutoConfig.from_pretrained(source.path, **where)
        require_causal(config, source)
        require_own_kernels(config, source)
        lm, missing = _opened(AutoModelForCausalLM, source, dtype, where)
        require_whole(lm, missing, source)
    if _gguf(source):
        _forget_quantisation(lm)
    lm.config._commit_hash = _commit(source, lm)
    return lm


def load_reader(source):
    """Load a model of which states are read and nothing is written: an encoder or a language model.

    Parameters
    ----------
    source : ModelSource or str

    Returns
    -------
    model : transformers.PreTrainedModel
        Without a head, in float32 and eval mode; the encoder alone where there is a decoder too.
    writes : bool
        Whether tokens see those before them alone.

    Raises
    ------
    OSError, ValueError
        As :func:`load_lm`; any kind of model that reads tokens will do.
    """
    import torch
    from transformers import AutoConfig, AutoModel

    from llmreg.lm.loading.errors import is_causal, require_own_kernels, require_read

    source = _as_source(source)
    with _loading(source, "model") as where:
        config = AutoConfig.from_pretrained(source.path, **where)
        require_own_kernels(config, source)
        model, missing = _opened(AutoModel, source, torch.float32, where)
        require_read(model, missing, source)
    if config.is_encoder_decoder:
        model = model.get_encoder()
    return model.eval(), is_causal(config, source)


def _opened(kind, source, dtype, where):
    """A model by one of transformers' automatic classes, and the names of weights it lacks."""
    model, report = kind.from_pretrained(
        source.path, dtype=dtype, output_loading_info=True,
        # Left alone, transformers would ask the hub for adapters even where it must not.
        adapter_kwargs={"local_files_only": where["local_files_only"]},
        **(where | (source.model_kwargs or {})),
    )  # fmt: skip
    return model, report["missing_keys"]


def load_config(source):
    """Load a model's configuration alone, as :func:`load_lm` would have it; no weights.

    Parameters
    ----------
    source : ModelSource or str

    Returns
    -------
    transformers.PretrainedConfig

    Raises
    ------
    OSError, ValueError
        As :func:`load_lm`.
    """
    from transformers import AutoConfig

    from llmreg.lm.loading.errors import require_causal

    source = _as_source(source)
    with _loading(source, "model") as where:
        config, _ = AutoConfig.from_pretrained(
            source.path, return_unused_kwargs=True, **(where | (source.model_kwargs or {}))
        )
        require_causal(config, source)
    return config


def load_tokenizer(source):
    """Load the tokenizer that belongs to a model.

    Parameters
    ----------
    source : ModelSource or str

    Returns
    -------
    transformers tokenizer
        Without a padding token of its own, it pads with its end token, if it has one.

    Raises
    ------
    OSError, ValueError
        As :func:`load_lm`; also if there is a model but no tokenizer.
    """
    from transformers import AutoTokenizer

    from llmreg.lm.loading.errors import require_vocabulary

    source = _as_source(source)
    with _loading(source, "tokenizer") as where:
        tokenizer = AutoTokenizer.from_pretrained(source.path, **where)
        require_vocabulary(tokenizer, source)
    if tokenizer.pad_token_id is None and tokenizer.eos_token_id is not None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def _gguf(source):
    return "gguf_file" in (source.model_kwargs or {})


def _forget_quantisation(lm):
    """Weights of a GGUF file are plain numbers by now, cast and saved as any others."""
    lm.hf_quantizer, lm.is_quantized, lm.quantization_method = None, False, None
    if hasattr(lm.config, "quantization_config"):
        del lm.config.quantization_config


def _as_source(source):
    return ModelSource(source) if isinstance(source, str) else source


@contextmanager
def _loading(source, what):
    """The arguments that say where files are; errors within tell what was looked for and where."""
    from llmreg.lm.loading.errors import explained

    if source.is_folder and source.revision is not None and what == "model":
        warnings.warn(
            f"revision={source.revision!r} has no effect: model={source.name!r} is a folder, and "
            "is read as it is. Leave PretrainedModel(revision=...) out, or name a hub id.",
            UserWarning,
            stacklevel=4,
        )
    refusal = None if source.is_folder or source.local_files_only else _ask_hub(source)
    shared = {k: v for k, v in (source.model_kwargs or {}).items() if k in SHARED}
    try:
        with _without_progress_bars(_gguf(source)):
            yield shared | {
                "revision": source.revision,
                "token": source.token,
                "trust_remote_code": source.trust_remote_code,
                # After one failure nothing more is asked: transformers would ask for each file
                # anew, with pauses that add up to minutes.
                "local_files_only": source.local_files_only or refusal is not None,
            }
    except Exception as error:
        described = explained(error, source, what, refusal)
        if described is error:
            raise
        raise described from error


def _ask_hub(source):
    """None if the hub would give the model, else the error; a single request without retries."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.errors import EntryNotFoundError

    kwargs = source.model_kwargs or {}
    try:
        url = hf_hub_url(
            source.name, kwargs.get("gguf_file", "config.json"), revision=source.revision,
            subfolder=kwargs.get("subfolder") or None,
        )  # fmt: skip
        get_hf_file_metadata(url, token=source.token)
    except EntryNotFoundError:
        return None  # the hub answers; which file is missing is for the loader to say
    except Exception as error:  # whatever it is, the cache may hold the model
        return error


@contextmanager
def _without_progress_bars(gguf=False):
    """Hide the bars of transformers' own work, which is quick; downloads keep theirs."""
    from transformers.utils import logging

    with _quiet_reader() if gguf else nullcontext(), _hidden(logging):
        yield


@contextmanager
def _quiet_reader():
    """The reader of GGUF files has a bar of its own."""
    from transformers import modeling_gguf_pytorch_utils as reader

    bar = reader.tqdm
    reader.tqdm = partial(bar, disable=True)
    try:
        yield
    finally:
        reader.tqdm = bar


@contextmanager
def _hidden(logging):
    def hidden(factory, args, kwargs):
        return factory(*args, **{**kwargs, "disable": True})

    if not hasattr(logging, "set_tqdm_hook"):  # early releases of transformers 5
        yield
        return
    previous = logging.set_tqdm_hook(hidden)
    try:
        yield
    finally:
        logging.set_tqdm_hook(previous)


# -- which weights they are ----------------------------------------------------------------------


def _commit(source, lm):
    """The commit that a hub id was loaded at, or the revision asked for where none is known."""
    from huggingface_hub import try_to_load_from_cache
    from transformers.utils.hub import extract_commit_hash

    if source.is_folder:
        return None
    recorded = getattr(lm.config, "_commit_hash", None)  # by older releases of transformers
    if recorded is not None:
        return recorded
    kwargs = source.model_kwargs or {}
    name = kwargs.get("gguf_file", "config.json")
    file = try_to_load_from_cache(
        source.name, "/".join(filter(None, [kwargs.get("subfolder"), name])),
        cache_dir=kwargs.get("cache_dir"), revision=source.revision,
    )  # fmt: skip
    return extract_commit_hash(file if isinstance(file, str) else None, None) or source.revision


def resolved_revision(lm):
    """The hub's commit of a model that :func:`load_lm` loaded, adapters on it or not.

    Returns
    -------
    str or None
        The commit; the revision asked for if the commit is unknown; None for a folder or a model
        that came from elsewhere.
    """
    return getattr(lm.config, "_commit_hash", None)


def weights_checksum(lm):
    """A fingerprint of a model's base weights, the same before and after adapters are put on it.

    Covers name, shape and a strided sample of at most 4,096 values of every floating-point
    parameter, cast to bfloat16: a checkpoint has one fingerprint in float32, float64 and bfloat16.
    Tied weights count once, under their first name. Adapters are left out, and so are quantised
    weights and those that are not in memory.

    Parameters
    ----------
    lm : transformers.PreTrainedModel or peft.PeftModel

    Returns
    -------
    str
        16 hexadecimal digits.
    """
    import torch

    prefix = getattr(getattr(lm, "base_model", None), "prefix", "lora_")  # peft's, per method
    added = (prefix, "modules_to_save.", "trainable_tokens_")
    base = lm.get_base_model() if hasattr(lm, "get_base_model") else lm
    tensors = {
        _bare_name(name): tensor
        for name, tensor in base.named_parameters()
        if not any(mark in name for mark in added)
    }
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        # One byte per value or less: quantised, whatever the data type calls itself.
        if tensor.is_meta or not tensor.is_floating_point() or tensor.itemsize < 2:
            continue
        if type(tensor.data) is not torch.Tensor:  # quantised by a tensor type of its own
            continue
        values = tensor.detach().reshape(-1)
        values = values[:: max(1, -(-len(values) // SAMPLE))].to("cpu", torch.bfloat16)
        digest.update(f"{name}{tuple(tensor.shape)}".encode())
        digest.update(values.contiguous().view(torch.int16).numpy().tobytes())
    return digest.hexdigest()[:16]


def _bare_name(name):
    """A parameter's name without the wrappers of peft and of torch.compile."""
    return re.sub(r"\b(_orig_mod|token_adapter|base_layer|original_module)\.", "", name)
