import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops
from scipy import stats

from keras_stn.layers.augmentation.beta import log_gamma
from keras_stn.layers.augmentation.beta import symmetric_beta
from tests.numerics import value_and_gradients

SIZE = 20_000


@pytest.mark.parametrize("alpha", [0.1, 0.5, 1.0, 5.0])
def test_numbers_have_the_beta_distribution(alpha):
    seed = keras.random.SeedGenerator(0)
    draws = ops.convert_to_numpy(
        symmetric_beta(ops.full((SIZE,), alpha), seed)
    ).astype("float64")
    distribution = stats.beta(alpha, alpha)
    # Float32 is fine enough for the distribution near 0, not near 1.
    lower = draws[draws < 0.5]
    test = stats.kstest(lower, lambda x: 2 * distribution.cdf(x))
    assert test.pvalue > 1e-3
    assert stats.binomtest(len(lower), SIZE).pvalue > 1e-3
    np.testing.assert_allclose(draws.var(), distribution.var(), rtol=0.05)


@pytest.mark.parametrize("alpha", [0.1, 1.0, 5.0])
def test_logarithms_have_those_of_the_gamma_distribution(alpha):
    seed = keras.random.SeedGenerator(2)
    draws = ops.convert_to_numpy(log_gamma(ops.full((SIZE,), alpha), seed))
    distribution = stats.loggamma(alpha)
    assert stats.kstest(draws, distribution.cdf).pvalue > 1e-3


@pytest.mark.parametrize("alpha", [0.1, 0.5, 1.0, 5.0])
def test_the_gradient_of_the_variance_is_the_known_one(alpha):
    seed = keras.random.SeedGenerator(3)
    alphas = ops.full((200_000,), alpha)

    def variance():
        draws = symmetric_beta(alphas, seed)
        return ops.mean(ops.square(draws - 0.5))

    _, (gradient,) = value_and_gradients(variance, [alphas])
    # The variance is 1 / (4 (2α + 1)).
    expected = -1 / (2 * (2 * alpha + 1) ** 2)
    np.testing.assert_allclose(gradient.sum(), expected, rtol=0.05)


def test_each_number_has_its_own_parameter():
    seed = keras.random.SeedGenerator(4)
    alphas = np.repeat([0.05, 50.0], SIZE).astype("float32")
    draws = ops.convert_to_numpy(symmetric_beta(alphas, seed))
    low, high = np.abs(draws - 0.5).reshape(2, SIZE).mean(axis=1)
    assert low > 0.4 and high < 0.1


@pytest.mark.parametrize("alpha", [0.0, 1e-4, 1e-2, 1e3])
def test_values_and_gradients_are_finite_for_extreme_parameters(alpha):
    seed = keras.random.SeedGenerator(5)
    alphas = ops.full((SIZE,), alpha)
    value, (gradient,) = value_and_gradients(
        lambda: ops.sum(symmetric_beta(alphas, seed)), [alphas]
    )
    assert np.isfinite(value) and np.isfinite(gradient).all()


def test_xla_compiles_it():
    seed = keras.random.SeedGenerator(6)
    compiled = tf.function(
        lambda alphas: symmetric_beta(alphas, seed), jit_compile=True
    )
    draws = compiled(ops.full((SIZE,), 0.5)).numpy()
    assert stats.kstest(draws, stats.beta(0.5, 0.5).cdf).pvalue > 1e-3
