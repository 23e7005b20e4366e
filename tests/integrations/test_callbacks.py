"""scikit-learn's callbacks on fits: what they see and may end, and that they change nothing."""

import pickle
import sys
from importlib import util

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from llmreg import EpochCallback, LLMRegressor
from llmreg.integrations import callbacks as module

sklearn_callback = pytest.importorskip("sklearn.callback")  # from scikit-learn 1.9 on

QUICK = dict(
    sft_epochs=2, align_epochs=2, batch_size=20, validation_fraction=0.2, random_state=0,
    estimates=None, text_features=False, n_iter_no_change=10,
)  # fmt: skip


class Recorder:
    """All that a callback gets; it draws from torch's random state."""

    max_propagation_depth = None  # meta-estimators pass it on

    def __init__(self):
        self.events, self.seen = [], []

    def setup(self, estimator, context):
        self.events.append(("setup", *_path(context)))

    def teardown(self, estimator, context):
        self.events.append(("teardown", *_path(context)))

    def on_fit_task_begin(self, estimator, context, *, X=None, y=None, metadata=None):
        torch.rand(3)
        self.given = estimator, X, y, metadata
        self.events.append(("begin", *_path(context), context.max_subtasks))

    def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
        torch.rand(3)
        self.events.append(("end", *_path(context)))
        if fitted_estimator is not None:
            self.seen.append((context.task_name, fitted_estimator))


def _path(context):
    path = [context.task_name]
    while (context := context.parent) is not None:
        path.insert(0, context.task_name)
    return path


def _fit(table, *callbacks, **params):
    model = LLMRegressor(**QUICK | params).set_callbacks(*callbacks)
    return model.fit(table.X, table.y)


def _same(one, other, table):
    assert np.array_equal(one.predict(table.X), other.predict(table.X))
    histories = [model.history_.drop(columns="seconds") for model in (one, other)]
    assert histories[0].equals(histories[1])


def _stop(epoch, stage="sft"):
    return EpochCallback(lambda record: (record["stage"], record["epoch"]) == (stage, epoch))


@pytest.fixture(scope="module")
def plain(table):
    return LLMRegressor(**QUICK).fit(table.X, table.y)


@pytest.fixture(scope="module")
def recorder(table, plain):
    """What a callback has seen of a fit like ``plain``."""
    recorder = Recorder()
    recorder.model = _fit(table, recorder)
    return recorder


def test_tasks_are_stages_and_epochs(recorder, table):
    names = [("setup", "fit"), ("begin", "fit", 2)]
    for stage in ("sft", "align"):
        names += [("begin", "fit", stage, 2)]
        names += [("begin", "fit", stage, "epoch", 0), ("end", "fit", stage, "epoch")] * 2
        names += [("end", "fit", stage)]
    assert recorder.events == [*names, ("end", "fit"), ("teardown", "fit")]
    model, X, y, metadata = recorder.given
    assert model is recorder.model and X is table.X and y is table.y and metadata is None


def test_callbacks_that_draw_change_nothing(recorder, plain, table):
    _same(recorder.model, plain, table)


@pytest.mark.parametrize("params", [dict(n_estimators=2), dict(dropout=0.3)])
def test_nor_do_they_in_other_fits(params, table):
    params |= dict(fit_method="ce")
    expected = LLMRegressor(**QUICK | params).fit(table.X, table.y)
    _same(_fit(table, Recorder(), **params), expected, table)


def test_members_are_tasks_and_weights_reach_the_callback(table):
    recorder, model = Recorder(), LLMRegressor(**QUICK | dict(n_estimators=2))
    model.set_callbacks(recorder).fit(table.X, table.y, sample_weight=np.ones(40))
    begun = [event[1:] for event in recorder.events if event[0] == "begin"]
    assert [path for path in begun if len(path) < 4] == [
        ("fit", 2), ("fit", "member 1", 2), ("fit", "member 2", 2),
    ]  # fmt: skip
    assert begun.count(("fit", "member 2", "align", "epoch", 0)) == 2
    assert recorder.given[3]["sample_weight"].sum() == 40


def test_a_callback_sees_the_fit_as_if_it_had_ended(recorder, table):
    names = [name for name, _ in recorder.seen]
    assert names == ["epoch"] * 4 + ["fit"]
    for k, stage in enumerate(["sft", "sft", "align", "align"]):
        seen = recorder.seen[k][1]
        assert (seen.history_["epoch"] > 0).sum() == k + 1 and hasattr(seen, "feature_names_in_")
        if k % 2 == 0:
            ended = _fit(table, _stop(1, stage), align_epochs=2 if stage == "align" else 0)
            assert (ended.history_["epoch"] > 0).sum() == k + 1
            assert np.array_equal(seen.predict(table.X), ended.predict(table.X))
            assert seen.temperature_ == ended.temperature_
    assert np.array_equal(seen.predict(table.X), recorder.model.predict(table.X))
    again = pickle.loads(pickle.dumps(seen.set_callbacks()))
    assert np.array_equal(again.predict(table.X), seen.predict(table.X))


def test_so_it_does_of_pretrained_models(table, pretrained_folder):
    recorder, params = Recorder(), dict(model=pretrained_folder, fit_method="ce", sft_epochs=2)
    model = _fit(table, recorder, **params)
    first = recorder.seen[0][1].predict(table.X)
    assert np.array_equal(first, _fit(table, _stop(1), **params).predict(table.X))
    assert np.abs(first - model.predict(table.X)).max() > 1e-6
    _same(model, LLMRegressor(**QUICK | params).fit(table.X, table.y), table)
    frozen = [dict(m.model_.named_parameters()) for m in (recorder.seen[0][1], model)]
    shared = "lm.base_model.model.model.embed_tokens.weight"
    assert frozen[0][shared] is frozen[1][shared]


def test_the_scoring_monitor_has_a_score_for_each_epoch(table):
    monitor = sklearn_callback.ScoringMonitor(scoring=["r2", "neg_mean_absolute_error"])
    model = _fit(table, monitor, estimates="linear")
    logs = monitor.get_logs().data_as_pandas.set_index("task_id_path")
    assert logs["task_name"].to_dict() == {
        (0,): "fit",
        **dict.fromkeys([(0, 0, 0), (0, 0, 1), (0, 1, 0), (0, 1, 1)], "epoch"),
    }
    assert logs.loc[[(0,)], "r2"].item() == pytest.approx(model.score(table.X, table.y))
    assert logs["r2"].nunique() > 2


def test_stop_requests_end_the_stage_and_no_other(table):
    history = _fit(table, _stop(1), n_estimators=2).history_
    assert history.groupby(["member", "stage"], sort=False)["epoch"].max().tolist() == [1, 2, 1, 2]
    assert history.groupby(["member", "stage"])["kept"].sum().max() == 1
    history = _fit(table, _stop(1, "align")).history_
    assert history["epoch"].tolist() == [1, 2, 0, 1]


def test_a_fit_that_was_stopped_is_not_taken_for_the_whole(table, plain, tmp_path):
    params = dict(checkpoint_dir=tmp_path, checkpoint_interval=0.0)
    stopped = _fit(table, _stop(1), **params)
    assert stopped.history_["epoch"].tolist() == [1, 0, 1, 2]
    _same(_fit(table, **params), plain, table)
    records = []
    _same(_fit(table, EpochCallback(records.append), **params), plain, table)
    assert not records  # it was finished, and nothing is repeated


class Trial:
    """As optuna's: it prunes from the second report on."""

    def __init__(self):
        self.reported = {}

    def report(self, value, step):
        self.reported[step] = value

    def should_prune(self):
        return len(self.reported) == 2


class TrialPruned(Exception):
    pass


@pytest.mark.parametrize("fitted", [False, True])
def test_a_pruned_trial_leaves_the_estimator_as_it_was(fitted, table):
    trial = Trial()

    def prune(record):
        trial.report(record["validation_rmse"], len(trial.reported))
        if trial.should_prune():
            raise TrialPruned

    model = LLMRegressor(**QUICK, warm_start=True)
    if fitted:
        model.fit(table.X, table.y)
    model.set_callbacks(EpochCallback(prune))
    before = dict(vars(model))
    predicted = model.predict(table.X) if fitted else None
    with pytest.raises(TrialPruned):
        model.fit(table.X, table.y)
    assert len(trial.reported) == 2 and all(np.isfinite([*trial.reported.values()]))
    assert vars(model) == before
    if fitted:
        assert np.array_equal(model.predict(table.X), predicted)


def _never(record):
    return False


def test_callbacks_go_where_the_estimator_goes(table):
    callback = EpochCallback(_never)
    model = _fit(table, callback, fit_method="ce")
    assert clone(model)._skl_callbacks == [callback]
    again = pickle.loads(pickle.dumps(model))
    assert isinstance(again._skl_callbacks[0], EpochCallback)
    assert np.array_equal(again.predict(table.X), model.predict(table.X))
    assert "_skl_callbacks" not in vars(clone(model.set_callbacks()))


def test_pipelines_pass_them_on(table):
    recorder = Recorder()
    pipeline = make_pipeline(FunctionTransformer(), LLMRegressor(**QUICK | dict(fit_method="ce")))
    with pytest.warns(UserWarning, match="FunctionTransformer does not support callbacks"):
        pipeline.set_callbacks(recorder).fit(table.X, table.y)
    assert ("begin", "fit", "fit", "sft", 2) in recorder.events
    assert "_skl_callbacks" not in vars(pipeline[-1])
    assert "_parent_callback_ctx" not in vars(pipeline[-1])


@pytest.mark.parametrize("n_jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_search_shows_bars_and_scores_every_epoch(n_jobs, table, capsys):
    pytest.importorskip("rich")
    monitor = sklearn_callback.ScoringMonitor(scoring="r2")
    model = LLMRegressor(**QUICK | dict(fit_method="ce", sft_epochs=1)).set_callbacks(monitor)
    search = GridSearchCV(model, {"decoding": ["rail", "median"]}, cv=2, n_jobs=n_jobs)
    search.set_callbacks(sklearn_callback.ProgressBar(max_propagation_depth=None))
    search.fit(table.X, table.y)
    logs = monitor.get_logs().data_as_pandas
    assert (logs["task_name"] == "epoch").sum() == 5  # of four fits, and of the best once more
    assert logs["r2"].notna().all()
    shown = capsys.readouterr().out
    assert shown.count("LLMRegressor - fit") == 5 and shown.count("LLMRegressor - sft") == 5
    assert "100%" in shown


def test_older_versions_do_without(monkeypatch, table):
    monkeypatch.setitem(sys.modules, "sklearn.callback", None)
    spec = util.spec_from_file_location("older", module.__file__)
    older = util.module_from_spec(spec)
    spec.loader.exec_module(older)
    assert not hasattr(older.CallbackSupportMixin, "set_callbacks")
    fit = older.FitCallbacks(LLMRegressor(), table.X, table.y, {}, None)
    fit.begin(2, torch.device("cpu"))
    fit.end(None, [])


@pytest.mark.parametrize("function", ["x", None, lambda: True])
def test_what_is_no_function_of_a_record_is_refused_before_the_fit(function, table):
    with pytest.raises(TypeError, match=r"function=.* is called as function\(record\), such as"):
        _fit(table, EpochCallback(function))
