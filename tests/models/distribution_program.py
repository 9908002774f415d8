"""Trains on two devices, in a process that `distribution_test.py` starts.

    python -m tests.models.distribution_program FOLDER CASE ...

Each case runs in a process of its own, as a failed collective operation leaves
its process unusable. A case returns a dictionary of arrays, which go to
`FOLDER/CASE.npz`.
"""

import functools
import os
import pathlib
import sys

import keras
import numpy as np
import tensorflow as tf
from keras import ops

import keras_stn as stn
from tests.gates import open_gates
from tests.programs import start_in_fork

RNG = np.random.default_rng(0)
X = RNG.normal(size=(32, 6, 6, 2)).astype("float32")
Y = RNG.integers(0, 3, size=32)
X_VAL = RNG.normal(size=(16, 6, 6, 2)).astype("float32")
Y_VAL = RNG.integers(0, 3, size=16)


@keras.saving.register_keras_serializable(package="distribution_test")
class Scale(stn.layers.HyperLayer):
    """Scales the inputs by a hyperparameter, in training."""

    def __init__(self, factor, **kwargs):
        super().__init__(**kwargs)
        self.factor = self.declare(factor)

    def call(self, inputs, training=False, hyperparameters=None):
        if not training:
            return inputs
        return inputs * self.resolve(self.factor, inputs, hyperparameters)

    def get_config(self):
        factor = keras.saving.serialize_keras_object(self.factor)
        return {**super().get_config(), "factor": factor}


@keras.saving.register_keras_serializable(package="distribution_test")
class Network(keras.Model):
    """A subclassed network, which is built when it sees data."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.scale = Scale(stn.Float("factor", 0.5, 2.0, default=1.0))
        self.flatten = keras.layers.Flatten()
        self.hidden = stn.layers.HyperDense(5, activation="relu")
        self.head = stn.layers.HyperDense(3)

    def call(self, inputs, training=None):
        x = self.scale(self.flatten(inputs), training=training)
        return self.head(self.hidden(x))


@keras.saving.register_keras_serializable(package="distribution_test")
class Count(keras.metrics.Metric):
    """The number of examples."""

    def __init__(self, name="count", **kwargs):
        super().__init__(name=name, **kwargs)
        self.total = self.add_variable((), "zeros", name="total")

    def update_state(self, y_true, y_pred, sample_weight=None):
        self.total.assign_add(ops.cast(ops.shape(y_true)[0], self.dtype))

    def result(self):
        return self.total + 0.0


def make_convolutional():
    return keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            Scale(stn.Float("factor", 0.5, 2.0, default=1.0)),
            stn.layers.HyperConv2D(3, 3, activation="relu"),
            keras.layers.Flatten(),
            stn.layers.HyperDense(3),
        ]
    )


def make_model(
    strategy, make_network=make_convolutional, preset="auto", **kwargs
):
    keras.utils.set_random_seed(0)
    with strategy.scope():
        model = stn.SelfTuningModel(make_network(), groups=4, preset=preset)
        if model.built:
            # In so few steps they would hardly leave their zeros.
            open_gates(model, 0.1)
        arguments = {
            "optimizer": keras.optimizers.SGD(0.1, momentum=0.9),
            "loss": keras.losses.SparseCategoricalCrossentropy(
                from_logits=True
            ),
            "metrics": ["accuracy", Count()],
            "hyper_optimizer": keras.optimizers.Adam(0.1),
            "scale_optimizer": keras.optimizers.Adam(0.1),
            "jit_compile": False,
            **kwargs,
        }
        model.compile(**arguments)
    return model


def make_dataset(x, y):
    """Batches in a fixed order, unlike those of arrays to tune on."""
    return tf.data.Dataset.from_tensor_slices((x, y)).batch(8)


def fit(model, examples=32, **kwargs):
    if "validation_data" not in kwargs:
        kwargs.setdefault("tuning_data", make_dataset(X_VAL, Y_VAL))
    history = model.fit(
        X[:examples],
        Y[:examples],
        batch_size=8,
        shuffle=False,
        verbose=0,
        **kwargs,
    )
    return {key: np.array(values) for key, values in history.history.items()}


@functools.cache
def mirrored(devices=2):
    # One object: two of them would number their collective operations alike.
    return tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(devices)])


def state(model):
    """All weights, λ and scales among them."""
    return {
        f"{i}": ops.convert_to_numpy(weight)
        for i, weight in enumerate(model.weights)
    }


def optimizer_state(model):
    optimizers = (
        model.optimizer,
        model.hyper_optimizer,
        model.scale_optimizer,
    )
    variables = [v for optimizer in optimizers for v in optimizer.variables]
    return {
        f"{i}": ops.convert_to_numpy(variable)
        for i, variable in enumerate(variables)
    }


def prefixed(prefix, arrays):
    return {f"{prefix}/{key}": array for key, array in arrays.items()}


def one_and_two_devices(folder):
    """A run on one device and on two; evaluation, prediction and saving."""
    validation_data = make_dataset(X_VAL, Y_VAL)
    one = make_model(tf.distribute.get_strategy())
    results = prefixed("start", state(one))
    logs = fit(
        one,
        epochs=2,
        validation_data=validation_data,
        callbacks=[stn.callbacks.ScheduleLogger(folder / "one.csv", "batch")],
    )
    results |= prefixed("one/logs", logs)
    results |= prefixed("one/state", state(one))
    strategy = mirrored()
    two = make_model(strategy)
    logs = fit(
        two,
        epochs=2,
        validation_data=validation_data,
        callbacks=[stn.callbacks.ScheduleLogger(folder / "two.csv", "batch")],
    )
    results |= prefixed("two/logs", logs)
    results |= prefixed("two/state", state(two))
    results |= prefixed("two/optimizers", optimizer_state(two))
    for name, model in (("one", one), ("two", two)):
        # The last batch, of one example, leaves nothing to one device.
        results[f"{name}/predictions"] = model.predict(
            X[:31], batch_size=6, verbose=0
        )
        results[f"{name}/evaluation"] = model.evaluate(
            X[:31], Y[:31], batch_size=6, verbose=0
        )
    two.save(folder / "model.keras")
    with strategy.scope():
        loaded = keras.models.load_model(folder / "model.keras")
    results |= prefixed("loaded/state", state(loaded))
    results |= prefixed("loaded/optimizers", optimizer_state(loaded))
    results |= prefixed("two/more", fit(two))
    results |= prefixed("loaded/more", fit(loaded))
    return results


def uneven(folder):
    """Batches that two devices cannot share; gradients clipped to 1e-3."""
    strategy = mirrored()
    with strategy.scope():
        optimizer = keras.optimizers.SGD(1.0, clipnorm=1e-3)
    model = make_model(strategy, Network, optimizer=optimizer)
    # Batches of 8 and 5, split in 3 and 2; arrays to tune and validate on.
    logs = fit(model, 13, validation_data=(X_VAL[:11], Y_VAL[:11]))
    results = prefixed("five_left/logs", logs)
    results |= prefixed("start", state(model))
    # Batches of 8 and 1, and tuning batches of 1: nothing for one device.
    one_example = make_dataset(X_VAL[:1], Y_VAL[:1])
    logs = fit(model, 9, tuning_data=one_example)
    results |= prefixed("one_left/logs", logs)
    logs = fit(model, 13, tuning_data=make_dataset(np.nan * X_VAL, Y_VAL))
    results |= prefixed("skipped/logs", logs)
    results |= prefixed("end", state(model))
    return results


def subclassed(folder):
    """A network that is built by `fit`."""
    results = {}
    for name, strategy in (
        ("none", tf.distribute.get_strategy()),
        ("one", tf.distribute.OneDeviceStrategy("CPU:1")),
        ("two", mirrored()),
    ):
        model = make_model(strategy, Network, preset="paper")
        results |= prefixed(f"{name}/logs", fit(model))
        results |= prefixed(f"{name}/state", state(model))
    return results


def make_penalized():
    l2 = stn.Float("l2", 1e-6, 1.0, 1e-2, "log", per_example=False)
    penalty = stn.regularizers.L2(l2)
    return keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            keras.layers.Flatten(),
            keras.layers.Dense(5, "tanh", kernel_regularizer=penalty),
            stn.layers.HyperDense(
                3, kernel_regularizer=penalty, bias_regularizer=penalty
            ),
        ]
    )


def make_mixed():
    return keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            stn.layers.CutMix(stn.Float("cut_mix", 0.0, 1.0, 0.5)),
            stn.layers.MixUp(stn.Float("mix_up", 0.01, 2.0, 0.5)),
            keras.layers.Flatten(),
            stn.layers.HyperDense(3),
        ]
    )


def loss_side(folder):
    """A penalty and label smoothing on one device and two.

    And on two, mixing with averaged hyperparameters.
    """
    results = {}
    for name, strategy in (
        ("one", tf.distribute.get_strategy()),
        ("two", mirrored()),
    ):
        loss = stn.losses.SparseCategoricalCrossentropy(
            True, label_smoothing=stn.Float("smoothing", 0.0, 0.5, 0.1)
        )
        model = make_model(strategy, make_penalized, loss=loss)
        results |= prefixed(f"{name}/logs", fit(model, epochs=2))
        results |= prefixed(f"{name}/state", state(model))
        results[f"{name}/evaluation"] = model.evaluate(X, Y, verbose=0)
    with mirrored().scope():
        averaging = keras.optimizers.Adam(0.1, use_ema=True, ema_momentum=0.5)
    model = make_model(mirrored(), make_mixed, hyper_optimizer=averaging)
    results |= prefixed("mixed/logs", fit(model))
    (average,) = averaging._model_variables_moving_average
    results["mixed/average"] = ops.convert_to_numpy(average)
    location = model.hyperparameters.location
    results["mixed/location"] = ops.convert_to_numpy(location)
    return results


def rate(name):
    return stn.Float(name, 0.0, 0.9, default=0.3)


def make_random():
    """Every kind of random numbers: of pixels, images, steps and weights."""
    layers = stn.layers
    return keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            layers.RandomBrightness(rate("brightness"), value_range=(0, 1)),
            layers.RandomCutout(1, stn.Int("length", 0, 4, default=2)),
            layers.HyperConv2D(3, 3, activation="relu"),
            layers.SpatialDropout2D(rate("maps")),
            keras.layers.Reshape((4, 12)),
            layers.GaussianNoise(rate("noise")),
            layers.HyperLSTM(
                4,
                dropout=rate("lstm"),
                recurrent_dropout=rate("state"),
                recurrent_dropconnect=rate("weights"),
            ),
            layers.Dropout(rate("dropout")),
            layers.Dropout(0.2),
            layers.HyperDense(3),
        ]
    )


def random_layers(strategy, file):
    """Training batches of 8 and 6, tuning batches of 6.

    Four devices get unequal parts of the 6, and groups lie on two devices.
    """
    model = make_model(strategy, make_random)
    tuning_data = make_dataset(X_VAL[:6], Y_VAL[:6])
    logs = fit(model, 14, tuning_data=tuning_data, epochs=3)
    model.save(file)
    return prefixed("logs", logs) | prefixed("state", state(model))


def random_on_one(folder):
    return random_layers(tf.distribute.get_strategy(), folder / "one.keras")


def random_on_two(folder):
    return random_layers(mirrored(), folder / "two.keras")


def random_on_four(folder):
    return random_layers(mirrored(4), folder / "four.keras")


def run(case, folder):
    # TensorFlow sometimes waits for up to a minute before it lets go of an
    # iterator that it tunes the speed of.
    tf.data.experimental.enable_debug_mode()
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(
        cpu, [tf.config.LogicalDeviceConfiguration()] * 4
    )
    np.savez(folder / f"{case.__name__}.npz", **case(folder))


def main():
    folder = pathlib.Path(sys.argv[1])
    for name in sys.argv[2:]:
        case = globals()[name]
        process = start_in_fork(run, case, folder)
        if os.waitpid(process, 0)[1]:
            sys.exit(f"The case {name!r} failed.")


if __name__ == "__main__":
    main()
