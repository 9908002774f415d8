import importlib
import json
import pathlib

import keras
import numpy as np
import pytest

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"
TEST = (np.zeros((4, 2), "float32"), np.zeros(4, "int32"))


@pytest.fixture
def race_recorder(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return importlib.import_module("race_recorder")


@pytest.fixture
def time(monkeypatch, race_recorder):
    """The seconds on the wall and of the processor, to be set."""
    seconds = {"wall": 0.0, "cpu": 0.0}
    monkeypatch.setattr(race_recorder, "now", lambda: tuple(seconds.values()))
    return seconds


class Network:
    """Stands for a network, of which the weights say how good it is."""

    stop_training = False

    def __init__(self):
        self.weights = ["untrained"]
        self.tested = []

    def get_weights(self):
        return list(self.weights)

    def set_weights(self, weights):
        self.weights = weights

    def evaluate(self, *_, **__):
        self.tested.append(self.weights)
        return {"cross_entropy": 0.75, "accuracy": 0.5}


def run_trial(recorder, time, losses, values=None):
    """Trains a network for an epoch of 2 seconds for each loss."""
    network = Network()
    recorder.begin_trial()
    for epoch, loss in enumerate(losses):
        time["wall"] += 2.0
        time["cpu"] += 1.0
        network.weights = [f"epoch {epoch}"]
        recorder.on_epoch(network, epoch, loss)
        if network.stop_training:
            break
    recorder.end_trial(network, values or {})
    return network


def read(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def start(race_recorder, path, budget=100.0, kind="wall"):
    recorder = race_recorder.Recorder(path, budget, kind, TEST)
    recorder.clock.start()
    return recorder


def test_clock_counts_neither_pauses_nor_what_comes_before_it(
    race_recorder, time
):
    time["wall"] = 50.0
    clock = race_recorder.Clock(5.0, seconds=1.0, cpu_seconds=2.0)
    time["wall"] = 60.0
    assert clock.used() == (1.0, 2.0)
    clock.start()
    time["wall"] = 63.0
    assert clock.used() == (4.0, 2.0)
    with clock.paused():
        time["wall"] = 163.0
    assert clock.used() == (4.0, 2.0)
    assert not clock.is_over
    time["wall"] = 164.0
    assert clock.is_over


def test_budget_may_be_of_the_processor(race_recorder, time):
    clock = race_recorder.Clock(5.0, "cpu")
    clock.start()
    time["wall"] = 99.0
    assert not clock.is_over
    time["cpu"] = 5.0
    assert clock.is_over


def test_best_epoch_so_far_is_tested_and_others_are_not(
    race_recorder, time, tmp_path
):
    path = tmp_path / "random-0.jsonl"
    recorder = start(race_recorder, path)
    first = run_trial(recorder, time, [0.9, 0.5, 0.7], {"rate": 0.25})
    assert first.tested == [["epoch 1"]]
    assert first.weights == ["epoch 2"]
    second = run_trial(recorder, time, [0.6])
    assert second.tested == []
    recorder.finish()
    rows = read(path)
    assert [row["what"] for row in rows] == (
        ["epoch"] * 3 + ["trial", "epoch", "trial", "end"]
    )
    assert [row["best"] for row in rows[:-1]] == [0.9, *[0.5] * 5]
    assert rows[3] == {
        "what": "trial",
        "trial": 0,
        "seconds": 6.0,
        "cpu_seconds": 3.0,
        "epochs": 3,
        "val_loss": 0.5,
        "best": 0.5,
        "is_cut": False,
        "values": {"rate": 0.25},
        "test_loss": 0.75,
        "test_accuracy": 0.5,
    }
    assert rows[5]["val_loss"] == 0.6
    assert "test_loss" not in rows[5]


def test_loss_that_is_not_a_number_is_never_the_best(
    race_recorder, time, tmp_path
):
    path = tmp_path / "random-0.jsonl"
    recorder = start(race_recorder, path)
    assert not run_trial(recorder, time, [float("nan")]).tested
    assert run_trial(recorder, time, [0.5]).tested
    assert recorder.best == 0.5


@pytest.mark.parametrize("kind, epochs", [("wall", 2), ("cpu", 4)])
def test_budget_ends_a_network_with_its_epoch(
    race_recorder, time, tmp_path, kind, epochs
):
    path = tmp_path / "random-0.jsonl"
    recorder = start(race_recorder, path, budget=4.0, kind=kind)
    network = run_trial(recorder, time, [0.5] * 9)
    recorder.finish()
    assert network.stop_training
    rows = read(path)
    assert sum(row["what"] == "epoch" for row in rows) == epochs
    assert rows[-2]["is_cut"]
    assert not rows[-1]["is_exhausted"]
    assert race_recorder.Recorder(path, 4.0, kind, TEST).is_done


def test_interrupted_record_goes_on_after_its_last_whole_network(
    race_recorder, time, tmp_path
):
    path = tmp_path / "random-0.jsonl"
    recorder = start(race_recorder, path)
    run_trial(recorder, time, [0.5, 0.6])
    whole = path.read_text()
    recorder.begin_trial()
    time["wall"] += 30.0
    recorder.on_epoch(Network(), 0, 0.4)
    with path.open("a") as file:
        file.write('{"what": "epo')
    resumed = race_recorder.Recorder(path, 100.0, "wall", TEST)
    assert path.read_text() == whole
    assert not resumed.is_done
    assert resumed.trials == 1
    assert resumed.best == 0.5
    assert resumed.clock.used() == (4.0, 2.0)


def test_more_budget_repeats_the_network_that_was_cut(
    race_recorder, time, tmp_path
):
    path = tmp_path / "random-0.jsonl"
    recorder = start(race_recorder, path, budget=5.0)
    run_trial(recorder, time, [0.5, 0.6])
    run_trial(recorder, time, [0.3, 0.2])
    recorder.finish()
    assert race_recorder.Recorder(path, 5.0, "wall", TEST).is_done
    resumed = race_recorder.Recorder(path, 50.0, "wall", TEST)
    assert not resumed.is_done
    assert resumed.trials == 1
    assert resumed.best == 0.5


def test_training_that_stopped_by_itself_is_done_for_any_budget(
    race_recorder, time, tmp_path
):
    path = tmp_path / "self_tuning-0.jsonl"
    recorder = start(race_recorder, path)
    run_trial(recorder, time, [0.5])
    recorder.finish()
    assert race_recorder.Recorder(path, 1e6, "wall", TEST).is_done


def test_network_is_trained_with_early_stopping(race_recorder, tmp_path):
    path = tmp_path / "random-0.jsonl"
    recorder = start(race_recorder, path)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
    metric = keras.metrics.SparseCategoricalCrossentropy(
        name="cross_entropy", from_logits=True
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    # Nothing becomes better at a learning rate of 0.
    model.compile(
        keras.optimizers.SGD(0.0),
        loss=loss,
        metrics=[metric, "accuracy"],
        run_eagerly=True,
    )
    history = race_recorder.train(
        model, lambda: {"rate": 0.5}, recorder, (TEST, TEST, TEST), 50
    )
    assert len(history.epoch) == race_recorder.PATIENCE + 1
    rows = read(path)
    assert rows[-1]["values"] == {"rate": 0.5}
    assert rows[-1]["epochs"] == len(history.epoch)
    assert rows[-1]["test_loss"] == pytest.approx(np.log(2), rel=1e-5)
