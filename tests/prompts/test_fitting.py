"""Prompts for a model and a table."""

import numpy as np
import pandas as pd
import pytest
from plans import plan_of

from llmreg import DigitCodec, LLMRegressor, RowSerializer
from llmreg.config.pretrained_model import as_pretrained
from llmreg.lm.loading.base import fresh_base, pretrained_base
from llmreg.prompts.cell_prompts import CellPrompts
from llmreg.prompts.fitting import fit_prompts, show_examples
from llmreg.prompts.text_prompts import TextPrompts

X = pd.DataFrame({"size": np.arange(30.0), "words": [f"red {i} house" for i in range(30)]})
CODEC = DigitCodec(10, 2).fit(np.arange(30.0))


def _fitted(model="tiny", positions=None, **params):
    serializer = RowSerializer(column_kinds={"words": "text"})
    rows = serializer.fit(X).serialize(X)
    plan = plan_of(LLMRegressor(model, serializer=serializer, **params), rows, CODEC)
    if model == "tiny":
        base = fresh_base(model, plan, rows, CODEC)
    else:
        base = pretrained_base(as_pretrained(model), CODEC)
    if positions is not None:
        base.config.max_position_embeddings = positions
    return *fit_prompts(plan, base, rows, CODEC), rows


def test_fresh_weights_read_cells_and_pretrained_ones_read_text(pretrained_folder):
    prompts, encoded, _ = _fitted()
    assert isinstance(prompts, CellPrompts) and prompts.number_input == "value"
    assert len(encoded) == 30 and encoded.cells.texts.shape[1] == 1
    prompts, encoded, _ = _fitted(pretrained_folder)
    assert isinstance(prompts, TextPrompts) and prompts.number_input == "text"
    assert prompts.layout.n_slots == 1


@pytest.mark.parametrize(("positions", "expected"), [(None, 1024), (100, 98), (5000, 1024)])
def test_prompts_and_digits_are_within_the_positions(positions, expected):
    prompts, _, _ = _fitted(positions=positions)
    assert prompts.max_prompt_tokens == (1024 if positions is None else expected)


def test_vectors_of_texts_take_positions_too(pretrained_folder):
    prompts, _, _ = _fitted(pretrained_folder, positions=100, text_features=True)
    assert prompts.max_prompt_tokens == 100 - CODEC.max_length - prompts.n_soft


def test_examples_are_drawn_by_the_seed_and_shown_solved(pretrained_folder):
    y = np.arange(30.0)
    shown = []
    for seed in (0, 0, 1):
        prompts, _, rows = _fitted(pretrained_folder)
        encoded = show_examples(prompts, 2, rows, y, CODEC, seed)
        assert (encoded.lengths == prompts.encode(rows).lengths).all()
        shown.append(prompts.frame.before)
    assert shown[0] == shown[1] != shown[2] and shown[0].count("house") == 2
