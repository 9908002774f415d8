"""Does self-tuning pay? Many problems, start values and seeds, one table.

    python examples/scoreboard.py --data-dir DIR --processes 2

trains every problem of `scoreboard_problems.py` from every start and seed by
every method: the plain network, the same network converted with its
hyperparameters held still, the same network self-tuned by all defaults, and a
random search of ten networks. All see the same data, and start from the same
weights. Each keeps the epoch with the least validation loss, and is measured
on test data that played no other part. Every run is written to
`results/scoreboard/runs.jsonl` as soon as it is over; what stands there is not
run again. At the end comes the report, which

    python examples/scoreboard_report.py

makes again of what there is: a table and a picture.

`--variant NAME --settings JSON` runs self-tuning with other settings beside
the default, such as `--variant paper --settings '{"preset": "paper"}'`.
"""

import argparse
import json
import multiprocessing
import os
import pathlib
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import scoreboard_problems as problems
import scoreboard_report
import tensorflow as tf
from scoreboard_measures import NETWORKS

import keras_stn as stn

METHODS = ("plain", "frozen", "tuned", "apart", "random")
DEFAULT_METHODS = ("plain", "frozen", "tuned", "random")
FOLDER = "results/scoreboard"
# A process keeps something of each graph that it made.
RUNS_PER_PROCESS = 30


def run(run):
    """Trains one network and measures it.

    Args:
        run: Dictionary that says which: `problem`, `method`, `start`, `seed`,
            `network` (of a random search), `settings` and `data_dir`.

    Returns:
        Dictionary to be written: what was run, and what came of it.
    """
    keras.backend.clear_session()
    problem = problems.PROBLEMS[run["problem"]]
    method, seed = run["method"], run["seed"]
    train, validation, test = problem.load(seed, run["data_dir"])
    if method == "random":
        values = draw_values(problem, seed, run["network"])
    else:
        values = problems.starting_values(problem, run["start"], seed)
    keras.utils.set_random_seed(seed)
    model = problem.build(values)
    fit_arguments = {"validation_data": validation}
    if method not in ("plain", "random"):
        settings = dict(run["settings"])
        if method == "apart":
            # One half tunes, the other chooses the epoch.
            half = len(validation[0]) // 2
            fit_arguments["validation_data"] = [p[half:] for p in validation]
            fit_arguments["tuning_data"] = tuple(p[:half] for p in validation)
        if "warmup_epochs" in settings:
            fit_arguments["warmup_epochs"] = settings.pop("warmup_epochs")
        model = convert(model, problem, method, settings)
    best = keras.callbacks.EarlyStopping(
        patience=problem.patience, restore_best_weights=True
    )
    began = time.perf_counter()
    history = model.fit(
        *train,
        batch_size=problem.batch_size,
        epochs=problem.epochs,
        callbacks=[best],
        verbose=0,
        **fit_arguments,
    ).history
    seconds = time.perf_counter() - began
    epochs = len(history["loss"])
    updates = epochs * -(-len(train[0]) // problem.batch_size)
    if isinstance(model, stn.SelfTuningModel):
        # Of the hyperparameters, one for two of the weights.
        updates += epochs * -(-updates // epochs // 2)
        values = model.hyperparameter_values()
    return {
        **{name: run[name] for name in KEY},
        "test": measure(model, problem, test),
        "validation": measure(model, problem, validation),
        "epochs": epochs,
        "best_epoch": 1 + int(np.argmin(history["val_loss"])),
        "updates": updates,
        "seconds": round(seconds, 1),
        "values": values,
    }


# What tells one run from another.
KEY = ("problem", "method", "start", "seed", "network", "variant")


def draw_values(problem, seed, network):
    """The values of one network of a random search."""
    generator = np.random.default_rng([seed, 1 + network, 5])
    return {
        name: problems.draw(kind, generator)
        for name, kind in problem.hyperparameters.items()
    }


def convert(model, problem, method, settings):
    """Makes the self-tuning model of a plain one, by all defaults.

    Args:
        model: The compiled Keras model.
        problem: Its `Problem`.
        method: String. With `"frozen"` the hyperparameters and their scales
            stay where they are.
        settings: Dictionary of further arguments of `from_keras`;
            `hyper_learning_rate` stands for an optimizer.

    Returns:
        A `SelfTuningModel`.
    """
    rate = settings.pop("hyper_learning_rate", None)
    if rate is not None:
        settings["hyper_optimizer"] = keras.optimizers.Adam(rate)
    if method == "frozen":
        settings["hyper_optimizer"] = keras.optimizers.SGD(0.0)
    # By name, since a value of 0 is not tuned without being asked for.
    return stn.SelfTuningModel.from_keras(
        model, tune=[*problem.hyperparameters], verbose=False, **settings
    )


def measure(model, problem, data):
    """The mean loss on data, without any penalty."""
    x, y = data
    y_pred = model.predict(x, batch_size=500, verbose=0)
    loss = keras.losses.get(problem.loss)
    return float(keras.ops.mean(loss(y, y_pred)))


def list_runs(arguments):
    """Every run that is asked for, seed by seed."""
    settings = json.loads(arguments.settings)
    for seed in range(arguments.seeds):
        for problem in arguments.problems:
            for method in arguments.methods:
                is_search = method == "random"
                starts = ["random"] if is_search else arguments.starts
                for start in starts:
                    for network in range(NETWORKS if is_search else 1):
                        yield {
                            "problem": problem,
                            "method": method,
                            "start": start,
                            "seed": seed,
                            "network": network,
                            "variant": arguments.variant,
                            "settings": settings,
                            "data_dir": arguments.data_dir,
                        }


def use_one_core():
    """Lets a process leave the other cores to its like."""
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)


def run_all(runs, path, processes):
    """Runs what is not yet in a file, and writes it there."""
    done = {key(one) for one in scoreboard_report.read(path)}
    left = [one for one in runs if key(one) not in done]
    print(f"{len(done)} runs are done, {len(left)} are left.")
    context = multiprocessing.get_context("spawn")
    with (
        path.open("a", encoding="utf-8") as file,
        context.Pool(
            processes, use_one_core, maxtasksperchild=RUNS_PER_PROCESS
        ) as pool,
    ):
        if path.read_text(encoding="utf-8")[-1:] not in ("", "\n"):
            # Ends the line that an interruption has torn.
            file.write("\n")
        for result in pool.imap_unordered(try_run, left):
            if isinstance(result, str):
                print(result, flush=True)
                continue
            file.write(json.dumps(result) + "\n")
            file.flush()
            print(*key(result), f"test {result['test']:.4f}", flush=True)


def try_run(one):
    """What `run` returns, or a sentence: one failure must not end all."""
    try:
        return run(one)
    except Exception as error:
        return f"This run failed, {error!r}: {one}"


def key(run):
    return tuple(run[name] for name in KEY)


def parse_arguments(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", help="of TensorFlow Datasets and `brown`")
    parser.add_argument("--folder", default=FOLDER, help="for the results")
    parser.add_argument(
        "--problems", nargs="+", default=[*problems.PROBLEMS], metavar="NAME"
    )
    parser.add_argument(
        "--methods", nargs="+", default=[*DEFAULT_METHODS], choices=METHODS
    )
    parser.add_argument(
        "--starts", nargs="+", default=[*problems.STARTS], metavar="NAME"
    )
    parser.add_argument("--seeds", type=int, default=3, help="how many")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--variant", default="", help="a name for `--settings`")
    parser.add_argument(
        "--settings", default="{}", help="arguments of `from_keras`, as JSON"
    )
    return parser.parse_args(arguments)


def main(arguments=None):
    arguments = parse_arguments(arguments)
    folder = pathlib.Path(arguments.folder)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "runs.jsonl"
    run_all(list_runs(arguments), path, arguments.processes)
    scoreboard_report.main(["--folder", str(folder)])


if __name__ == "__main__":
    main()
