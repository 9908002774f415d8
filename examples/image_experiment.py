"""What the image experiments share: training, tables and pictures."""

import argparse
import csv
import functools
import json
import os
import pathlib
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import matplotlib
import numpy as np
from quickstart import first

import keras_stn as stn
from keras_stn.hyperparameters import HyperparameterSpace
from keras_stn.layers.augmentation.base_augmentation import BaseAugmentation
from keras_stn.layers.hyper_layer import find_declarations

matplotlib.use("Agg")
from matplotlib import pyplot

BATCH_SIZE = 128
# Training images and epochs that take less than five minutes on two cores.
QUICK = {
    "small_cnn": (8000, 25),
    "alexnet": (1280, 8),
    "vgg16": (256, 2),
    "resnet18": (512, 2),
    "simple_cnn": (8000, 12),
    "mlp": (8000, 25),
}


def build(build_network, arguments):
    """The model that the arguments ask for, compiled."""
    values = fixed_values(arguments.baseline)
    if values is None:
        model = stn.SelfTuningModel(
            build_network(tuned=True),
            train_steps=arguments.train_steps,
            groups=arguments.groups,
            entropy_weight=arguments.entropy_weight,
            preset="paper",
        )
        tuning = {
            "hyper_optimizer": keras.optimizers.Adam(
                arguments.hyper_learning_rate
            )
        }
    else:
        model, tuning = build_network(tuned=False, values=values), {}
    model.compile(
        keras.optimizers.SGD(arguments.learning_rate, momentum=0.9),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=True if arguments.xla else "auto",
        **tuning,
    )
    return model


def fixed_values(baseline):
    """The values to hold fixed; `None` to tune them."""
    if baseline is None:
        return None
    if baseline == "start":
        return {}
    return json.loads(pathlib.Path(baseline).read_text())


def train(model, data, arguments):
    """Trains, and brings back the weights of the best epoch."""
    training, validation, _ = data
    is_tuned = isinstance(model, stn.SelfTuningModel)
    callbacks = [
        keras.callbacks.CSVLogger(arguments.output / "log.csv"),
        keras.callbacks.ReduceLROnPlateau(
            factor=0.1, patience=arguments.decay_patience, verbose=1
        ),
        keras.callbacks.EarlyStopping(
            patience=arguments.patience,
            restore_best_weights=True,
        ),
    ]
    if is_tuned:
        schedule = arguments.output / "schedule.csv"
        callbacks += [
            ValuesOfBestEpoch(arguments.output / "values.json"),
            stn.callbacks.ScheduleLogger(schedule, freq="batch"),
            stn.callbacks.SchedulePlot(
                arguments.output / "schedules.png", source=schedule
            ),
        ]
    begin = time.perf_counter()
    history = model.fit(
        *training,
        batch_size=BATCH_SIZE,
        epochs=arguments.epochs,
        validation_data=validation,
        verbose=2,
        callbacks=callbacks,
        **({"warmup_epochs": arguments.warmup_epochs} if is_tuned else {}),
    ).history
    return history, time.perf_counter() - begin


class ValuesOfBestEpoch(keras.callbacks.Callback):
    """Writes the hyperparameters whenever the validation loss is the least.

    Args:
        path: Path of a JSON file.
    """

    def __init__(self, path):
        super().__init__()
        self.path = path
        self.best = float("inf")

    def on_epoch_end(self, epoch, logs=None):
        if logs["val_loss"] < self.best:
            self.best = logs["val_loss"]
            values = self.model.hyperparameter_values()
            self.path.write_text(json.dumps(values, indent=2) + "\n")


def report(model, history, seconds, data, arguments):
    """Prints and writes the figures of the best epoch."""
    training, _, test = data
    figures = model.evaluate(*test, batch_size=500, verbose=0, return_dict=True)
    best = int(np.argmin(history["val_loss"]))
    row = {
        "run": arguments.output.name,
        "training images": len(training[0]),
        "best epoch": best + 1,
        "training loss": history["loss"][best],
        "validation loss": history["val_loss"][best],
        "validation accuracy": history["val_accuracy"][best],
        "test loss": figures["loss"],
        "test accuracy": figures["accuracy"],
        "epochs": len(history["loss"]),
        "seconds": seconds,
    }
    write_figures(row, arguments.output, digits=4)
    if isinstance(model, stn.SelfTuningModel):
        print_values(model, history, best)


def write_figures(row, folder, digits):
    """Writes a run's figures as CSV and prints them.

    Args:
        row: Dictionary from names to figures.
        folder: Path of the folder to write `figures.csv` to.
        digits: Integer, the decimals to print.
    """
    with (folder / "figures.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, row)
        writer.writeheader()
        writer.writerow(row)
    width = max(20, *(len(name) + 1 for name in row))
    print()
    for name, value in row.items():
        is_float = isinstance(value, float)
        figure = f"{value:.{digits}f}" if is_float else value
        print(f"{name:<{width}} {figure}")


def print_values(model, history, best):
    """Prints where every hyperparameter began, was best and ended."""
    print("\nhyperparameter         start   best epoch   last epoch")
    for declaration in model.hyperparameters.declarations:
        name = declaration.name
        print(
            f"{name:<18} {declaration.default:>9.3f} "
            f"{history[name][best]:>12.3f} {history[name][-1]:>12.3f}"
        )


def augment(network, images, sample):
    """What the network sees of the images in training, undone to pixels."""
    images = keras.ops.convert_to_tensor(images, "float32")
    scale = None
    for layer in network.layers:
        if isinstance(layer, keras.layers.Normalization):
            scale = layer
            images = layer(images)
        elif isinstance(layer, BaseAugmentation | stn.layers.Dropout):
            if len(layer.output.shape) < 4:
                break
            images = layer(images, training=True, hyperparameters=sample)
        elif layer.weights:
            break
    if scale is not None:
        images = images * keras.ops.sqrt(scale.variance) + scale.mean
    return keras.ops.convert_to_numpy(images)


def draw_augmented(model, best_values, images, path):
    """Draws images as they are, and as trained on at the start and the end."""
    network = model.network
    white = 255 if images.dtype == np.uint8 else 1
    rows = {"original": images}
    for title, values in (("at the start", {}), ("at the end", best_values)):
        space = HyperparameterSpace(
            h.starting_at(values.get(h.name, h.default))
            for h in find_declarations(network)
        )
        keras.utils.set_random_seed(0)
        rows[title] = augment(network, images, space.sample(len(images)))
    figure, grid = pyplot.subplots(
        len(rows),
        len(images),
        figsize=(0.9 * len(images) + 1, 0.95 * len(rows)),
        layout="constrained",
    )
    for axes, (title, row) in zip(grid, rows.items()):
        for place, image in zip(axes, row):
            place.imshow(
                np.clip(image / white, 0, 1).squeeze(),
                cmap="gray",
                vmin=0,
                vmax=1,
            )
            place.set(xticks=[], yticks=[])
            place.spines[:].set_visible(False)
        axes[0].set_ylabel(title, rotation=0, ha="right", va="center")
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def parse_arguments(description, models, defaults):
    """Reads the command line.

    Args:
        description: String, the script's docstring.
        models: List of names, the default first.
        defaults: Dictionary from options to their default values.
    """
    parser = argparse.ArgumentParser(
        description=description.splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--model", choices=models, default=models[0])
    add(
        "--quick",
        action="store_true",
        help="few images and epochs: five minutes on two cores",
    )
    add(
        "--baseline",
        metavar="start|FILE",
        help="train the ordinary network instead, its values fixed: at their "
        "start, or at those of a values.json that a tuned run wrote",
    )
    add("--data-dir", help="folder of TensorFlow Datasets")
    add("--train-images", type=int, help="use only the first so many")
    add("--validation-images", type=int, help="use only the first so many")
    add("--test-images", type=int, help="use only the first so many")
    add("--epochs", type=int)
    add("--warmup-epochs", type=int, help="epochs before tuning begins")
    add("--learning-rate", type=float)
    add("--hyper-learning-rate", type=float)
    add("--train-steps", type=int, help="weight updates to a tuning step")
    add("--groups", type=int, default=8, help="perturbations a batch")
    add("--width", type=float, help="of alexnet; 0.25 is for CPUs")
    add("--entropy-weight", type=float)
    add("--decay-patience", type=int, help="epochs until the rate decays")
    add("--patience", type=int, help="epochs until training stops")
    add("--xla", action="store_true", help="compile steps also on a CPU")
    add("--seed", type=int, default=0)
    add("--output", type=pathlib.Path, help="folder for what is written")
    parser.set_defaults(**defaults)
    arguments = parser.parse_args()
    if arguments.quick:
        images, epochs = QUICK[arguments.model]
        quick = {
            "train_images": images,
            "validation_images": max(images // 4, BATCH_SIZE),
            "test_images": 2000,
            "epochs": epochs,
            "warmup_epochs": 1,
            "hyper_learning_rate": 0.03,
        }
        # What was asked for by name still counts.
        parser.set_defaults(**quick)
        arguments = parser.parse_args()
    for name in ("epochs", "train_steps", "groups"):
        if getattr(arguments, name) < 1:
            parser.error(f"--{name.replace('_', '-')} must be at least 1")
    if arguments.width and arguments.model != "alexnet":
        parser.error(
            "--width is for --model alexnet. Received: "
            f"--model {arguments.model}"
        )
    if arguments.baseline not in (None, "start"):
        if not pathlib.Path(arguments.baseline).is_file():
            parser.error(
                "--baseline must be 'start' or a values.json that a tuned "
                f"run wrote. Received: {arguments.baseline}"
            )
    return arguments


def run(arguments, load, prefix):
    """The experiment, from the data to the pictures."""
    if arguments.output is None:
        kind = {None: "tuned", "start": "fixed-start"}.get(
            arguments.baseline, "fixed-final"
        )
        name = f"{prefix}-{arguments.model.replace('_', '-')}-{kind}"
        arguments.output = pathlib.Path("results") / name
    arguments.output.mkdir(parents=True, exist_ok=True)
    training, validation, test = load(arguments.data_dir)
    data = (
        first(training, arguments.train_images, "--train-images"),
        first(validation, arguments.validation_images, "--validation-images"),
        first(test, arguments.test_images, "--test-images"),
    )
    keras.utils.set_random_seed(arguments.seed)
    build_network = getattr(stn.applications, arguments.model)
    if arguments.width:
        build_network = functools.partial(build_network, width=arguments.width)
    model = build(build_network, arguments)
    model.summary()
    history, seconds = train(model, data, arguments)
    report(model, history, seconds, data, arguments)
    if isinstance(model, stn.SelfTuningModel):
        draw_augmented(
            model,
            json.loads((arguments.output / "values.json").read_text()),
            data[0][0][:10],
            arguments.output / "augmented.png",
        )
    print(f"\nLog, figures and pictures are in {arguments.output}/")
