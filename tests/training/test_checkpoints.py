"""Checkpoint files by themselves; test_stages.py interrupts fits."""

import os
import random
import re
import shutil
import time
import warnings
from pathlib import Path

import pytest
import torch

from llmreg.training.checkpoints import STALE, Checkpoints, check_folder


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
        checkpoints.save({"evil": os.system})
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


def test_a_file_of_before_files_were_sealed_is_refused(checkpoints):
    checkpoints.save({"step": 1})
    torch.save({"format": 1, "step": 1}, checkpoints.path)
    with pytest.raises(OSError, match=r"damaged, or of a format before 2.*Delete it to start"):
        checkpoints.load()


def _damages(content):
    """Files that are nearly this one: a bit is another, or bytes are missing, doubled or added."""
    dice = random.Random(0)
    places = [0, 1, len(content) - 1, len(content) - 40, len(content) - 100]
    places += [dice.randrange(len(content)) for _ in range(25)]
    for place in places:
        yield (
            content[:place]
            + bytes([content[place] ^ 1 << dice.randrange(8)])
            + content[place + 1 :]
        )
        yield content[:place] + content[place + 1 :]
        yield content[: place + 1] + content[place:]
        yield content[:place]
    yield content + b"\0"
    yield content * 2


def test_a_single_damaged_bit_is_enough_to_be_refused(checkpoints):
    checkpoints.save({"weights": {"w": torch.randn(300)}, "records": [{"a": 1.5}]})
    content = checkpoints.path.read_bytes()
    for damaged in _damages(content):
        checkpoints.path.write_bytes(damaged)
        with pytest.raises(OSError, match="Delete it to start this fit anew"):
            checkpoints.load()
    checkpoints.path.write_bytes(content)
    assert checkpoints.load()["records"] == [{"a": 1.5}]


def test_what_is_saved_is_on_the_disk_before_it_replaces_what_was(checkpoints, monkeypatch):
    done, fsync, replace = [], os.fsync, Path.replace

    def synced(descriptor):
        done.append(("synced", os.fstat(descriptor).st_size))
        fsync(descriptor)

    def replaced(path, target):
        done.append(("replaced", path.stat().st_size))
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", replaced)
    checkpoints.save({"step": 1})
    size = checkpoints.path.stat().st_size
    assert done == [("synced", size), ("replaced", size)]


# -- folders that can't be written to, and disks that are full -------------------------------


class _FullDisk:
    """``open`` for files that take some bytes and no more."""

    def __init__(self, monkeypatch, room):
        opened = Path.open

        def limited(path, mode="r", *args, **kwargs):
            file = opened(path, mode, *args, **kwargs)
            return _Limited(file, room) if "w" in mode else file

        monkeypatch.setattr(Path, "open", limited)


class _Limited:
    def __init__(self, file, room):
        self.file, self.room = file, room

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.file.close()

    def write(self, data):
        self.room -= len(memoryview(data).cast("B"))
        if self.room < 0:
            raise OSError(28, "No space left on device")
        return self.file.write(data)

    def __getattr__(self, name):
        return getattr(self.file, name)


@pytest.mark.parametrize("room", [0, 100, 5000])
def test_a_full_disk_is_warned_of_once_and_the_last_checkpoint_stays(
    room, checkpoints, monkeypatch
):
    checkpoints.save({"step": 1})
    _FullDisk(monkeypatch, room)
    with pytest.warns(UserWarning, match="could not be saved.*Training goes on") as caught:
        for step in (2, 3):
            checkpoints.save({"step": step, "weights": torch.zeros(10_000)})
    assert len(caught) == 1
    monkeypatch.undo()
    assert checkpoints.load()["step"] == 1
    assert len(list(checkpoints.path.parent.iterdir())) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        checkpoints.save({"step": 4})  # there is room again
    assert checkpoints.load()["step"] == 4


def test_a_folder_that_vanishes_is_made_again(checkpoints):
    checkpoints.save({"step": 1})
    shutil.rmtree(checkpoints.path.parent)
    checkpoints.save({"step": 2})
    assert checkpoints.load()["step"] == 2


def test_a_file_in_the_folders_place_is_warned_of(checkpoints):
    checkpoints.path.parent.parent.mkdir()
    checkpoints.path.parent.write_bytes(b"in the way")
    with pytest.warns(UserWarning, match="could not be saved"):
        checkpoints.save({"step": 1})
    assert checkpoints.path.parent.read_bytes() == b"in the way"


def test_a_folder_is_made_and_left_empty(tmp_path):
    check_folder(tmp_path / "deep" / "er")
    assert not list((tmp_path / "deep" / "er").iterdir())


@pytest.mark.parametrize("below", ["", "deep/er"])
def test_a_folder_that_cannot_be_made_is_named_with_the_remedy(below, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    folder = str(tmp_path / "file" / below)
    with pytest.raises(OSError, match=f"{re.escape(repr(folder))} cannot be written.*set checkpo"):
        check_folder(folder)


def test_a_disk_that_takes_nothing_is_found_by_writing_to_it(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.TemporaryFile", lambda dir: open("/dev/full", "wb"))  # noqa: SIM115
    with pytest.raises(OSError, match=r"No space left on device.*make room there"):
        check_folder(tmp_path)
