"""How much memory self-tuning takes, beside the plain Keras network.

    python examples/benchmarks/memory.py

trains each network for a few cycles in a process of its own and prints by how
many MiB the process grew at its largest, from before the network was built:
weights, optimizer, activations, and what TensorFlow keeps of them. The plain
network does as many training steps. On a GPU it is the peak of the device.
"""

import argparse
import os
import resource
import subprocess
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import tensorflow as tf
from networks import build
from networks import make_batch
from networks import make_parser
from step_cost import make_tasks

MIB = 2**20
CYCLES = 3


def peak(name, groups, arguments, dtype):
    """The growth in MiB of a fresh process that trains."""
    command = [sys.executable, __file__, "--only", name, str(groups)]
    command += ["--batch-size", str(arguments.batch_size), "--dtypes", dtype]
    command += ["--jit-compile"] if arguments.jit_compile else []
    command += ["--preset", arguments.preset]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(run.stdout.split()[-1])


def print_growth(name, groups, arguments):
    """Trains in this process, and prints its growth."""
    keras.config.set_dtype_policy(arguments.dtypes[0])
    batch = make_batch(name, arguments.batch_size)
    devices = tf.config.list_logical_devices("GPU")
    before = resident()
    if groups not in ("plain", None):
        groups = int(groups)
    model = build(name, groups, arguments.jit_compile, arguments.preset)
    tasks = make_tasks(model, batch)
    for _ in range(CYCLES):
        tasks["cycle"]()
    if devices:
        info = tf.config.experimental.get_memory_info(devices[0].name)
        print(info["peak"] / MIB)
    else:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        print((usage.ru_maxrss * 1024 - before) / MIB)


def resident():
    """The bytes of memory that this process has now, on Linux."""
    with open("/proc/self/statm") as file:
        pages = int(file.read().split()[1])
    return pages * resource.getpagesize()


def main():
    parser = make_parser(
        __doc__.splitlines()[0],
        networks=["alexnet", "lstm", "transformer"],
        groups=[8],
    )
    parser.add_argument(
        "--dtypes",
        nargs="+",
        default=["float32", "mixed_bfloat16"],
        help="dtype policies of Keras",
    )
    parser.add_argument("--only", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only:
        name, groups = arguments.only
        print_growth(name, None if groups == "None" else groups, arguments)
        return
    settings = ["plain", None, *arguments.groups]
    labels = ["per example" if s is None else str(s) for s in settings]
    print("peak MiB", *(f"{label:>12}" for label in labels))
    for name in arguments.networks:
        for dtype in arguments.dtypes:
            peaks = [peak(name, s, arguments, dtype) for s in settings]
            cells = [f"{peaks[0]:>12.0f}"]
            cells += [f"{p:>5.0f} ({p / peaks[0]:.2f})" for p in peaks[1:]]
            print(name, dtype, *cells, flush=True)


if __name__ == "__main__":
    main()
