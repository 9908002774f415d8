import csv
import importlib
import pathlib
import sys

import keras
import pytest

import keras_stn as stn

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"
TINY = (
    *("--problem", "image", "--epochs", "1", "--train-size", "200"),
    *("--validation-size", "50", "--test-size", "50", "--batch-size", "50"),
    *("--grid", "0.2", "0.6"),
)


def build_small(rates, conv=None, dense=keras.layers.Dense):
    """A network with the quickstart's dropouts that costs next to nothing."""
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            keras.layers.AveragePooling2D(7),
            keras.layers.Flatten(),
            *map(stn.layers.Dropout, rates),
            dense(10),
        ]
    )


@pytest.fixture
def table(monkeypatch):
    """The script, as a module."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return importlib.import_module("schedule_table")


@pytest.fixture
def problems(table):
    return importlib.import_module("schedule_table_problems")


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


@pytest.mark.slow
def test_all_rows_train_alike_and_known_runs_are_not_repeated(
    run, table, problems, monkeypatch, capsys
):
    quickstart = problems.quickstart
    compile_arguments = quickstart.compile_arguments

    def eager():
        # For four steps a graph costs more than it saves.
        return {**compile_arguments(), "run_eagerly": True}

    monkeypatch.setattr(quickstart, "build_network", build_small)
    monkeypatch.setattr(quickstart, "compile_arguments", eager)
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
        f"{float(schedule[-1][name]):.3g}"
        for name in problems.Image.hyperparameters
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
    with pytest.raises(SystemExit, match="learning_rate 0.02, now 0.1"):
        run(*TINY, "--learning-rate", "0.1")
    assert table.FINAL in capsys.readouterr().out


@pytest.mark.slow
def test_language_model_trains_at_a_fixed_output_dropout(
    table, problems, tmp_path
):
    arguments = table.with_defaults(
        table.parse_arguments(["--quick", "--output", str(tmp_path)]),
        problems.Language,
    )
    for name, value in {"epochs": 1, "train_size": 1000, "units": 8}.items():
        setattr(arguments, name, value)
    problem = problems.Language(arguments)
    experiment = table.Experiment(problem, arguments, None)
    schedule = stn.schedules.Fixed({"dropout_output": 0.3})
    figures = experiment.train(0, schedule)
    assert figures["weight updates"] == problem.updates == 3
    assert 1 < float(figures["test"]) < 1000


def test_table_shows_mean_and_standard_deviation(table, problems):
    runs = [
        {"validation": "80", "test": "90.126", "seconds": "3", "value": "0.5"},
        {"validation": "82", "test": "92.126", "seconds": "5", "value": "0.5"},
    ]
    rows = table.to_table(problems.Language, {"fixed": runs, "tuned": runs[:1]})
    assert rows[1] == ["fixed", "81.00 ± 1.41", "91.13 ± 1.41", "4 ± 1", "0.5"]
    assert rows[2][:3] == ["tuned", "80.00", "90.13"]


def test_data_of_one_problem_are_not_for_both(run, capsys):
    with pytest.raises(SystemExit):
        run("--data-dir", "somewhere")
    assert "--data-dir is for one --problem" in capsys.readouterr().err
