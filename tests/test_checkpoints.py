"""Checkpoint files by themselves; test_stages.py interrupts fits."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from llmreg.training.checkpoints import STALE, Checkpoints, fingerprint


@pytest.fixture
def checkpoints(tmp_path):
    return Checkpoints(tmp_path / "deep" / "er", "a" * 64, interval=0.0)


def test_what_was_saved_last_is_found(checkpoints):
    assert checkpoints.load() is None
    for step in (1, 2):
        checkpoints.save(
            {"step": step, "weights": {"w": torch.arange(3.0)}, "records": [{"a": 1.5}]}
        )
    state = checkpoints.load()
    assert state["step"] == 2 and state["records"] == [{"a": 1.5}]
    assert state["weights"]["w"].tolist() == [0, 1, 2]
    assert len(list(checkpoints.path.parent.iterdir())) == 1


def test_fits_share_a_folder_by_their_names(tmp_path):
    one, other = (Checkpoints(tmp_path, letter * 64, 0.0) for letter in "ab")
    one.save({"step": 1})
    assert other.load() is None
    assert Checkpoints(str(tmp_path), "a" * 64, 0.0).load()["step"] == 1


def test_a_crash_while_saving_leaves_the_last_checkpoint(checkpoints, monkeypatch):
    checkpoints.save({"step": 1})

    def fail(state, file):
        file.write(b"half of it")
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(KeyboardInterrupt):
        checkpoints.save({"step": 2})
    assert checkpoints.load()["step"] == 1
    assert len(list(checkpoints.path.parent.iterdir())) == 1


def test_remains_of_killed_processes_are_swept_when_they_are_old(checkpoints):
    checkpoints.save({"step": 1})
    for name, age in (("1.partial", STALE + 60), ("2.partial", 5)):
        left = checkpoints.path.with_suffix(f".{name}")
        left.write_bytes(b"")
        os.utime(left, (time.time() - age,) * 2)
    checkpoints.save({"step": 2})
    assert sorted(p.suffixes[-2] for p in checkpoints.path.parent.glob("*.partial")) == [".2"]


def test_the_interval_says_when_the_next_one_is_due(tmp_path):
    assert Checkpoints(tmp_path, "a", 0.0).due()
    patient = Checkpoints(tmp_path, "a", 1000.0)
    assert not patient.due()
    patient.saved_at -= 1001
    assert patient.due()
    patient.save({})
    assert not patient.due()


def test_no_folder_and_no_writer_save_nothing(tmp_path):
    nowhere = Checkpoints(None, "a", 0.0)
    reader = Checkpoints(tmp_path, "a", 0.0, writes=False)
    for checkpoints in (nowhere, reader):
        assert not checkpoints.due()
        checkpoints.save({"step": 1})
        assert checkpoints.load() is None
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", "pickle"])
def test_an_unreadable_checkpoint_is_named_with_the_remedy(checkpoints, content):
    checkpoints.save({"step": 1})
    if content == "pickle":  # never run: only tensors and plain values are read
        torch.save({"format": 1, "evil": os.system}, checkpoints.path)
    else:
        checkpoints.path.write_bytes(content)
    with pytest.raises(OSError, match=r"fit-a+\.pt.*cannot be read.*Delete it to start"):
        checkpoints.load()


def test_a_checkpoint_of_another_format_is_named(checkpoints, monkeypatch):
    monkeypatch.setattr("llmreg.training.checkpoints.FORMAT", 99)
    checkpoints.save({"step": 1})
    monkeypatch.undo()
    with pytest.raises(OSError, match="has format 99; this version of llmreg reads format 2"):
        checkpoints.load()


def _pinball(samples, y):
    return -np.abs(samples - y)


PARTS = [
    "text", 1, 1.5, None, np.arange(6), np.arange(6.0), np.arange(6).reshape(2, 3),
    torch.arange(6.0), torch.arange(6.0).double(), torch.ones(100_000), {"a": 1}, {"b": 1},
    _pinball, lambda v, y: v, lambda v, y: y, lambda v, y: v * 2,
]  # fmt: skip


def test_different_fits_have_different_names():
    names = [fingerprint(part) for part in PARTS]
    assert len(set(names)) == len(PARTS)
    assert names == [fingerprint(part) for part in PARTS]
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
    changed = torch.ones(100_000)
    changed[25 * 17] = 2  # among the numbers that are looked at
    assert fingerprint(changed) != fingerprint(torch.ones(100_000))


def test_a_name_is_the_same_in_another_process():
    code = (
        "import sys; sys.path.insert(0, 'tests');"
        "from test_checkpoints import PARTS; from llmreg.training.checkpoints import fingerprint;"
        "print(fingerprint(*PARTS))"
    )
    root = Path(__file__).parents[1]
    environment = os.environ | {"PYTHONHASHSEED": "7", "PYTHONPATH": str(root)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True,
        cwd=root,
    )  # fmt: skip
    assert done.stdout.strip() == fingerprint(*PARTS)


def test_an_object_without_a_lasting_name_warns():
    with pytest.warns(UserWarning, match="has no lasting name.*will not be continued"):
        fingerprint(object())
