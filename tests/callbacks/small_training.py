"""A small self-tuning model, whose parts have names, and its training."""

import keras
import numpy as np

import keras_stn as stn

RNG = np.random.default_rng(0)
X = RNG.normal(size=(16, 6)).astype("float32")
Y = RNG.integers(0, 3, size=16)
X_VAL = RNG.normal(size=(8, 6)).astype("float32")
Y_VAL = RNG.integers(0, 3, size=8)


def make_network():
    inputs = keras.Input((6,))
    x = stn.layers.HyperDense(8, activation="relu", name="hidden")(inputs)
    x = keras.layers.BatchNormalization(name="normalization")(x)
    dropout = stn.Float("dropout", 0.0, 0.9, 0.2)
    x = stn.layers.Dropout(dropout, name="dropout")(x)
    return keras.Model(inputs, stn.layers.HyperDense(3, name="head")(x))


def make_model(optimizer=None, hyper_optimizer=None, **kwargs):
    """A compiled model; without graphs, whose making takes a test's time."""
    model = stn.SelfTuningModel(
        make_network(), train_steps=1, groups=4, name="tuned"
    )
    kwargs.setdefault("run_eagerly", not kwargs.get("jit_compile", False))
    model.compile(
        optimizer or keras.optimizers.SGD(0.05),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        hyper_optimizer=hyper_optimizer or keras.optimizers.Adam(0.1),
        **kwargs,
    )
    return model


def fit(model, callbacks, epochs=3, verbose=0, **kwargs):
    return model.fit(
        X,
        Y,
        batch_size=8,
        epochs=epochs,
        validation_data=(X_VAL, Y_VAL),
        callbacks=callbacks,
        verbose=verbose,
        **kwargs,
    )


def validate(model):
    return model.evaluate(X_VAL, Y_VAL, verbose=0, return_dict=True)


def read(variable):
    return np.array(keras.ops.convert_to_numpy(variable))


def location(model):
    return read(model.hyperparameters.location)


def assert_equal(actual, expected):
    assert len(actual) == len(expected)
    for one, other in zip(actual, expected):
        np.testing.assert_array_equal(one, other)
