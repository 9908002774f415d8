import numpy as np
import pytest
import tensorflow as tf

from keras_stn.layers import HyperConv2DTranspose
from keras_stn.layers import response_layer
from tests.layers.samples import fill
from tests.layers.samples import make_sample
from tests.numerics import to_numpy


def make_layer(shape, **arguments):
    layer = HyperConv2DTranspose(2, 3, **arguments)
    layer.build_gates(2)
    layer.build(shape)
    fill(layer)
    return layer


def make_rows(groups):
    return np.random.default_rng(1).normal(size=(groups, 2)).astype("float32")


@pytest.mark.parametrize("computation", [0, 10**9], ids=["kernels", "gates"])
@pytest.mark.parametrize(
    "arguments",
    [{"strides": 2, "output_padding": 1}, {"dilation_rate": 2}],
    ids=["strided", "dilated"],
)
def test_channels_first_equals_channels_last(
    arguments, computation, monkeypatch
):
    monkeypatch.setattr(response_layer, "POSITIONS_PER_KERNEL", computation)
    outputs = []
    x = np.random.default_rng(0).normal(size=(4, 3, 5, 4)).astype("float32")
    for data_format in ("channels_first", "channels_last"):
        first = data_format == "channels_first"
        inputs = x if first else x.transpose(0, 2, 3, 1)
        layer = make_layer(inputs.shape, data_format=data_format, **arguments)

        # TensorFlow transposes convolutions with channels first, or dilated
        # ones, on a CPU by XLA alone.
        @tf.function(jit_compile=True)
        def call(inputs, layer=layer):
            return layer(inputs, hyperparameters=make_sample(make_rows(2)))

        y = to_numpy(call(inputs))
        outputs.append(y if first else y.transpose(0, 3, 1, 2))
    np.testing.assert_allclose(*outputs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("size", "convolutions"), [(8, 2), (15, 2), (16, 4)])
def test_kernels_of_rows_pay_from_128_pixels_of_the_input(size, convolutions):
    x = np.zeros((4, size, 8, 3), "float32")
    layer = make_layer(x.shape, strides=2)
    calls = []
    linear = layer.linear
    layer.linear = lambda x, kernel: calls.append(0) or linear(x, kernel)
    layer(x, hyperparameters=make_sample(make_rows(4)))
    assert len(calls) == convolutions
