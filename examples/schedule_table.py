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
import os
import pathlib
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from quickstart import with_spread
from run_table import Runs
from run_table import check_settings
from run_table import save_table
from schedule_table_problems import PROBLEMS

import keras_stn as stn
from keras_stn.schedules.records import read_records

FIXED = "fixed, best value"
GAUSSIAN = "fixed + Gaussian noise"
SINUSOID = "fixed + sinusoid"
FINAL = "final self-tuned value, fixed"
TUNED = "self-tuned"
REPLAYED = "trained from scratch with the self-tuned schedule"
ROWS = (FIXED, GAUSSIAN, SINUSOID, FINAL, TUNED, REPLAYED)
# What a run is called by.
KEYS = ("problem", "row", "value", "seed")
# Runs that differ in these belong together all the same.
FREE = ("problem", "output", "seed", "seeds", "grid", "quick", "verbose")


class Experiment:
    """The runs of one problem; those that are known are not repeated.

    Args:
        problem: A `Language` or `Image`.
        arguments: The command line's arguments.
        runs: A `Runs`.
    """

    def __init__(self, problem, arguments, runs):
        self.problem = problem
        self.arguments = arguments
        self.runs = runs
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
        key = dict(zip(KEYS, (self.name, row, value, seed)))
        run = self.runs.find(key)
        if run is None:
            run = self.runs.add({**key, **self.train(seed, schedule)})
            print(*filter(None, run.values()), sep="  ", flush=True)
        return run

    def train(self, seed, schedule):
        problem, arguments = self.problem, self.arguments
        is_tuned = schedule is None
        keras.utils.clear_session()
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
        # A language model has none.
        accuracy = figures.get("accuracy")
        return {
            "validation": f"{min(history[problem.monitor]):.6f}",
            "test": f"{figures[problem.figures[0]]:.6f}",
            "test accuracy": "" if accuracy is None else f"{accuracy:.6f}",
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
    runs = Runs(arguments.output / "results.csv")
    names = PROBLEMS if arguments.problem == "both" else [arguments.problem]
    for name in names:
        settings = with_defaults(arguments, PROBLEMS[name])
        path = arguments.output / f"settings-{name}.json"
        check_settings(settings, path, FREE)
        problem = PROBLEMS[name](settings)
        if settings.period is None:
            settings.period = max(2, problem.updates // 4)
        rows = Experiment(problem, settings, runs).run_all()
        path = arguments.output / f"table-{name}.md"
        print(f"\n{save_table(to_table(problem, rows), path)}")
    print(f"Runs, schedules and tables are in {arguments.output}/")


if __name__ == "__main__":
    main()
