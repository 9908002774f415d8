import csv
import pathlib
import runpy
import sys

import pytest

SCRIPT = pathlib.Path(__file__).parents[2] / "examples" / "quickstart.py"
RATES = ("dropout_conv_1", "dropout_conv_2", "dropout_dense")


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), *arguments])
    runpy.run_path(str(SCRIPT), run_name="__main__")


def read(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def test_it_compares_and_writes_schedule_table_and_picture(
    monkeypatch, tmp_path, capsys
):
    run(
        monkeypatch,
        *("--train-images", "200", "--validation-images", "100"),
        *("--epochs", "2", "--seeds", "2", "--output", str(tmp_path)),
    )
    rows = read(tmp_path / "schedule.csv")
    assert len(rows) == 2
    for name in RATES:
        assert 0.01 < float(rows[1][name]) < 0.2
        assert rows[0][name] != rows[1][name]
    table = read(tmp_path / "table.csv")
    methods = [row["method"] for row in table]
    assert methods == ["self-tuned"] * 2 + ["fixed at 0.05"] * 2
    # The seeds give different runs.
    assert table[0]["test loss"] != table[1]["test loss"]
    picture = (tmp_path / "schedule.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    text = capsys.readouterr().out
    assert "tuning_loss" in text
    assert "±" in text


@pytest.mark.parametrize(
    "arguments",
    [("--train-images", "0"), ("--validation-images", "5000")],
)
def test_more_images_than_there_are_get_a_sentence(
    monkeypatch, tmp_path, arguments
):
    with pytest.raises(SystemExit, match="must lie between 1 and"):
        run(monkeypatch, *arguments, "--output", str(tmp_path))
