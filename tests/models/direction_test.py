"""The first moves go towards better values, wherever the range ends.

In a linear regression noise and dropout of the inputs are penalties of the
weights, so the best weights at each value, and their loss on other data, are
known exactly.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_stn as stn

FEATURES = 10


def draw_problem(deviation):
    """A regression of 40 examples, whose targets are seen through noise."""
    rng = np.random.default_rng(3)
    weights = rng.normal(size=FEATURES) / np.sqrt(FEATURES)
    parts = []
    for x in [rng.normal(size=(size, FEATURES)) for size in (40, 400)]:
        y = x @ weights + deviation * rng.normal(size=len(x))
        parts.append((x.astype("float32"), y.astype("float32")[:, None]))
    return parts


def noise_penalty(x, value):
    return value**2 * np.eye(FEATURES)


def dropout_penalty(x, value):
    return value / (1 - value) * np.diag(np.mean(x**2, axis=0))


def exact_loss(problem, penalty, value):
    """The loss on the tuning data of the best weights at a value."""
    (x, y), (x_val, y_val) = problem
    square = x.T @ x / len(x) + penalty(x, value)
    weights = np.linalg.solve(square, x.T @ y / len(x))
    return np.mean((x_val @ weights - y_val) ** 2)


def first_moves(problem, layer, start, high, seed):
    """How far a value has moved after each of the first tuned epochs."""
    keras.utils.set_random_seed(seed)
    value = stn.Float("value", 0.0, high, default=start)
    network = keras.Sequential(
        [
            keras.Input((FEATURES,)),
            layer(value),
            stn.layers.HyperDense(1, use_bias=False),
        ]
    )
    model = stn.SelfTuningModel(network)
    model.compile(keras.optimizers.Adam(0.01), "mse")
    training, tuning = problem
    training = tuple(np.repeat(a, 16, axis=0) for a in training)
    history = model.fit(
        tf.data.Dataset.from_tensors(training).repeat(),
        tuning_data=tf.data.Dataset.from_tensors(tuning).repeat(),
        steps_per_epoch=40,
        warmup_epochs=25,
        epochs=28,
        verbose=0,
    ).history
    return np.array(history["value"][25:]) - start


NOISE = stn.layers.GaussianNoise, noise_penalty
DROPOUT = stn.layers.Dropout, dropout_penalty


@pytest.mark.parametrize(
    "kind, deviation, start, direction",
    [
        (NOISE, 2.0, 0.3, 1),
        (NOISE, 0.7, 0.46, -1),
        (DROPOUT, 2.0, 0.1, 1),
        (DROPOUT, 1.4, 0.45, -1),
    ],
    ids=["noise up", "noise down", "dropout up", "dropout down"],
)
# Where in its range the value starts: the unconstrained value is positive in
# the upper half and negative in the lower.
@pytest.mark.parametrize("share", [0.72, 0.47])
@pytest.mark.parametrize("seed", [0, 1])
def test_first_moves_go_the_better_way(
    kind, deviation, start, direction, share, seed
):
    layer, penalty = kind
    problem = draw_problem(deviation)
    below, above = (
        exact_loss(problem, penalty, factor * start) for factor in (0.9, 1.1)
    )
    assert np.sign(above - below) == -direction
    moves = first_moves(problem, layer, start, start / share, seed)
    assert np.all(np.sign(moves) == direction), moves
