"""Vectors of texts by a pretrained model that nobody trains: a scikit-learn transformer."""

from functools import lru_cache
from numbers import Integral, Real

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils._param_validation import Interval, StrOptions

from llmreg.integrations.documentation import DocumentedMixin
from llmreg.tables.words import beginnings

__all__ = ["TextEncoder"]


class TextEncoder(DocumentedMixin, TransformerMixin, BaseEstimator):
    """Vectors of texts: the mean of a pretrained model's states at their tokens, of length 1.

    ``LLMRegressor(text_features=TextEncoder("sentence-transformers/all-MiniLM-L6-v2"))`` reads what
    texts mean, in all its parts, at the price of one pass through a small model. Both sentence
    encoders and language models will do.

    Parameters
    ----------
    model : str
        Hub id or local folder; a folder of that name comes first. Code that comes with a model is
        never run. For a gated one log in with ``hf auth login``.
    revision : str or None, default=None
        Branch, tag or commit of the hub repository; None: the main branch.
    depth : float or "auto", default="auto"
        Behind which of the model's blocks states are read, as a share of all; those above are not
        computed. "auto": half of a model that writes text, all of one that only reads.
    max_tokens : int, default=256
        Read of a text, with a warning where there are more. Those beyond the model's own limit, or
        512, are read in pieces of that length; the mean is over all. Time grows with it.
    batch_size : int, default=32
        Texts per pass; equal texts are read once. Changes rounding alone.
    device : str, default="auto"
        torch's name of the device. "auto": "cuda" if there is one, else "mps", else "cpu". Where it
        is not there, ``fit`` refuses, and ``transform`` warns and takes the CPU.

    Attributes
    ----------
    n_features_out_ : int
        Columns of the vectors.

    Notes
    -----
    Fitting learns nothing. Weights are no part of a pickle or a saved regressor, which remember the
    name: opening one elsewhere needs the model there. Those of the encoder used last stay in
    memory.

    Examples
    --------
    >>> from llmreg import LLMRegressor, TextEncoder
    >>> encoder = TextEncoder("sentence-transformers/all-MiniLM-L6-v2", max_tokens=128)
    >>> LLMRegressor(text_features=encoder).get_params()["text_features__max_tokens"]
    128
    """

    _parameter_constraints: dict = {
        "model": [str],
        "revision": [str, None],
        "depth": [StrOptions({"auto"}), Interval(Real, 0, 1, closed="right")],
        "max_tokens": [Interval(Integral, 1, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "device": [str],
    }

    def __init__(
        self,
        model: str,
        *,
        revision: str | None = None,
        depth: float | str = "auto",
        max_tokens: int = 256,
        batch_size: int = 32,
        device: str = "auto",
    ):
        self.model = model
        self.revision = revision
        self.depth = depth
        self.max_tokens = max_tokens
        self.batch_size = batch_size
        self.device = device

    def fit(self, X, y=None):
        """Load the model.

        Parameters
        ----------
        X : array-like of str, of shape (n,)
        y : None
            Ignored.

        Returns
        -------
        TextEncoder

        Raises
        ------
        ValueError
            For parameters or texts of another kind, or a model that does not read text.
        OSError
            If the model can't be loaded.
        """
        self._validate_params()
        _texts(X)
        from llmreg.config.devices import training_device

        self.n_features_out_ = self._reader(training_device).size
        return self

    def transform(self, X):
        """Vectors of texts.

        Parameters
        ----------
        X : array-like of str, of shape (n,)

        Returns
        -------
        ndarray of shape (n, d), dtype float32
            Zeros for a text without tokens.
        """
        from llmreg.config.devices import prediction_device

        texts = _texts(X)
        distinct = list(dict.fromkeys(texts))
        reader = self._reader(prediction_device)
        found = reader.read(distinct, self.depth, self.max_tokens, self.batch_size)
        place = {text: i for i, text in enumerate(distinct)}
        return found[[place[text] for text in texts]]

    def _reader(self, place):
        from llmreg.lm.loading.hub import ModelSource

        device = place(self.device)
        try:
            return _opened(ModelSource(self.model, self.revision), device)
        except (OSError, ValueError) as error:
            error.add_note(
                "This was for a TextEncoder, which has no token (log in with `hf auth login`) and "
                "runs no code that comes with a model (choose another one); it needs no 'tiny'."
            )
            raise


@lru_cache(maxsize=1)
def _opened(source, device):
    from llmreg.lm.reading import TextReader

    return TextReader(source, device)


def _texts(X):
    """list of str; ValueError for anything else."""
    values = np.asarray(X, dtype=object)
    if values.ndim != 1 or not all(isinstance(text, str) for text in values):
        kinds = ", ".join(dict.fromkeys(type(value).__name__ for value in values.flat))
        raise ValueError(
            "TextEncoder reads an array of strings, one per row, but got an array of shape "
            f"{values.shape} with {kinds or 'nothing'}. Pass one column, of strings."
        )
    return beginnings(values)
