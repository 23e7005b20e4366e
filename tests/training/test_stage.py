"""The training loop by itself, with methods made for the purpose."""

import contextlib
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch

from llmreg import GRPO, DigitCodec, LLMRegressor, ReMax, SoftCE
from llmreg.config.plan import StageSettings
from llmreg.methods import RLOO, Method
from llmreg.training.policy import ZScale
from llmreg.training.reporting import Report
from llmreg.training.selection import RunningMean
from llmreg.training.stage import Stage, _by_length
from llmreg.training.training_data import TrainingData

N = 24  # rows of the conftest's problem


def _settings(**changes):
    settings = dict(
        name="sft", epochs=3, learning_rate=0.01, batch_size=8, weight_decay=0.0,
        n_iter_no_change=None,
    )  # fmt: skip
    return StageSettings(**settings | changes)


def _train(model, data, objective, scale, *, validate=None, seed=0, report=None, **changes):
    return Stage(
        model, data, objective, scale, _settings(**changes), validate=validate,
        rng=np.random.RandomState(seed), generator=torch.Generator().manual_seed(seed),
        report=report,
    ).run()  # fmt: skip


def _validating(errors, n_rows=4):
    """A validation whose rows all have the same error, the next of ``errors`` in each call."""
    errors = iter(errors)

    def validate():
        error = next(errors)
        return error, np.full(n_rows, error**2)

    return validate


def _weights(model):
    return torch.cat([p.detach().flatten() for p in model.trainable().values()])


class _Heard(Report):
    """All that a stage tells; asks it to stop after an epoch."""

    def __init__(self, stop_after=None):
        super().__init__()
        self.stop_after, self.open = stop_after, False
        self.records, self.begun, self.rows, self.weights = [], [], [], []

    @contextlib.contextmanager
    def stage(self, stage):
        self.open = True
        try:
            yield
        finally:
            self.open = False

    def begin_epoch(self, epoch):
        self.begun.append(epoch)

    def step(self, n_rows):
        self.rows.append(n_rows)

    def end_epoch(self, record, weights):
        assert self.open
        self.records.append(record)
        self.weights.append(weights())
        return record["epoch"] == self.stop_after


class _Stub(Method):
    """A loss that is computed by a function of the policy and the targets."""

    def __init__(self, function, stage="sft", **metrics):
        self.function = function
        self.stage = stage
        self.metrics = metrics
        self.calls = []

    def loss(self, policy, targets, statistics=None):
        loss = self.function(policy, targets)
        self.calls.append((loss.detach().clone(), targets, policy.model.training))
        return loss, {name: torch.full_like(loss, m) for name, m in self.metrics.items()}


def _squared_error(policy, targets):
    return (policy.leaf_log_probs().exp() @ policy.leaf_z - targets.z) ** 2


def test_training_lowers_the_loss(problem):
    model, data, scale = problem()
    records = _train(model, data, SoftCE(), scale, epochs=25)
    losses = [record["loss"] for record in records]
    assert losses[-1] < 0.7 * losses[0]
    assert not model.training


def test_every_epoch_has_a_record_and_reports_it(problem):
    model, data, scale = problem()
    heard = _Heard()
    records = _train(model, data, GRPO(4), scale, name="align", report=heard)
    assert records == heard.records and heard.begun == [1, 2, 3]
    assert heard.rows == [8] * 9 and not heard.open
    assert [record["epoch"] for record in records] == [1, 2, 3]
    assert [record["step"] for record in records] == [3, 6, 9]
    assert {record["stage"] for record in records} == {"align"}
    assert all(np.isnan(record["validation_rmse"]) for record in records)
    assert all({"sample_mse", "sample_spread"} <= record.keys() for record in records)
    rates = [record["learning_rate"] for record in records]
    assert 0 <= rates[2] < rates[1] < rates[0] <= 0.01
    seconds = [record["seconds"] for record in records]
    assert 0 < seconds[0] < seconds[1] < seconds[2]


def test_every_epoch_sees_every_row_once_in_a_new_order(problem):
    model, data, scale = problem()
    objective = _Stub(_squared_error)
    _train(model, data, objective, scale, epochs=2, batch_size=7)
    seen = [targets.z.numpy() for _, targets, _ in objective.calls]
    assert [len(z) for z in seen] == [6] * 8  # four batches of like size, not three and a rest
    epochs = np.concatenate(seen[:4]), np.concatenate(seen[4:])
    for epoch in epochs:
        np.testing.assert_allclose(np.sort(epoch), np.sort(data.z), rtol=1e-6)
    assert (epochs[0] != epochs[1]).any()


def test_losses_and_metrics_of_a_record_are_means_over_rows(problem):
    model, data, scale = problem()
    objective = _Stub(_squared_error, half=0.5)
    (record,) = _train(model, data, objective, scale, epochs=1, batch_size=10)
    losses = torch.cat([loss for loss, _, _ in objective.calls])
    assert len(losses) == N
    assert record["loss"] == pytest.approx(float(losses.mean()), rel=1e-5)
    assert record["half"] == 0.5


def test_weights_average_rows(problem):
    # One batch: a row of weight 3 is worth three copies of it.
    _, data, _ = problem()
    rows = np.arange(5)
    weighted = TrainingData(
        data.rows.take(rows),
        data.z[rows],
        data.leaf[rows],
        np.array([3.0, 1, 2, 1, 1]),
        data.bandwidth[rows],
    )
    copies = data.take(np.repeat(rows, [3, 1, 2, 1, 1]))
    found = []
    for some in (weighted, copies):
        # float64: AdamW's first step follows the sign of gradients, however small.
        model, _, scale = problem()
        model.place("cpu", torch.float64)
        scale = ZScale(scale.leaf.double(), scale.edges.double())
        start = _weights(model)
        (record,) = _train(model, some, _Stub(_squared_error, "align"), scale, epochs=1)
        found.append((record["loss"], _weights(model)))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-9)
    assert (found[0][1] - start).abs().max() > 1e-3
    torch.testing.assert_close(found[0][1], found[1][1], rtol=0, atol=5e-5)


@pytest.mark.parametrize(
    ("n_heavy", "weight", "batch_size", "epochs"),
    [(4, 5, 4, 8), (4, 5, 8, 12), (4, 5, 32, 15), (1, 63, 16, 12)],
)
def test_heavy_rows_count_as_so_many_rows_in_batches_of_any_size(
    n_heavy, weight, batch_size, epochs
):
    # Nothing to go by: what is learnt is the share of the rows, by weight, whose target is 1.
    y = np.repeat([1.0, 0.0], [n_heavy, 64 - n_heavy])
    weights = np.where(y == 1, weight, 1.0)
    model = LLMRegressor(
        fit_method="ce", codec=DigitCodec(base=2, n_digits=1), estimates=None, sft_epochs=epochs,
        batch_size=batch_size, temperature_scaling=False, validation_fraction=None,
        random_state=0,
    ).fit(np.ones((64, 1)), y, sample_weight=weights)  # fmt: skip
    expected = np.average(y, weights=weights)
    found = model.predict_distribution(np.ones((1, 1)))
    assert 1 - found.cdf([0.5])[0] == pytest.approx(expected, abs=0.02)
    assert found.mean()[0] == pytest.approx(expected, abs=0.02)  # targets of 1 are a heap


def _weighing(problem, weight):
    _, data, _ = problem()
    return replace(data, weight=np.asarray(weight, float))


def test_records_weigh_rows_whatever_batch_they_are_in(problem):
    model, _, scale = problem()
    data = _weighing(problem, np.r_[6.0, 0.2, np.ones(N - 2)])
    objective = _Stub(_squared_error)
    (record,) = _train(
        model, data, objective, scale, epochs=1, batch_size=5, learning_rate=1e-12
    )  # fmt: skip
    losses = torch.cat([loss for loss, _, _ in objective.calls]).numpy()
    z = torch.cat([targets.z for _, targets, _ in objective.calls]).numpy()
    order = [int(np.abs(data.z - value).argmin()) for value in z]
    each = np.zeros(N)
    each[order] = losses
    assert record["loss"] == pytest.approx(np.average(each, weights=data.weight), rel=1e-4)


@pytest.mark.parametrize(("stage", "training"), [("sft", True), ("align", False)])
def test_roll_outs_are_without_dropout(stage, training, problem):
    model, data, scale = problem()
    objective = _Stub(_squared_error, stage)
    _train(model, data, objective, scale, epochs=1)
    assert {mode for _, _, mode in objective.calls} == {training}


def test_the_best_epochs_weights_are_left_in_the_model(problem):
    model, data, scale = problem()
    answer, seen = _validating([5.0, 2.0, 3.0, 2.0, 4.0]), []

    def validate():
        assert not model.training
        seen.append(_weights(model))
        return answer()

    records = _train(model, data, SoftCE(), scale, epochs=5, validate=validate)
    assert [record["validation_rmse"] for record in records] == [5.0, 2.0, 3.0, 2.0, 4.0]
    assert [record["kept"] for record in records] == [False, True, False, False, False]
    assert torch.equal(_weights(model), seen[1])  # the first of equals
    assert not torch.equal(seen[1], seen[3])


@pytest.mark.parametrize(("patience", "epochs"), [(1, 3), (2, 7), (3, 10), (None, 10)])
def test_a_stage_stops_after_so_many_epochs_without_a_better_one(patience, epochs, problem):
    model, data, scale = problem()
    errors = [5.0, 4.0, 4.5, 3.0, 2.0, 2.5, 2.2, 1.9, 7.0, 7.0]
    records = _train(
        model, data, SoftCE(), scale, epochs=10, n_iter_no_change=patience,
        validate=_validating(errors),
    )  # fmt: skip
    assert len(records) == epochs


def test_a_validation_error_that_is_never_finite_still_keeps_an_epochs_weights(problem):
    model, data, scale = problem()
    start = _weights(model)
    records = _train(model, data, SoftCE(), scale, validate=_validating([np.nan] * 3))
    assert torch.isfinite(_weights(model)).all()
    assert not torch.equal(_weights(model), start)
    assert sum(record["kept"] for record in records) == 1


# -- the second stage and the weights it got ---------------------------------------------------


def _align(problem, errors, *, stage="align", rows=None):
    """Train with these validation errors; the model, its first weights and the records."""
    model, data, scale = problem()
    start = _weights(model)
    validate = _validating(errors) if rows is None else iter(rows).__next__
    records = _train(
        model, data, _Stub(_squared_error, stage), scale, name=stage, validate=validate,
        epochs=len(rows or errors) - (stage == "align"),
    )  # fmt: skip
    return model, start, records


def test_a_second_stage_that_only_harms_keeps_the_first_ones_weights_and_warns(problem):
    message = "_Stub made held-out rows clearly worse each time.*best 2.5.*Lower align_learning"
    with pytest.warns(UserWarning, match=message):
        model, start, records = _align(problem, [2.0, 3.0, 2.5, 4.0])
    assert torch.equal(_weights(model), start)
    assert not model.training
    assert [record["epoch"] for record in records] == [0, 1, 2, 3]
    assert [record["validation_rmse"] for record in records] == [2.0, 3.0, 2.5, 4.0]
    assert [record["kept"] for record in records] == [True, False, False, False]


@pytest.mark.parametrize(
    ("errors", "kept"), [([2.0, 1.0, 3.0, 4.0], 0), ([2.0, 3.0, 1.5, 4.0], 1), ([2.0, 1, 1, 3], 0)]
)
def test_a_second_stage_that_helps_keeps_its_own_weights_without_a_word(errors, kept, problem):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model, start, records = _align(problem, errors)
    assert not torch.equal(_weights(model), start)
    assert [record["kept"] for record in records[1:]] == [epoch == kept for epoch in range(3)]
    assert not records[0]["kept"]


@pytest.mark.parametrize(("worse", "harmful"), [(0.99, False), (1.01, True)])
def test_a_second_stage_is_undone_and_called_harmful_beyond_two_standard_errors(
    worse, harmful, problem
):
    # Squared errors of eight rows go up by this much on average, give or take 0.5 (a standard
    # deviation of √2 over √8 rows).
    before, spread = np.full(8, 10.0), np.tile([1.0, -1.0], 4) * np.sqrt(2)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model, start, records = _align(
            problem, None, rows=[(0.0, before), (0.0, before + worse + spread)]
        )
    assert [record["kept"] for record in records] == [True, False]
    assert torch.equal(_weights(model), start)
    assert any("clearly worse" in str(entry.message) for entry in caught) == harmful


def test_a_first_stage_is_never_compared_with_the_weights_it_got(problem):
    model, start, records = _align(problem, [7.0, 8.0, 9.0], stage="sft")
    assert not torch.equal(_weights(model), start)
    assert [record["kept"] for record in records] == [True, False, False]


@pytest.mark.parametrize("stage", ["sft", "align"])
def test_without_validation_the_last_epoch_is_kept(stage, problem):
    model, data, scale = problem()
    records = _train(model, data, _Stub(_squared_error, stage), scale, name=stage)
    assert [record["kept"] for record in records] == [False, False, True]


# -- the running mean of the weights -----------------------------------------------------------


def test_the_mean_weights_are_in_place_inside_the_context_only(brute_force_mean, problem):
    model, _, _ = problem()
    average = RunningMean(model)
    start = _weights(model)
    for factor in (2.0, 3.0):
        model.restore({name: factor * p for name, p in model.snapshot().items()})
        average.update()
    after, names = _weights(model), list(model.trainable())
    with average.in_place():
        mean = _weights(model)
    expected = brute_force_mean(torch.stack([2 * start, 6 * start]).double())
    torch.testing.assert_close(mean.double(), expected, rtol=1e-5, atol=1e-7)
    assert torch.equal(_weights(model), after)
    with pytest.raises(RuntimeError), average.in_place():
        raise RuntimeError
    assert torch.equal(_weights(model), after)
    assert list(model.trainable()) == names


def _every_step(problem, monkeypatch, **kwargs):
    """Train, and the weights after each step beside the model that is left."""
    model, data, scale = problem()
    steps, update = [], RunningMean.update

    def spy(average):
        steps.append(_weights(model).double())
        update(average)

    with monkeypatch.context() as patch, torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # hidden cells
        patch.setattr(RunningMean, "update", spy)
        _train(model, data, _Stub(_squared_error), scale, **kwargs)
    return model, torch.stack(steps)


def test_without_validation_the_mean_of_the_last_weights_is_kept(
    brute_force_mean, problem, monkeypatch
):
    model, steps = _every_step(problem, monkeypatch)
    assert len(steps) == 9
    torch.testing.assert_close(
        _weights(model).double(), brute_force_mean(steps), rtol=1e-4, atol=1e-6
    )
    assert (_weights(model) - steps[-1]).abs().max() > 1e-4


def test_the_mean_is_what_is_validated_and_training_goes_on_from_the_weights_themselves(
    brute_force_mean, problem, monkeypatch
):
    models, seen = [], []
    answer = _validating([3.0, 1.0, 2.0])

    def build():
        models.append(problem())
        return models[-1]

    def validate():
        seen.append(_weights(models[-1][0]).double())
        return answer()

    model, steps = _every_step(build, monkeypatch, validate=validate)
    for epoch, found in enumerate(seen, 1):
        torch.testing.assert_close(
            found, brute_force_mean(steps[: 3 * epoch]), rtol=1e-4, atol=1e-6
        )
    assert torch.equal(_weights(model).double(), seen[1])
    _, alone = _every_step(problem, monkeypatch)  # validation leaves no trace in the training
    assert torch.equal(steps, alone)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_loss_that_is_not_finite_raises_and_names_the_remedy(value, problem):
    model, data, scale = problem()
    start = _weights(model)
    objective = _Stub(lambda policy, targets: _squared_error(policy, targets) * value)
    message = rf"training loss became {value}\. Lower the learning rate \(now"
    with pytest.raises(FloatingPointError, match=message):
        _train(model, data, objective, scale)
    assert torch.equal(_weights(model), start)


def test_a_gradient_that_is_not_finite_raises_though_the_loss_is(problem):
    model, data, scale = problem()
    start = _weights(model)
    # The root's slope at zero is infinite.
    objective = _Stub(lambda policy, targets: (0 * _squared_error(policy, targets)).sqrt())
    with pytest.raises(FloatingPointError, match=r"gradient became nan\. Lower the learning rate"):
        _train(model, data, objective, scale)
    assert torch.equal(_weights(model), start)


@pytest.mark.parametrize("stage", ["sft", "align"])
def test_weights_that_the_last_step_spoils_raise_and_name_the_rate(stage, problem):
    model, data, scale = problem()
    message = rf"weights became NaN or infinite.* Lower the .* {stage}_learning_rate=1e\+38"
    with pytest.raises(FloatingPointError, match=message):
        _train(
            model, data, _Stub(_squared_error, stage), scale, name=stage, epochs=1,
            batch_size=N, learning_rate=1e38, weight_decay=1e10,
        )  # fmt: skip


def test_finite_weights_that_answer_with_no_number_raise(problem):
    model, data, scale = problem()
    with torch.no_grad():
        model.lm.model.norm.weight.fill_(3e38)
    silent = _Stub(lambda policy, targets: 0 * (targets.z + model.cells.number_bias.sum()))
    with pytest.raises(FloatingPointError, match=r"weights became .* too large\. Lower"):
        _train(model, data, silent, scale, epochs=1)


def _one_long_step(problem, limit):
    """Train, the loss of the twentieth step a million times as large; records and weights."""
    model, data, scale = problem()
    objective = _Stub(_squared_error)
    plain = objective.function
    objective.function = lambda *args: plain(*args) * (1e6 if len(objective.calls) == 19 else 1)
    records = _train(model, data, objective, scale, epochs=10, max_grad_norm=limit)
    return records, _weights(model)


def test_a_gradient_that_explodes_is_held_off_and_recorded(problem):
    records, held = _one_long_step(problem, "auto")
    clipped = [record["clipped"] for record in records]
    assert clipped == [0.0] * 6 + [pytest.approx(1 / 3)] + [0.0] * 3
    norms = np.array([record["grad_norm"] for record in records])
    assert norms[6] > 1e3 * np.delete(norms, 6).max()
    free, loose = _one_long_step(problem, None)
    assert not any(record["clipped"] for record in free)
    assert records[-1]["loss"] < 0.9 * free[-1]["loss"]  # AdamW divides by what it remembers
    assert not torch.equal(held, loose)
    tight, _ = _one_long_step(problem, 1e-3)
    assert all(record["clipped"] == 1 for record in tight)


def test_a_stage_that_is_taken_up_again_knows_the_last_norms(problem):
    stages = []
    for _ in range(2):
        model, data, scale = problem()
        stages.append(Stage(
            model, data, _Stub(_squared_error), scale, _settings(), validate=None,
            rng=np.random.RandomState(0), generator=torch.Generator(),
        ))  # fmt: skip
    stages[0].run()
    stages[1].load(stages[0].state())
    assert len(stages[0].clip.norms) == 9
    assert stages[1].clip.norms == stages[0].clip.norms


@pytest.mark.parametrize("draws", [4, "exact"])
@pytest.mark.parametrize("method", [GRPO, ReMax, RLOO])
@pytest.mark.parametrize("value", [0.0, 0.1, -1e9, 1e300])
def test_a_reward_that_never_differs_warns_and_teaches_nothing(method, draws, value, problem):
    def constant(samples, y):
        return np.full(samples.shape, value)

    model, data, scale = problem()
    start = _weights(model)
    with pytest.warns(UserWarning, match="same reward in every epoch.*constant.*taught nothing"):
        _train(model, data, method(draws, reward=constant), scale, name="align", epochs=1)
    assert torch.equal(_weights(model), start)


@pytest.mark.parametrize("draws", [4, "exact"])
@pytest.mark.parametrize("reward", ["mse", "mae", "rail", "crps", lambda v, y: -np.abs(v - y)])
def test_rewards_that_tell_numbers_apart_do_not_warn(reward, draws, problem):
    model, data, scale = problem()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (record,) = _train(
            model, data, GRPO(draws, reward=reward), scale, name="align", epochs=1
        )  # fmt: skip
    assert record["advantage"] > 0.1


def test_samples_without_spread_warn_that_nothing_is_learnt(problem):
    model, data, scale = problem()
    objective = _Stub(_squared_error, "align", sample_spread=0.0)
    message = "drew for a row were equal in every epoch.*Raise its temperature"
    with pytest.warns(UserWarning, match=message):
        _train(model, data, objective, scale)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _train(model, data, _Stub(_squared_error, "align", sample_spread=0.1), scale)
        _train(model, data, _Stub(_squared_error, "align"), scale)


def test_a_policy_that_is_sure_of_itself_warns(problem):
    model, data, scale = problem()
    with torch.no_grad():  # logits so large that every draw is the same
        model.lm.model.norm.weight.mul_(1e4)
    with pytest.warns(UserWarning, match="GRPO drew for a row were equal"):
        _train(model, data, GRPO(4), scale, name="align", epochs=1, learning_rate=1e-9)


@pytest.mark.parametrize(("errors", "kept"), [((1.0, 2.0), 0), ((2.0, 1.0), 1), (None, 1)])
def test_a_stage_that_is_asked_to_stop_ends_with_the_weights_it_told(errors, kept, problem):
    model, data, scale = problem()
    heard, validate = _Heard(stop_after=2), errors and _validating(errors)
    records = _train(model, data, SoftCE(), scale, validate=validate, report=heard, epochs=5)
    assert [record["kept"] for record in records] == [epoch == kept for epoch in range(2)]
    told = heard.weights[kept]
    assert all(torch.equal(p, told[name]) for name, p in model.trainable().items())


def test_a_second_stage_that_is_asked_to_stop_may_keep_its_start(problem):
    model, data, scale = problem()
    start = _weights(model)
    method, validate = _Stub(_squared_error, "align"), _validating([1.0, 2.0])
    with pytest.warns(UserWarning, match="clearly worse each time"):
        _train(
            model, data, method, scale, name="align", validate=validate, report=_Heard(stop_after=1)
        )
    assert torch.equal(_weights(model), start)


def test_who_hears_a_stage_that_fails_hears_its_end(problem):
    model, data, scale = problem()
    heard = _Heard()
    heard.end_epoch = lambda record, weights: 1 / 0
    with pytest.raises(ZeroDivisionError):
        _train(model, data, SoftCE(), scale, report=heard)
    assert not heard.open


def test_samples_come_from_the_generator_given(problem):
    def trained(sampling, order):
        model, data, scale = problem()
        Stage(
            model, data, GRPO(4), scale, _settings(name="align"), validate=None,
            rng=np.random.RandomState(order),
            generator=torch.Generator().manual_seed(sampling),
        ).run()  # fmt: skip
        return _weights(model)

    expected = trained(1, 1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(99)
        before = torch.get_rng_state()
        assert torch.equal(trained(1, 1), expected)
        assert torch.equal(torch.get_rng_state(), before)
    assert not torch.equal(trained(2, 1), expected)
    assert not torch.equal(trained(1, 2), expected)


def test_weight_decay_shrinks_the_weights(problem):
    norms = []
    for decay in (0.0, 5.0):
        model, data, scale = problem()
        _train(model, data, SoftCE(), scale, epochs=10, weight_decay=decay)
        norms.append(float(_weights(model).norm()))
    assert norms[1] < 0.95 * norms[0]


def test_adafactor_learns_with_less_memory(problem):
    kept, losses = {}, {}
    for optimizer in ("adamw", "adafactor"):
        model, data, scale = problem()
        stage = Stage(
            model, data, SoftCE(), scale, _settings(epochs=25, optimizer=optimizer), validate=None,
            rng=np.random.RandomState(0), generator=torch.Generator(),
        )  # fmt: skip
        losses[optimizer] = [record["loss"] for record in stage.run()]
        states = stage.optimizer.state_dict()["state"].values()
        kept[optimizer] = sum(value.numel() for state in states for value in state.values())
    assert losses["adafactor"][-1] < 0.7 * losses["adafactor"][0]
    assert losses["adafactor"] != losses["adamw"]
    assert kept["adafactor"] < 0.1 * kept["adamw"]


def test_frozen_weights_stay_where_they_are(problem):
    model, data, scale = problem()
    model.requires_grad_(False)
    head = model.cells.number_bias.requires_grad_(True)
    start = {name: p.detach().clone() for name, p in model.named_parameters()}
    _train(model, data, SoftCE(), scale)
    moved = [name for name, p in model.named_parameters() if not torch.equal(p, start[name])]
    assert moved == ["cells.number_bias"] and head.requires_grad


def test_taking_training_rows_takes_all_their_parts(problem):
    _, data, _ = problem()
    rows = np.array([4, 0, 7])
    taken = data.take(rows)
    assert len(taken) == 3
    some = np.array([2, 1])
    prompts, targets = taken.batch(some, [2.0, 1.0], "cpu", torch.float64)
    expected, expected_targets = data.batch(rows[some], [1.0, 1.0], "cpu", torch.float64)
    assert torch.equal(prompts.numbers, expected.numbers)
    assert torch.equal(prompts.ids, expected.ids)
    assert targets.z.tolist() == data.z[rows[some]].tolist() == expected_targets.z.tolist()
    assert targets.leaf.tolist() == data.leaf[rows[some]].tolist()
    assert targets.weight.tolist() == [2.0, 1.0]


def test_batches_of_like_length_pad_little_and_stay_mixed():
    rng = np.random.RandomState(0)
    lengths = rng.lognormal(4, 0.5, 2000).astype(int) + 1
    batches = _by_length(np.array_split(rng.permutation(2000), 250), lengths, rng)
    assert sorted(np.concatenate(batches)) == list(range(2000))
    padded = sum(len(rows) * lengths[rows].max() for rows in batches)
    assert padded <= 1.05 * lengths.sum()
    first = np.array([lengths[rows].mean() for rows in batches])
    assert abs(np.corrcoef(first, np.arange(250))[0, 1]) < 0.2  # no curriculum of lengths
