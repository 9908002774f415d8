"""Tune three dropout rates of a convolutional network in one training run.

    python examples/quickstart.py

trains on a sample of Fashion-MNIST that ships with the package, needs no
network and takes two to three minutes on two cores. It prints a table that
compares the self-tuned network with the same network trained as long at the
starting values, and writes the schedule of the dropout rates to
`results/quickstart` as CSV and picture.

    python examples/quickstart.py --dataset fashion_mnist --data-dir DIR

does the same on all of Fashion-MNIST, from TensorFlow Datasets.
"""

import argparse
import csv
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import matplotlib
import numpy as np

import keras_stn as stn
from keras_stn.datasets import fashion_mnist

matplotlib.use("Agg")
from matplotlib import pyplot

START = 0.05
RATES = ("dropout_conv_1", "dropout_conv_2", "dropout_dense")
# Okabe and Ito's colours, which the colour-blind can tell apart.
COLORS = ("#0072B2", "#D55E00", "#009E73")
BATCH_SIZE = 100


def build_network(rates, conv=keras.layers.Conv2D, dense=keras.layers.Dense):
    """Two convolutions and two dense layers, with a dropout after three."""
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            conv(32, 3, padding="same", activation="relu"),
            keras.layers.MaxPooling2D(),
            stn.layers.Dropout(rates[0]),
            conv(64, 3, padding="same", activation="relu"),
            keras.layers.MaxPooling2D(),
            stn.layers.Dropout(rates[1]),
            keras.layers.Flatten(),
            dense(128, activation="relu"),
            stn.layers.Dropout(rates[2]),
            dense(10),
        ]
    )


def build_self_tuned(hyper_learning_rate=None, **settings):
    """The network with tunable rates, compiled.

    Args:
        hyper_learning_rate: Float, Adam's step for the hyperparameters. If
            `None`, the model's own.
        **settings: Further arguments of `SelfTuningModel`.
    """
    rates = [stn.Float(name, 0.0, 0.9, default=START) for name in RATES]
    network = build_network(
        rates, stn.layers.HyperConv2D, stn.layers.HyperDense
    )
    model = stn.SelfTuningModel(network, **settings)
    hyper_optimizer = None
    if hyper_learning_rate:
        hyper_optimizer = keras.optimizers.Adam(hyper_learning_rate)
    model.compile(hyper_optimizer=hyper_optimizer, **compile_arguments())
    return model


def build_fixed(rate):
    """The plain Keras network at one fixed rate, compiled."""
    model = build_network([rate] * len(RATES))
    model.compile(**compile_arguments())
    return model


def compile_arguments():
    """What both networks are compiled with."""
    return {
        "optimizer": keras.optimizers.SGD(0.02, momentum=0.9),
        "loss": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        "metrics": ["accuracy"],
    }


def train(model, data, epochs, verbose, callbacks=(), batch_size=BATCH_SIZE):
    """Trains a model; returns its history and its best epoch's figures."""
    training, validation, test = data
    # Brings back the weights, and with them the hyperparameters, of the epoch
    # with the least validation loss.
    best = keras.callbacks.EarlyStopping(
        patience=epochs, restore_best_weights=True
    )
    history = model.fit(
        *training,
        batch_size=batch_size,
        epochs=epochs,
        validation_data=validation,
        verbose=verbose,
        callbacks=[best, *callbacks],
    ).history
    figures = model.evaluate(*test, verbose=0, return_dict=True)
    return history, {
        "validation loss": min(history["val_loss"]),
        "best epoch": 1 + int(np.argmin(history["val_loss"])),
        "last validation loss": history["val_loss"][-1],
        "test loss": figures["loss"],
        "test accuracy": figures["accuracy"],
    }


def load(arguments):
    """The three parts of the data, cut if asked."""
    if arguments.dataset == "sample":
        training, validation, test = fashion_mnist.load_sample()
    else:
        training, validation, test = fashion_mnist.load(arguments.data_dir)
    return (
        first(training, arguments.train_images, "--train-images"),
        first(validation, arguments.validation_images, "--validation-images"),
        test,
    )


def first(part, size, option):
    """The first `size` images and labels; all of them if it is `None`."""
    if size is not None and not 0 < size <= len(part[0]):
        raise SystemExit(
            f"{option} must lie between 1 and {len(part[0])}, the number of "
            f"images there are. Received: {size}"
        )
    return tuple(array[:size] for array in part)


def print_table(runs):
    """Prints a row a method: means over the seeds, with their spread."""
    columns = list(next(iter(runs.values()))[0])
    width = max(map(len, runs))
    print("\n" + " " * width, *(f"{c:>20}" for c in columns))
    for name, figures in runs.items():
        cells = []
        for column in columns:
            values = [run[column] for run in figures]
            digits = 0 if column == "best epoch" else 4
            cells.append(f"{with_spread(values, digits):>20}")
        print(f"{name:<{width}}", *cells)


def with_spread(values, digits):
    """The mean, and the standard deviation of more than one value."""
    text = f"{np.mean(values):.{digits}f}"
    if len(values) > 1:
        text += f" ± {np.std(values, ddof=1):.{digits}f}"
    return text


def save_table(runs, path):
    """Writes every run's figures as CSV."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["method", "run", *next(iter(runs.values()))[0]])
        for name, figures in runs.items():
            for i, run in enumerate(figures):
                writer.writerow([name, i, *run.values()])


def draw(tuned, fixed, path):
    """Draws the schedule of the rates beside the validation losses."""
    figure, (left, right) = pyplot.subplots(
        1, 2, figsize=(10, 3.8), layout="constrained"
    )
    epochs = np.arange(1, len(tuned["loss"]) + 1)
    for name, color in zip(RATES, COLORS):
        left.plot(epochs, tuned[name], color=color, label=name)
        left.annotate(
            f"{tuned[name][-1]:.2f}",
            (epochs[-1], tuned[name][-1]),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            color=color,
        )
    left.axhline(START, color="0.6", linestyle=":", label="start")
    left.set(
        xlabel="epoch",
        ylabel="dropout rate",
        title="The rates that the network gave itself",
        ylim=(0, None),
    )
    left.legend(frameon=False)
    right.plot(epochs, tuned["val_loss"], color=COLORS[0], label="self-tuned")
    right.plot(
        epochs,
        fixed["val_loss"],
        color="0.5",
        linestyle="--",
        label=f"fixed at {START}",
    )
    right.set(
        xlabel="epoch",
        ylabel="validation loss (nats)",
        title="Validation loss",
    )
    right.legend(frameon=False)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "--dataset",
        choices=["sample", "fashion_mnist"],
        default="sample",
        help="the sample that ships with the package, or all of it",
    )
    parser.add_argument(
        "--data-dir", help="folder of TensorFlow Datasets, for all of it"
    )
    parser.add_argument(
        "--train-images", type=int, help="use only the first so many"
    )
    parser.add_argument(
        "--validation-images", type=int, help="use only the first so many"
    )
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--seeds", type=int, default=1, help="how many runs")
    parser.add_argument(
        "--hyper-learning-rate",
        type=float,
        default=0.03,
        help="Adam's step for the hyperparameters; 0: by the length",
    )
    parser.add_argument(
        "--preset",
        choices=["auto", "paper"],
        default="paper",
        help="as in SelfTuningModel; with SGD 'auto' moves the rates less",
    )
    parser.add_argument(
        "--output", type=pathlib.Path, default="results/quickstart"
    )
    arguments = parser.parse_args()
    for name in ("epochs", "seeds"):
        if getattr(arguments, name) < 1:
            parser.error(f"--{name} must be at least 1")
    return arguments


def main():
    arguments = parse_arguments()
    data = load(arguments)
    arguments.output.mkdir(parents=True, exist_ok=True)
    schedule = arguments.output / "schedule.csv"
    runs = {"self-tuned": [], f"fixed at {START}": []}
    for run in range(arguments.seeds):
        seed = arguments.seed + run
        is_first = run == 0
        print(f"\nSeed {seed}: the network tunes its dropout rates.")
        keras.utils.set_random_seed(seed)
        model = build_self_tuned(
            arguments.hyper_learning_rate, preset=arguments.preset
        )
        if is_first:
            model.summary()
        tuned, figures = train(
            model,
            data,
            arguments.epochs,
            verbose=1 if is_first else 0,
            callbacks=[keras.callbacks.CSVLogger(schedule)] * is_first,
        )
        runs["self-tuned"].append(figures)
        print(f"\nSeed {seed}: the same network at the starting values.")
        keras.utils.set_random_seed(seed)
        fixed, figures = train(
            build_fixed(START), data, arguments.epochs, verbose=0
        )
        runs[f"fixed at {START}"].append(figures)
        if is_first:
            draw(tuned, fixed, arguments.output / "schedule.png")
            print("\nhyperparameter    start  last epoch")
            for name in RATES:
                print(f"{name:<16} {START:>6.2f} {tuned[name][-1]:>11.2f}")
    print_table(runs)
    save_table(runs, arguments.output / "table.csv")
    print(f"\nSchedule, table and picture are in {arguments.output}/")


if __name__ == "__main__":
    main()
