"""Tuning finds the value that a grid of fixed values finds best."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_stn as stn

FEATURES = 10


@pytest.fixture(scope="module")
def problem():
    """A linear regression that wants about 0.6 of input noise."""
    rng = np.random.default_rng(3)
    weights = rng.normal(size=FEATURES) / np.sqrt(FEATURES)
    parts = []
    inputs = [rng.normal(size=(size, FEATURES)) for size in (40, 400)]
    for x in inputs:
        y = x @ weights + 2.0 * rng.normal(size=len(x))
        parts.append((x.astype("float32"), y.astype("float32")[:, None]))
    return parts


def validation_losses(problem, values):
    """Input noise of deviation s is an L2 penalty of s², solved exactly."""
    (x, y), (x_val, y_val) = problem
    losses = []
    for value in values:
        penalty = value**2 * np.eye(FEATURES)
        w = np.linalg.solve(x.T @ x / len(x) + penalty, x.T @ y / len(x))
        losses.append(np.mean((x_val @ w - y_val) ** 2))
    return np.array(losses)


@pytest.mark.parametrize(
    "start", [0.1, pytest.param(0.9, marks=pytest.mark.slow)]
)
def test_input_noise_goes_to_the_best_fixed_value(problem, start):
    values = np.linspace(0.01, 0.99, 99)
    losses = validation_losses(problem, values)
    best = values[losses.argmin()]
    assert 0.5 < best < 0.7

    noise = stn.Float("noise", 0.0, 1.0, default=start)
    network = keras.Sequential(
        [
            keras.Input((FEATURES,)),
            stn.layers.GaussianNoise(noise),
            stn.layers.HyperDense(1, use_bias=False),
        ]
    )
    model = stn.SelfTuningModel(
        network, groups=None, tune_scales=False, preset="paper"
    )
    model.compile(
        keras.optimizers.SGD(0.05),
        loss="mse",
        hyper_optimizer=keras.optimizers.Adam(0.01),
    )
    training, tuning = problem
    training = tuple(np.repeat(a, 16, axis=0) for a in training)
    history = model.fit(
        tf.data.Dataset.from_tensors(training).repeat(),
        steps_per_epoch=300,
        epochs=30,
        warmup_epochs=20,
        tuning_data=tf.data.Dataset.from_tensors(tuning).repeat(),
        verbose=0,
    ).history
    found = np.mean(history["noise"][-5:])
    assert abs(found - best) < 0.06
    excess = validation_losses(problem, [found])[0] - losses.min()
    assert excess < 0.02 * (losses.max() - losses.min())
