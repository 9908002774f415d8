import keras
import numpy as np
import pytest

import keras_stn as stn
from keras_stn.hyperparameters import Sample
from keras_stn.hyperparameters.step import sampled
from keras_stn.layers import HyperDepthwiseConv1D
from keras_stn.layers import HyperDepthwiseConv2D
from keras_stn.layers import response_layer
from tests.layers.samples import fill
from tests.layers.samples import make_sample
from tests.numerics import to_numpy

STRENGTH = stn.Float("l2", 1e-4, 10.0, 0.1, "log", per_example=False)


def make_layer(cls, shape, **arguments):
    layer = cls(3, depth_multiplier=2, **arguments)
    layer.build_gates(1)
    layer.build(shape)
    fill(layer)
    return layer


def make_inputs(shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def make_rows(groups):
    rows = np.random.default_rng(1).normal(size=(groups, 1))
    return keras.ops.convert_to_tensor(rows, "float32")


@pytest.mark.parametrize("computation", [0, 10**9], ids=["kernels", "gates"])
@pytest.mark.parametrize(
    ("cls", "shape"),
    [(HyperDepthwiseConv1D, (4, 6, 3)), (HyperDepthwiseConv2D, (4, 6, 5, 3))],
)
def test_channels_first_equals_channels_last(
    cls, shape, computation, monkeypatch
):
    monkeypatch.setattr(response_layer, "POSITIONS_PER_KERNEL", computation)
    x, sample = make_inputs(shape), make_sample(make_rows(2))
    last = make_layer(cls, x.shape)(x, hyperparameters=sample)
    x = np.moveaxis(x, -1, 1)
    first = make_layer(cls, x.shape, data_format="channels_first")(
        x, hyperparameters=sample
    )
    np.testing.assert_allclose(
        np.moveaxis(to_numpy(first), 1, -1), to_numpy(last), rtol=1e-5
    )


# TensorFlow itself refuses the two together, Keras computes them in two steps.
def test_strides_and_dilation_together_equal_keras_at_one_row():
    arguments = {"strides": 2, "dilation_rate": 2, "padding": "same"}
    x, rows = make_inputs((4, 9, 8, 3)), make_rows(1)
    layer = make_layer(HyperDepthwiseConv2D, x.shape, **arguments)
    plain = keras.layers.DepthwiseConv2D(3, depth_multiplier=2, **arguments)
    plain.build(x.shape)
    sample = make_sample(rows)
    plain.set_weights(
        [
            layer.weight_of_rows(name, sample)[0].numpy()
            for name in ("kernel", "bias")
        ]
    )
    y = layer(x, hyperparameters=sample)
    np.testing.assert_allclose(to_numpy(y), to_numpy(plain(x)), rtol=1e-5)


@pytest.mark.parametrize(
    ("groups", "convolutions"), [(1, 1), (2, 2), (4, 4), (8, 2)]
)
def test_kernels_of_rows_pay_from_32_positions_a_group(groups, convolutions):
    # A kernel is used at 4 x 4 = 16 positions of an image of 6 x 6.
    x = make_inputs((8, 6, 6, 3))
    layer = make_layer(HyperDepthwiseConv2D, x.shape)
    calls = []
    linear = layer.linear
    layer.linear = lambda x, kernel: calls.append(0) or linear(x, kernel)
    layer(x, hyperparameters=make_sample(make_rows(groups)))
    assert len(calls) == convolutions


@pytest.mark.parametrize(
    ("penalty", "norm"),
    [
        (stn.regularizers.L2(STRENGTH), np.square),
        (stn.regularizers.L1(STRENGTH), np.abs),
    ],
)
def test_each_group_is_penalized_for_its_own_kernel(penalty, norm):
    layer = make_layer(
        HyperDepthwiseConv2D,
        (4, 6, 6, 3),
        depthwise_regularizer=penalty,
        bias_regularizer=penalty,
    )
    rows, strengths = make_rows(3), np.float32([[0.1], [0.5], [2.0]])
    strengths = keras.ops.convert_to_tensor(strengths)
    with sampled(Sample(rows, strengths, [STRENGTH])):
        losses = to_numpy(layer.losses)
    expected = []
    for name in ("kernel", "bias"):
        weight = getattr(layer, name).numpy()
        response = getattr(layer, f"response_{name}").numpy()
        gate = getattr(layer, f"{name}_gate").numpy()[0]
        penalties = [
            strength * np.sum(norm(weight + row * gate * response))
            for row, strength in zip(rows.numpy(), strengths.numpy())
        ]
        expected.append(np.mean(penalties))
    np.testing.assert_allclose(losses, expected, rtol=1e-5)
