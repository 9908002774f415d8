import csv
import importlib
import json
import pathlib

import pytest

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"


@pytest.fixture
def report(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return importlib.import_module("race_report")


def to_rows(losses, pace=10.0):
    """The record of two networks with one test."""
    rows, best = [], 9.0
    for epoch, loss in enumerate(losses):
        best = min(best, loss)
        time = {"seconds": pace * (epoch + 1), "cpu_seconds": epoch + 1.0}
        figures = {"trial": 2 * epoch // len(losses), "best": best}
        rows.append({"what": "epoch", **time, **figures, "val_loss": loss})
    test = {"test_loss": best + 0.1, "test_accuracy": 0.5}
    return [*rows, {**rows[-1], "what": "trial", **test}]


def write(folder, name, rows):
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / f"{name}.jsonl").write_text(text)


@pytest.fixture
def runs(report, tmp_path):
    write(tmp_path, "self_tuning-0", to_rows([0.8, 0.5, 0.3, 0.4]))
    write(tmp_path, "self_tuning-1", to_rows([0.8, 0.7, 0.4, 0.5]))
    write(tmp_path, "bayesian-0", to_rows([0.9, 0.8, 0.6, 0.5, 0.7], 20.0))
    write(tmp_path, "self_tuning_fast-0", to_rows([0.8, 0.2]))
    (tmp_path / "tpe-0.jsonl").touch()
    return report.read_records(tmp_path)


def test_records_are_read_by_method_and_seed(runs):
    assert list(runs) == ["self_tuning", "bayesian", "self_tuning_fast"]
    assert list(runs["self_tuning"]) == [0, 1]
    assert len(runs["bayesian"][0]) == 6


def test_table_has_means_and_spread_and_the_file_every_run(
    report, runs, tmp_path
):
    text = report.write_table(runs, 3, "wall", tmp_path / "table.md")
    lines = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
    ]
    assert dict(zip(lines[0], lines[2])) == {
        "method": "self-tuning",
        "hyperparameters": "3",
        "runs": "2",
        "networks": "2 ± 0",
        "epochs": "4 ± 0",
        "seconds to best": "30 ± 0",
        "validation loss": "0.3500 ± 0.0707",
        "test loss": "0.4500 ± 0.0707",
        "test accuracy": "0.5000 ± 0.0000",
        "seconds": "40 ± 0",
    }
    with (tmp_path / "table.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["method"], row["seed"]) for row in rows] == [
        ("self_tuning", "0"),
        ("self_tuning", "1"),
        ("bayesian", "0"),
        ("self_tuning_fast", "0"),
    ]
    assert rows[2]["seconds to best"] == "80.0"


def test_seconds_may_be_those_of_the_processor(report, runs):
    figures = report.to_figures(runs["bayesian"][0], "cpu")
    assert figures["seconds to best"] == 4.0
    assert figures["seconds"] == 5.0


def test_sentence_says_when_self_tuning_was_as_good(report, runs):
    (sentence,) = report.compare(runs, "wall")
    assert sentence == (
        "Bayesian optimization (seed 0) has 0.5000 after 80 of 100 s; 2 of 2 "
        "runs of self-tuning are as low, after 25 s in the median: 0.31 of "
        "its time and 0.25 of its budget."
    )
    (sentence,) = report.compare(runs, "wall", "self_tuning_fast")
    assert "1 of 1 runs of self_tuning_fast are as low, after 20 s" in sentence
    runs["bayesian"][0][-2]["best"] = 0.1
    (sentence,) = report.compare(runs, "wall")
    assert sentence.endswith("0 of 2 runs of self-tuning are as low.")


def test_picture_is_drawn(report, runs, tmp_path):
    path = tmp_path / "race.png"
    report.draw(runs, "wall", "sample, 3 hyperparameters", path)
    content = path.read_bytes()
    assert content.startswith(b"\x89PNG")
    assert len(content) > 10_000
