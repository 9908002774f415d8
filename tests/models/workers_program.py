"""Trains in two processes, which `workers_test.py` looks at.

    python -m tests.models.workers_program FOLDER RUN

Each process of a run writes the arrays that its case returns to
`FOLDER/RUN_NAME.npz`, where `NAME` is the index of the worker, or `alone`.
"""

import itertools
import json
import os
import pathlib
import signal
import socket
import sys
import time

import keras
import numpy as np
import tensorflow as tf

import keras_stn as stn
from tests.models.distribution_program import X_VAL
from tests.models.distribution_program import Y_VAL
from tests.models.distribution_program import Scale
from tests.models.distribution_program import X
from tests.models.distribution_program import Y
from tests.models.distribution_program import fit
from tests.models.distribution_program import make_dataset
from tests.models.distribution_program import make_model
from tests.models.distribution_program import make_random
from tests.models.distribution_program import prefixed
from tests.models.distribution_program import state
from tests.programs import start_in_fork

WORKERS = 2
PATIENCE = 240  # Seconds that processes get.


def make_dense():
    return keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            keras.layers.Flatten(),
            Scale(stn.Float("factor", 0.5, 2.0, default=1.0)),
            stn.layers.HyperDense(5, activation="relu"),
            stn.layers.HyperDense(3),
        ]
    )


def train(strategy, folder, name):
    """Arrays and data sets; evaluation, prediction, saving and loading.

    Of images, by a network that has a convolution, a recurrent layer and every
    kind of random numbers.
    """
    model = make_model(strategy, make_random)
    results = prefixed("start", state(model))
    writer = "alone" if name == "alone" else "workers"
    logs = fit(
        model,
        epochs=2,
        tuning_data=make_dataset(X_VAL, Y_VAL),
        validation_data=(X_VAL, Y_VAL),
        callbacks=[
            stn.callbacks.ScheduleLogger(folder / f"{writer}.csv", "batch")
        ],
    )
    results |= prefixed("logs", logs)
    results |= prefixed("state", state(model))
    # Of the last batch, seven examples, one worker gets four.
    results["predictions"] = model.predict(X[:31], batch_size=8, verbose=0)
    results["evaluation"] = model.evaluate(
        make_dataset(X[:31], Y[:31]), verbose=0
    )
    model.save(folder / f"{name}.keras")
    with strategy.scope():
        loaded = keras.models.load_model(folder / f"{name}.keras")
    return results | prefixed("loaded", state(loaded))


def uneven(strategy, folder, name):
    """Batches that two workers cannot share, and a worker without examples."""
    model = make_model(strategy, make_dense)
    results = {}
    for examples in (31, 9):
        data = make_dataset(X[:examples], Y[:examples])
        history = model.fit(
            data, validation_data=(X_VAL[:11], Y_VAL[:11]), verbose=0
        )
        results |= prefixed(f"{examples}/logs", history.history)
        results |= prefixed(f"{examples}/state", state(model))
    return results


def make_dropping():
    return keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            keras.layers.Flatten(),
            stn.layers.HyperDense(5, activation="relu"),
            stn.layers.Dropout(stn.Float("dropout", 0.0, 0.9, default=0.3)),
            keras.layers.BatchNormalization(),
            stn.layers.HyperDense(3),
        ]
    )


def resume(strategy, folder, name, *callbacks):
    """Three epochs of shuffled arrays, from a checkpoint if there is one."""
    model = make_model(strategy, make_dropping)
    history = model.fit(
        X,
        Y,
        batch_size=8,
        epochs=3,
        validation_data=(X_VAL, Y_VAL),
        verbose=0,
        callbacks=[
            stn.callbacks.BackupAndRestore(folder / "backup", save_freq=1),
            stn.callbacks.ScheduleLogger(folder / "schedule.csv", "batch"),
            *callbacks,
        ],
    )
    return prefixed("logs", history.history) | prefixed("state", state(model))


def die(strategy, folder, name):
    """Loses the second worker in the second epoch."""
    steps = itertools.count()

    def kill(batch, logs=None):
        if name == "1" and next(steps) == 3:
            os.kill(os.getpid(), signal.SIGKILL)

    killer = keras.callbacks.LambdaCallback(on_train_batch_begin=kill)
    return resume(strategy, folder, name, killer)


def run(case, folder, index, ports):
    """Runs a case in this process.

    Args:
        case: Function that returns a dictionary of arrays.
        folder: Path.
        index: Integer, which worker this is; or `None` to train alone.
        ports: List of integers, where the workers listen.
    """
    tf.data.experimental.enable_debug_mode()
    strategy = tf.distribute.get_strategy()
    if index is not None:
        workers = [f"127.0.0.1:{port}" for port in ports]
        cluster = {"worker": workers}
        task = {"type": "worker", "index": index}
        os.environ["TF_CONFIG"] = json.dumps({"cluster": cluster, "task": task})
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
    name = "alone" if index is None else f"{index}"
    results = case(strategy, folder, name)
    np.savez(folder / f"{case.__name__}_{name}.npz", **results)


def wait(processes, patience=PATIENCE):
    """Waits for processes to end, and kills those that do not.

    Returns:
        Dictionary from ids to exit statuses.
    """
    statuses = {}
    deadline = time.monotonic() + patience
    while len(statuses) < len(processes):
        for process in processes - statuses.keys():
            done, status = os.waitpid(process, os.WNOHANG)
            if done:
                statuses[process] = os.waitstatus_to_exitcode(status)
            elif time.monotonic() > deadline:
                os.kill(process, signal.SIGKILL)
        time.sleep(0.05)
    return statuses


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


CASES = {case.__name__: case for case in (train, uneven, die, resume)}


def main():
    folder, name = pathlib.Path(sys.argv[1]), sys.argv[2]
    case = CASES[name]
    # To compare with, one process trains alone.
    indices = [*range(WORKERS), *([None] if case is train else [])]
    ports = free_ports(WORKERS)
    processes = [
        start_in_fork(run, case, folder, index, ports) for index in indices
    ]
    failed = [status for status in wait(set(processes)).values() if status]
    if failed:
        sys.exit(f"The run {name!r} failed: {failed}.")


if __name__ == "__main__":
    main()
