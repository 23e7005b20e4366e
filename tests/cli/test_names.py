"""Columns are found by what is seen of their names."""

import pandas as pd
import pytest

from llmreg.cli.names import bare_name, find_columns, named_columns, near, plain_name, shown_names


@pytest.mark.parametrize("unseen", [" ", "\u00a0", "\ufeff", "\u200b", "\t ", "\u2009\u2060"])
def test_what_is_not_seen_around_names_does_not_count(unseen):
    name = f"{unseen}a  b{unseen}"
    assert bare_name(name) == "a  b" and plain_name(name) == "a b"
    assert bare_name(unseen) == plain_name(unseen) == bare_name("") == ""
    assert find_columns([f"y{unseen}", "a b"], ["x", name, "y"]) == {
        f"y{unseen}": "y", "a b": name,
    }  # fmt: skip


def test_a_column_has_one_name_and_what_could_be_two_has_none():
    assert find_columns(["y"], [" y", "y"]) == {"y": "y"}
    assert find_columns(["y", " y"], ["y"]) == {"y": "y"}
    assert find_columns(["y"], [" y", "y "]) == find_columns(["y", " y"], ["y "]) == {}
    assert find_columns(["Cafe\u0301"], ["Caf\u00e9"]) == {"Cafe\u0301": "Caf\u00e9"}


def test_what_is_not_there_is_told_with_what_is():
    frame = pd.DataFrame({"Weight": [1], " a": [2], "a ": [3]})
    assert named_columns(frame, ["Weight ", " a"]) == ["Weight", " a"]
    with pytest.raises(ValueError, match=r"no column 'wieght'. Did you mean 'Weight'\? Columns: W"):
        named_columns(frame, ["wieght"])
    with pytest.raises(ValueError, match=r"no column 'a'. Did you mean '.*: Weight, ' a', 'a '\.$"):
        named_columns(frame, ["a"])
    assert near("price", frame) is None and shown_names(["b", "\ufeffc"]) == r"b, '\ufeffc'"
