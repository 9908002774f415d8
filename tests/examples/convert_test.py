import importlib
import json
import pathlib
import sys

import keras
import numpy as np
import pytest

from keras_stn.datasets import cifar10
from keras_stn.schedules.records import read_records

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"
TINY = (
    *("--train-size", "64", "--validation-size", "32", "--test-size", "32"),
    *("--widths", "2", "--batch-size", "32", "--epochs", "1"),
)
NAMES = ["random_rotation", "random_zoom_height", "dropout", "dropout_1"]


@pytest.fixture
def convert(monkeypatch):
    """The script, as a module."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return importlib.import_module("convert")


@pytest.fixture
def run(convert, monkeypatch, tmp_path):
    """Calls the script; returns the folder that it writes to."""

    def run(*arguments):
        command = ["convert.py", "--output", str(tmp_path), *arguments]
        monkeypatch.setattr(sys, "argv", command)
        convert.main()
        return tmp_path

    return run


def read_run(folder, name):
    return json.loads((folder / "runs" / f"{name}.json").read_text())


@pytest.mark.slow
def test_runs_are_compared_and_known_ones_not_repeated(
    run, convert, monkeypatch, capsys
):
    folder = run(*TINY)
    untuned, tuned = (
        read_run(folder, f"{method}-0") for method in ("untuned", "self-tuned")
    )
    assert list(tuned["values"]) == NAMES
    assert "random_rotation     0.1" in capsys.readouterr().out
    schedule = read_records(folder / "schedule-0.csv")
    for name, values in tuned["values"].items():
        assert values["start"] == pytest.approx(schedule[name][0])
        assert values["best"] == pytest.approx(schedule[name][-1])
        assert values["start"] != values["best"]
    # The figures are those of the saved network, which is Keras's alone.
    network = keras.models.load_model(
        folder / "self-tuned-0.keras", compile=False
    )
    assert all(
        type(layer).__module__.startswith("keras.") for layer in network.layers
    )
    x, y = convert.fashion_mnist.load_sample()[2]
    logits = network.predict(255 * x[:32], verbose=0)
    accuracy = np.mean(logits.argmax(axis=1) == y[:32])
    assert tuned["test accuracy"] == pytest.approx(accuracy)
    for picture in ("losses.png", "schedule.png"):
        assert (folder / picture).read_bytes().startswith(b"\x89PNG")
    done = []

    def train(method, seed, data, arguments):
        done.append((method, seed))
        known = untuned if method == "untuned" else tuned
        return {**known, "seed": seed, "test loss": known["test loss"] + 2}

    monkeypatch.setattr(convert, "train", train)
    (folder / "runs" / "untuned-0.json").unlink()
    run(*TINY)
    assert done == [("untuned", 0)]
    run(*TINY, "--first-seed", "3")
    assert done[1:] == [("untuned", 3), ("self-tuned", 3)]
    # Both seeds are in the table.
    lines = (folder / "table.md").read_text().splitlines()
    assert lines[0].split("|")[1].strip() == "network"
    assert f"{tuned['test loss'] + 1:.4f} ± 1.4142" in lines[3]
    with pytest.raises(SystemExit, match="epochs 1, now 2"):
        run(*TINY, "--epochs", "2")


def test_network_consists_of_keras_layers(convert):
    model = convert.build_model((28, 28, 1), [2])
    assert all(
        type(layer).__module__.startswith("keras.") for layer in model.layers
    )
    assert float(model.optimizer.learning_rate) == pytest.approx(1e-3)


def test_cifar10_is_cut(convert, monkeypatch):
    part = np.zeros((20_000, 1)), np.zeros(20_000)
    monkeypatch.setattr(cifar10, "load", lambda data_dir: (part,) * 3)
    monkeypatch.setattr(sys, "argv", ["convert.py", "--dataset", "cifar10"])
    parts = convert.load(convert.parse_arguments())
    assert [len(x) for x, _ in parts] == [10_000, 2_500, 20_000]


def test_no_seed_gets_a_sentence(run, capsys):
    with pytest.raises(SystemExit):
        run("--seeds", "0")
    assert "--seeds must be at least 1" in capsys.readouterr().err
