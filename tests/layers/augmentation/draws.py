"""What was drawn, and whether it was drawn as it should be."""

import numpy as np
from scipy import stats

import keras_stn as stn
from tests.layers.samples import sample_at
from tests.numerics import to_numpy

# Draws are the same in every run; this only says how odd they may look.
LEAST_P_VALUE = 1e-3


def draw(layer, strength, shape=(2000, 4, 4, 3)):
    """What a layer draws for a batch, as arrays of a number an image.

    Args:
        layer: A layer whose strengths are all the `Float` of
            `strength_of_draws`.
        strength: Float.
        shape: Tuple of integers, the shape of the batch.

    Returns:
        Dictionary of arrays of shape `(batch_size,)`.
    """
    transformation = layer.get_random_transformation(
        np.zeros(shape, "float32"),
        sample_at(strength_of_draws(), [strength]),
    )
    return {k: np.ravel(v) for k, v in to_numpy(transformation).items()}


def strength_of_draws():
    return stn.Float("strength", 0.0, 1.0, default=0.5)


def assert_uniform(numbers, low, high):
    """Raises unless numbers are uniform in a range and independent."""
    assert np.min(numbers) >= low
    assert np.max(numbers) <= high
    uniform = stats.uniform(low, high - low)
    assert stats.kstest(numbers, uniform.cdf).pvalue > LEAST_P_VALUE
    assert_independent(numbers[1:], numbers[:-1])


def assert_independent(numbers, others):
    """Raises if two arrays of numbers vary together."""
    assert stats.spearmanr(numbers, others).pvalue > LEAST_P_VALUE
