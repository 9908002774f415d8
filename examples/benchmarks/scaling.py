"""How training scales over processes of one machine.

    python examples/benchmarks/scaling.py

trains the quickstart's network on one core, and on two cores with a process on
each under `tf.distribute.MultiWorkerMirroredStrategy`, by turns. The batch of
two processes is twice that of one, so each does what the one did alone. Printed
are the images a second, and how many times those of one process they are. It
needs as many cores as processes, and Linux, to hold each to its core.

On machines with GPUs, start it with `--device gpu`: each process gets one.
"""

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

BATCHES = 60


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def images_a_second(arguments, processes):
    """Trains with so many processes, and reads what the first prints."""
    ports = free_ports(processes)
    workers = [f"127.0.0.1:{port}" for port in ports]
    command = [sys.executable, __file__, "--train"]
    command += ["--network", arguments.network]
    command += ["--batch-size", str(arguments.batch_size * processes)]
    running = []
    for index in range(processes):
        environment = dict(os.environ)
        if processes > 1:
            environment["TF_CONFIG"] = json.dumps(
                {
                    "cluster": {"worker": workers},
                    "task": {"type": "worker", "index": index},
                }
            )
        if arguments.device == "gpu":
            environment["CUDA_VISIBLE_DEVICES"] = str(index)
            pin = []
        else:
            pin = ["taskset", "--cpu-list", str(index)]
        running.append(
            subprocess.Popen(
                pin + command,
                env=environment,
                stdout=subprocess.PIPE,
                text=True,
            )
        )
    try:
        outputs = [one.communicate(timeout=600)[0] for one in running]
    finally:
        for one in running:
            one.kill()
    return float(outputs[0].split()[-1])


def train(network, batch_size):
    """Prints the images a second of an epoch, after one that compiles."""
    import keras
    import tensorflow as tf
    from networks import EpochTimer
    from networks import build
    from networks import make_arrays

    strategy = tf.distribute.get_strategy()
    if "TF_CONFIG" in os.environ:
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
    keras.utils.set_random_seed(0)
    with strategy.scope():
        model = build(network, 8)
    x, y = make_arrays(network, BATCHES * batch_size)
    options = {"batch_size": batch_size, "tuning_data": (x, y), "verbose": 0}
    timer = EpochTimer()
    for _ in range(2):
        model.fit(x, y, callbacks=[timer], **options)
    print(len(x) / timer.seconds, flush=True)
    # TensorFlow may take a while to let go of its data sets.
    os._exit(0)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--network", default="small_cnn")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=128, help="of each")
    parser.add_argument("--device", choices=("cpu", "gpu"), default="cpu")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--train", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.train:
        train(arguments.network, arguments.batch_size)
        return
    rates = {1: [], arguments.processes: []}
    for _ in range(arguments.rounds):
        for processes in rates:
            rates[processes].append(images_a_second(arguments, processes))
    print(f"{'processes':>10} {'images/s':>10} {'ratio':>6}")
    for processes, each in rates.items():
        ratio = statistics.median(a / b for a, b in zip(each, rates[1]))
        print(f"{processes:>10} {statistics.median(each):>10.0f} {ratio:>6.2f}")


if __name__ == "__main__":
    main()
