import keras
import numpy as np
import pytest

import keras_stn as stn
from keras_stn.hyperparameters import Sample
from keras_stn.hyperparameters.step import sampled
from keras_stn.layers import HyperConv1D
from keras_stn.layers import HyperConv2D
from keras_stn.layers import HyperDepthwiseConv1D
from keras_stn.layers import HyperDepthwiseConv2D
from keras_stn.layers import HyperSeparableConv1D
from keras_stn.layers import HyperSeparableConv2D
from keras_stn.layers import response_layer
from tests.layers.samples import fill
from tests.layers.samples import make_sample
from tests.numerics import to_numpy

STRENGTH = stn.Float("l2", 1e-4, 10.0, 0.1, "log", per_example=False)
CASES = [
    (HyperSeparableConv1D, HyperDepthwiseConv1D, HyperConv1D, (4, 6, 3)),
    (HyperSeparableConv2D, HyperDepthwiseConv2D, HyperConv2D, (4, 6, 5, 3)),
]
COMPUTATIONS = pytest.mark.parametrize(
    "computation", [0, 10**9], ids=["kernels", "gates"]
)


def build(layer, shape):
    layer.build_gates(1)
    layer.build(shape)
    fill(layer)
    return layer


def make_layer(cls, shape, **arguments):
    return build(cls(4, 3, depth_multiplier=2, **arguments), shape)


def make_inputs(shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def make_rows(groups):
    rows = np.random.default_rng(1).normal(size=(groups, 1))
    return keras.ops.convert_to_tensor(rows, "float32")


@COMPUTATIONS
@pytest.mark.parametrize(("cls", "depthwise", "pointwise", "shape"), CASES)
def test_layer_is_a_depthwise_and_a_pointwise_hyper_convolution(
    cls, depthwise, pointwise, shape, computation, monkeypatch
):
    monkeypatch.setattr(response_layer, "POSITIONS_PER_KERNEL", computation)
    layer, x = make_layer(cls, shape, padding="same"), make_inputs(shape)
    first = depthwise(3, depth_multiplier=2, padding="same", use_bias=False)
    build(first, shape)
    second = build(pointwise(4, 1), (*shape[:-1], 6))
    for part, stage in ((first, "depthwise"), (second, "pointwise")):
        for variable in part.weights:
            name = variable.name.replace("kernel", f"{stage}_kernel")
            variable.assign(getattr(layer, name))
    sample = make_sample(make_rows(2))
    between = first(x, hyperparameters=sample)
    np.testing.assert_allclose(
        to_numpy(layer(x, hyperparameters=sample)),
        to_numpy(second(between, hyperparameters=sample)),
        rtol=1e-4,
        atol=1e-5,
    )


@COMPUTATIONS
@pytest.mark.parametrize(("cls", "shape"), [(c[0], c[-1]) for c in CASES])
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
        np.moveaxis(to_numpy(first), 1, -1),
        to_numpy(last),
        rtol=1e-4,
        atol=1e-5,
    )


def test_each_response_starts_as_its_own_kernel():
    depthwise = keras.initializers.Constant(0.5)
    pointwise = keras.initializers.Constant(0.25)
    layer = HyperSeparableConv2D(
        4, 3, depthwise_initializer=depthwise, pointwise_initializer=pointwise
    )
    layer.build((4, 6, 5, 3))
    np.testing.assert_array_equal(layer.response_depthwise_kernel, 0.5)
    np.testing.assert_array_equal(layer.response_pointwise_kernel, 0.25)


def test_each_group_is_penalized_for_its_own_kernels():
    layer = make_layer(
        HyperSeparableConv2D,
        (4, 6, 5, 3),
        depthwise_regularizer=stn.regularizers.L2(STRENGTH),
        pointwise_regularizer=stn.regularizers.L1(STRENGTH),
    )
    rows, strengths = make_rows(3), np.float32([[0.1], [0.5], [2.0]])
    strengths = keras.ops.convert_to_tensor(strengths)
    sample = Sample(rows, strengths, [STRENGTH])
    with sampled(sample):
        losses = to_numpy(layer.losses)
    expected = []
    for name, norm in (
        ("depthwise_kernel", np.square),
        ("pointwise_kernel", np.abs),
    ):
        weight = getattr(layer, name).numpy()
        response = getattr(layer, f"response_{name}").numpy()
        gate = getattr(layer, f"{name}_gate").numpy()[0]
        penalties = [
            strength * np.sum(norm(weight + row * gate * response))
            for row, strength in zip(rows.numpy(), strengths.numpy())
        ]
        expected.append(np.mean(penalties))
    np.testing.assert_allclose(losses, expected, rtol=1e-5)
