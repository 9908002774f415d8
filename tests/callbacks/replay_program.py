"""Replays a schedule, on one device or on two in a process of its own.

    python -m tests.callbacks.replay_program FOLDER

writes to `FOLDER/results.npz` what two devices used.
"""

import os
import pathlib
import sys

import keras
import numpy as np
import tensorflow as tf
from keras import ops

import keras_stn as stn

UPDATES = 10
RNG = np.random.default_rng(0)
X = RNG.normal(size=(8 * UPDATES, 4)).astype("float32")
Y = RNG.normal(size=(8 * UPDATES, 1)).astype("float32")


class Seen(stn.layers.HyperLayer):
    """Keeps the value that each weight update uses of a hyperparameter."""

    def __init__(self, value, **kwargs):
        super().__init__(**kwargs)
        self.value = self.declare(value)
        self.values = self.add_state((4 * UPDATES,), "float32")
        self.updates = self.add_state((), "int32")
        self.traces = 0

    def add_state(self, shape, dtype):
        return self.add_weight(
            shape=shape,
            dtype=dtype,
            initializer="zeros",
            trainable=False,
            aggregation="only_first_replica",
        )

    def call(self, inputs, training=False, hyperparameters=None):
        value = self.resolve(self.value, inputs, hyperparameters)
        if training:
            self.traces += 1
            places = ops.arange(self.values.shape[0])
            self.values.assign(
                ops.where(
                    places == self.updates.value,
                    ops.mean(ops.convert_to_tensor(value, "float32")),
                    self.values.value,
                )
            )
            self.updates.assign(self.updates.value + 1)
        return inputs

    def seen(self):
        """The values of the weight updates so far."""
        count = int(self.updates.numpy())
        return ops.convert_to_numpy(self.values)[:count]


def make_network(**kwargs):
    """A network of a tuned layer, regularizer and loss, compiled."""
    keras.utils.set_random_seed(0)
    rate = stn.Float("rate", 0.0, 0.9, default=0.25)
    l2 = stn.Float("l2", 1e-6, 1.0, 1e-2, "log", per_example=False)
    network = keras.Sequential(
        [
            keras.Input((4,)),
            Seen(rate, name="seen"),
            stn.layers.HyperDense(
                5,
                activation="tanh",
                kernel_regularizer=stn.regularizers.L2(l2),
            ),
            stn.layers.Dropout(rate),
            stn.layers.HyperDense(1),
        ]
    )
    arguments = {
        "optimizer": keras.optimizers.SGD(0.1),
        "loss": "mse",
        "jit_compile": False,
        **kwargs,
    }
    network.compile(**arguments)
    return network


def fit(network, schedule=None, **kwargs):
    callbacks = []
    if schedule is not None:
        callbacks = [stn.callbacks.ReplaySchedule(schedule)]
    arguments = {"batch_size": 8, "shuffle": False, "verbose": 0, **kwargs}
    return network.fit(X, Y, callbacks=callbacks, **arguments).history


def record():
    """Columns of a schedule with a row for every second weight update."""
    steps = np.arange(0, UPDATES + 1, 2)
    return {
        "step": steps.tolist(),
        "rate": (0.1 + 0.05 * steps).tolist(),
        "l2": (0.01 * 1.5**steps).tolist(),
    }


def main():
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(
        cpu, [tf.config.LogicalDeviceConfiguration()] * 2
    )
    tf.data.experimental.enable_debug_mode()
    schedules = {
        "recorded": stn.schedules.Recorded(record()),
        "gaussian": stn.schedules.GaussianPerturbed(0.1, seed=4),
    }
    results = {}
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    for name, schedule in schedules.items():
        with strategy.scope():
            network = make_network()
        history = fit(network, schedule)
        seen = network.get_layer("seen")
        devices = strategy.experimental_local_results(seen.values.value)
        for i, values in enumerate(devices):
            results[f"{name}/{i}"] = values.numpy()[:UPDATES]
        results[f"{name}/logs"] = history["rate"]
    np.savez(pathlib.Path(sys.argv[1]) / "results.npz", **results)
    sys.stdout.flush()
    sys.stderr.flush()
    # The threads of two devices may outlive the interpreter.
    os._exit(0)


if __name__ == "__main__":
    main()
