"""Tune an LSTM language model's seven hyperparameters in one training run.

    python examples/language_model.py --data-dir DIR

trains on the files `train.txt`, `valid.txt` and `test.txt` in DIR, in the
format of the Penn Treebank: one sentence a line, words separated by spaces. It
tunes output, hidden, input and embedding dropout, DropConnect on the recurrent
kernels and the activation penalties alpha and beta; the validation text tunes.
It writes a log of every epoch and a picture of the schedules.

    python examples/language_model.py
    python examples/language_model.py --data-dir DIR --quick

train a small network on sentences of a grammar, which need no data, or on the
first words in DIR; both take a few minutes on two cores.

    python examples/language_model.py --data-dir DIR --baseline start
    python examples/language_model.py --data-dir DIR --baseline FILE

train the same network with the values held fixed where the tuned run began,
and where it was best: FILE is the `values.json` that it wrote.

    python examples/language_model.py --data-dir DIR --starts 0.05 0.3 0.5

tunes once from each of these values of the output dropout, and draws all of
its schedules into one picture.
"""

import argparse
import csv
import os
import pathlib
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import matplotlib
import numpy as np
from grammar import write_text
from image_experiment import ValuesOfBestEpoch
from image_experiment import fixed_values
from image_experiment import print_values
from image_experiment import write_figures

import keras_stn as stn
from keras_stn.datasets import language
from keras_stn.plotting.schedule_figure import COLORS

matplotlib.use("Agg")
from matplotlib import pyplot

QUICK = {
    "train_words": 30_000,
    "validation_words": 6_000,
    "test_words": 6_000,
    "max_words": 2000,
    "units": 64,
    "batch_size": 20,
    "length": 20,
    "epochs": 15,
    "learning_rate": 20.0,
    "hyper_learning_rate": 0.03,
}


def load(arguments):
    """The vocabulary's size, and the segments of the three parts."""
    folder = arguments.data_dir
    if folder is None:
        folder = arguments.output / "grammar"
        write_text(folder)
    corpus = language.load(folder, arguments.max_words)
    width = segment_width(arguments)
    training = language.to_segments(
        corpus.train[: arguments.train_words],
        arguments.batch_size,
        arguments.length,
        **(
            {"random_lengths": True, "seed": arguments.seed}
            if arguments.random_lengths
            else {}
        ),
    )
    validation, test = (
        language.to_segments(ids[:count], arguments.batch_size, width)
        for ids, count in (
            (corpus.validation, arguments.validation_words),
            (corpus.test, arguments.test_words),
        )
    )
    return len(corpus.vocabulary), (training, validation, test)


def segment_width(arguments):
    """The words of a segment, and of the longest one of random lengths."""
    return arguments.length + 20 * arguments.random_lengths


def build(vocabulary_size, arguments, values=None, **settings):
    """The model that the arguments ask for, compiled.

    Args:
        vocabulary_size: Integer, the number of words.
        arguments: The command line's arguments.
        values: Dictionary of starting values, or `None`.
        **settings: Further arguments of `SelfTuningModel`.
    """
    fixed = fixed_values(arguments.baseline)
    network = stn.applications.lstm_language_model(
        vocabulary_size,
        tuned=fixed is None,
        values=values if fixed is None else fixed,
        units=arguments.units,
        layers=arguments.layers,
        batch_size=arguments.batch_size,
        length=segment_width(arguments),
        mask_zero=arguments.random_lengths,
    )
    model, tuning = network, {}
    if fixed is None:
        model = stn.SelfTuningModel(
            network,
            groups=arguments.groups,
            preset="paper",
            **{"tune_scales": False, **settings},
        )
        tuning["hyper_optimizer"] = keras.optimizers.Adam(
            arguments.hyper_learning_rate
        )
    model.compile(
        **compile_arguments(arguments.learning_rate, arguments.clip),
        jit_compile=True if arguments.xla else "auto",
        **tuning,
    )
    return model


def compile_arguments(learning_rate, clip):
    """What tuned and ordinary models are compiled with."""
    return {
        "optimizer": keras.optimizers.SGD(learning_rate, global_clipnorm=clip),
        "loss": keras.losses.SparseCategoricalCrossentropy(
            from_logits=True, ignore_class=0
        ),
        "metrics": [stn.metrics.Perplexity(from_logits=True, mask_token_id=0)],
    }


class ResetStates(keras.callbacks.Callback):
    """Lets an ordinary model's states begin from zero with each text."""

    def on_epoch_begin(self, epoch, logs=None):
        self._reset()

    def on_test_begin(self, logs=None):
        self._reset()

    def _reset(self):
        for layer in self.model.layers:
            if getattr(layer, "stateful", False):
                layer.reset_states()


def train(model, data, arguments, folder, callbacks=()):
    """Trains, and brings back the weights of the best epoch."""
    training, validation, _ = data
    is_tuned = isinstance(model, stn.SelfTuningModel)
    callbacks = [
        *callbacks,
        keras.callbacks.CSVLogger(folder / "log.csv"),
        stn.callbacks.NonMonotonicDecay(
            monitor="val_perplexity",
            patience=arguments.decay_patience,
            verbose=1,
        ),
        keras.callbacks.EarlyStopping(
            monitor="val_perplexity",
            mode="min",
            patience=arguments.patience,
            restore_best_weights=True,
        ),
    ]
    if is_tuned:
        schedule = folder / "schedule.csv"
        callbacks += [
            ValuesOfBestEpoch(folder / "values.json"),
            stn.callbacks.ScheduleLogger(schedule, freq="batch"),
            stn.callbacks.SchedulePlot(
                folder / "schedules.png",
                source=schedule,
                metrics=["perplexity", "val_perplexity"],
            ),
        ]
    else:
        callbacks.append(ResetStates())
    begin = time.perf_counter()
    history = model.fit(
        training,
        shuffle=False,
        epochs=arguments.epochs,
        validation_data=validation,
        verbose=2,
        callbacks=callbacks,
        **({"warmup_epochs": arguments.warmup_epochs} if is_tuned else {}),
    ).history
    return history, time.perf_counter() - begin


def report(model, history, seconds, data, folder):
    """Prints, writes and returns the figures of the best epoch."""
    is_tuned = isinstance(model, stn.SelfTuningModel)
    figures = model.evaluate(
        data[2],
        verbose=0,
        return_dict=True,
        callbacks=[] if is_tuned else [ResetStates()],
    )
    best = int(np.argmin(history["val_perplexity"]))
    row = {
        "run": folder.name,
        "best epoch": best + 1,
        "training perplexity": history["perplexity"][best],
        "validation perplexity": history["val_perplexity"][best],
        "test perplexity": figures["perplexity"],
        "last validation": history["val_perplexity"][-1],
        "epochs": len(history["loss"]),
        "seconds": seconds,
    }
    write_figures(row, folder, digits=2)
    if is_tuned:
        print_values(model, history, best)
    return row


def draw_starts(logs, path):
    """Draws the output dropout of runs that began at different values.

    Args:
        logs: Dictionary from the starting values to files with an epoch a
            line.
        path: Path of the picture.
    """
    figure, axes = pyplot.subplots(figsize=(6, 3.8), layout="constrained")
    for (start, log), color in zip(sorted(logs.items()), COLORS):
        with log.open(newline="") as file:
            rates = [
                float(row["dropout_output"]) for row in csv.DictReader(file)
            ]
        axes.plot([start, *rates], color=color, label=f"from {start:g}")
    axes.set(
        xlabel="epoch",
        ylabel="output dropout",
        title="From different starting values",
        ylim=(0, 1),
    )
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def run(vocabulary_size, data, arguments, folder, values=None):
    """One training, from the network to its figures."""
    folder.mkdir(parents=True, exist_ok=True)
    keras.utils.set_random_seed(arguments.seed)
    model = build(vocabulary_size, arguments, values)
    history, seconds = train(model, data, arguments, folder)
    report(model, history, seconds, data, folder)


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--data-dir", help="folder of train.txt, valid.txt and test.txt")
    add("--quick", action="store_true", help="a small network, few words")
    add(
        "--baseline",
        metavar="start|FILE",
        help="hold the values fixed instead: at their start, or at those of "
        "a values.json that a tuned run wrote",
    )
    add(
        "--starts",
        type=float,
        nargs="+",
        metavar="RATE",
        help="tune once from each of these values of the output dropout",
    )
    add("--train-words", type=int, help="use only the first so many")
    add("--validation-words", type=int, help="use only the first so many")
    add("--test-words", type=int, help="use only the first so many")
    add("--max-words", type=int, help="size of the vocabulary; <unk> the rest")
    add("--units", type=int, default=650, help="of each layer")
    add("--layers", type=int, default=2, help="LSTM layers")
    add("--batch-size", type=int, default=40, help="streams side by side")
    add("--length", type=int, default=70, help="words of a segment")
    add(
        "--random-lengths",
        action="store_true",
        help="training segments of random lengths about --length",
    )
    add("--epochs", type=int, default=200)
    add("--warmup-epochs", type=int, default=1, help="before tuning begins")
    add("--learning-rate", type=float, default=30.0)
    add("--clip", type=float, default=0.25, help="largest norm of gradients")
    add("--hyper-learning-rate", type=float, default=0.01)
    add("--groups", type=int, default=4, help="perturbations a batch")
    add("--decay-patience", type=int, default=5, help="until the rate decays")
    add("--patience", type=int, default=20, help="until training stops")
    add("--xla", action="store_true", help="compile steps also on a CPU")
    add("--seed", type=int, default=0)
    add("--output", type=pathlib.Path, help="folder for what is written")
    arguments = parser.parse_args()
    if arguments.quick or arguments.data_dir is None:
        # What was asked for by name still counts.
        parser.set_defaults(**QUICK)
        arguments = parser.parse_args()
    for name in ("epochs", "layers", "units", "groups"):
        if getattr(arguments, name) < 1:
            parser.error(f"--{name} must be at least 1")
    if arguments.baseline not in (None, "start"):
        if not pathlib.Path(arguments.baseline).is_file():
            parser.error(
                "--baseline must be 'start' or a values.json that a tuned "
                f"run wrote. Received: {arguments.baseline}"
            )
    if arguments.baseline and arguments.starts:
        parser.error("--starts tunes, and --baseline does not: choose one")
    if arguments.output is None:
        kind = {None: "tuned", "start": "fixed-start"}.get(
            arguments.baseline, "fixed-final"
        )
        kind = "starts" if arguments.starts else kind
        arguments.output = pathlib.Path("results", f"language-model-{kind}")
    return arguments


def main():
    arguments = parse_arguments()
    arguments.output.mkdir(parents=True, exist_ok=True)
    vocabulary_size, data = load(arguments)
    print(f"{vocabulary_size} words, {len(data[1])} validation segments")
    if arguments.starts:
        logs = {}
        for start in arguments.starts:
            folder = arguments.output / f"from-{start:g}"
            values = {"dropout_output": start}
            logs[start] = folder / "log.csv"
            # A run that has its figures need not be repeated.
            if not (folder / "figures.csv").exists():
                run(vocabulary_size, data, arguments, folder, values)
            draw_starts(logs, arguments.output / "starts.png")
    else:
        run(vocabulary_size, data, arguments, arguments.output)
    print(f"\nLog, figures and pictures are in {arguments.output}/")


if __name__ == "__main__":
    main()
