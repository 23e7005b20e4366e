"""Learning curves."""

from typing import Any, Self

import pandas as pd
from sklearn.utils.validation import check_is_fitted

from llmreg.displays.axes import BLUE, GREY, ORANGE, Display
from llmreg.integrations.arithmetic import own_arithmetic
from llmreg.prediction.through import regressor_within

__all__ = ["HistoryDisplay"]

STAGES = {"sft": (BLUE, "first stage (sft)"), "align": (ORANGE, "second stage (align)")}
RING = {"s": 70, "facecolors": "none"}


@own_arithmetic
class HistoryDisplay(Display):
    """Learning curves: what a fit's ``history_`` says of each epoch.

    Parameters
    ----------
    history : DataFrame
        As ``LLMRegressor.history_``, with the columns "stage" and "kept", and "member" if
        there are several.
    target_name : str, default="target"
        Named on the axis.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure

    See Also
    --------
    sklearn.model_selection.LearningCurveDisplay : Scores by the number of training rows.

    Examples
    --------
    >>> import numpy as np
    >>> from llmreg import HistoryDisplay, LLMRegressor
    >>> X, y = np.arange(40.0).reshape(-1, 1), np.arange(40.0)
    >>> model = LLMRegressor(fit_method="ce", sft_epochs=3, random_state=0).fit(X, y)
    >>> HistoryDisplay.from_estimator(model).ax_.get_xlabel()
    'epoch'
    """

    def __init__(self, history: pd.DataFrame, *, target_name: str = "target"):
        self.history = history
        self.target_name = target_name

    @classmethod
    def from_estimator(
        cls, estimator: Any, *, column: str | None = None, ax: Any = None, **kwargs: Any
    ) -> Self:
        """Draw the learning curves of a fitted estimator.

        Parameters
        ----------
        estimator : fitted LLMRegressor, or a Pipeline or search that ends with one
        column, ax, **kwargs
            As in :meth:`plot`.

        Returns
        -------
        display : HistoryDisplay

        Raises
        ------
        NotFittedError
            Before ``fit``.
        """
        regressor, _ = regressor_within(estimator)
        check_is_fitted(regressor, "history_")
        display = cls(regressor.history_, target_name=regressor.serializer_.target_name_)
        return display.plot(ax, column=column, **kwargs)

    def plot(self, ax: Any = None, *, column: str | None = None, **kwargs: Any) -> Self:
        """Draw a curve per stage and member; rings mark the epochs that were kept.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            None: a new figure.
        column : str, default=None
            The column of ``history`` to draw. None: "validation_rmse", or "loss" where no rows
            were held out. Losses of two stages are not comparable: the second has an axis of its
            own on the right.
        **kwargs : dict
            For ``matplotlib.axes.Axes.plot``.

        Returns
        -------
        display : HistoryDisplay

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If the history is empty, or has no such column.
        """
        column = self._column(column)
        ax = self._draw_on(ax)
        history = self.history.assign(member=self.history.get("member", 0))
        # Epoch 0 stands where the stage before it ended.
        history["epoch"] = (history["step"] > 0).groupby(history["member"]).cumsum()
        history = history[history[column].notna()]
        stages = list(history.groupby("stage", sort=False))
        apart = column == "loss" and len(stages) > 1
        known = f"validation RMSE of {self.target_name}"
        ax.set_ylabel(known if column == "validation_rmse" else column)
        ax.set_xlabel("epoch" if len(stages) == 1 else "epoch, both stages")
        ax.xaxis.get_major_locator().set_params(integer=True)
        axes = [ax.twinx() if apart and k else ax for k in range(len(stages))]
        handles = [
            self._draw_stage(on, stage, rows, column, kwargs)
            for on, (stage, rows) in zip(axes, stages, strict=True)
        ]
        if apart:
            for on, line in zip(axes, handles, strict=True):
                on.set_ylabel(f"loss, {line.get_label()}", color=line.get_color())
        handles.append(ax.scatter([], [], edgecolors=GREY, label="kept", **RING))
        place = dict(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3)
        ax.legend(handles=handles, frameon=False, **place)
        return self

    @staticmethod
    def _draw_stage(ax, stage, rows, column, kwargs):
        """A curve for each member, of which the last is returned, and rings."""
        color, name = STAGES[stage]
        style = {"color": color, "marker": ".", "label": name} | kwargs
        for _, curve in rows.groupby("member"):
            (line,) = ax.plot(curve["epoch"], curve[column], **style)
        kept = rows[rows["kept"].astype(bool)]
        ax.scatter(kept["epoch"], kept[column], edgecolors=color, **RING)
        return line

    def _column(self, column):
        if not len(self.history):
            raise ValueError("The history is empty: nothing was trained, so there is no curve.")
        if column is None:
            validated = self.history["validation_rmse"].notna().any()
            return "validation_rmse" if validated else "loss"
        if column not in self.history:
            raise ValueError(
                f"column={column!r} is not in the history; choose one of {list(self.history)}."
            )
        return column
