"""What prediction costs after `from_keras` and `to_keras`.

    python examples/benchmarks/convert.py

times the prediction of one batch by an ordinary Keras model, by the
self-tuning model that `from_keras` makes of it, and by the ordinary one that
`to_keras` makes of that: for the quickstart's network and for a classifier
with an LSTM. All are timed in turn in one run, in changing order. Printed are
the medians in milliseconds, their ratios to the original's median, and the
quartiles of the rounds' ratios. "original again" tells how much of a
difference is chance.
"""

import argparse
import os
import statistics

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from networks import PLAIN
from networks import small_cnn
from step_cost import make_tasks
from step_cost import seconds

import keras_stn as stn

# A round of one model takes at least so long.
SECONDS = 0.15


def build_cnn():
    """The quickstart's network, of Keras's layers."""
    return small_cnn(PLAIN)


def build_lstm():
    """A classifier of sequences of 50 vectors."""
    return keras.Sequential(
        [
            keras.Input((50, 32)),
            keras.layers.LSTM(64, dropout=0.1),
            keras.layers.Dropout(0.1),
            keras.layers.Dense(10),
        ]
    )


NETWORKS = {"small_cnn": build_cnn, "lstm": build_lstm}


def make_models(name):
    """What is compared: compiled models by their rows' names."""
    keras.utils.set_random_seed(0)
    original = NETWORKS[name]()
    original.compile("sgd", loss="mse")
    again = keras.models.clone_model(original)
    again.compile("sgd", loss="mse")
    tuned = stn.SelfTuningModel.from_keras(original, preset="paper")
    return {
        "original": original,
        "original again": again,
        "to_keras()": tuned.to_keras(),
        "self-tuning": tuned,
    }


def measure(name, batch_size, rounds):
    """Times the models of one network.

    Returns:
        Dictionary from the rows' names to lists of seconds, one a round.
    """
    models = make_models(name)
    x = np.random.default_rng(0).random(
        (batch_size, *models["original"].input_shape[1:]), "float32"
    )
    batch = (keras.ops.convert_to_tensor(x), None)
    tasks = {
        row: make_tasks(model, batch)["predict"]
        for row, model in models.items()
    }
    for task in tasks.values():  # Compiles.
        task()
        task()
    repeats = max(1, round(SECONDS / seconds(tasks["original"], 3)))
    times = {row: [] for row in tasks}
    order = list(tasks)
    for _ in range(rounds):
        for row in order:
            times[row].append(seconds(tasks[row], repeats))
        order.append(order.pop(0))
    return times


def print_table(name, batch_size, times):
    """Prints a row a model, relative to the first."""
    base = times["original"]
    print(f"\n{name}, batch {batch_size}")
    print(f"{'':>16} {'ms':>8} {'ratio':>7} {'quartiles':>13}")
    for row, of_row in times.items():
        ratio = statistics.median(of_row) / statistics.median(base)
        ratios = [ours / original for ours, original in zip(of_row, base)]
        low, _, high = statistics.quantiles(ratios, n=4)
        print(
            f"{row:>16} {1e3 * statistics.median(of_row):>8.3f} {ratio:>7.3f} "
            f"{low:>6.3f} {high:>6.3f}",
            flush=True,
        )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS)
    )
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=21)
    arguments = parser.parse_args()
    if arguments.rounds < 2:
        parser.error("--rounds must be at least 2, for quartiles")
    for name in arguments.networks:
        times = measure(name, arguments.batch_size, arguments.rounds)
        print_table(name, arguments.batch_size, times)


if __name__ == "__main__":
    main()
