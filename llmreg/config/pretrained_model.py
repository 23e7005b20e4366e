"""Which pretrained model to tune, and how to get and ask it: a parameter with parameters."""

from typing import Any

from sklearn.base import BaseEstimator

from llmreg.integrations.documentation import DocumentedMixin
from llmreg.integrations.masking import MaskedParameter

__all__ = ["PretrainedModel", "as_pretrained", "built_from"]


class PretrainedModel(DocumentedMixin, BaseEstimator):
    """A pretrained language model, with what is needed to find and to ask it.

    ``LLMRegressor(model="owner/name")`` means ``model=PretrainedModel("owner/name")``. A grid
    search reaches in as ``model__chat_template``.

    Parameters
    ----------
    source : str or (model, tokenizer)
        Hub id or local folder; a folder of that name comes first. Or a loaded causal language
        model and its tokenizer, of which a copy is tuned.
    revision : str or None, default=None
        Branch, tag or commit of the hub repository; None: the main branch.
    token : str, bool or None, default=None
        Hub token for gated and private models; None: the one stored by ``hf auth login``, if any.
        It is never shown or saved.
    local_files_only : bool, default=False
        Never go online: only folders and the hub's local cache.
    trust_remote_code : bool, default=False
        Whether to run code that comes with the model.
    chat_template : bool, default=True
        Whether a model whose tokenizer has a chat template reads a row as the user's message and
        answers with the number. Models without a template read the bare text.
    instruction : str, default="auto"
        What stands in front of every row, as it is. "auto": a sentence that names the target and
        its range or, with a codec of its own digits, what these stand for; nothing where the
        serializer has a template, which then says it all. "": nothing.
    prefill : str or None, default=None
        What stands between the row and its number; in a chat, what the answer begins with. None:
        the one of some usual texts (nothing, a space, a new line; in a chat also the target's name)
        after which the untrained model would most likely write a number.
    model_kwargs : dict or None, default=None
        Further arguments of transformers' ``from_pretrained``, such as ``attn_implementation``,
        ``gguf_file`` or ``quantization_config`` (4- and 8-bit weights; needs bitsandbytes).

    Examples
    --------
    >>> from llmreg import LLMRegressor, PretrainedModel
    >>> model = LLMRegressor(PretrainedModel("Qwen/Qwen3-0.6B", revision="main"))
    >>> model.set_params(model__chat_template=False).model
    PretrainedModel(chat_template=False, revision='main', source='Qwen/Qwen3-0.6B')
    """

    _parameter_constraints: dict = {
        "source": [str, tuple],
        "revision": [str, None],
        "token": [str, bool, None],
        "local_files_only": ["boolean"],
        "trust_remote_code": ["boolean"],
        "chat_template": ["boolean"],
        "instruction": [str],
        "prefill": [str, None],
        "model_kwargs": [dict, None],
    }

    token = MaskedParameter()

    def __init__(
        self,
        source: Any,
        *,
        revision: str | None = None,
        token: str | bool | None = None,
        local_files_only: bool = False,
        trust_remote_code: bool = False,
        chat_template: bool = True,
        instruction: str = "auto",
        prefill: str | None = None,
        model_kwargs: dict | None = None,
    ):
        self.source = source
        self.revision = revision
        self.token = token
        self.local_files_only = local_files_only
        self.trust_remote_code = trust_remote_code
        self.chat_template = chat_template
        self.instruction = instruction
        self.prefill = prefill
        self.model_kwargs = model_kwargs


def as_pretrained(model):
    """The :class:`PretrainedModel` that the parameter ``model`` means; None for fresh weights."""
    if isinstance(model, PretrainedModel):
        return model
    named = isinstance(model, str) and model != "tiny"
    return PretrainedModel(model) if named or isinstance(model, tuple) else None


def built_from(model):
    """What a fit takes of the parameter ``model``, as text: not who may download it, or how."""
    given = as_pretrained(model)
    if given is None:
        return repr(model)
    names = ("revision", "chat_template", "instruction", "prefill", "model_kwargs")
    kept = {name: getattr(given, name) for name in names}
    same = PretrainedModel(given.source, **kept)
    return repr(same if vars(same) != vars(PretrainedModel(given.source)) else given.source)
