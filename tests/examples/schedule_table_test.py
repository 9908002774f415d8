import csv
import importlib
import pathlib
import re
import sys

import pytest

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"
TINY = (
    *("--problem", "image", "--epochs", "1", "--train-size", "200"),
    *("--validation-size", "50", "--test-size", "50", "--batch-size", "50"),
    *("--grid", "0.2", "0.6"),
)


@pytest.fixture
def table(monkeypatch):
    """The script, as a module."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return importlib.import_module("schedule_table")


@pytest.fixture
def run(table, monkeypatch, tmp_path):
    """Calls the script; returns the folder that it writes to."""

    def run(*arguments):
        command = ["schedule_table.py", "--output", str(tmp_path), *arguments]
        monkeypatch.setattr(sys, "argv", command)
        table.main()
        return tmp_path

    return run


def read(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_all_rows_train_alike_and_known_runs_are_not_repeated(
    run, table, monkeypatch, capsys
):
    folder = run(*TINY)
    runs = read(folder / "results.csv")
    # The grid, and every other row of the table.
    assert len(runs) == 2 + len(table.ROWS) - 1
    assert {run["weight updates"] for run in runs} == {"4"}
    assert all(0 < float(run["test"]) < 10 for run in runs)
    schedule = read(folder / "schedule-image-0.csv")
    assert [row["step"] for row in schedule] == ["0", "2", "4"]
    (final,) = (run for run in runs if run["row"] == table.FINAL)
    expected = [
        f"{float(schedule[-1][name]):.3g}" for name in table.quickstart.RATES
    ]
    assert final["value"].split() == expected
    rows = read(folder / "table-image.csv")
    assert [row["dropout"] for row in rows] == list(table.ROWS)
    best = min(runs[:2], key=lambda run: float(run["validation"]))
    assert rows[0]["value"] == best["value"]
    assert float(rows[0]["test loss"]) == pytest.approx(
        float(best["test"]), abs=1e-4
    )
    # An interruption has torn the last line, and its run alone is done again.
    text = (folder / "results.csv").read_text()
    (folder / "results.csv").write_text(text[:-30])
    seeds = []
    train = table.Experiment.train

    def counted(self, seed, schedule):
        seeds.append((seed, type(schedule).__name__))
        return train(self, seed, schedule)

    monkeypatch.setattr(table.Experiment, "train", counted)
    run(*TINY)
    assert seeds == [(0, "Recorded")]
    assert len(read(folder / "results.csv")) == len(runs)
    with pytest.raises(SystemExit, match="runs with other settings"):
        run(*TINY, "--learning-rate", "0.1")
    assert table.FINAL in capsys.readouterr().out


def test_language_model_trains_at_a_fixed_output_dropout(table, tmp_path):
    arguments = table.with_defaults(
        table.parse_arguments(["--quick", "--output", str(tmp_path)]),
        table.Language,
    )
    for name, value in {"epochs": 1, "train_size": 1000, "units": 8}.items():
        setattr(arguments, name, value)
    problem = table.Language(arguments)
    experiment = table.Experiment(problem, arguments, None)
    schedule = table.stn.schedules.Fixed({"dropout_output": 0.3})
    figures = experiment.train(0, schedule)
    assert figures["weight updates"] == problem.updates == 3
    assert 1 < float(figures["test"]) < 1000


def test_table_shows_mean_and_standard_deviation(table):
    runs = [
        {"validation": "80", "test": "90.126", "seconds": "3", "value": "0.5"},
        {"validation": "82", "test": "92.126", "seconds": "5", "value": "0.5"},
    ]
    rows = table.to_table(table.Language, {"fixed": runs, "tuned": runs[:1]})
    assert rows[1] == ["fixed", "81.00 ± 1.41", "91.13 ± 1.41", "4 ± 1", "0.5"]
    assert rows[2][:3] == ["tuned", "80.00", "90.13"]
    lines = table.to_markdown(rows).splitlines()
    assert re.fullmatch(r"\|(-+\|){5}", lines[1])
    assert len({len(line) for line in lines}) == 1
    assert lines[2].startswith("| fixed   | 81.00 ± 1.41 ")


def test_data_of_one_problem_are_not_for_both(run, capsys):
    with pytest.raises(SystemExit):
        run("--data-dir", "somewhere")
    assert "--data-dir is for one --problem" in capsys.readouterr().err
