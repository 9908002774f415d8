import os

import numpy as np
import pytest

from keras_stn.schedules.records import read_records
from keras_stn.schedules.schedule_file import ScheduleFile
from keras_stn.schedules.schedule_file import to_cell

COLUMNS = ["step", "entropy", "rate", "rate_scale"]
SUFFIXES = pytest.mark.parametrize("suffix", [".csv", ".jsonl"])


def write(file, *steps, **further):
    for step in steps:
        row = {"step": step, "rate": step / 7, "rate_scale": 0.5}
        file.write(row | further)


def make_file(path, *steps):
    file = ScheduleFile(path)
    file.begin(COLUMNS, 0)
    write(file, *steps)
    return file


def test_every_float32_is_read_back_bit_for_bit():
    bits = np.random.default_rng(0).integers(0, 2**32, 20000, "uint32")
    numbers = bits.view("float32")
    numbers = numbers[np.isfinite(numbers)]
    cells = [repr(to_cell(float(number))) for number in numbers]
    np.testing.assert_array_equal(np.array(cells, "float32"), numbers)
    assert to_cell(float(np.float32(0.1))) == 0.1
    assert to_cell(0.1) == 0.1
    assert to_cell(np.inf) is to_cell(np.nan) is None
    assert repr(to_cell(3)) == "3"


@SUFFIXES
def test_a_row_of_the_same_step_replaces_the_last_one(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    file = make_file(path, 0, 1000000)
    write(file, 1000000, rate=0.5)
    write(file, 1000001)
    records = read_records(path)
    assert records["step"].tolist() == [0, 1000000, 1000001]
    assert records["rate"][1] == 0.5


@SUFFIXES
def test_a_new_column_stands_before_the_entropy(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    file = make_file(path, 0, 1)
    write(file, 1, 2, loss=0.25)
    records = read_records(path)
    assert list(records) == ["step", "loss", *COLUMNS[1:]]
    np.testing.assert_array_equal(records["loss"], [np.nan, 0.25, 0.25])


@SUFFIXES
def test_a_failure_to_replace_the_file_leaves_it_as_it_was(
    tmp_path, suffix, monkeypatch
):
    def fail(source, target):
        raise OSError(28, "No space left on device")

    path = tmp_path / f"a{suffix}"
    file = make_file(path, 0, 1)
    text = path.read_text()
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", fail)
        with pytest.raises(OSError, match="No space"):
            write(file, 2, loss=0.25)
        with pytest.raises(OSError, match="No space"):
            ScheduleFile(path).begin(COLUMNS, 0)
    assert path.read_text() == text
    assert os.listdir(tmp_path) == [path.name]
    write(file, 3, loss=0.25)
    assert read_records(path)["step"].tolist() == [0, 1, 3]


@SUFFIXES
@pytest.mark.parametrize("kept", [0, 1, 20])
def test_whatever_is_left_of_the_last_line_training_goes_on(
    tmp_path, suffix, kept
):
    path = tmp_path / f"a{suffix}"
    make_file(path, 0, 5, 10)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-1]) + lines[-1][:kept])
    file = ScheduleFile(path)
    file.begin(COLUMNS, 10)
    assert file.last_step == 5
    write(file, 10)
    assert path.read_bytes() == b"".join(lines)


def test_an_empty_file_and_one_of_a_header_are_begun_anew(tmp_path):
    path = tmp_path / "a.csv"
    for text in ("", "other,columns\n"):
        path.write_text(text)
        file = ScheduleFile(path)
        file.begin(COLUMNS, 5)
        assert file.last_step is None
        assert path.read_text() == ",".join(COLUMNS) + "\n"


def test_a_link_to_the_file_stays_one(tmp_path):
    (tmp_path / "link.csv").symlink_to(tmp_path / "a.csv")
    make_file(tmp_path / "link.csv", 0)
    assert (tmp_path / "link.csv").is_symlink()
    assert read_records(tmp_path / "a.csv")["step"].tolist() == [0]
