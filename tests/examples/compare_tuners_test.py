import csv
import importlib
import json
import pathlib
import subprocess
import sys

import pytest

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"

pytestmark = [
    # KerasTuner names threads in the manner of Python 3.9.
    pytest.mark.filterwarnings("ignore:currentThread:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:getName:DeprecationWarning"),
]


@pytest.fixture
def race(monkeypatch):
    """Races with next to no data, in this process."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    module = importlib.import_module("compare_tuners")
    problems = importlib.import_module("race_problems")
    monkeypatch.setitem(problems.SIZES, "sample", (200, 100, 100))
    monkeypatch.setattr(problems, "FILTERS", {1: (2, 2), 3: (2, 2, 2)})
    compile_arguments = problems.Problem.compile_arguments
    # Making graphs takes longer than a few steps without.
    monkeypatch.setattr(
        problems.Problem,
        "compile_arguments",
        lambda self: compile_arguments(self) | {"run_eagerly": True},
    )
    monkeypatch.setattr(module.signal, "signal", lambda *_: None)

    def run(command, check):
        set_arguments(monkeypatch, *command[2:])
        module.main()

    monkeypatch.setattr(module.subprocess, "run", run)
    return module


def set_arguments(monkeypatch, *arguments):
    command = [str(EXAMPLES / "compare_tuners.py"), *arguments]
    monkeypatch.setattr(sys, "argv", command)


def read(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_search_and_self_tuning_race_and_a_second_start_repeats_nothing(
    race, monkeypatch, tmp_path, capsys
):
    pytest.importorskip("keras_tuner")
    pytest.importorskip("tensorboard")
    arguments = ("--out", str(tmp_path), "--epochs", "2", "--methods")
    set_arguments(monkeypatch, *arguments, "random", "--budget", "0.05")
    race.main()
    arguments = (*arguments, "random", "self_tuning", "--budget", "0.05")
    set_arguments(monkeypatch, *arguments[:5], "self_tuning", "fixed")
    race.main()
    random = read(tmp_path / "records" / "random-0.jsonl")
    tuned = read(tmp_path / "records" / "self_tuning-0.jsonl")
    assert random[-1]["what"] == tuned[-1]["what"] == "end"
    # The search spends its budget, and two epochs are soon over.
    assert random[-1]["seconds"] >= 3
    assert tuned[-1]["is_exhausted"]
    (trial,) = (row for row in tuned if row["what"] == "trial")
    assert set(trial["values"]) == {"dropout_1", "dropout_2", "dropout_dense"}
    assert trial["epochs"] == 2
    assert 0 < trial["test_loss"] < 10
    fixed = read(tmp_path / "records" / "fixed-0.jsonl")
    assert fixed[-2]["values"] == dict.fromkeys(trial["values"], 0.225)
    assert fixed[-2]["epochs"] == 2 and fixed[-1]["is_exhausted"]
    schedule = tmp_path / "searches" / "self_tuning-0" / "trial_0"
    with (schedule / "schedule.csv").open() as file:
        # The start and two epochs.
        assert len(list(csv.DictReader(file))) == 3
    assert (tmp_path / "race.png").exists()
    text = capsys.readouterr().out
    assert (tmp_path / "table.md").read_text() in text
    assert "runs of self-tuning are as low" in text

    set_arguments(monkeypatch, *arguments)
    race.main()
    assert read(tmp_path / "records" / "random-0.jsonl") == random
    assert read(tmp_path / "records" / "self_tuning-0.jsonl") == tuned

    set_arguments(monkeypatch, *arguments, "--clock", "cpu")
    with pytest.raises(SystemExit, match="clock wall, now cpu"):
        race.main()
    set_arguments(monkeypatch, *arguments, "--start", "2")
    with pytest.raises(SystemExit, match=r"start 1\.0, now 2\.0"):
        race.main()


def run_search(race, monkeypatch, folder, method, trials):
    """Lets a search train so many networks, then spends its budget."""
    options = ("--out", str(folder), "--epochs", "2", "--methods", method)
    set_arguments(monkeypatch, *options)
    arguments = race.parse_arguments()
    race.prepare(arguments)
    clock = importlib.import_module("race_recorder").Clock
    recorder = importlib.import_module("race_recorder").Recorder
    counts = {"epochs": 0}

    def on_epoch(self, model, epoch, value, inner=recorder.on_epoch):
        counts["epochs"] += 1
        inner(self, model, epoch, value)

    monkeypatch.setattr(recorder, "on_epoch", on_epoch)
    monkeypatch.setattr(
        clock,
        "is_over",
        property(lambda self: counts["epochs"] > 2 * trials),
    )
    race.run_one(arguments, method, 0)
    return read(folder / "records" / f"{method}-0.jsonl")


@pytest.mark.parametrize(
    "method, module",
    [
        pytest.param("grid", "keras_tuner", marks=pytest.mark.slow),
        ("tpe", "optuna"),
    ],
)
def test_interrupted_search_repeats_the_network_that_was_cut(
    race, monkeypatch, tmp_path, method, module
):
    pytest.importorskip(module)
    with monkeypatch.context() as patch:
        before = run_search(race, patch, tmp_path, method, trials=0)
    trials = [row for row in before if row["what"] == "trial"]
    assert [row["is_cut"] for row in trials] == [True]
    with monkeypatch.context() as patch:
        after = run_search(race, patch, tmp_path, method, trials=1)
    again = [row for row in after if row["what"] == "trial"]
    assert [row["is_cut"] for row in again] == [False, True]
    assert again[0]["values"] == trials[0]["values"]
    assert again[1]["values"] != again[0]["values"]


@pytest.mark.slow
def test_population_shares_one_clock_and_keeps_to_the_ranges(tmp_path):
    pytest.importorskip("ray")
    sizes = ("--train-size", "200", "--validation-size", "100")
    subprocess.run(
        [
            *(sys.executable, str(EXAMPLES / "compare_tuners.py")),
            *("--methods", "pbt", "--out", str(tmp_path), *sizes),
            *("--budget", "0.8", "--clock", "cpu"),
        ],
        check=True,
    )
    rows = read(tmp_path / "records" / "pbt-0.jsonl")
    assert rows[-1]["what"] == "end"
    times = [row["cpu_seconds"] for row in rows]
    assert times == sorted(times)
    assert times[-1] >= 48
    turns = [row for row in rows if row["what"] == "trial"]
    # Eight take turns.
    assert [row["trial"] for row in turns[:8]] == [*range(8)]
    assert {row["trial"] for row in turns[8:16]} <= set(range(8))
    values = {}
    for row in turns:
        assert row["epochs"] == 5 or row["is_cut"]
        assert all(0.0 <= rate <= 0.9 for rate in row["values"].values())
        values.setdefault(row["trial"], []).append(row["values"])
    # Some network took over the values of another, changed.
    assert any(len({*map(str, many)}) > 1 for many in values.values())


def test_grid_has_every_combination_once(race):
    pytest.importorskip("keras_tuner")
    searches = importlib.import_module("race_keras_tuner")
    ranges = importlib.import_module("race_problems").GREY_3
    oracle = searches.GridOracle(ranges, objective="val_loss", seed=1)
    answers = [oracle.populate_space(f"{i:04d}") for i in range(28)]
    assert {answer["status"] for answer in answers[:27]} == {"RUNNING"}
    assert answers[27] == {"status": "STOPPED", "values": None}
    points = [tuple(answer["values"].values()) for answer in answers[:27]]
    assert len(set(points)) == 27
    assert {value for point in points for value in point} == {
        ranges["dropout_1"].from_unit(level) for level in searches.LEVELS
    }
    assert points != sorted(points)


def test_missing_library_gets_a_sentence(race, monkeypatch):
    monkeypatch.setattr(race.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(
        SystemExit, match=r"`pip install optuna`.*Received: --methods tpe$"
    ):
        race.check_installed(["tpe"])


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("--dataset", "brown", "--hyperparameters", "11"), "has 3 hyper"),
        (("--budget", "0"), "--budget must be positive"),
        (("--seeds", "0"), "--seeds must be at least 1"),
    ],
)
def test_bad_option_gets_a_sentence(
    race, monkeypatch, capsys, arguments, message
):
    set_arguments(monkeypatch, *arguments)
    with pytest.raises(SystemExit):
        race.main()
    assert message in capsys.readouterr().err
