"""Race self-tuning against hyperparameter searches, with the same time for all.

    python examples/compare_tuners.py

races KerasTuner's random search and Bayesian optimization and self-tuning on
the sample of Fashion-MNIST, a minute each. It writes a record of every epoch,
a table and a picture of the best validation loss against time.

    python examples/compare_tuners.py --dataset cifar10 --hyperparameters 15 \
        --budget 60 --methods bayesian random hyperband grid tpe pbt self_tuning

is a long race, for which `pip install keras_stn[race]` brings what it needs.
Every method gets the same network, data, ranges, early stopping and time. The
time counts building, compiling, training and the search's own thoughts;
imports, loading the data and testing the winner do not count. What is
compared is the cross entropy on the validation data, without penalties. The
method "fixed" trains one network at the values that self-tuning starts from.
Methods run one after another, each in a process of its own. Where the machine
does other work at the same time, `--clock cpu` limits the processor's seconds
in place of those on the wall.

Started again, the program goes on where it was interrupted: a search after
the last network that it trained to its end, self-tuning from its beginning.
More methods, seeds or time can be added later.
"""

import argparse
import importlib.util
import os
import pathlib
import signal
import subprocess
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
from race_problems import EPOCHS
from race_problems import RANGES
from race_problems import Problem
from race_problems import Values
from race_recorder import Recorder
from race_recorder import train
from run_table import check_settings

KERAS_TUNER = {"keras_tuner": "keras-tuner", "tensorboard": "tensorboard"}
# What each method needs besides the package, and how it is installed.
NEEDS = {
    "grid": KERAS_TUNER,
    "random": KERAS_TUNER,
    "bayesian": {**KERAS_TUNER, "sklearn": "scikit-learn"},
    "hyperband": KERAS_TUNER,
    "tpe": {"optuna": "optuna"},
    "pbt": {"ray": "ray[tune]"},
    "self_tuning": KERAS_TUNER,
    "fixed": {},
}
TITLES = {
    "sample": "Fashion-MNIST's first images",
    "fashion_mnist": "Fashion-MNIST",
    "cifar10": "CIFAR-10",
    "brown": "Brown corpus",
}
USUAL = ("random", "bayesian", "self_tuning")
# What one label of self-tuning must agree in.
SELF_TUNING = (
    "hyper_learning_rate",
    "train_steps",
    "groups",
    "warmup_epochs",
    "start",
)
# Runs that differ in these belong together all the same.
FREE = (
    "budget",
    "methods",
    "seeds",
    "search_seeds",
    "out",
    "data_dir",
    "only",
    "report",
    "label",
    *SELF_TUNING,
)


def find_missing(method):
    """The packages to install for a method."""
    return [
        package
        for module, package in NEEDS[method].items()
        if importlib.util.find_spec(module) is None
    ]


def check_installed(methods):
    """Refuses methods whose libraries are not there."""
    for method in methods:
        missing = find_missing(method)
        if missing:
            raise SystemExit(
                f"The method {method} needs more libraries. Install them with "
                f"`pip install {' '.join(missing)}`, or leave it out of "
                f"--methods. Received: --methods {' '.join(methods)}"
            )


def run_one(arguments, method, seed):
    """One run of one method, in this process."""
    problem = Problem(*problem_arguments(arguments))
    data = problem.load(arguments.data_dir)
    name = f"{label_of(arguments, method)}-{seed}"
    recorder = Recorder(
        arguments.out / "records" / f"{name}.jsonl",
        60 * arguments.budget,
        arguments.clock,
        data[2],
        keeps_all=method == "pbt",
    )
    if recorder.is_done:
        return
    keras.utils.set_random_seed(seed)
    # Libraries are loaded before the clock runs.
    if method == "self_tuning":
        from race_self_tuning import run_self_tuning

        folder = arguments.out / "searches" / name
        recorder.clock.start()
        run_self_tuning(problem, recorder, data, seed, folder, arguments)
    elif method == "fixed":
        recorder.clock.start()
        train_fixed(problem, recorder, data)
    elif method == "pbt":
        from race_population import search

        # The clock is that of Ray's actor.
        race = {
            "problem": problem_arguments(arguments),
            "data_dir": arguments.data_dir,
            "path": str(recorder.path.resolve()),
            "budget": recorder.clock.budget,
            "kind": arguments.clock,
            "seed": seed,
        }
        search(problem, race, arguments.out / "searches")
        recorder = Recorder(
            recorder.path, race["budget"], race["kind"], None, keeps_all=True
        )
    else:
        folder = arguments.out / "searches"
        if method == "tpe":
            from race_optuna import search
        else:
            from race_keras_tuner import search
        recorder.clock.start()
        search(method, problem, recorder, data, seed, folder)
    recorder.finish()


def train_fixed(problem, recorder, data):
    """Trains one network at the values that self-tuning starts from."""
    values = {name: one.default for name, one in problem.ranges.items()}
    train(problem.build(Values()), values, recorder, data, problem.epochs)


def problem_arguments(arguments):
    """The arguments of `Problem`."""
    sizes = (arguments.train_size, arguments.validation_size, None)
    return arguments.dataset, arguments.hyperparameters, arguments.epochs, sizes


def label_of(arguments, method):
    """What a method is called in records and tables."""
    is_labelled = method == "self_tuning" and arguments.label
    return f"{method}_{arguments.label}" if is_labelled else method


def run_all(arguments):
    """Runs what is yet to be run, each in a process of its own."""
    # Or a run would go on after its parent was ended.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("Ended by a signal."))
    for method in arguments.methods:
        is_search = method not in ("self_tuning", "fixed")
        seeds = arguments.search_seeds if is_search else arguments.seeds
        for seed in range(seeds):
            print(f"{label_of(arguments, method)}, seed {seed}", flush=True)
            subprocess.run(
                [sys.executable, *sys.argv, "--only", method, str(seed)],
                check=True,
            )
            write_report(arguments)


def write_report(arguments):
    """Writes table and picture of the records so far.

    Returns:
        String, the table and what self-tuning needed to be as good.
    """
    import race_report

    runs = race_report.read_records(arguments.out / "records")
    if not runs:
        return "There are no records yet."
    table = race_report.write_table(
        runs,
        arguments.hyperparameters,
        arguments.clock,
        arguments.out / "table.md",
    )
    race_report.draw(
        runs,
        arguments.clock,
        f"{TITLES[arguments.dataset]}, {arguments.hyperparameters} "
        "hyperparameters",
        arguments.out / "race.png",
    )
    sentences = [
        sentence
        for tuned in runs
        if tuned.startswith("self_tuning")
        for sentence in race_report.compare(runs, arguments.clock, tuned)
    ]
    return "\n".join([table, *sentences])


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--dataset", choices=list(RANGES), default="sample")
    add("--hyperparameters", type=int, choices=(3, 11, 15), default=3)
    add("--data-dir", help="folder of TensorFlow Datasets, or of texts")
    add("--train-size", type=int, help="only so many images or words")
    add("--validation-size", type=int, help="only so many images or words")
    add("--epochs", type=int, default=EPOCHS, help="of a network, at most")
    add("--budget", type=float, help="minutes for each run")
    add("--clock", choices=("wall", "cpu"), default="wall")
    add("--methods", nargs="+", choices=list(NEEDS), default=None)
    add("--seeds", type=int, help="runs of self-tuning, and of fixed")
    add("--search-seeds", type=int, default=1, help="runs of each search")
    add("--out", type=pathlib.Path, help="folder for what is written")
    add("--report", action="store_true", help="only table and picture")
    add("--hyper-learning-rate", type=float, help="None: by the length")
    add("--train-steps", type=int, default=2)
    add("--groups", type=int, default=8)
    add("--warmup-epochs", type=int, default=0)
    add("--start", type=float, default=1.0, help="scales starting values")
    add("--label", help="tells self-tuning with other settings apart")
    add("--only", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    is_sample = arguments.dataset == "sample"
    if arguments.budget is None:
        arguments.budget = 1.0 if is_sample else 20.0
    if arguments.seeds is None:
        arguments.seeds = 1 if is_sample else 3
    if arguments.methods is None:
        arguments.methods = [m for m in USUAL if not find_missing(m)]
    if arguments.out is None:
        arguments.out = pathlib.Path(
            "results",
            f"race-{arguments.dataset}-{arguments.hyperparameters}",
        )
    for name in ("budget", "start", "hyper_learning_rate"):
        value = getattr(arguments, name)
        if value is not None and value <= 0:
            parser.error(f"--{name.replace('_', '-')} must be positive")
    for name in ("epochs", "seeds", "search_seeds", "groups", "train_steps"):
        if getattr(arguments, name) < 1:
            parser.error(f"--{name.replace('_', '-')} must be at least 1")
    try:
        Problem(*problem_arguments(arguments))
    except ValueError as error:
        parser.error(str(error))
    return arguments


def prepare(arguments):
    """Makes the folders, and refuses to mix races."""
    check_installed(arguments.methods)
    for name in ("records", "searches"):
        (arguments.out / name).mkdir(parents=True, exist_ok=True)
    check_settings(arguments, arguments.out / "settings.json", FREE)
    if "self_tuning" in arguments.methods:
        name = label_of(arguments, "self_tuning")
        settings = {one: getattr(arguments, one) for one in SELF_TUNING}
        check_settings(
            argparse.Namespace(**settings),
            arguments.out / f"settings-{name}.json",
            (),
        )


def main():
    arguments = parse_arguments()
    if arguments.only:
        method, seed = arguments.only
        run_one(arguments, method, int(seed))
        return
    if not arguments.report:
        prepare(arguments)
        run_all(arguments)
    print(f"\n{write_report(arguments)}")
    print(f"\nRecords, table and picture are in {arguments.out}/")


if __name__ == "__main__":
    main()
