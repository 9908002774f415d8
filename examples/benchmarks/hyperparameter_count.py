"""What a step costs with 1, 15, 100 and 1,000 hyperparameters.

    python examples/benchmarks/hyperparameter_count.py

prints, for a small convolutional network with a dense layer of 1,000 units,
the times of a weight update, of a cycle and of an evaluation, each divided by
that with one hyperparameter, the dropout rate of the dense layer. With 15 and
100 there are others beside it, to which all hyper layers respond; with 1,000,
each unit has a rate of its own. All are timed in turn in one run.
"""

import argparse
import os
import statistics

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
from networks import compiled
from networks import make_batch
from step_cost import make_tasks
from step_cost import seconds

import keras_stn as stn

UNITS = 1000


def build(count, groups, jit_compile):
    """A compiled network with so many hyperparameters."""
    keras.utils.set_random_seed(0)
    others = []
    if 1 < count < UNITS:
        others = [stn.Float("others", 0.0, 0.9, default=0.1, size=count - 1)]
    size = UNITS if count == UNITS else None
    rate = stn.Float("dropout", 0.0, 0.9, default=0.1, size=size)
    network = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            stn.layers.HyperConv2D(32, 3, padding="same", activation="relu"),
            keras.layers.MaxPooling2D(),
            stn.layers.HyperConv2D(64, 3, padding="same", activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Flatten(),
            stn.layers.HyperDense(UNITS, activation="relu"),
            stn.layers.Dropout(rate),
            stn.layers.HyperDense(10),
        ]
    )
    model = stn.SelfTuningModel(network, groups=groups, hyperparameters=others)
    return compiled(model, jit_compile)


def measure(counts, batch_size, groups, jit_compile, rounds):
    """Prints one table: a row a number of hyperparameters."""
    batch = make_batch("small_cnn", batch_size)
    tasks = {
        count: make_tasks(build(count, groups, jit_compile), batch)
        for count in counts
    }
    kinds = ("weights", "cycle", "evaluate")
    times = {count: {kind: [] for kind in kinds} for count in counts}
    for kind in kinds:
        for count in counts:  # Compiles.
            tasks[count][kind]()
            tasks[count][kind]()
    for _ in range(rounds):
        for kind in kinds:
            for count in counts:
                times[count][kind].append(seconds(tasks[count][kind], 2))
    one = times[counts[0]]
    how = "XLA" if jit_compile else "graph"
    print(
        f"batch {batch_size}, {groups or 'per-example'} groups, {how}; with "
        f"{counts[0]} in ms: "
        + ", ".join(f"{k} {1e3 * statistics.median(one[k]):.1f}" for k in kinds)
    )
    print(f"{'count':>8}", *(f"{kind:>9}" for kind in kinds))
    for count in counts:
        ratios = [
            statistics.median(a / b for a, b in zip(times[count][k], one[k]))
            for k in kinds
        ]
        print(f"{count:>8,}", *(f"{ratio:>9.2f}" for ratio in ratios))


def main():
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "--counts", nargs="+", type=int, default=[1, 15, 100, UNITS]
    )
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument(
        "--groups", type=int, default=8, help="0: one for each example"
    )
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument(
        "--jit-compile", action="store_true", help="XLA instead of the graph"
    )
    arguments = parser.parse_args()
    measure(
        arguments.counts,
        arguments.batch_size,
        arguments.groups or None,
        arguments.jit_compile,
        arguments.rounds,
    )


if __name__ == "__main__":
    main()
