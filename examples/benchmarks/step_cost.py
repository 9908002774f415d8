"""What self-tuning costs a step, beside the plain Keras network.

    python examples/benchmarks/step_cost.py

prints, for each network, the time of a weight update, of a cycle (two weight
updates and one hyperparameter update), of evaluation and of prediction, each
divided by the time that the plain Keras network of the same shape takes: for
a cycle, that is three training steps. All are timed in turn in one run, and
the medians of the rounds' ratios are printed. Peak memory is that of a fresh
process that runs a few steps.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

import keras_stn as stn
from keras_stn.models.alternation import Cycle


def small_cnn(conv, dense, dropout):
    """The quickstart's network."""
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            conv(32, 3, padding="same", activation="relu"),
            keras.layers.MaxPooling2D(),
            dropout(0),
            conv(64, 3, padding="same", activation="relu"),
            keras.layers.MaxPooling2D(),
            dropout(1),
            keras.layers.Flatten(),
            dense(128, activation="relu"),
            dropout(2),
            dense(10),
        ]
    )


def alexnet(conv, dense, dropout):
    """Five convolutions and three dense layers on 32 x 32 images."""
    layers = [keras.Input((32, 32, 3))]
    for i, (filters, size, pool) in enumerate(
        [(64, 5, 2), (192, 5, 2), (384, 3, 1), (256, 3, 1), (256, 3, 2)]
    ):
        layers.append(conv(filters, size, padding="same", activation="relu"))
        if pool == 2:
            layers.append(keras.layers.MaxPooling2D())
        layers.append(dropout(i))
    layers.append(keras.layers.Flatten())
    for i in (5, 6):
        layers += [dropout(i), dense(1024, activation="relu")]
    return keras.Sequential([*layers, dense(10)])


def mlp(conv, dense, dropout):
    """Three dense layers, whose kernels are used once an example."""
    return keras.Sequential(
        [
            keras.Input((784,)),
            dense(512, activation="relu"),
            dropout(0),
            dense(512, activation="relu"),
            dropout(1),
            dense(10),
        ]
    )


NETWORKS = {"small_cnn": small_cnn, "alexnet": alexnet, "mlp": mlp}


def build(name, groups, jit_compile):
    """A compiled network: plain Keras with `groups="plain"`."""
    keras.utils.set_random_seed(0)
    build_network = NETWORKS[name]
    if groups == "plain":
        model = build_network(
            keras.layers.Conv2D,
            keras.layers.Dense,
            lambda i: keras.layers.Dropout(0.1),
        )
    else:
        model = stn.SelfTuningModel(
            build_network(
                stn.layers.HyperConv2D,
                stn.layers.HyperDense,
                lambda i: stn.layers.Dropout(
                    stn.Float(f"dropout_{i}", 0.0, 0.9, default=0.1)
                ),
            ),
            groups=groups,
        )
    model.compile(
        keras.optimizers.SGD(0.01, momentum=0.9),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=jit_compile,
    )
    return model


def make_batch(name, batch_size):
    shape = {"small_cnn": (28, 28, 1), "alexnet": (32, 32, 3), "mlp": (784,)}
    rng = np.random.default_rng(0)
    x = rng.random((batch_size, *shape[name]), "float32")
    y = rng.integers(0, 10, batch_size).astype("int32")
    return keras.ops.convert_to_tensor(x), keras.ops.convert_to_tensor(y)


def make_tasks(model, batch, is_plain):
    """The four things to time, each a function that waits for its result."""
    model.make_train_function()
    model.make_test_function()
    model.make_predict_function()

    def train(*steps):
        for step in steps:
            logs = model.train_function(iter([step]))
        return float(logs["loss"])

    def evaluate():
        return float(model.test_function(iter([batch]))["loss"])

    def predict():
        return float(model.predict_function([batch])[0, 0])

    if is_plain:
        weights, cycle = (batch,), (batch,) * 3
    else:
        weights = (Cycle((batch,), ()),)
        cycle = (Cycle((batch, batch), (batch,)),)
    return {
        "weights": lambda: train(*weights),
        "cycle": lambda: train(*cycle),
        "evaluate": evaluate,
        "predict": predict,
    }


def seconds(task, repeats):
    start = time.perf_counter()
    for _ in range(repeats):
        task()
    return (time.perf_counter() - start) / repeats


def measure(name, settings, batch_size, jit_compile, rounds):
    """Prints one table: a row a setting, ratios to the plain network."""
    batch = make_batch(name, batch_size)
    tasks = {
        setting: make_tasks(
            build(name, setting, jit_compile), batch, setting == "plain"
        )
        for setting in ("plain", *settings)
    }
    times = {key: {t: [] for t in tasks["plain"]} for key in tasks}
    repeats = {}
    for task in tasks["plain"]:
        for key in tasks:  # Compiles.
            tasks[key][task]()
            tasks[key][task]()
        repeats[task] = max(1, round(0.15 / seconds(tasks["plain"][task], 1)))
    for _ in range(rounds):
        for task in tasks["plain"]:
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
    print(f"{'groups':>12}", *(f"{task:>9}" for task in base), "   memory")
    plain_memory = peak_memory(name, "plain", batch_size, jit_compile)
    for key in settings:
        ratios = [
            statistics.median(
                ours / plain
                for ours, plain in zip(times[key][task], times["plain"][task])
            )
            for task in base
        ]
        memory = peak_memory(name, key, batch_size, jit_compile) / plain_memory
        label = "per example" if key is None else key
        print(
            f"{label:>12}",
            *(f"{ratio:>9.2f}" for ratio in ratios),
            f"{memory:>9.2f}",
            flush=True,
        )


def peak_memory(name, groups, batch_size, jit_compile):
    """Peak resident memory in bytes of a fresh process that trains."""
    command = [sys.executable, __file__, "--memory", f"{groups}"]
    command += ["--networks", name, "--batch-size", str(batch_size)]
    command += ["--jit-compile"] if jit_compile else []
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(run.stdout.split()[-1])


def print_peak_memory(name, groups, batch_size, jit_compile):
    batch = make_batch(name, batch_size)
    if groups != "plain":
        groups = None if groups == "None" else int(groups)
    model = build(name, groups, jit_compile)
    task = make_tasks(model, batch, groups == "plain")["cycle"]
    for _ in range(5):
        task()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "--networks",
        nargs="+",
        choices=NETWORKS,
        default=["small_cnn", "mlp"],
        help="alexnet takes seconds a step on a CPU",
    )
    parser.add_argument("--groups", nargs="+", type=int, default=[4, 8, 16])
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument(
        "--jit-compile", action="store_true", help="XLA instead of the graph"
    )
    parser.add_argument("--memory", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.memory:
        print_peak_memory(
            arguments.networks[0],
            arguments.memory,
            arguments.batch_size,
            arguments.jit_compile,
        )
        return
    for name in arguments.networks:
        measure(
            name,
            [None, *arguments.groups],
            arguments.batch_size,
            arguments.jit_compile,
            arguments.rounds,
        )


if __name__ == "__main__":
    main()
