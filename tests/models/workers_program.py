"""Trains in two processes, which `workers_test.py` looks at.

    python -m tests.models.workers_program FOLDER CASE

Every process runs the case and writes the arrays that it returns to
`FOLDER/WORKER.npz`, where `WORKER` is the index of the process.
"""

import json
import os
import pathlib
import signal
import socket
import sys
import time
import traceback

import keras
import numpy as np
import tensorflow as tf

import keras_stn as stn
from tests.models.distribution_program import X_VAL
from tests.models.distribution_program import Y_VAL
from tests.models.distribution_program import X
from tests.models.distribution_program import Y
from tests.models.distribution_program import fit
from tests.models.distribution_program import make_dataset
from tests.models.distribution_program import make_model
from tests.models.distribution_program import optimizer_state
from tests.models.distribution_program import prefixed
from tests.models.distribution_program import state

WORKERS = 2
PATIENCE = 240  # Seconds that processes get.


def train(strategy, folder, name):
    """Arrays and data sets; evaluation, prediction, saving and loading."""
    model = make_model(strategy)
    results = prefixed("start", state(model))
    writer = "alone" if name == "alone" else "workers"
    # The last batches are of 7 and of 3 examples.
    logs = fit(
        model,
        31,
        epochs=2,
        tuning_data=make_dataset(X_VAL, Y_VAL),
        validation_data=(X_VAL[:11], Y_VAL[:11]),
        callbacks=[
            stn.callbacks.ScheduleLogger(folder / f"{writer}.csv", "batch")
        ],
    )
    results |= prefixed("logs", logs)
    results |= prefixed("state", state(model))
    results |= prefixed("optimizers", optimizer_state(model))
    # The last batch, of one example, leaves nothing to one worker.
    results["predictions"] = model.predict(X[:31], batch_size=6, verbose=0)
    results["evaluation"] = model.evaluate(
        X[:31], Y[:31], batch_size=6, verbose=0
    )
    model.save(folder / f"{name}.keras")
    with strategy.scope():
        loaded = keras.models.load_model(folder / f"{name}.keras")
    for case, again in (("more", model), ("loaded", loaded)):
        data = make_dataset(X, Y)
        history = again.fit(
            data, validation_data=make_dataset(X_VAL, Y_VAL), verbose=0
        )
        results |= prefixed(f"{case}/logs", history.history)
        results |= prefixed(f"{case}/state", state(again))
        results[f"{case}/evaluation"] = again.evaluate(data, verbose=0)
    return results


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
    np.savez(folder / f"{name}.npz", **case(strategy, folder, name))


def start(case, folder, index, ports):
    """Runs a case in a process of its own.

    Returns:
        Integer, the id of the process.
    """
    # TensorFlow may be forked as long as it has been imported only, which
    # takes as long as a case.
    process = os.fork()
    if process == 0:
        status = 1
        try:
            run(case, folder, index, ports)
            status = 0
        except BaseException:
            traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    return process


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


CASES = {"train": train}


def main():
    folder, name = pathlib.Path(sys.argv[1]), sys.argv[2]
    case = CASES[name]
    ports = free_ports(WORKERS)
    indices = [*range(WORKERS), None]
    processes = {start(case, folder, i, ports) for i in indices}
    failed = [s for s in wait(processes).values() if s]
    if failed:
        sys.exit(f"The case {name!r} failed: {failed}.")


if __name__ == "__main__":
    main()
