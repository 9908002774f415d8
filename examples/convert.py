"""Let an ordinary Keras network tune itself, by one added line.

    python examples/convert.py

trains a convolutional network of Keras's layers alone, `build_model`, twice:
as it is, and made self-tuning by

    model = stn.SelfTuningModel.from_keras(model)

between `compile` and `fit`. Data, seeds, epochs and batches are the same, and
both keep the weights of the epoch that validates best. The tuned network is
turned back into an ordinary one by `to_keras`, saved, loaded and tested. It
trains on a sample of Fashion-MNIST that ships with the package, needs no
network and takes less than three minutes on two cores. It prints what became
tunable and a table, and writes pictures of the schedule and of the validation
losses.

    python examples/convert.py --dataset cifar10 --data-dir DIR --seeds 3

does the same on CIFAR-10, from TensorFlow Datasets.

Every run is written to `runs/` when it ends. Call the same command again to go
on where it was interrupted, or with other seeds to add to them; processes with
different seeds may write to the same folder.
"""

import argparse
import json
import os
import pathlib
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from quickstart import first
from quickstart import with_spread
from run_table import check_settings
from run_table import save_table

import keras_stn as stn
from keras_stn.datasets import cifar10
from keras_stn.datasets import fashion_mnist
from keras_stn.plotting.schedule_figure import COLORS

UNTUNED, TUNED = "untuned", "self-tuned"
# Columns of the table, and the digits they are printed with.
FIGURES = {
    "validation loss": 4,
    "test loss": 4,
    "test accuracy": 4,
    "seconds": 0,
}
DEFAULTS = {
    "sample": {"widths": [8, 16, 32], "epochs": 30},
    "cifar10": {
        "widths": [16, 32, 64],
        "epochs": 40,
        "train_size": 10_000,
        "validation_size": 2_500,
    },
}
# Runs that differ in these belong together all the same.
FREE = ("seeds", "first_seed", "data_dir", "output")


def build_model(input_shape, widths):
    """An ordinary Keras network for images, compiled.

    Args:
        input_shape: Tuple `(height, width, channels)`; pixels lie between 0
            and 255.
        widths: List of integers, the filters of each convolution.
    """
    model = keras.Sequential(
        [
            keras.Input(input_shape),
            keras.layers.RandomFlip("horizontal"),
            keras.layers.RandomRotation(0.1),
            keras.layers.RandomZoom(0.1),
            keras.layers.Rescaling(1 / 255),
        ]
    )
    for filters in widths:
        model.add(
            keras.layers.Conv2D(filters, 3, padding="same", activation="relu")
        )
        model.add(keras.layers.MaxPooling2D())
    model.add(keras.layers.Dropout(0.2))
    model.add(keras.layers.Flatten())
    model.add(keras.layers.Dense(widths[-1], activation="relu"))
    model.add(keras.layers.Dropout(0.2))
    model.add(keras.layers.Dense(10))
    model.compile(
        optimizer="adam",
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return model


def train(method, seed, data, arguments):
    """One run, from the network to its figures.

    Args:
        method: String, `UNTUNED` or `TUNED`.
        seed: Integer.
        data: The training, validation and test data.
        arguments: The command line's arguments.

    Returns:
        Dictionary that can be written as JSON.
    """
    training, validation, test = data
    print(f"\nSeed {seed}, {method}", flush=True)
    # Names of layers, and so of hyperparameters, count from the start.
    keras.utils.clear_session()
    keras.utils.set_random_seed(seed)
    model = build_model(training[0].shape[1:], arguments.widths)
    callbacks = [
        keras.callbacks.EarlyStopping(
            patience=arguments.epochs, restore_best_weights=True
        )
    ]
    if method == TUNED:
        model = stn.SelfTuningModel.from_keras(model, preset=arguments.preset)
        callbacks.append(
            stn.callbacks.ScheduleLogger(
                schedule_path(arguments.output, seed), freq="batch"
            )
        )
    begin = time.perf_counter()
    history = model.fit(
        *training,
        batch_size=arguments.batch_size,
        epochs=arguments.epochs,
        validation_data=validation,
        verbose=2,
        callbacks=callbacks,
    ).history
    seconds = time.perf_counter() - begin
    values = {}
    if method == TUNED:
        # With the weights, the best epoch's values have come back.
        values = {
            name: {"start": start, "best": model.hyperparameter_values()[name]}
            for name, start, _ in model.conversion_summary().tunable
        }
        path = arguments.output / f"{method}-{seed}.keras"
        model.to_keras().save(path)
        model = keras.models.load_model(path)
    figures = model.evaluate(*test, verbose=0, return_dict=True)
    return {
        "method": method,
        "seed": seed,
        "validation loss": min(history["val_loss"]),
        "best epoch": 1 + int(np.argmin(history["val_loss"])),
        "test loss": figures["loss"],
        "test accuracy": figures["accuracy"],
        "seconds": seconds,
        "values": values,
        "validation losses": history["val_loss"],
    }


def schedule_path(folder, seed):
    return folder / f"schedule-{seed}.csv"


def run_if_missing(method, seed, data, arguments):
    """One run, which is written when it ends, unless it is there."""
    path = arguments.output / "runs" / f"{method}-{seed}.json"
    if not path.exists():
        run = train(method, seed, data, arguments)
        # Renamed when complete, lest an interruption leaves half a file.
        part = path.with_suffix(".part")
        part.write_text(json.dumps(run, indent=2) + "\n", encoding="utf-8")
        part.rename(path)


def read_runs(folder):
    """All runs of a folder: lists by their method, in the order of seeds."""
    runs = {UNTUNED: [], TUNED: []}
    for path in (folder / "runs").glob("*.json"):
        run = json.loads(path.read_text(encoding="utf-8"))
        runs[run["method"]].append(run)
    for of_method in runs.values():
        of_method.sort(key=lambda run: run["seed"])
    return {method: found for method, found in runs.items() if found}


def to_table(runs):
    """The runs' figures and values as lists of cells, the header first."""
    names = list(runs[TUNED][0]["values"])
    table = [["network", *FIGURES, *names]]
    for method, of_method in runs.items():
        cells = [
            with_spread([run[name] for run in of_method], digits)
            for name, digits in FIGURES.items()
        ]
        kind, source = "best", of_method
        if method == UNTUNED:
            # Where the self-tuned network starts.
            kind, source = "start", runs[TUNED][:1]
        for name in names:
            values = [run["values"][name][kind] for run in source]
            cells.append(with_spread(values, 3))
        table.append([method, *cells])
    return table


def draw_losses(runs, path):
    """Draws the validation losses over the epochs, a line a run."""
    figure = Figure(figsize=(6, 3.8), layout="constrained")
    axes = figure.subplots()
    for (method, of_method), color, style in zip(
        runs.items(), COLORS, ("--", "-")
    ):
        for i, run in enumerate(of_method):
            losses = run["validation losses"]
            axes.plot(
                range(1, len(losses) + 1),
                losses,
                style,
                color=color,
                linewidth=1.2,
                label=None if i else method,
            )
    axes.set(
        xlabel="epoch",
        ylabel="validation loss (nats)",
        title="The same network, untuned and self-tuned",
    )
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
    figure.savefig(path, dpi=120)


def load(arguments):
    """The three parts of the data, pixels between 0 and 255, cut if asked."""
    if arguments.dataset == "cifar10":
        parts = cifar10.load(arguments.data_dir)
    else:
        parts = [(255 * x, y) for x, y in fashion_mnist.load_sample()]
    training, validation, test = parts
    return (
        first(training, arguments.train_size, "--train-size"),
        first(validation, arguments.validation_size, "--validation-size"),
        first(test, arguments.test_size, "--test-size"),
    )


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add(
        "--dataset",
        choices=list(DEFAULTS),
        default="sample",
        help="the sample of Fashion-MNIST in the package, or CIFAR-10",
    )
    add("--data-dir", help="folder of TensorFlow Datasets, for CIFAR-10")
    add("--train-size", type=int, help="use only the first so many images")
    add("--validation-size", type=int, help="use only the first so many")
    add("--test-size", type=int, help="use only the first so many")
    add("--widths", type=int, nargs="+", help="filters of the convolutions")
    add("--batch-size", type=int, default=64)
    add("--epochs", type=int)
    add(
        "--preset",
        choices=["auto", "paper"],
        default="auto",
        help="as in SelfTuningModel",
    )
    add("--first-seed", type=int, default=0)
    add("--seeds", type=int, default=1, help="how many runs of each network")
    add("--output", type=pathlib.Path, help="folder for what is written")
    parser.set_defaults(**DEFAULTS[parser.parse_known_args()[0].dataset])
    arguments = parser.parse_args()
    for name in ("epochs", "seeds", "batch_size"):
        if getattr(arguments, name) < 1:
            parser.error(f"--{name.replace('_', '-')} must be at least 1")
    if arguments.output is None:
        arguments.output = pathlib.Path(
            "results", f"convert-{arguments.dataset}"
        )
    return arguments


def main():
    arguments = parse_arguments()
    output = arguments.output
    (output / "runs").mkdir(parents=True, exist_ok=True)
    check_settings(arguments, output / "settings.json", FREE)
    data = load(arguments)
    for seed in range(
        arguments.first_seed, arguments.first_seed + arguments.seeds
    ):
        for method in (UNTUNED, TUNED):
            run_if_missing(method, seed, data, arguments)
    runs = read_runs(output)
    print(f"\n{save_table(to_table(runs), output / 'table.md')}")
    draw_losses(runs, output / "losses.png")
    schedule = schedule_path(output, runs[TUNED][0]["seed"])
    stn.plot_schedule(schedule).savefig(output / "schedule.png")
    print(f"Runs, networks, table and pictures are in {output}/")


if __name__ == "__main__":
    main()
