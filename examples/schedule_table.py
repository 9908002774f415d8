"""Compare a self-tuned schedule with fixed, perturbed and replayed values.

    python examples/schedule_table.py

trains one network in six ways: with its dropout fixed at the best value of a
grid; there with Gaussian noise, and with a sinusoid; fixed at the value where
self-tuning ended; self-tuned; and from scratch by the recorded self-tuned
schedule. These are the rows of Table 1 of MacKay et al. (2019). All rows train
as many weight updates on the same data, with the same optimizer, and take the
weights of the epoch that validates best. It needs no data and takes a few
minutes on two cores: a language model on sentences of a grammar, whose output
dropout is tuned, and the network of the quickstart on a sample of
Fashion-MNIST, with three dropouts.

    python examples/schedule_table.py --problem language --data-dir DIR
    python examples/schedule_table.py --problem image --data-dir DIR

train on the text in DIR, as `language_model.py` does, and on Fashion-MNIST in
DIR, a folder of TensorFlow Datasets; with `--quick` in a few minutes.

Every run is written to `results.csv` when it ends. Call the same command again
to go on where it was interrupted, or with more `--seeds`.
"""

import argparse
import csv
import gc
import json
import os
import pathlib
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import language_model
import numpy as np
import quickstart

import keras_stn as stn
from keras_stn.datasets import fashion_mnist
from keras_stn.schedules.records import complete_lines
from keras_stn.schedules.records import read_records

FIXED = "fixed, best value"
GAUSSIAN = "fixed + Gaussian noise"
SINUSOID = "fixed + sinusoid"
FINAL = "final self-tuned value, fixed"
TUNED = "self-tuned"
REPLAYED = "trained from scratch with the self-tuned schedule"
ROWS = (FIXED, GAUSSIAN, SINUSOID, FINAL, TUNED, REPLAYED)
KEY = ("problem", "row", "value", "seed")


class Language:
    """The language model, whose output dropout is tuned."""

    hyperparameters = ("dropout_output",)
    figures = ("perplexity",)
    digits = 2
    monitor = "val_perplexity"
    defaults = {
        "grid": [0.2, 0.4, 0.5, 0.6, 0.7, 0.8],
        "epochs": 16,
        "train_size": 30_000,
        "validation_size": 10_000,
        "test_size": 10_000,
        "units": 128,
        "batch_size": 20,
        "learning_rate": 20.0,
        "hyper_learning_rate": 0.03,
    }
    quick = {
        "grid": [0.2, 0.4, 0.6],
        "epochs": 16,
        "train_size": 12_000,
        "validation_size": 4000,
        "test_size": 4000,
        "units": 48,
    }

    def __init__(self, arguments):
        self.arguments = arguments
        arguments.random_lengths = False
        arguments.train_words = arguments.train_size
        arguments.validation_words = arguments.validation_size
        arguments.test_words = arguments.test_size
        self.vocabulary_size, self.data = language_model.load(arguments)
        self.updates = len(self.data[0]) * arguments.epochs

    def build(self, is_tuned):
        arguments = self.arguments
        network = stn.applications.lstm_language_model(
            self.vocabulary_size,
            tuned=self.hyperparameters,
            values={"dropout_hidden": arguments.dropout_hidden},
            units=arguments.units,
            layers=arguments.layers,
            batch_size=arguments.batch_size,
            length=arguments.length,
        )
        model = network
        if is_tuned:
            model = stn.SelfTuningModel(network, groups=4, tune_scales=False)
        # A learning rate that is the same for all rows depends on the step.
        rate = keras.optimizers.schedules.CosineDecay(
            arguments.learning_rate, self.updates, alpha=0.01
        )
        return model, {
            "optimizer": keras.optimizers.SGD(rate, global_clipnorm=0.25),
            "loss": keras.losses.SparseCategoricalCrossentropy(
                from_logits=True, ignore_class=0
            ),
            "metrics": [
                stn.metrics.Perplexity(from_logits=True, mask_token_id=0)
            ],
        }

    def fit(self, model, **kwargs):
        training, validation, _ = self.data
        return model.fit(
            training, shuffle=False, validation_data=validation, **kwargs
        )

    def evaluate(self, model, callbacks):
        return model.evaluate(
            self.data[2], verbose=0, return_dict=True, callbacks=callbacks
        )

    def callbacks(self, is_tuned):
        return [] if is_tuned else [language_model.ResetStates()]


class Image:
    """The network of the quickstart, whose three dropouts are tuned."""

    hyperparameters = quickstart.RATES
    figures = ("loss", "accuracy")
    digits = 4
    monitor = "val_loss"
    defaults = {
        "grid": [0.2, 0.3, 0.4, 0.5, 0.6, 0.7],
        "epochs": 30,
        "train_size": 2000,
        "validation_size": 1000,
        "test_size": 10_000,
        "units": None,
        "batch_size": 100,
        "learning_rate": 0.02,
        "hyper_learning_rate": 0.03,
    }
    quick = {"grid": [0.2, 0.4, 0.6], "epochs": 8, "test_size": 2000}

    def __init__(self, arguments):
        self.arguments = arguments
        if arguments.data_dir is None:
            parts = fashion_mnist.load_sample()
        else:
            parts = fashion_mnist.load(arguments.data_dir)
        sizes = ("train_size", "validation_size", "test_size")
        self.data = [
            quickstart.first(
                part,
                getattr(arguments, size),
                f"--{size.replace('_', '-')}",
            )
            for part, size in zip(parts, sizes)
        ]
        batches = -(-len(self.data[0][0]) // arguments.batch_size)
        self.updates = batches * arguments.epochs

    def build(self, is_tuned):
        rates = [
            stn.Float(name, 0.0, 0.9, default=quickstart.START)
            for name in self.hyperparameters
        ]
        if is_tuned:
            network = quickstart.build_network(
                rates, stn.layers.HyperConv2D, stn.layers.HyperDense
            )
            model = stn.SelfTuningModel(network)
        else:
            model = quickstart.build_network(rates)
        optimizer = keras.optimizers.SGD(
            self.arguments.learning_rate, momentum=0.9
        )
        return model, {
            **quickstart.compile_arguments(),
            "optimizer": optimizer,
        }

    def fit(self, model, **kwargs):
        training, validation, _ = self.data
        return model.fit(
            *training,
            batch_size=self.arguments.batch_size,
            validation_data=validation,
            **kwargs,
        )

    def evaluate(self, model, callbacks):
        return model.evaluate(
            *self.data[2], batch_size=500, verbose=0, return_dict=True
        )

    def callbacks(self, is_tuned):
        return []


PROBLEMS = {"language": Language, "image": Image}


class Results:
    """The runs so far, in a file with a line for each.

    Args:
        path: Path of the CSV file, which may exist.
    """

    def __init__(self, path):
        self.path = path
        self.runs = []
        if path.exists():
            # Without a last line that an interruption has torn.
            lines = complete_lines(path.read_text(encoding="utf-8"))
            path.write_text("".join(f"{line}\n" for line in lines))
            self.runs = list(csv.DictReader(lines))

    def find(self, **key):
        """The runs with the given entries."""
        return [
            run
            for run in self.runs
            if all(run[name] == str(value) for name, value in key.items())
        ]

    def add(self, run):
        """Writes a run at once, lest an interruption loses it."""
        run = {name: str(value) for name, value in run.items()}
        self.runs.append(run)
        names = [*KEY, "validation", "test", "test accuracy"]
        names += ["best epoch", "weight updates", "seconds"]
        is_new = not self.path.exists() or not self.path.stat().st_size
        with self.path.open("a", newline="") as file:
            writer = csv.DictWriter(
                file, names, restval="", lineterminator="\n"
            )
            if is_new:
                writer.writeheader()
            writer.writerow(run)


class Experiment:
    """The runs of one problem; those that are known are not repeated.

    Args:
        problem: A `Language` or `Image`.
        arguments: The command line's arguments.
        results: A `Results`.
    """

    def __init__(self, problem, arguments, results):
        self.problem = problem
        self.arguments = arguments
        self.results = results
        self.name = type(problem).__name__.lower()

    def run_all(self):
        """Runs what is missing; returns the rows of the table."""
        arguments = self.arguments
        seeds = range(arguments.seed, arguments.seed + arguments.seeds)
        grid = {
            value: self.run_fixed(value, seeds[0]) for value in arguments.grid
        }
        best = min(grid, key=lambda value: float(grid[value]["validation"]))
        print(f"The best value of the grid is {best:g}.")
        means = self.values_at(best)
        rows = {name: [] for name in ROWS}
        for seed in seeds:
            rows[FIXED].append(self.run_fixed(best, seed))
            noise = stn.schedules.GaussianPerturbed(arguments.std, means, seed)
            rows[GAUSSIAN].append(self.run(GAUSSIAN, f"{best:g}", seed, noise))
            sinusoid = stn.schedules.SinusoidPerturbed(
                arguments.amplitude, arguments.period, means
            )
            rows[SINUSOID].append(
                self.run(SINUSOID, f"{best:g}", seed, sinusoid)
            )
            rows[TUNED].append(self.run(TUNED, "", seed))
            final = self.final_values(seed)
            text = " ".join(f"{value:.3g}" for value in final.values())
            schedule = stn.schedules.Fixed(final)
            rows[FINAL].append(self.run(FINAL, text, seed, schedule))
            schedule = stn.schedules.Recorded(self.schedule_path(seed))
            rows[REPLAYED].append(self.run(REPLAYED, "", seed, schedule))
        return rows

    def values_at(self, value):
        return dict.fromkeys(self.problem.hyperparameters, value)

    def schedule_path(self, seed):
        return self.arguments.output / f"schedule-{self.name}-{seed}.csv"

    def final_values(self, seed):
        """Where the self-tuned run ended."""
        records = read_records(self.schedule_path(seed))
        return {
            name: float(records[name][-1])
            for name in self.problem.hyperparameters
        }

    def run_fixed(self, value, seed):
        schedule = stn.schedules.Fixed(self.values_at(value))
        return self.run("fixed", f"{value:g}", seed, schedule)

    def run(self, row, value, seed, schedule=None):
        """One training, from the network to its figures, unless it is known.

        Args:
            row: String, what is run.
            value: String, the value about which the schedule moves.
            seed: Integer.
            schedule: The schedule of an ordinary network; `None` to tune.

        Returns:
            Dictionary of strings.
        """
        key = dict(zip(KEY, (self.name, row, value, seed)))
        if not self.results.find(**key):
            self.results.add({**key, **self.train(seed, schedule)})
            run = self.results.runs[-1]
            print(*(f"{v}" for v in run.values() if v), sep="  ", flush=True)
        return self.results.find(**key)[0]

    def train(self, seed, schedule):
        problem, arguments = self.problem, self.arguments
        is_tuned = schedule is None
        keras.utils.clear_session()
        gc.collect()
        keras.utils.set_random_seed(seed)
        model, compilation = problem.build(is_tuned)
        if is_tuned:
            compilation["hyper_optimizer"] = keras.optimizers.Adam(
                arguments.hyper_learning_rate
            )
            driver = stn.callbacks.ScheduleLogger(
                self.schedule_path(seed), freq="batch"
            )
        else:
            driver = stn.callbacks.ReplaySchedule(schedule)
        model.compile(
            **compilation, jit_compile=True if arguments.xla else "auto"
        )
        best = keras.callbacks.EarlyStopping(
            monitor=problem.monitor,
            mode="min",
            patience=arguments.epochs,
            restore_best_weights=True,
        )
        begin = time.perf_counter()
        history = problem.fit(
            model,
            epochs=arguments.epochs,
            verbose=2 if arguments.verbose else 0,
            callbacks=[driver, best, *problem.callbacks(is_tuned)],
        ).history
        seconds = time.perf_counter() - begin
        figures = problem.evaluate(model, problem.callbacks(is_tuned))
        test = {"test": f"{figures[problem.figures[0]]:.6f}"}
        if "accuracy" in figures:
            test["test accuracy"] = f"{figures['accuracy']:.6f}"
        return {
            "validation": f"{min(history[problem.monitor]):.6f}",
            **test,
            "best epoch": int(np.argmin(history[problem.monitor])) + 1,
            "weight updates": int(model.optimizer.iterations),
            "seconds": f"{seconds:.1f}",
        }


def to_table(problem, rows):
    """The table of a problem, as lists of cells, the header first.

    Args:
        problem: A `Language` or `Image`.
        rows: Dictionary from names of rows to lists of runs.
    """
    kind = problem.figures[0]
    columns = {
        f"validation {kind}": ("validation", problem.digits),
        f"test {kind}": ("test", problem.digits),
    }
    if "accuracy" in problem.figures:
        columns["test accuracy"] = ("test accuracy", problem.digits)
    columns["seconds a run"] = ("seconds", 0)
    table = [["dropout", *columns, "value"]]
    for name, runs in rows.items():
        cells = [
            with_spread([float(run[column]) for run in runs], digits)
            for column, digits in columns.values()
        ]
        values = dict.fromkeys(run["value"] for run in runs)
        table.append([name, *cells, "; ".join(values)])
    return table


def with_spread(numbers, digits):
    """The mean, and the standard deviation of more than one number."""
    text = f"{np.mean(numbers):.{digits}f}"
    if len(numbers) > 1:
        text += f" ± {np.std(numbers, ddof=1):.{digits}f}"
    return text


def to_markdown(table):
    """A table as Markdown, its columns aligned."""
    widths = [max(map(len, column)) for column in zip(*table)]
    lines = [
        "| " + " | ".join(c.ljust(w) for c, w in zip(row, widths)) + " |"
        for row in table
    ]
    rule = "|" + "|".join("-" * (w + 2) for w in widths) + "|"
    return "\n".join([lines[0], rule, *lines[1:]]) + "\n"


def save_table(table, folder, name):
    """Writes a table as Markdown and CSV."""
    path = folder / f"table-{name}"
    path.with_suffix(".md").write_text(to_markdown(table), encoding="utf-8")
    with path.with_suffix(".csv").open("w", newline="") as file:
        csv.writer(file).writerows(table)


def with_defaults(arguments, problem):
    """The arguments, with a problem's own where none were given.

    Args:
        arguments: The command line's arguments.
        problem: The class `Language` or `Image`.
    """
    defaults = dict(problem.defaults)
    if arguments.quick or arguments.data_dir is None:
        defaults.update(problem.quick)
    given = {k: v for k, v in vars(arguments).items() if v is not None}
    return argparse.Namespace(**{**vars(arguments), **defaults, **given})


def check_settings(arguments, name):
    """Stops if the folder holds runs with other settings."""
    may_grow = {
        "problem",
        "output",
        "seed",
        "seeds",
        "grid",
        "quick",
        "verbose",
    }
    settings = {
        key: value
        for key, value in sorted(vars(arguments).items())
        if key not in may_grow
    }
    path = arguments.output / f"settings-{name}.json"
    if path.exists():
        known = json.loads(path.read_text())
        if known != settings:
            raise SystemExit(
                "The folder holds runs with other settings; choose another "
                f"--output. Received: {settings} besides {known}"
            )
    path.write_text(json.dumps(settings, indent=2) + "\n")


def parse_arguments(command=None):
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--problem", choices=[*PROBLEMS, "both"], default="both")
    add("--data-dir", help="folder of the text, or of TensorFlow Datasets")
    add("--quick", action="store_true", help="few epochs, small networks")
    add("--seed", type=int, default=0, help="the first seed")
    add("--seeds", type=int, default=1, help="how many runs of each row")
    add("--grid", type=float, nargs="+", help="fixed values to choose among")
    add("--std", type=float, default=0.05, help="of the Gaussian noise")
    add("--amplitude", type=float, default=0.1, help="of the sinusoid")
    add("--period", type=int, help="of the sinusoid; a quarter of training")
    add("--epochs", type=int)
    add("--train-size", type=int, help="words or images to train on")
    add("--validation-size", type=int, help="words or images to tune on")
    add("--test-size", type=int, help="words or images to test on")
    add("--batch-size", type=int)
    add("--learning-rate", type=float)
    add("--hyper-learning-rate", type=float)
    add("--units", type=int, help="of the language model")
    add("--layers", type=int, default=1, help="of the language model")
    add("--length", type=int, default=20, help="words of a segment")
    add("--max-words", type=int, default=2000, help="size of the vocabulary")
    add("--dropout-hidden", type=float, default=0.05, help="between layers")
    add("--xla", action="store_true", help="compile steps also on a CPU")
    add("--verbose", action="store_true", help="print every epoch")
    add("--output", type=pathlib.Path, default="results/schedule-table")
    arguments = parser.parse_args(command)
    if arguments.seeds < 1:
        parser.error("--seeds must be at least 1")
    if arguments.data_dir and arguments.problem == "both":
        parser.error("--data-dir is for one --problem")
    return arguments


def main():
    arguments = parse_arguments()
    arguments.output.mkdir(parents=True, exist_ok=True)
    results = Results(arguments.output / "results.csv")
    names = PROBLEMS if arguments.problem == "both" else [arguments.problem]
    for name in names:
        settings = with_defaults(arguments, PROBLEMS[name])
        check_settings(settings, name)
        problem = PROBLEMS[name](settings)
        if settings.period is None:
            settings.period = max(2, problem.updates // 4)
        rows = Experiment(problem, settings, results).run_all()
        table = to_table(problem, rows)
        save_table(table, arguments.output, name)
        print(f"\n{to_markdown(table)}")
    print(f"Runs, schedules and tables are in {arguments.output}/")


if __name__ == "__main__":
    main()
