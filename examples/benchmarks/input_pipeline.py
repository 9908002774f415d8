"""How long training waits for its data.

    python examples/benchmarks/input_pipeline.py

trains the quickstart's network by `fit`, and by the same steps on batches that
are in memory already. What `fit` takes longer is reading, shuffling and
batching, Keras's own loop, and the alternation between training and tuning
batches. The plain Keras network is measured alike, on as many batches. All
take turns in one run; printed are milliseconds a batch, and the share of the
epoch that is not the steps themselves.
"""

import argparse
import os
import statistics
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
from networks import NETWORKS
from networks import EpochTimer
from networks import build
from networks import make_arrays

from keras_stn.models.alternation import Cycle

# Training and tuning batches of an epoch.
BATCHES = {"plain": (90, 0), "self-tuning": (60, 30)}


def make_tasks(name, kind, batch_size, groups):
    """Functions that time an epoch of `fit`, and one of batches at hand."""
    model = build(name, "plain" if kind == "plain" else groups)
    training, tuning = BATCHES[kind]
    x, y = make_arrays(name, batch_size * training)
    x_val, y_val = make_arrays(name, batch_size * (tuning or 1))
    options = {"batch_size": batch_size, "verbose": 0}
    if tuning:
        # Tuning reads them; there is nothing to validate here.
        options["tuning_data"] = (x_val, y_val)

    def fit():
        timer = EpochTimer()
        model.fit(x, y, callbacks=[timer], **options)
        return timer.seconds

    def steps():
        batch = tuple(
            keras.ops.convert_to_tensor(array[:batch_size]) for array in (x, y)
        )
        step = batch if not tuning else Cycle((batch,) * 2, (batch,))
        model.make_train_function()
        start = time.perf_counter()
        for _ in range(tuning or training):
            logs = model.train_function(iter([step]))
        float(logs["loss"])
        return time.perf_counter() - start

    return {"fit": fit, "steps": steps}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--network", choices=NETWORKS, default="small_cnn")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--groups", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    tasks = {
        kind: make_tasks(
            arguments.network, kind, arguments.batch_size, arguments.groups
        )
        for kind in BATCHES
    }
    times = {kind: {"fit": [], "steps": []} for kind in tasks}
    for number in range(arguments.rounds + 1):
        for kind, pair in tasks.items():
            for how, task in pair.items():
                seconds = task()
                if number:  # The first compiles.
                    times[kind][how].append(seconds)
    print(f"{'':>12} {'fit':>8} {'steps':>8} {'share':>8}")
    for kind, measured in times.items():
        batch = 1e3 / sum(BATCHES[kind])
        fit, steps = (statistics.median(measured[how]) for how in measured)
        share = statistics.median(
            1 - b / a for a, b in zip(measured["fit"], measured["steps"])
        )
        print(
            f"{kind:>12} {fit * batch:>8.2f} {steps * batch:>8.2f} "
            f"{share:>8.1%}"
        )


if __name__ == "__main__":
    main()
