"""LLMRegressor: the scikit-learn estimator. It validates, calls and stores; it computes nothing."""

import warnings
from os import PathLike
from types import SimpleNamespace
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils import check_random_state

from llmreg.codecs.digits import TargetCodec
from llmreg.config.checks import (
    check_methods,
    check_parts,
    check_training_data,
    check_validation_data,
)
from llmreg.config.device import Device
from llmreg.config.optimizer import Optimizer
from llmreg.config.parameters import (
    CONSTRAINTS,
    LASTING,
    ParametersMixin,
    fresh_parts,
    given_parameters,
)
from llmreg.config.pretrained_model import built_from
from llmreg.integrations.arithmetic import own_arithmetic
from llmreg.integrations.callbacks import CallbackSupportMixin, FitCallbacks
from llmreg.integrations.fitting import fit_context
from llmreg.methods import Method
from llmreg.persistence.saving import SavingMixin
from llmreg.prediction.fitted import FittedMixin
from llmreg.prediction.predictions import PredictMixin
from llmreg.prediction.uncertainty import UncertaintyMixin
from llmreg.tables.serialization import RowSerializer

__all__ = ["LLMRegressor"]

# Columns of an empty history_, where nothing was trained.
HISTORY = (
    "stage", "epoch", "step", "loss", "grad_norm", "clipped", "learning_rate", "validation_rmse",
    "seconds", "kept",
)  # fmt: skip


class LLMRegressor(
    PredictMixin, UncertaintyMixin, SavingMixin, FittedMixin, ParametersMixin, CallbackSupportMixin,
    RegressorMixin, BaseEstimator,
):  # fmt: skip
    """Predict a number from a table row with a language model.

    Each row is serialised to text; a causal language model learns to write the target's digits,
    first by cross-entropy (stage "sft"), then with a method that knows that numbers have size
    (stage "align"); the prediction is decoded from the model's distribution over all numbers of
    the codec.

    Parameters come in groups; what "auto" ends as, ``plan_`` shows after the fit.

    - *What learns:* ``model``, ``adapters``, ``fit_method``, ``sft_method``, ``n_estimators``.
    - *What is read and written:* ``serializer``, ``codec``, ``number_input``, ``text_features``,
      ``estimates``.
    - *How it learns:* ``sft_epochs``, ``sft_learning_rate``, ``align_epochs``,
      ``align_learning_rate``, ``batch_size``, ``optimizer``, ``dropout``,
      ``validation_fraction``, ``validation_interval``, ``selection``, ``n_iter_no_change``.
    - *What is predicted:* ``decoding``, ``n_samples``, ``estimate_weight``,
      ``temperature_scaling``, ``tree_tolerance``.
    - *How it runs:* ``device``, ``time_limit``, ``checkpoint_dir``, ``checkpoint_interval``,
      ``random_state``, ``verbose``, ``warm_start``.

    Parameters
    ----------
    model : str, PretrainedModel, transformers.PretrainedConfig or (model, tokenizer), \
            default="tiny"
        "tiny": a small Llama with fresh weights, of two layers, or one where fewer than 1,000
        training rows have texts; no download. A transformers configuration: a model of that shape
        from fresh weights. Any other string: a Hugging Face hub id or a local folder, tuned through
        adapters. A pair of a loaded causal language model and its tokenizer is tuned likewise, as a
        copy; what is saved holds all of its weights. :class:`PretrainedModel` says more: revision,
        token, chat template.
    fit_method : str or Method, default="grpo"
        "ce", "soft_ce": stage "sft" alone. "raft", "remax", "grpo": stage "sft" with
        ``sft_method``, then stage "align" with this. :func:`llmreg.fit_methods` lists them. An
        object such as ``llmreg.GRPO()`` has parameters of its own, searchable as
        ``fit_method__num_generations``.
    sft_method : str or Method, default="soft_ce"
        First stage of the methods of stage "align".
    serializer : RowSerializer or None, default=None
        How rows become text; None: ``RowSerializer()``.
    codec : TargetCodec or None, default=None
        How targets become symbols, and on which scale errors are measured: :class:`DigitCodec`,
        :class:`ScientificCodec`, :class:`GridCodec` or :class:`DecimalCodec`. None:
        ``DigitCodec()``, whose scale is chosen by held-out rows (equal or logarithmic bins).
    number_input : {"auto", "text", "text+value", "value"}, default="auto"
        How numeric cells are read: as digits, as digits plus a learnt vector of the value, or as
        the vector alone. "auto": "value" for fresh weights, "text" for pretrained ones.
    text_features : "auto", bool or transformer, default="auto"
        Whether text cells get vectors of TF-IDF features beside their tokens (sentences: in place
        of them, see :class:`RowSerializer`'s ``max_text_tokens``). A scikit-learn
        transformer from strings to numbers, such as :class:`TextEncoder`, replaces TF-IDF; the
        estimates read its vectors, too, beside words. "auto": True for fresh weights, False for
        pretrained ones.
    estimates : {"auto", "linear", "kernel", "boosted", "both"} or None, default="auto"
        Simple regressors whose estimates of a row the model reads as further cells, on numbers,
        categories and TF-IDF of texts: a ridge regression, a kernel ridge regression (fitted on at
        most 4,000 rows), gradient-boosted trees, or trees beside the kernel's ("both"; beyond 4,000
        rows the linear one stands beside them, beyond 16,000 rows with texts in the kernel's
        place). In training these are estimates by regressors that have not seen the row. None
        leaves the language model to itself. "auto": "both", or "linear" if there are fewer than 100
        rows; None for pretrained models of 1,000 rows and more, and for models that are not
        trained. Their say in the predictions is ``estimate_weight``'s matter.
    estimate_weight : float in [0, 1] or "auto", default="auto"
        What the estimates count in a prediction beside the language model: the distribution of y
        around what they say together (in two parts, where targets heap up on an end of their range)
        is pooled with the model's after training, the probability of each next symbol
        ∝ p^(1 - w) · q^w. 0: the model, which has read them, decides alone; 1: the
        estimates do. "auto": as the CRPS of the validation rows says (few of them leave it near
        0.6), and 0.5 with fewer than 30 of these. Heads that predict one number are moved by this
        share of the way.
    decoding : {"auto", "rail", "median", "mode", "greedy", "sample", "sampled_mean", \
            "sampled_median"}, default="auto"
        What ``predict`` returns of the distribution: its mean (best for squared error), its median
        (best for absolute error), its likeliest number, the number written digit by digit, one
        draw, or the mean or the median of ``n_samples`` draws. "auto": the mean, or the median,
        with a warning, where held-out rows show that hardly possible numbers decide the mean of a
        heavy tail.
    n_samples : int, default=32
        Numbers that are drawn for a row by "sampled_mean" and "sampled_median".
    temperature_scaling : bool or "auto", default="auto"
        Whether predicted distributions are widened or narrowed by a temperature that minimises the
        CRPS of (at most 2,000) validation rows, which also chose the epoch; found after the weight
        of the estimates. It moves all decodings but "greedy". It is 1 where the gain is within
        chance, and with fewer than 30 validation rows, which is said if this is True. "auto": True,
        but for ``fit_method="zero_shot"``.
    tree_tolerance : float, default=0.001
        Largest error of the mean, in standard deviations of the training targets, that may be
        traded for speed: parts of the number tree that cannot move the mean by more are not
        computed, and the mode is the likeliest of the numbers that were. Of quantiles and intervals
        with less than 0.05 beyond them (q=0.001), that share of it: they need more of the tree. 0:
        everything is computed, as are trees of up to 32 nodes (two decimal digits) and scales that
        are not linear.
    n_estimators : int, default=1
        Models that are trained one after the other, each from a start of its own and on the rows in
        its own order, and whose distributions are averaged, which evens out the luck of a start;
        three take three times as long to fit and to predict. Members of a pretrained model share
        its base and the adapters' start. All are validated on the same rows, and computed exactly,
        whatever ``tree_tolerance``.
    sft_epochs : int or "auto", default="auto"
        Passes over the training rows in the first stage. 0 leaves the stage out.
    sft_learning_rate : float or "auto", default="auto"
        Peak learning rate of the first stage.
    align_epochs : int or "auto", default="auto"
        As ``sft_epochs``, for the second stage.
    align_learning_rate : float or "auto", default="auto"
        As ``sft_learning_rate``, for the second stage.
    batch_size : int or "auto", default="auto"
        Rows per step.
    optimizer : {"adamw", "adafactor"} or Optimizer, default="adamw"
        :class:`Optimizer` says more: the learning rate over time, weight decay, clipping of
        gradients, averaging of weights.
    dropout : float or "auto", default="auto"
        Share of the cells that are hidden at random in each training step, and of the tokens of
        text cells: numbers and categories then read as missing. Cells that a pretrained model
        reads as text alone are never hidden. "auto": for fresh weights (160 / rows)², at
        most 0.1, or (1000 / rows)², at most 0.2, where there are text columns; 0 for pretrained
        ones.
    adapters : int, Adapters, peft.PeftConfig or None, default=8
        Adapters on pretrained models in both stages, on fresh weights in the second. A number is
        the rank of LoRA on all linear layers of a pretrained model's upper half; :class:`Adapters`
        sets how many blocks get them, too; a configuration of peft is any other kind, whose dropout
        acts in the first stage of pretrained models. None: train all weights in all stages.
    validation_fraction : float, "auto" or None, default="auto"
        Share of the training rows set aside for early stopping and for choosing the best epoch,
        if there are at least 20 rows. "auto": 0.15 below 1,500 rows, else 0.1, at most 2,000 rows;
        none where fresh weights have fewer than 200 rows, which then learn from all of them.
        None: train on all rows and keep the last weights. No matter where ``fit`` gets ``X_val``.
    validation_interval : int or None, default=None
        Steps from one validation to the next. None: one at the end of each epoch; in the second
        stage of fresh weights on more than 16,000 rows ten, so that it can end early.
    selection : {"error", "objective", "last"}, default="error"
        Which weights a stage ends with. "error": those with the lowest validation error as decoded,
        measured on the codec's scale. "objective": those whose loss on the validation rows, or
        whose mean reward, is best. "last": the last ones, without stopping early.
    n_iter_no_change : int, "auto" or None, default="auto"
        Stop a stage after this many validations that were no better. None: never. "auto": 10; of
        fresh weights 1 in the second stage and, where fewer than 1,500 rows have texts, 4 in the
        first, better being at least 1 % of the mean squared error (the best is kept all the same).
    device : str or Device, default="auto"
        "auto": "cuda" if there is one, else "mps", else "cpu". :class:`Device` says more: number
        formats, rows computed at once, gradient checkpointing, compiling.
    time_limit : float or None, default=None
        Seconds that a fit may take. A tenth is kept for what follows training; stages (and members)
        share the rest by their epochs, let the learning rate come down within their time, and keep
        their best weights. A stage for which none is left is left out. Not cut short are reading
        the table, the estimates, the first step and the last validation. Two fits that run out of
        time differ. None: no limit.
    checkpoint_dir : str, os.PathLike or None, default=None
        Folder for checkpoints, which Ctrl-C and SIGTERM leave too. The same fit (data, parameters,
        seed, versions), started again, goes on where it was and ends with the same weights; one
        that was finished is not repeated. Fits may share a folder, as in a grid search.
    checkpoint_interval : float, default=60.0
        Seconds between two checkpoints; 0: one after each step.
    random_state : int, RandomState or None, default=None
        Seeds weights, the order of rows, the validation split, sampling. An int gives the same
        result each time and leaves the global random states alone; None takes its seed from
        numpy's global state.
    verbose : int, default=0
        1: a bar for each stage in a terminal or a notebook; elsewhere, and where callbacks are set,
        lines of what "auto" chose and of each epoch, through the logger "llmreg".
    warm_start : bool, default=False
        Go on from the previous fit's weights, scales and vocabulary instead of starting anew.

    Attributes
    ----------
    history_ : DataFrame
        A row per epoch, or validation: stage, epoch, step, loss, learning_rate, validation_rmse (in
        the units of y, as decoded from the language model alone), grad_norm and clipped (the
        gradients' mean norm and the share that was too long), seconds (since the stage began), kept
        (whether the stage ended with these weights), and what the method reports. Epoch 0: what
        the stage starts from, where it can write numbers already and rows are held out.
    temperature_ : float
        What the log-probabilities of the next symbol are divided by in predictions. May be set:
        1.0 gives the distributions as the model has them, more widens, less narrows them.
    estimate_weight_ : float
        What the estimates count in predictions; see ``estimate_weight``. 0 without estimates. May
        be set, too: 0.0 gives the language model's distributions alone.
    model_ : llmreg.lm.backbone.NumberLM
    decoding_ : str
        What ``decoding="auto"`` stands for: "rail" or "median".
    target_scale_scores_ : dict of str to float
        Scores of the scales among which ``codec_.scale_`` was chosen, the smaller the better; empty
        where there was no choice. See :func:`llmreg.estimates.target_scale.choose_scale`.
    plan_ : llmreg.config.plan.Plan
        What "auto" ended as, and why; printed, a table.
    serializer_, codec_, prompts_
        The fitted parts.
    fitted_ : llmreg.prediction.fitted.Fitted
        All of these in one object.
    n_features_in_ : int
    feature_names_in_ : ndarray of str
        If X had string column names.

    See Also
    --------
    RowSerializer, DigitCodec, NumericDistribution, fit_methods, EpochCallback

    References
    ----------
    GenRe²: "Beyond Token-level Supervision", arXiv 2512.06533. RAFT: regression-aware fine-tuning,
    Lukasik et al. 2025.

    Examples
    --------
    >>> import pandas as pd
    >>> from llmreg import LLMRegressor
    >>> X = pd.DataFrame({"size": [30.0, 45, 60, 80, 100, 120], "city": list("ABABAB")})
    >>> y = [300.0, 380, 590, 650, 980, 990]
    >>> model = LLMRegressor(fit_method="ce", sft_epochs=2, random_state=0).fit(X, y)
    >>> model.predict(X).shape
    (6,)
    >>> model.predict_distribution(X[:1]).quantile([0.1, 0.9]).shape
    (1, 2)
    """

    _parameter_constraints: dict = CONSTRAINTS
    history_: pd.DataFrame

    def __init__(
        self,
        model: Any = "tiny",
        fit_method: str | Method = "grpo",
        *,
        sft_method: str | Method = "soft_ce",
        serializer: RowSerializer | None = None,
        codec: TargetCodec | None = None,
        number_input: str = "auto",
        text_features: Any = "auto",
        estimates: str | None = "auto",
        estimate_weight: float | str = "auto",
        decoding: str = "auto",
        n_samples: int = 32,
        temperature_scaling: bool | str = "auto",
        tree_tolerance: float = 1e-3,
        n_estimators: int = 1,
        sft_epochs: int | str = "auto",
        sft_learning_rate: float | str = "auto",
        align_epochs: int | str = "auto",
        align_learning_rate: float | str = "auto",
        batch_size: int | str = "auto",
        optimizer: str | Optimizer = "adamw",
        dropout: float | str = "auto",
        adapters: Any = 8,
        validation_fraction: float | str | None = "auto",
        validation_interval: int | None = None,
        selection: str = "error",
        n_iter_no_change: int | str | None = "auto",
        device: str | Device = "auto",
        time_limit: float | None = None,
        checkpoint_dir: str | PathLike[str] | None = None,
        checkpoint_interval: float = 60.0,
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
        warm_start: bool = False,
    ):
        self.model = model
        self.fit_method = fit_method
        self.sft_method = sft_method
        self.serializer = serializer
        self.codec = codec
        self.number_input = number_input
        self.text_features = text_features
        self.estimates = estimates
        self.estimate_weight = estimate_weight
        self.decoding = decoding
        self.n_samples = n_samples
        self.temperature_scaling = temperature_scaling
        self.tree_tolerance = tree_tolerance
        self.n_estimators = n_estimators
        self.sft_epochs = sft_epochs
        self.sft_learning_rate = sft_learning_rate
        self.align_epochs = align_epochs
        self.align_learning_rate = align_learning_rate
        self.batch_size = batch_size
        self.optimizer = optimizer
        self.dropout = dropout
        self.adapters = adapters
        self.validation_fraction = validation_fraction
        self.validation_interval = validation_interval
        self.selection = selection
        self.n_iter_no_change = n_iter_no_change
        self.device = device
        self.time_limit = time_limit
        self.checkpoint_dir = checkpoint_dir
        self.checkpoint_interval = checkpoint_interval
        self.random_state = random_state
        self.verbose = verbose
        self.warm_start = warm_start

    # -- fit ----------------------------------------------------------------------------------

    @own_arithmetic
    @fit_context(prefer_skip_nested_validation=False)  # the serializer has parameters, too
    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        X_val: ArrayLike | None = None,
        y_val: ArrayLike | None = None,
        sample_weight_val: ArrayLike | None = None,
    ) -> Self:
        """Train on a table.

        Parameters
        ----------
        X : table of any library, array-like of shape (n_rows, n_columns), Series or list of str
            Any mix of numbers, categories, texts, dates and missing values; see
            :class:`RowSerializer`. One column of strings is text regression.
        y : array-like of shape (n_rows,)
            Finite numbers. Durations (timedelta) are read as seconds, and so predicted.
        sample_weight : array-like of shape (n_rows,) or None, default=None
            Non-negative; a row of weight 2 counts as two rows. Only ratios matter, and rows of
            weight zero are left out.
        X_val, y_val, sample_weight_val : as X, y and sample_weight, or None, default=None
            Rows of your own to validate on, in place of a ``validation_fraction`` of X: they choose
            the weights and calibrate, and nothing else is learnt from them.

        Returns
        -------
        self : LLMRegressor

        Raises
        ------
        ValueError
            For NaN, masked or infinite y, dates, an empty table, infinite cells, mismatched
            lengths, X_val without y_val, no rows left to train on, illegal parameters or unknown
            names.
        OSError
            If ``model`` can't be loaded, or ``checkpoint_dir`` can't be written to.
        FloatingPointError
            If the loss, its gradient or the trained weights become NaN or infinite.

        Warns
        -----
        UserWarning
            If targets are clipped or cannot be told apart by the codec, y or sample_weight have the
            row labels of X in another order (rows are paired by position), texts or prompts are
            cut, a stage cannot learn, or ``temperature_scaling=True`` has too few validation rows.
        """
        given = given_parameters(self)
        methods = check_methods(SimpleNamespace(**given))
        check_parts(SimpleNamespace(**given))
        start = self._start()
        fitted = object.__new__(type(self))  # in whose place a fit that fails leaves no trace
        judging = dict(X_val=X_val, y_val=y_val, sample_weight_val=sample_weight_val)
        metadata = judging | {"sample_weight": sample_weight}
        callbacks = FitCallbacks(self, X, y, metadata, fitted._filled)
        fitted.__dict__ = dict(vars(self))
        table = check_training_data(fitted, X, y, sample_weight, reset=start is None)
        judges = check_validation_data(fitted, **judging)
        from llmreg.fit import fit_model

        serializer, codec = fresh_parts(given) if start is None else (start.serializer, start.codec)
        parts = fit_model(
            given, table, judges, serializer=serializer, codec=codec, start=start, methods=methods,
            random_state=check_random_state(given["random_state"]), callbacks=callbacks,
        )  # fmt: skip
        self.__dict__ = fitted._filled(*parts)
        return self

    def _filled(self, fitted, history):
        """The attributes, with those that a fit leaves."""
        self.fitted_ = fitted
        # Named also when nothing was trained.
        self.history_ = pd.DataFrame(history, columns=None if history else HISTORY)
        self._built_with = self._lasting_params()
        return vars(self)

    def _lasting_params(self):
        """What a first fit settles for all that follow with ``warm_start=True``."""
        given = given_parameters(self)
        lasting = {name: repr(given[name]) for name in LASTING}
        lasting["model"] = built_from(given["model"])
        return lasting | ({"adapters": repr(given["adapters"])} if self.model_.pretrained else {})

    def _start(self):
        """The fit to go on from, or None to start anew."""
        if not self.warm_start or not hasattr(self, "fitted_"):
            return None
        changed = [
            f"{name} ({self._built_with[name]} → {now})"
            for name, now in self._lasting_params().items()
            if now != self._built_with[name]
        ]
        if changed:
            warnings.warn(
                "warm_start=True goes on with what the first fit built, so these changes have no "
                f"effect: {', '.join(changed)}. Set warm_start=False to start anew.",
                UserWarning,
                stacklevel=5,  # the caller of fit, which is wrapped twice
            )
        return self.fitted_
