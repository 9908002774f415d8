import numpy as np
import pytest
import tensorflow as tf

from keras_stn import backend
from keras_stn.callbacks.checkpoint_folder import LATEST
from keras_stn.callbacks.worker_folder import WorkerFolder
from keras_stn.callbacks.worker_folder import place


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """The folders of two workers, which run one after the other."""
    indices = iter(range(2))
    monkeypatch.setattr(backend, "worker", lambda _: (next(indices), 2))
    strategy = tf.distribute.get_strategy()
    folders = [WorkerFolder(tmp_path / "backup", strategy) for _ in range(2)]
    own = [
        [f.path / "checkpoint.npz", f.path / "checkpoint_previous.npz"]
        for f in folders
    ]
    monkeypatch.setattr(
        backend,
        "gather",
        lambda *_: np.array([[place(path) for path in paths] for paths in own]),
    )
    for folder in folders:
        folder.open()
    return folders


def write(folder, *places):
    for epoch, step in places:
        folder.write({"a/0": np.zeros(2)}, {"epoch": epoch, "step": step})


def read(folder):
    _, metadata, damage = folder.read()
    return metadata["epoch"], metadata["step"], damage


def test_each_worker_has_a_folder_in_the_common_one(folders):
    names = [
        folder.path.relative_to(folder.path.parents[1]) for folder in folders
    ]
    assert list(map(str, names)) == ["backup/worker_0", "backup/worker_1"]


def test_workers_at_one_place_resume_from_the_latest(folders):
    for folder in folders:
        write(folder, (0, 2), (0, 4))
    assert [read(folder) for folder in folders] == [(0, 4, None)] * 2


def test_a_worker_that_is_ahead_goes_back(folders):
    first, second = folders
    write(first, (0, 4), (0, None))
    write(second, (0, 2), (0, 4))
    assert read(first) == read(second) == (0, 4, None)
    # The next one shall not take the place of the one resumed from.
    write(first, (0, None))
    assert read(first) == (0, 4, None)


def test_the_end_of_an_epoch_is_later_than_its_steps(folders):
    for folder in folders:
        write(folder, (0, 400), (0, None))
    assert [read(folder)[:2] for folder in folders] == [(0, None)] * 2


def test_training_begins_anew_before_the_first_checkpoint_of_all(folders):
    write(folders[0], (0, 2))
    assert [folder.read() for folder in folders] == [None, None]


def test_a_damaged_checkpoint_gives_way_to_the_one_before(folders):
    first, second = folders
    for folder in folders:
        write(folder, (0, 2), (0, 4))
    (first.path / LATEST).write_bytes(b"damaged")
    assert read(second) == (0, 2, None)
    epoch, step, damage = read(first)
    assert (epoch, step) == (0, 2)
    assert "is damaged" in damage


def test_workers_without_a_common_checkpoint_are_refused(folders):
    write(folders[0], (0, 2), (0, 4))
    for folder in folders:
        with pytest.raises(ValueError, match=r"checkpoints \[2, 0\]"):
            folder.read()


def test_the_last_worker_deletes_the_common_folder(folders):
    for folder in folders:
        write(folder, (0, 2))
    common = folders[0].path.parent
    folders[0].delete()
    assert common.exists()
    folders[1].delete()
    assert not common.exists()
