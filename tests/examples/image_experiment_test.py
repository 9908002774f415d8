import csv
import json
import pathlib
import runpy
import sys

import numpy as np
import pytest

from keras_stn.datasets import cifar10
from keras_stn.datasets import fashion_mnist

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"


@pytest.fixture(autouse=True)
def few_images(monkeypatch):
    """Noise in place of the data sets, which are not at hand."""

    def loader(shape, dtype, white):
        def load(data_dir=None):
            random = np.random.default_rng(0)
            return tuple(
                (
                    random.uniform(0, white, (size, *shape)).astype(dtype),
                    random.integers(0, 10, size).astype("int32"),
                )
                for size in (300, 200, 100)
            )

        return load

    monkeypatch.setattr(cifar10, "load", loader((32, 32, 3), "uint8", 255))
    monkeypatch.setattr(
        fashion_mnist, "load", loader((28, 28, 1), "float32", 1)
    )
    monkeypatch.syspath_prepend(str(EXAMPLES))


def run(monkeypatch, script, *arguments):
    path = EXAMPLES / script
    monkeypatch.setattr(sys, "argv", [str(path), *arguments])
    runpy.run_path(str(path), run_name="__main__")


def read(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def test_tuned_run_and_both_baselines_write_what_they_say(
    monkeypatch, tmp_path, capsys
):
    tuned, fixed = tmp_path / "tuned", tmp_path / "fixed"
    run(
        monkeypatch,
        "cifar10.py",
        *("--model", "small_cnn", "--epochs", "2", "--warmup-epochs", "1"),
        *("--train-images", "256", "--output", str(tuned)),
        *("--hyper-learning-rate", "0.1"),
    )
    log = read(tuned / "log.csv")
    assert [float(row["hue"]) for row in log][0] == pytest.approx(0.1)
    assert float(log[1]["hue"]) != pytest.approx(0.1, abs=1e-4)
    (figures,) = read(tuned / "figures.csv")
    losses = [float(row["val_loss"]) for row in log]
    assert float(figures["validation loss"]) == pytest.approx(min(losses))
    assert int(figures["best epoch"]) == 1 + int(np.argmin(losses))
    assert int(figures["training images"]) == 256
    values = json.loads((tuned / "values.json").read_text())
    best = log[int(np.argmin(losses))]
    for name, value in values.items():
        assert value == pytest.approx(float(best[name]), rel=1e-5)
    assert len(values) == 11
    for picture in ("schedules.png", "augmented.png"):
        assert (tuned / picture).read_bytes().startswith(b"\x89PNG")
    assert "cutout_holes" in capsys.readouterr().out
    run(
        monkeypatch,
        "cifar10.py",
        *("--baseline", str(tuned / "values.json"), "--epochs", "1"),
        *("--train-images", "128", "--output", str(fixed)),
    )
    assert "tuning_loss" not in read(fixed / "log.csv")[0]
    assert not (fixed / "schedules.png").exists()


def test_quick_run_takes_few_images_and_epochs(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    run(
        monkeypatch,
        "fashion_mnist.py",
        *("--quick", "--model", "mlp", "--train-images", "128"),
        *("--validation-images", "64", "--test-images", "50"),
        *("--epochs", "1", "--baseline", "start"),
    )
    folder = tmp_path / "results" / "fashion-mnist-mlp-fixed-start"
    (figures,) = read(folder / "figures.csv")
    assert figures["epochs"] == "1"
    assert figures["training images"] == "128"


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("--epochs", "0"), "--epochs must be at least 1"),
        (("--baseline", "none.json"), "--baseline must be"),
        (("--model", "lenet"), "invalid choice"),
    ],
)
def test_bad_option_gets_a_sentence(monkeypatch, capsys, arguments, message):
    with pytest.raises(SystemExit):
        run(monkeypatch, "cifar10.py", *arguments)
    assert message in capsys.readouterr().err


def test_more_images_than_there_are_get_a_sentence(monkeypatch, tmp_path):
    with pytest.raises(SystemExit, match="--train-images must lie between"):
        run(
            monkeypatch,
            "cifar10.py",
            *("--train-images", "301", "--output", str(tmp_path)),
        )


def test_gallery_draws_its_pictures(monkeypatch, tmp_path):
    run(monkeypatch, "augmentation_gallery.py", "--output", str(tmp_path))
    for picture in ("layers.png", "relaxation.png"):
        assert (tmp_path / picture).read_bytes().startswith(b"\x89PNG")


def test_benchmark_compares_with_pil_and_keras(monkeypatch, capsys):
    run(
        monkeypatch,
        "benchmarks/augmentation.py",
        *("--batch-size", "4", "--rounds", "1", "--repeats", "1"),
    )
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5
    assert lines[1].startswith("PIL, an image at a time")
    assert lines[1].endswith(" 1.0")
