"""What "auto" stands for: explicit values pass through, chosen ones stay within their bounds."""

import itertools

import numpy as np
import pandas as pd
import pytest

from llmreg import Device, LLMRegressor, Optimizer, RowSerializer
from llmreg.config.defaults import (
    MIN_ROWS_TO_VALIDATE,
    auto_dropout,
    auto_estimates,
    auto_layers,
    auto_text_tokens,
    auto_validation,
    estimate_dropout,
    long_texts,
    stage_settings,
)
from llmreg.config.plan import StageSettings
from llmreg.config.resolve import flat

ROWS = [1, 5, 19, 20, 100, 299, 499, 500, 1000, 1499, 1500, 5000, 20_000, 10**6, 10**8]


def _settings(n_rows=1000, pretrained=False, **params):
    params = flat(LLMRegressor(**params).get_params(deep=False), RowSerializer(), None)
    return [StageSettings(**stage) for stage in stage_settings(params, n_rows, pretrained)]


# -- stages -----------------------------------------------------------------------------------


@pytest.mark.parametrize("pretrained", [False, True])
@pytest.mark.parametrize("n_rows", [1, 30, 10**6])
def test_explicit_values_pass_through(n_rows, pretrained):
    sft, align = _settings(
        n_rows, pretrained, batch_size=7, optimizer=Optimizer(weight_decay=0.0),
        n_iter_no_change=4, sft_epochs=11, sft_learning_rate=0.5, align_epochs=0,
        align_learning_rate=0.25,
    )  # fmt: skip
    for stage in (sft, align):
        assert (stage.batch_size, stage.weight_decay, stage.n_iter_no_change) == (7, 0.0, 4)
    assert (sft.name, sft.epochs, sft.learning_rate) == ("sft", 11, 0.5)
    assert (align.name, align.epochs, align.learning_rate) == ("align", 0, 0.25)


@pytest.mark.parametrize("limit", ["auto", 2.5, None])
def test_the_bound_on_gradients_is_that_of_both_stages(limit):
    optimizer = Optimizer(max_grad_norm=limit)
    assert [stage.max_grad_norm for stage in _settings(optimizer=optimizer)] == [limit] * 2
    assert _settings()[0].max_grad_norm == "auto"


def test_no_patience_means_none():
    assert all(stage.n_iter_no_change is None for stage in _settings(n_iter_no_change=None))


def test_the_second_stage_of_fresh_weights_has_little_patience():
    assert [stage.n_iter_no_change for stage in _settings()] == [10, 1]
    assert [stage.n_iter_no_change for stage in _settings(pretrained=True)] == [10, 10]


def test_fresh_weights_have_less_patience_with_texts():
    def patience(pretrained, n_rows=1000, texts=True, **params):
        params = flat(LLMRegressor(**params).get_params(deep=False), RowSerializer(), None)
        stages = stage_settings(params, n_rows, pretrained, texts=texts)
        return [(stage["n_iter_no_change"], stage["least_gain"]) for stage in stages]

    assert patience(False) == [(4, 0.01), (1, 0.01)]
    assert patience(True) == [(10, 0), (10, 0)]
    assert patience(False, n_rows=1500) == patience(False, texts=False) == [(10, 0), (1, 0)]
    assert patience(False, n_iter_no_change=7) == [(7, 0), (7, 0)]


@pytest.mark.parametrize(
    ("n_rows", "epochs", "batch"),
    [(1, 20, 16), (300, 20, 16), (640, 15, 16), (1000, 10, 16), (1499, 8, 16), (1500, 8, 32),
     (4999, 8, 32)],
)  # fmt: skip
def test_texts_are_seen_10_000_rows_long_in_small_batches(n_rows, epochs, batch):
    def stage(pretrained=False, n_rows=n_rows, texts=True, **params):
        params = flat(LLMRegressor(**params).get_params(deep=False), RowSerializer(), None)
        sft, align = stage_settings(params, n_rows, pretrained, texts=texts)
        assert sft["batch_size"] == align["batch_size"]
        return sft["epochs"], align["epochs"], sft["batch_size"]

    assert stage() == (epochs, round(epochs / 3), batch)
    assert stage(sft_epochs=7, batch_size=5) == (7, 2, 5)
    for others in ({"pretrained": True}, {"n_rows": 5000}):
        assert stage(**others) == stage(**others, texts=False)
    assert stage(texts=False)[2] == 2 * batch


@pytest.mark.parametrize(("n_rows", "steps"), [(16_000, None), (20_000, 94), (98_000, 154)])
def test_a_second_stage_of_long_epochs_is_validated_ten_times(n_rows, steps):
    sft, align = _settings(n_rows)
    assert (sft.validation_interval, align.validation_interval) == (None, steps)
    assert _settings(n_rows, True)[1].validation_interval is None
    assert _settings(n_rows, validation_interval=7)[1].validation_interval == 7


@pytest.mark.parametrize("epochs", [1, 2, 3, 7, 30])
def test_the_second_stage_takes_a_third_of_the_first_ones_epochs_but_at_least_one(epochs):
    _, align = _settings(sft_epochs=epochs)
    assert align.epochs == max(1, round(epochs / 3))


@pytest.mark.parametrize("n_rows", ROWS)
def test_auto_is_legal_for_every_number_of_rows(n_rows):
    for pretrained, stage in itertools.product([False, True], range(2)):
        settings = _settings(n_rows, pretrained)[stage]
        assert isinstance(settings.epochs, int) and settings.epochs >= 1
        assert isinstance(settings.batch_size, int) and settings.batch_size >= 1
        assert 0 < settings.learning_rate < 0.01
        assert 0 <= settings.weight_decay <= 1
        assert 0 < settings.warmup < 1


def test_fresh_weights_see_about_sixty_thousand_rows_where_that_is_within_bounds():
    for n_rows in ROWS:
        epochs = _settings(n_rows)[0].epochs
        assert min(12, round(200_000 / n_rows)) <= epochs <= 60
        if 12 < epochs < (40 if n_rows < 500 else 60):
            assert 60_000 - n_rows < epochs * n_rows <= 60_000
    # Within each range of sizes more rows never mean more epochs.
    for sizes in (range(1, 500, 7), range(500, 20_000, 101)):
        epochs = [_settings(n_rows)[0].epochs for n_rows in sizes]
        assert epochs == sorted(epochs, reverse=True)
    assert _settings(499)[0].epochs <= 40  # small tables would be learnt by heart


@pytest.mark.parametrize(
    ("n_rows", "epochs"), [(16_000, 12), (20_000, 10), (90_000, 2), (200_000, 1), (10**7, 1)]
)
def test_long_tables_are_seen_200_000_rows_long_but_once_at_least(n_rows, epochs):
    assert _settings(n_rows)[0].epochs == epochs


def test_fresh_weights_decay_more_the_fewer_rows_there_are():
    decay = [_settings(n_rows)[0].weight_decay for n_rows in ROWS]
    assert decay == sorted(decay, reverse=True)
    assert max(decay) == 1.0 and min(decay) == pytest.approx(0.1)
    assert _settings(600)[0].weight_decay == pytest.approx(0.5)


def test_batches_of_fresh_weights_do_not_shrink_with_the_table():
    sizes = [_settings(n_rows)[0].batch_size for n_rows in ROWS]
    assert sizes == sorted(sizes)


def test_pretrained_weights_get_few_epochs_more_of_them_in_the_second_stage():
    for n_rows in ROWS:
        sft, align = _settings(n_rows, True)
        assert 1 <= sft.epochs < align.epochs <= 16
        if n_rows <= 20_000:  # from there on fresh ones get few, too
            assert sft.epochs + align.epochs < sum(stage.epochs for stage in _settings(n_rows))
    for pretrained, fresh in zip(_settings(1000, True), _settings(1000), strict=True):
        assert pretrained.batch_size < fresh.batch_size
        assert pretrained.weight_decay < fresh.weight_decay


def test_adapters_move_faster_than_weights_that_know_how_to_read():
    for adapted, whole in zip(
        _settings(1000, True), _settings(1000, True, adapters=None), strict=True
    ):
        assert whole.learning_rate <= 0.2 * adapted.learning_rate
    assert _settings(1000, adapters=None) == _settings(1000)  # fresh weights know nothing yet


@pytest.mark.parametrize("n_rows", [300, 500, 1000, 1500])
def test_pretrained_weights_see_some_6000_rows_of_small_tables(n_rows):
    assert sum(stage.epochs for stage in _settings(n_rows, True)) * n_rows == pytest.approx(
        6000, rel=0.25
    )


@pytest.mark.parametrize("n_rows", ROWS)
def test_a_stage_alone_of_pretrained_weights_takes_the_time_of_two(n_rows):
    params = flat(LLMRegressor().get_params(deep=False), RowSerializer(), None)
    alone, _ = stage_settings(params, n_rows, pretrained=True, alone=True)
    assert alone["epochs"] == sum(stage.epochs for stage in _settings(n_rows, True))
    fresh = [stage_settings(params, n_rows, pretrained=False, alone=alone) for alone in (0, 1)]
    assert fresh[0] == fresh[1]  # whose first stage is the long one


def test_rows_of_unlike_lengths_are_computed_in_parts_where_that_is_faster():
    def at_once(pretrained=False, uneven=True, **params):
        params = flat(LLMRegressor(**params).get_params(deep=False), RowSerializer(), None)
        stages = stage_settings(params, 1000, pretrained, uneven=uneven)
        return [stage["micro_batch_size"] for stage in stages]

    assert at_once() == [16, None]  # a second stage would draw its numbers once more
    assert at_once(pretrained=True) == at_once(uneven=False) == [None, None]
    assert at_once(device=Device(micro_batch_size=5)) == [5, 5]


@pytest.mark.parametrize("n_rows", ROWS)
def test_the_second_stage_of_fresh_weights_is_shorter_than_the_first(n_rows):
    sft, align = _settings(n_rows)
    assert align.epochs < sft.epochs or align.epochs == 1


def test_the_first_stage_of_fresh_weights_is_not_slowed_down_by_more_rows():
    rates = [_settings(n_rows)[0].learning_rate for n_rows in ROWS]
    assert rates == sorted(rates)


# -- dropout ----------------------------------------------------------------------------------


@pytest.mark.parametrize("dropout", [0.0, 0.25, 0.9])
@pytest.mark.parametrize("pretrained", [False, True])
def test_an_explicit_dropout_passes_through(dropout, pretrained):
    assert all(auto_dropout(dropout, n_rows, pretrained) == dropout for n_rows in ROWS)


def test_fresh_weights_hide_thirty_rows_worth_of_cells_at_most_a_tenth():
    found = [auto_dropout("auto", n_rows, False) for n_rows in ROWS]
    assert found == sorted(found, reverse=True)
    assert found[0] == max(found) == 0.1
    assert auto_dropout("auto", 320, False) == 0.1
    assert auto_dropout("auto", 1600, False) == pytest.approx(0.01)
    assert auto_dropout("auto", 1600, False, texts=True) == 0.2
    assert auto_dropout("auto", 10_000, False, texts=True) == pytest.approx(0.01)


def test_pretrained_weights_hide_nothing():
    assert {auto_dropout("auto", n_rows, True) for n_rows in ROWS} == {0.0}


# -- validation -------------------------------------------------------------------------------


@pytest.mark.parametrize("n_rows", ROWS)
def test_none_means_no_validation(n_rows):
    assert auto_validation(None, n_rows) == 0


@pytest.mark.parametrize("fraction", [0.1, 0.5])
def test_very_small_tables_spare_no_rows(fraction):
    assert MIN_ROWS_TO_VALIDATE == 20
    assert {auto_validation(fraction, n_rows) for n_rows in range(1, 20)} == {0}
    assert auto_validation(fraction, 20) > 0


def test_fresh_weights_learn_from_all_of_few_rows_unless_told_otherwise():
    assert auto_validation("auto", 199) == auto_validation("auto", 19, pretrained=True) == 0
    assert auto_validation("auto", 200) == auto_validation("auto", 20, pretrained=True) == 0.15


@pytest.mark.parametrize("fraction", [0.01, 0.4, 0.99])
def test_an_explicit_share_passes_through(fraction):
    assert {auto_validation(fraction, n_rows) for n_rows in ROWS if n_rows >= 20} == {fraction}


def test_the_share_falls_with_the_rows_and_their_number_ends_at_two_thousand():
    rows = np.array([n_rows for n_rows in ROWS if n_rows >= 200])
    shares = np.array([auto_validation("auto", n_rows) for n_rows in rows])
    assert (np.diff(shares) <= 0).all()
    assert (shares[rows < 1500] == 0.15).all()
    assert (shares[rows >= 1500] <= 0.1).all()
    assert (shares * rows <= 2000 + 1e-6).all() and (shares * rows)[-1] == pytest.approx(2000)


@pytest.mark.parametrize("pretrained", [True, False])
def test_estimates_that_are_asked_for_are_made(pretrained):
    for asked in ("linear", "kernel", "boosted", None):
        kinds = () if asked is None else (asked,)
        assert {auto_estimates(asked, n_rows, pretrained) for n_rows in ROWS} == {kinds}
    assert auto_estimates("both", 10, pretrained) == ("kernel", "boosted")


def test_weights_read_trees_from_100_rows_on_and_pretrained_ones_nothing_from_1000_on():
    assert auto_estimates("auto", 99, False) == ("linear",)
    assert auto_estimates("auto", 100, False) == ("kernel", "boosted")
    assert auto_estimates("auto", 4000, False) == ("kernel", "boosted")
    assert auto_estimates("auto", 4001, False, texts=True) == ("linear", "kernel", "boosted")
    assert auto_estimates("auto", 16_001, False, texts=True) == ("linear", "boosted")
    assert auto_estimates("auto", 10**6, False) == ("linear", "kernel", "boosted")
    assert {auto_estimates("auto", n_rows, True) for n_rows in (1000, 10**6)} == {()}
    assert auto_estimates("auto", 99, True) == ("linear",)
    assert auto_estimates("auto", 999, True, texts=True) == ("kernel", "boosted")


@pytest.mark.parametrize("pretrained", [False, True])
def test_a_model_that_is_not_trained_reads_no_estimates_unless_asked(pretrained):
    assert {auto_estimates("auto", n_rows, pretrained, trains=False) for n_rows in ROWS} == {()}
    assert auto_estimates("linear", 10, pretrained, trains=False) == ("linear",)


def test_few_rows_with_texts_and_estimates_are_read_by_one_layer():
    asked = list(itertools.product([1, 999, 1000, 10**6], [(), ("kernel", "boosted")], [0, 1]))
    one = {case for case in asked if auto_layers(*case) == 1}
    assert one == {(1, ("kernel", "boosted"), 1), (999, ("kernel", "boosted"), 1)}
    assert {auto_layers(*case) for case in asked} == {1, 2}
    assert {auto_layers(*case, both_ways=True) for case in asked} == {2}


def test_with_more_rows_more_estimates_are_hidden_and_half_of_them_at_most():
    found = [estimate_dropout(n_rows) for n_rows in ROWS]
    assert found == sorted(found) and found[-1] == 0.5
    assert estimate_dropout(300) == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("texts", "long"),
    [
        (["word " * 16], True),
        (["word " * 15], False),
        (["TV,Internet," * 8], True),
        (["ACGT" * 100], False),  # one word: TF-IDF finds nothing in it
        (["word"] * 40 + ["word " * 100_000], False),  # one long text decides nothing
        (["word " * 40, ""], True),
    ],
)
def test_sentences_are_texts_of_many_words(texts, long):
    X = pd.DataFrame({"a": texts, "b": 1.0})
    rows = RowSerializer(column_kinds={"a": "text"}).fit(X).serialize(X)
    assert long_texts(rows) == (("a",) if long else ())
    assert long_texts(rows.take(np.arange(1500) % len(texts))) == ()  # enough rows to learn from


def test_fresh_weights_read_the_beginning_of_long_texts():
    assert [auto_text_tokens("auto", pretrained) for pretrained in (False, True)] == [64, 256]
    assert {auto_text_tokens(7, pretrained) for pretrained in (False, True)} == {7}
