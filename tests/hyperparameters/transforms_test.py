import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_stn.hyperparameters.transforms import constrain
from keras_stn.hyperparameters.transforms import inverse_softplus
from keras_stn.hyperparameters.transforms import unconstrain
from tests.reference_arrays import load_reference

INF = math.inf
RANGES = ["both", "lower", "upper", "none"]

# Official arrays and the tolerance they can be met with: above 20 PyTorch's
# softplus is linear, 1e-9 off, and the float32 file has rounding errors.
PRECISIONS = [
    pytest.param("transforms_f64", 2e-9, 1e-14, id="float64"),
    pytest.param("transforms_f32", 1e-5, 1e-38, id="float32"),
]


def value_and_gradient(x, low, high):
    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = constrain(x, low, high)
    return y.numpy(), tape.gradient(y, x).numpy()


@pytest.mark.parametrize("range_name", RANGES)
@pytest.mark.parametrize("file, rtol, atol", PRECISIONS)
def test_constrain_equals_official_project(file, rtol, atol, range_name):
    arrays = load_reference(file)
    low, high = arrays[f"project_{range_name}_range"]
    dtype = arrays["real"].dtype
    y, _ = value_and_gradient(
        arrays["real"], low.astype(dtype), high.astype(dtype)
    )
    expected = arrays[f"project_{range_name}"]
    np.testing.assert_allclose(y, expected, rtol=rtol, atol=atol)
    assert y.dtype == dtype


@pytest.mark.parametrize("range_name", RANGES)
@pytest.mark.parametrize("file, rtol, atol", PRECISIONS)
def test_constrain_gradient_equals_official(file, rtol, atol, range_name):
    arrays = load_reference(file)
    low, high = arrays[f"project_{range_name}_range"]
    x = arrays["real"]
    # 1 - sigmoid(x), which the gradient holds, has lost all digits above.
    x = x[x < 10] if file == "transforms_f32" else x
    _, gradient = value_and_gradient(
        x, low.astype(x.dtype), high.astype(x.dtype)
    )
    np.testing.assert_allclose(
        gradient,
        arrays[f"grad/project_{range_name}"][: len(x)],
        rtol=rtol,
        atol=atol,
    )


@pytest.mark.parametrize("k", range(4))
@pytest.mark.parametrize("file, rtol, atol", PRECISIONS)
def test_constrain_equals_official_s_sigmoid(file, rtol, atol, k):
    arrays = load_reference(file)
    low, high = arrays[f"range_{k}"].astype(arrays["real"].dtype)
    y, gradient = value_and_gradient(arrays["real"], low, high)
    # Where the two terms cancel, only absolute precision is left.
    atol = atol if rtol < 1e-5 else 1e-7 * (high - low)
    np.testing.assert_allclose(
        y, arrays[f"s_sigmoid_{k}"], rtol=rtol, atol=atol
    )
    np.testing.assert_allclose(
        gradient, arrays[f"grad/s_sigmoid_{k}"], rtol=rtol, atol=atol
    )


@pytest.mark.parametrize("k", range(4))
def test_unconstrain_equals_official_s_logit(k):
    arrays = load_reference("transforms_f64")
    low, high = arrays[f"range_{k}"]
    values = [unconstrain(v, low, high) for v in arrays[f"s_logit_in_{k}"]]
    # An input beside the range's end carries few digits of its distance.
    np.testing.assert_allclose(
        values, arrays[f"s_logit_{k}"], rtol=1e-8, atol=1e-9
    )


def test_inverse_softplus_equals_official():
    arrays = load_reference("transforms_f64")
    values = [inverse_softplus(v) for v in arrays["positive"]]
    # The official formula is literal and loses digits at small numbers.
    np.testing.assert_allclose(
        values, arrays["inv_softplus"], rtol=1e-8, atol=1e-12
    )


def test_inverse_softplus_stays_finite_for_large_numbers():
    assert inverse_softplus(1e4) == 1e4


@pytest.mark.parametrize("value", [1e-12, 1e-3, 0.7, 1.0, 30.0, 1e3])
def test_inverse_softplus_inverts_softplus(value):
    x = np.float64(inverse_softplus(value))
    softplus = np.logaddexp(0.0, x)
    np.testing.assert_allclose(softplus, value, rtol=1e-12)


@pytest.mark.parametrize("range_name", RANGES)
def test_constrain_inverts_unconstrain_in_random_ranges(range_name):
    random = np.random.default_rng(7)
    for _ in range(20):
        low, high = np.sort(random.normal(0, 3, 2)) + [0, 0.1]
        value = random.uniform(low, high)
        low = low if range_name in ("both", "lower") else -INF
        high = high if range_name in ("both", "upper") else INF
        x = np.float64(unconstrain(value, low, high))
        y = keras.ops.convert_to_numpy(constrain(x, low, high))
        np.testing.assert_allclose(y, value, rtol=1e-10, atol=1e-10)


def test_upper_range_decreases():
    y = keras.ops.convert_to_numpy(constrain(np.float32([0, 1]), -INF, 2.0))
    assert y[1] < y[0] < 2.0


def test_constrain_maps_each_column_into_its_own_range():
    x = np.zeros((2, 3), "float32")
    low = np.float32([0, 1, -4])
    high = np.float32([1, 3, 4])
    y = keras.ops.convert_to_numpy(constrain(x, low, high))
    np.testing.assert_array_equal(y, [[0.5, 2.0, 0.0]] * 2)


def test_constrain_is_finite_far_out():
    x = np.float32([-1e4, 1e4])
    for low, high in [(0.0, 1.0), (0.0, INF), (-INF, 1.0), (-INF, INF)]:
        y, gradient = value_and_gradient(x, low, high)
        assert np.isfinite(y).all()
        assert np.isfinite(gradient).all()
