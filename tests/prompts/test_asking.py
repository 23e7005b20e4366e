"""What a pretrained model is told, in sentences that are true of the codec."""

import numpy as np
import pandas as pd
import pytest

from llmreg import (
    RAFT,
    DecimalCodec,
    DigitCodec,
    GridCodec,
    LLMRegressor,
    PretrainedModel,
    RowSerializer,
    SoftCE,
)
from llmreg.prompts.asking import both_ways, instruction_for, prefills_for


def test_prompts_are_read_both_ways_if_any_method_asks_for_it():
    asked = RAFT(bidirectional=True)
    assert both_ways((SoftCE(), asked)) and both_ways((asked, None))
    assert not both_ways((SoftCE(), RAFT())) and not both_ways((SoftCE(), None))


@pytest.mark.parametrize(
    "codec, said",
    [
        (GridCodec([1, 2, 2.5]), "It is a number from 1 to 2.5."),
        (DecimalCodec(1, low=-3, high=9), "It is a number from -3.0 to 9.0."),
        (
            DigitCodec(n_digits=1, scale="minmax", low=0, high=100),
            "Write 0 for 5, 5 for 55, 9 for 95.",
        ),
        (GridCodec([0, 1], spellings=["no", "yes"]), "Write no for 0, yes for 1, yes for 1."),
        (GridCodec([-2, 0, 2], spellings=["a", "b", "c"]), "Write a for -2, b for 0, c for 2."),
    ],
)
def test_the_range_is_in_the_codecs_spelling(codec, said):
    text = instruction_for("price", codec.fit([1.0, 2.0]))
    assert text == f"Predict price from the columns of a table's row. {said}\n\n"


def test_a_chat_may_say_the_name_first():
    assert prefills_for(False, "price") == ("", " ", "\n")
    assert "price: " in prefills_for(True, "price")


X = pd.DataFrame({"size": np.arange(30.0)})
Y = pd.Series(np.arange(30.0), name="price")


def _first_prompt(folder, serializer=None, **asked):
    model = LLMRegressor(
        PretrainedModel(folder, **asked), fit_method="zero_shot", serializer=serializer
    ).fit(X, Y)
    rows = model.prompts_.encode(model.serializer_.serialize(X[:1]))
    return model, model.prompts_.tokenizer.decode(rows.ids[: rows.lengths[0]])


def test_the_instruction_stands_before_the_row_and_the_prefill_behind(pretrained_folder):
    model, prompt = _first_prompt(pretrained_folder, prefill=" it is ")
    told = instruction_for("price", model.codec_)
    assert prompt == told + "size: 0. price: it is "
    assert model.plan_.reading.instruction == told and model.plan_.reading.prefill == " it is "


def test_another_instruction_none_and_a_template_of_ones_own(pretrained_folder):
    assert _first_prompt(pretrained_folder, instruction="Guess!\n", prefill="")[1] == (
        "Guess!\nsize: 0. price:"
    )
    assert _first_prompt(pretrained_folder, instruction="", prefill="")[1] == "size: 0. price:"
    own = RowSerializer("{size} costs ")
    assert _first_prompt(pretrained_folder, own, prefill="")[1] == "0 costs "
    assert _first_prompt(pretrained_folder, own, instruction="Guess: ", prefill="")[1] == (
        "Guess: 0 costs "
    )
