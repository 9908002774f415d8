import csv
import pathlib
import runpy
import sys

import numpy as np
import pytest

from keras_stn.datasets import language

SCRIPT = pathlib.Path(__file__).parents[2] / "examples" / "transformer_text.py"
SMALL = ("--dim", "8", "--heads", "2", "--feed-forward", "8", "--length", "8")


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), *arguments])
    monkeypatch.syspath_prepend(SCRIPT.parent)
    return runpy.run_path(str(SCRIPT), run_name="__main__")


def read(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def write_files(folder):
    text = "a dog sees <unk> dogs\nthe dogs see a dog\n"
    for part, times in (("train", 100), ("valid", 20), ("test", 20)):
        (folder / f"{part}.txt").write_text(text * times, encoding="utf-8")


@pytest.mark.slow
def test_it_compares_and_writes_schedule_table_and_picture(
    monkeypatch, tmp_path, capsys
):
    write_files(tmp_path)
    output = tmp_path / "output"
    run(
        monkeypatch,
        *("--data-dir", str(tmp_path), "--output", str(output)),
        *("--quick", "--blocks", "1", *SMALL),
    )
    rows = read(output / "schedule.csv")
    assert len(rows) == 2
    for part in ("input", "attention_1", "residual_1", "output"):
        rates = [float(row[f"dropout_{part}"]) for row in rows]
        assert 0.01 < rates[1] < 0.2
        assert rates[0] != rates[1]
    table = read(output / "table.csv")
    methods = [row["method"] for row in table]
    assert methods == ["self-tuned", "fixed at 0.05"]
    # The text has seven words.
    assert all(1 < float(row["test perplexity"]) < 7 for row in table)
    picture = (output / "schedule.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    assert "tuning_loss" in capsys.readouterr().out


def test_grammar_is_a_text_and_the_same_on_every_call(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(SCRIPT.parent)
    script = runpy.run_path(str(SCRIPT))
    corpora = []
    for name in ("one", "other"):
        script["write_text"](tmp_path / name)
        corpora.append(language.load(tmp_path / name))
    one, other = corpora
    np.testing.assert_array_equal(one.train, other.train)
    assert 150 < len(one.vocabulary) < 200
    assert len(one.train) > 10 * len(one.vocabulary)


def test_dim_that_heads_do_not_divide_gets_a_sentence(
    monkeypatch, tmp_path, capsys
):
    with pytest.raises(SystemExit):
        run(monkeypatch, "--heads", "3", "--output", str(tmp_path))
    assert "--dim must be a multiple of --heads" in capsys.readouterr().err
