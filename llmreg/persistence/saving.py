"""Fitted estimators as folders without pickle, on the disk and on the Hugging Face hub."""

import copy
import tempfile
from os import PathLike
from pathlib import Path
from typing import Self

from sklearn.utils.validation import check_is_fitted

from llmreg.config.device import Device
from llmreg.config.pretrained_model import PretrainedModel
from llmreg.persistence.folders import NAMES, find, replacing

__all__ = ["SavingMixin"]


class SavingMixin:
    """``save``, ``load`` and ``push_to_hub``, and pickles without live weights and hub tokens."""

    def __getstate__(self):
        state = dict(super().__getstate__())
        if "fitted_" in state:
            from llmreg.persistence.pickling import pack_state

            state = pack_state(state)
        # What is handed on does not carry its owner's key. Estimators without a fit keep it: a
        # grid search sends them to processes that have to load the model.
        state["model"] = _handed_on(self.model, keyless="fitted_" in state)
        return state

    def __setstate__(self, state):
        if "model_" in state:
            raise ValueError(
                "This pickle was made by an earlier version of llmreg, which kept what it had "
                "fitted in other places. Open it with that version, or fit again."
            )
        if "fitted_" in state:
            from llmreg.persistence.pickling import unpack_state

            state = unpack_state(state)
        super().__setstate__(state)

    def save(self, path: str | PathLike[str], merge: bool = False) -> None:
        """Save the fitted estimator as a folder of JSON and safetensors files, without pickle.

        Of a model with adapters on a pretrained base it keeps the base's name, revision and
        checksum, the adapters in peft's format and the vectors of cells: a few megabytes. Fresh
        weights, tuned ones (``adapters=None``) and those of a model given in memory are saved whole
        in transformers' format. The hub token and ``checkpoint_dir`` are never saved.

        Parameters
        ----------
        path : str or os.PathLike
            The folder, created with its parents. The files of a saved llmreg model in its place are
            replaced as soon as the new ones are complete; others in the folder stay. What a killed
            save has left beside it is swept when it is a day old.
        merge : bool, default=False
            True: add the adapters to a copy of the base and save that whole, a plain model that
            any engine which reads transformers' format can serve. In half precision the sums are
            rounded, so predictions may differ in the last digits.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        FileExistsError
            If the path is a file, a folder without a saved model that holds something else, or
            one in which a file that is not the model's has the name of one that is to be written.
        TypeError
            If a parameter or a fitted part can't be saved without pickle, such as a function as
            the reward or a transformer of another library; the message names it.
        ValueError
            If a parameter has a value that :meth:`load` would refuse, such as a regular expression
            as ``target_modules``; if weights that would have to be saved whole are quantised or of
            a class that is not transformers' own; with ``merge=True`` also if the model reads
            vectors of cells (``model="tiny"`` or a configuration, ``number_input`` other than
            "text", text features), which a plain model does not know.

        See Also
        --------
        load : The way back.
        """
        from llmreg.persistence.saved_folder import write

        check_is_fitted(self, "model_")
        model = _merged(self.model_) if merge else self.model_
        with replacing(path) as (folder, target):
            write(self, model, folder, target)

    @classmethod
    def load(
        cls,
        path: str | PathLike[str],
        *,
        device: str | Device | None = None,
        token: str | bool | None = None,
        revision: str | None = None,
        local_files_only: bool = False,
        trust_remote_code: bool = False,
    ) -> Self:
        """Load a saved estimator from a folder or from the Hugging Face hub.

        It predicts as it did, number for number on the same kind of device, and can be fitted
        again or go on with ``warm_start``. Nothing in the folder is trusted: classes and values are
        those of a closed list, and nothing gets larger than the bytes that are there for it.

        Parameters
        ----------
        path : str or os.PathLike
            What ``save`` wrote, or the hub id that ``push_to_hub`` got. A folder comes first; what
            looks like a path ("./x", "a/b/c", "x.d", an owner that is a folder here) is never asked
            of the hub.
        device : str or None, default=None
            Replaces the saved device; None keeps it.
        token : str, bool or None, default=None
            Hub token for a private model or base; becomes that of the parameter ``model``.
        revision : str or None, default=None
            Branch, tag or commit of the saved model on the hub; None: the main branch. The
            base's own revision was saved and is used in any case.
        local_files_only : bool, default=False
            True: never go online; becomes that of the parameter ``model``.
        trust_remote_code : bool, default=False
            Whether a saved model that asks for code from elsewhere, or for arguments of
            ``from_pretrained`` that may read and write elsewhere, may have it. Those that lower a
            number of the model's configuration, or set a flag of it, need no trust.

        Returns
        -------
        LLMRegressor
            With the saved parameters. A ``model`` that was given in memory becomes the folder of
            the weights that were saved: those beneath the adapters, or the tuned ones where there
            are no adapters; keep it for as long as the estimator is to be fitted again.

        Raises
        ------
        OSError
            If there is no saved model, a file is missing, or the pretrained base is not to be had
            or has other weights than those that were trained on.
        ValueError
            If a file is damaged, was written by another version of the format, holds what is not
            on the list, or asks for code without ``trust_remote_code``.
        """
        from llmreg.persistence.saved_folder import read

        folder = find(path, revision, token, local_files_only)
        given = {"device": device, "token": token, "local_files_only": local_files_only or None}
        given = {name: value for name, value in given.items() if value is not None}
        estimator = read(folder, given, trust_remote_code)
        if not isinstance(estimator, cls):
            raise TypeError(
                f"{path} holds a {type(estimator).__name__}, which is no {cls.__name__}. Use "
                f"{type(estimator).__name__}.load."
            )
        return estimator

    def push_to_hub(
        self,
        repo_id: str,
        *,
        merge: bool = False,
        private: bool | None = None,
        token: str | bool | None = None,
        commit_message: str = "Save the fitted model",
    ) -> str:
        """Upload what :meth:`save` writes to a model repository on the Hugging Face hub.

        Parameters
        ----------
        repo_id : str
            "owner/name"; created if it does not exist. Files that a saved model may consist of are
            replaced or deleted, such as ``model.safetensors``; others stay.
        merge : bool, default=False
            As in :meth:`save`.
        private : bool or None, default=None
            Visibility of a new repository; None: the owner's default.
        token : str, bool or None, default=None
            A token that may write; None: the one stored by ``hf auth login``. The parameter
            ``token``, which is for reading, is not used.
        commit_message : str, default="Save the fitted model"

        Returns
        -------
        str
            Address of the commit.

        Raises
        ------
        huggingface_hub.errors.HfHubHTTPError
            If the hub refuses.
        NotFittedError, TypeError, ValueError
            As :meth:`save`.
        """
        from huggingface_hub import HfApi

        with tempfile.TemporaryDirectory() as parent:
            folder = Path(parent) / "model"
            self.save(folder, merge=merge)
            api = HfApi(token=token)
            api.create_repo(repo_id, private=private, exist_ok=True)
            commit = api.upload_folder(
                repo_id=repo_id, folder_path=folder, commit_message=commit_message,
                # Files of an earlier upload would be taken for parts of this one.
                delete_patterns=list(NAMES),
            )  # fmt: skip
        return str(commit.commit_url)


def _handed_on(model, keyless):
    """The parameter ``model`` without live weights and, if it is to be, without a hub token."""
    if isinstance(model, tuple):
        from llmreg.persistence.pickling import PackedPair

        return PackedPair(*model)
    if not isinstance(model, PretrainedModel):
        return model
    model = copy.copy(model)
    model.source = _handed_on(model.source, keyless)
    model.token = None if keyless else model.token
    return model


def _merged(model):
    """A copy of a model with the adapters in its weights, on the CPU."""
    if model.cells is not None:
        raise ValueError(
            "merge=True needs a model that reads text alone, but this one reads vectors of cells, "
            "which a plain language model does not know: it would be another function. Save with "
            "merge=False, or fit a pretrained model with number_input='text' and "
            "text_features=False."
        )
    if model.further_members:
        raise ValueError(
            "merge=True gives one plain model, but this is an ensemble of "
            f"{1 + len(model.further_members)}. Save with merge=False, or fit with n_estimators=1."
        )
    if model.parts or model.bidirectional:
        added = ", ".join(model.parts) or "attention in both directions"
        raise ValueError(
            f"merge=True needs a model that writes its numbers, but the method gave this one parts "
            f"that a plain language model does not have ({added}). Save with merge=False."
        )
    if getattr(model.transformer, "hf_quantizer", None) is not None:
        raise ValueError(
            "merge=True would round the adapters to the few levels of the quantised weights. Save "
            "with merge=False, or fit without quantization_config."
        )
    merged = copy.deepcopy(model)
    merged.merge_lora()
    return merged
