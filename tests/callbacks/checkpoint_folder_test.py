import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import ops

from keras_stn.callbacks import checkpoint_folder
from keras_stn.callbacks.checkpoint_folder import CheckpointFolder
from keras_stn.models import training_state


def make(path, *numbers, **kwargs):
    folder = CheckpointFolder(path, **kwargs)
    folder.open()
    for number in numbers:
        folder.write({"a/0": np.arange(3) + number}, {"number": number})
    return folder


def number(folder):
    return folder.read()[1]["number"]


def test_what_is_written_is_read(tmp_path):
    arrays, metadata, damage = make(tmp_path / "new" / "folder", 5).read()
    assert arrays.keys() == {"a/0"}
    np.testing.assert_array_equal(arrays["a/0"], [5, 6, 7])
    assert (metadata, damage) == ({"number": 5}, None)


def test_an_empty_folder_has_no_checkpoint(tmp_path):
    assert make(tmp_path).read() is None


def test_the_latest_and_the_one_before_are_kept(tmp_path):
    folder = make(tmp_path, 1, 2, 3)
    assert len(os.listdir(tmp_path)) == 2
    assert number(folder) == 3
    (tmp_path / checkpoint_folder.LATEST).unlink()
    assert folder.read()[1:] == ({"number": 2}, None)


def test_one_is_kept_if_one_is_asked_for(tmp_path):
    make(tmp_path, 1, 2, keeps_previous=False)
    assert os.listdir(tmp_path) == [checkpoint_folder.LATEST]


def test_a_damaged_one_does_not_replace_the_one_before(tmp_path):
    folder = make(tmp_path, 1, 2)
    (tmp_path / checkpoint_folder.LATEST).write_bytes(b"")
    assert "is damaged" in folder.read()[2]
    folder.write({}, {"number": 3})
    (tmp_path / checkpoint_folder.LATEST).unlink()
    assert number(folder) == 1


def test_a_folder_without_permission_is_refused(tmp_path):
    # Root may write anywhere.
    drop = "os.setuid(65534)" if os.getuid() == 0 else ""
    tmp_path.chmod(0o500)
    code = (
        "import os, runpy, sys; module = runpy.run_path(sys.argv[1]); "
        f"{drop}; module['CheckpointFolder'](sys.argv[2]).open()"
    )
    path = pathlib.Path(checkpoint_folder.__file__)
    process = subprocess.run(
        [sys.executable, "-c", code, path, tmp_path / "backup"],
        capture_output=True,
        text=True,
    )
    tmp_path.chmod(0o700)
    assert "OSError: `backup_dir` cannot be written to" in process.stderr
    assert "Permission denied" in process.stderr


def test_a_full_disk_leaves_what_there_is(tmp_path, monkeypatch):
    folder = make(tmp_path, 1, 2)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}

    def fail(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space"):
        folder.write({"a": np.zeros(1000)}, {"number": 3})
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16", "uint32"])
def test_variables_of_every_dtype_keep_their_bits(tmp_path, dtype):
    values = ops.cast(np.array([[0.1, 2.7], [300.0, 0.0]]), dtype)
    array = ops.convert_to_numpy(values)
    folder = make(tmp_path)
    folder.write({"a": training_state.to_plain(array)}, {})
    found = training_state.from_plain(folder.read()[0]["a"], dtype)
    variable = keras.Variable(np.zeros((2, 2)), dtype=dtype)
    variable.assign(found)
    assert ops.convert_to_numpy(variable).tobytes() == array.tobytes()
