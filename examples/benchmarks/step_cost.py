"""What self-tuning costs a step, beside the plain Keras network.

    python examples/benchmarks/step_cost.py

prints, for each network, the time of a weight update, of a hyperparameter
update, of a cycle (two of the one and one of the other), and of evaluating and
predicting some batches, each divided by the time that the plain Keras network
of the same shape takes: for an update that is one training step, for a cycle
three. The last row is the network that `to_keras` makes of a tuned one. All
are timed in turn in one run, and the medians of the rounds' ratios are
printed. `memory.py` has the memory.
"""

import contextlib
import os
import statistics
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tensorflow as tf
from keras import ops
from networks import build
from networks import make_batch
from networks import make_parser

import keras_stn as stn
from keras_stn.models.alternation import Cycle

TASKS = ("weights", "tuning", "cycle", "evaluate", "predict")


def make_tasks(model, batch, num_batches=1):
    """The things to time, each a function that waits for its result.

    Args:
        model: A compiled model.
        batch: Pair of inputs and labels.
        num_batches: Integer, how often an evaluation and a prediction take
            the batch. What is done once is shared by so many.

    Returns:
        Dictionary of functions without arguments.
    """
    model.make_train_function()
    model.make_test_function()
    model.make_predict_function()

    def train(*steps):
        for step in steps:
            logs = model.train_function(iter([step]))
        return float(logs["loss"])

    def evaluate():
        # As `model.evaluate` does, without its progress bar and data set.
        with evaluating():
            for _ in range(num_batches):
                logs = model.test_function(iter([batch]))
            return float(logs["loss"])

    def predict():
        with evaluating():
            for _ in range(num_batches):
                outputs = model.predict_function([batch])
            # One number alone: some outputs are shared with NumPy, some
            # copied.
            return float(ops.ravel(outputs)[0])

    @tf.function(jit_compile=model.jit_compile)
    def tuning_update(batch):
        model.tuning_step(batch)
        return model.tuning_logs()["tuning_loss"]

    def tune():
        return float(tuning_update(batch))

    is_tuned = isinstance(model, stn.SelfTuningModel)
    evaluating = contextlib.nullcontext
    if is_tuned:
        evaluating = model.built_weights.kept
        weights = (Cycle((batch,), ()),)
        cycle = (Cycle((batch, batch), (batch,)),)
    else:
        weights, cycle = (batch,), (batch,) * 3
    return {
        "weights": lambda: train(*weights),
        "tuning": tune if is_tuned else lambda: train(batch),
        "cycle": lambda: train(*cycle),
        "evaluate": evaluate,
        "predict": predict,
    }


def seconds(task, repeats):
    start = time.perf_counter()
    for _ in range(repeats):
        task()
    return (time.perf_counter() - start) / repeats


def measure(
    name, settings, kinds, batch_size, num_batches, jit_compile, rounds, preset
):
    """Prints one table: a row a setting, ratios to the plain network."""
    batch = make_batch(name, batch_size)
    tasks = {
        setting: make_tasks(
            build(name, setting, jit_compile, preset), batch, num_batches
        )
        for setting in ("plain", *settings)
    }
    times = {key: {task: [] for task in kinds} for key in tasks}
    repeats = {}
    for task in kinds:
        for key in tasks:  # Compiles.
            tasks[key][task]()
            tasks[key][task]()
        repeats[task] = max(1, round(0.15 / seconds(tasks["plain"][task], 1)))
    for _ in range(rounds):
        for task in kinds:
            for key in tasks:
                times[key][task].append(
                    seconds(tasks[key][task], repeats[task])
                )
    how = "XLA" if jit_compile else "graph"
    base = {t: 1e3 * statistics.median(v) for t, v in times["plain"].items()}
    print(
        f"\n{name}, batch {batch_size}, {how}; plain Keras in ms: "
        + ", ".join(f"{task} {ms:.2f}" for task, ms in base.items())
    )
    print(f"{'groups':>12}", *(f"{task:>9}" for task in base))
    for key in settings:
        ratios = [
            statistics.median(
                ours / plain
                for ours, plain in zip(times[key][task], times["plain"][task])
            )
            for task in base
        ]
        label = "per example" if key is None else key
        print(
            f"{label:>12}",
            *(f"{ratio:>9.2f}" for ratio in ratios),
            flush=True,
        )


def main():
    parser = make_parser(
        __doc__.splitlines()[0],
        networks=["small_cnn", "mlp"],
        groups=[4, 8, 16],
    )
    parser.add_argument(
        "--tasks", nargs="+", choices=TASKS, default=TASKS, help="what to time"
    )
    parser.add_argument(
        "--num-batches",
        type=int,
        default=40,
        help="how many batches to evaluate and to predict",
    )
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    for name in arguments.networks:
        measure(
            name,
            [None, *arguments.groups, "to_keras"],
            arguments.tasks,
            arguments.batch_size,
            arguments.num_batches,
            arguments.jit_compile,
            arguments.rounds,
            arguments.preset,
        )


if __name__ == "__main__":
    main()
