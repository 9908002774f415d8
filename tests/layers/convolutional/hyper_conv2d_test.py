import numpy as np
import pytest
import tensorflow as tf

from keras_stn.layers import HyperConv2D
from keras_stn.layers import response_layer
from tests.layers.official_layers import OfficialLayer
from tests.layers.official_layers import assert_close
from tests.layers.samples import fill
from tests.layers.samples import make_sample
from tests.numerics import to_numpy
from tests.numerics import value_and_gradients

HYPER_FILES = [f"hyperconv2d_s{i}" for i in range(21, 26)]
FILES = [
    *HYPER_FILES,
    *(f"delta_conv2d_s{i}" for i in range(21, 26)),
    "delta_conv2d_grouped_s26",
]


def load(file):
    """An official layer and ours with its weights."""
    official = OfficialLayer(file, axes=(2, 3, 1, 0))
    weights = official.weights()
    arrays = official.arrays
    layer = HyperConv2D(
        weights["kernel"].shape[-1],
        weights["kernel"].shape[:2],
        strides=int(arrays["stride"]),
        dilation_rate=int(arrays.get("dilation", 1)),
        groups=int(arrays.get("groups", 1)),
        use_bias=official.has_bias,
    )
    layer.build_gates(arrays["h"].shape[1])
    layer.build((None, None, None, arrays["x"].shape[1]))
    for variable in layer.weights:
        variable.assign(weights[variable.name])
    return official, layer


def apply(layer, x, padding, sample=None):
    """Our layer on PyTorch's layout and with its explicit padding."""
    x = tf.transpose(x, (0, 2, 3, 1))
    x = tf.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    return tf.transpose(layer(x, hyperparameters=sample), (0, 3, 1, 2))


@pytest.mark.parametrize("computation", [0, 10**9], ids=["kernels", "gates"])
@pytest.mark.parametrize("file", FILES)
def test_output_and_gradients_equal_official(file, computation, monkeypatch):
    monkeypatch.setattr(response_layer, "POSITIONS_PER_KERNEL", computation)
    official, layer = load(file)
    arrays = official.arrays
    padding = int(arrays["padding"])
    x, h, r = (tf.constant(arrays[k], tf.float32) for k in ("x", "h", "r"))

    def call():
        return apply(layer, x, padding, make_sample(h))

    assert_close(to_numpy(call()), arrays["out"])

    _, (grad_x, grad_h, *rest) = value_and_gradients(
        lambda: tf.reduce_sum(call() * r), [x, h, *layer.weights]
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


@pytest.mark.parametrize("file", HYPER_FILES)
def test_output_without_hyperparameters_equals_official(file):
    official, layer = load(file)
    arrays = official.arrays
    x = tf.constant(arrays["x"], tf.float32)
    y = apply(layer, x, int(arrays["padding"]))
    assert_close(to_numpy(y), arrays["out_no_h"])


@pytest.mark.parametrize(
    "shape, groups, convolutions",
    [
        ((4, 3, 3, 2), 1, 1),
        ((4, 3, 3, 2), 2, 2),
        ((4, 10, 10, 2), 2, 2),
        ((8, 10, 10, 2), 4, 4),
        ((8, 9, 9, 2), 4, 2),
        ((8, 10, 10, 2), 8, 2),
    ],
)
def test_cheaper_computation_is_chosen_by_shape(shape, groups, convolutions):
    # A kernel is used at 8 x 8 = 64 positions of an image of 10 x 10.
    layer = HyperConv2D(4, 3)
    layer.build_gates(2)
    layer.build(shape)
    calls = []
    linear = layer.linear
    layer.linear = lambda x, kernel: calls.append(0) or linear(x, kernel)
    rows = np.zeros((groups, 2))
    layer(np.zeros(shape, "float32"), hyperparameters=make_sample(rows))
    assert len(calls) == convolutions


@pytest.mark.parametrize("computation", [0, 10**9], ids=["kernels", "gates"])
@pytest.mark.parametrize("groups", [1, 2, 4])
def test_channels_first_equals_channels_last(groups, computation, monkeypatch):
    monkeypatch.setattr(response_layer, "POSITIONS_PER_KERNEL", computation)
    outputs = []
    x = np.random.default_rng(0).normal(size=(4, 3, 5, 6)).astype("float32")
    rows = np.random.default_rng(1).normal(size=(groups, 2))
    for data_format in ("channels_first", "channels_last"):
        layer = HyperConv2D(2, 3, data_format=data_format)
        layer.build_gates(2)
        first = data_format == "channels_first"
        inputs = x if first else x.transpose(0, 2, 3, 1)
        layer.build(inputs.shape)
        fill(layer)

        # TensorFlow convolves channels first on a CPU by XLA alone.
        @tf.function(jit_compile=True)
        def call(inputs, layer=layer):
            return layer(inputs, hyperparameters=make_sample(rows))

        y = to_numpy(call(inputs))
        outputs.append(y if first else y.transpose(0, 3, 1, 2))
    np.testing.assert_allclose(*outputs, rtol=1e-4, atol=1e-5)


def test_unknown_image_size_computes_with_gates():
    layer = HyperConv2D(2, 3)
    layer.build_gates(2)
    layer.build((None, None, None, 3))
    fill(layer)
    x = np.random.default_rng(0).normal(size=(4, 16, 16, 3)).astype("float32")
    rows = np.random.default_rng(1).normal(size=(2, 2))

    @tf.function(
        input_signature=[tf.TensorSpec((None, None, None, 3), tf.float32)]
    )
    def call(x):
        return layer(x, hyperparameters=make_sample(rows))

    np.testing.assert_allclose(
        to_numpy(call(x)),
        to_numpy(layer(x, hyperparameters=make_sample(rows))),
        rtol=1e-4,
        atol=1e-5,
    )
