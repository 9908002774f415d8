import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_stn.layers import HyperDense
from keras_stn.layers import response_layer
from tests.layers.official_layers import OfficialLayer
from tests.layers.official_layers import assert_close
from tests.layers.samples import fill
from tests.layers.samples import make_sample
from tests.numerics import to_numpy
from tests.numerics import value_and_gradients

FILES = [f"hyperlinear_s{i}" for i in range(1, 5)] + [
    f"delta_linear_s{i}" for i in range(1, 5)
]


def load(file):
    """An official layer and ours with its weights."""
    official = OfficialLayer(file, axes=(1, 0))
    weights = official.weights()
    inputs, units = weights["kernel"].shape
    layer = HyperDense(units, use_bias=official.has_bias)
    layer.build_gates(official.arrays["h"].shape[1])
    layer.build((None, inputs))
    for variable in layer.weights:
        variable.assign(weights[variable.name])
    return official, layer


@pytest.mark.parametrize("computation", [0, 10**9], ids=["kernels", "gates"])
@pytest.mark.parametrize("file", FILES)
def test_output_and_gradients_equal_official(file, computation, monkeypatch):
    monkeypatch.setattr(response_layer, "POSITIONS_PER_KERNEL", computation)
    official, layer = load(file)
    arrays = official.arrays
    x, h, r = (tf.constant(arrays[k], tf.float32) for k in ("x", "h", "r"))
    y = layer(x, hyperparameters=make_sample(h))
    assert_close(to_numpy(y), arrays["out"])

    _, (grad_x, grad_h, *rest) = value_and_gradients(
        lambda: tf.reduce_sum(layer(x, hyperparameters=make_sample(h)) * r),
        [x, h, *layer.weights],
    )
    assert_close(grad_x, arrays["grad/x"])
    assert_close(grad_h, arrays["grad/h"])
    gradients, scalar = official.unfold(
        dict(zip((v.name for v in layer.weights), rest))
    )
    for name, gradient in official.gradients().items():
        assert_close(gradients.pop(name), gradient)
    assert not gradients
    if "grad/p/elem_scalar" in arrays:
        assert_close(scalar, arrays["grad/p/elem_scalar"][0])


@pytest.mark.parametrize("file", FILES[:4])
def test_output_without_hyperparameters_equals_official(file):
    official, layer = load(file)
    y = layer(official.arrays["x"].astype("float32"))
    assert_close(to_numpy(y), official.arrays["out_no_h"])


def test_one_row_serves_a_batch_as_if_it_were_repeated():
    official, layer = load("hyperlinear_s2")
    x = tf.constant(official.arrays["x"], tf.float32)
    row = official.arrays["h"][:1]
    one = layer(x, hyperparameters=make_sample(row))
    repeated = layer(x, hyperparameters=make_sample(row.repeat(6, axis=0)))
    assert_close(to_numpy(one), to_numpy(repeated))


@pytest.mark.parametrize(
    "shape, groups, products",
    [
        ((6, 5), 1, 1),
        ((6, 5), 2, 2),
        ((4, 64, 5), 2, 2),
        ((4, 63, 5), 2, 2),
        ((8, 64, 5), 2, 2),
        ((8, 64, 5), 4, 4),
        ((8, 63, 5), 4, 2),
        ((8, 200, 5), 8, 8),
        ((8, 100, 5), 8, 2),
        ((16, 16, 16, 5), 4, 4),
    ],
)
def test_cheaper_computation_is_chosen_by_shape(shape, groups, products):
    layer = HyperDense(3)
    layer.build_gates(2)
    layer.build(shape)
    calls = []
    linear = layer.linear
    layer.linear = lambda x, kernel: calls.append(0) or linear(x, kernel)
    rows = np.zeros((groups, 2))
    layer(np.zeros(shape, "float32"), hyperparameters=make_sample(rows))
    assert len(calls) == products


def test_sequence_shares_an_examples_row_over_its_steps():
    layer = HyperDense(3)
    layer.build_gates(2)
    layer.build((2, 4, 5))
    fill(layer)
    x = np.random.default_rng(0).normal(size=(2, 4, 5)).astype("float32")
    rows = np.float32([[1.0, -1.0], [0.5, 2.0]])
    y = to_numpy(layer(x, hyperparameters=make_sample(rows)))
    for step in range(4):
        alone = layer(x[:, step], hyperparameters=make_sample(rows))
        np.testing.assert_allclose(y[:, step], to_numpy(alone), rtol=1e-5)


class MaskOf(keras.layers.Layer):
    supports_masking = True

    def call(self, inputs, mask=None):
        return mask


def test_mask_passes_through():
    x = np.float32([[[1.0, 2.0], [0.0, 0.0]]])
    layers = [keras.layers.Masking(), HyperDense(3), MaskOf()]
    mask = keras.Sequential(layers)(x)
    np.testing.assert_array_equal(to_numpy(mask), [[True, False]])


@pytest.mark.parametrize("activation", ["relu", "softmax"])
def test_activation_applies_to_the_responding_output(activation):
    linear = HyperDense(3)
    active = HyperDense(3, activation=activation)
    for layer in (linear, active):
        layer.build_gates(2)
        layer.build((None, 5))
        fill(layer)
    x = np.random.default_rng(0).normal(size=(4, 5)).astype("float32")
    sample = make_sample(np.float32([[1.0, -1.0], [0.5, 2.0]]))
    expected = keras.activations.get(activation)(
        linear(x, hyperparameters=sample)
    )
    np.testing.assert_allclose(
        to_numpy(active(x, hyperparameters=sample)),
        to_numpy(expected),
        rtol=1e-6,
    )
