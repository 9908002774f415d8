import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

import keras_stn as stn
from keras_stn.hyperparameters import Sample
from keras_stn.hyperparameters.step import sampled
from keras_stn.layers.response_penalty import MAX_ROWS
from keras_stn.layers.response_penalty import choose_rows
from tests.layers.samples import fill
from tests.numerics import value_and_gradients

STRENGTH = stn.Float("l2", 1e-4, 10.0, 0.1, "log", per_example=False)
OTHER = stn.Float("other", 0.0, 1.0)
L2 = stn.regularizers.L2(STRENGTH)


def make_layer(
    cls=stn.layers.HyperDense,
    shape=(5, 3),
    penalty=L2,
    **kwargs,
):
    arguments = {"units": 2} if cls is stn.layers.HyperDense else {}
    layer = cls(
        **arguments,
        kernel_regularizer=penalty,
        bias_regularizer=penalty,
        **kwargs,
    )
    layer.build_gates(2)
    layer.build(shape)
    fill(layer)
    return layer


def make_sample(groups=3):
    rng = np.random.default_rng(1)
    inputs = rng.normal(size=(groups, 2)).astype("float32")
    values = rng.uniform(0.1, 1.0, (groups, 2)).astype("float32")
    return Sample(
        ops.convert_to_tensor(inputs),
        ops.convert_to_tensor(values),
        [STRENGTH, OTHER],
    )


def by_hand(layer, sample, rows, norm=np.square):
    """The mean of `s_g R(W(λ_g))`, and the same of the bias."""
    kernels, biases = [], []
    for g in rows:
        location = ops.convert_to_numpy(sample.response_inputs)[g]
        strength = ops.convert_to_numpy(sample["l2"])[g]
        kernel_gate = location @ layer.kernel_gate.numpy()
        bias_gate = location @ layer.bias_gate.numpy()
        kernel = layer.kernel + kernel_gate * layer.response_kernel
        bias = layer.bias + bias_gate * layer.response_bias
        kernels.append(strength * np.sum(norm(kernel)))
        biases.append(strength * np.sum(norm(bias)))
    return [np.mean(kernels), np.mean(biases)]


CASES = [
    (stn.layers.HyperDense, (5, 3), {}),
    (stn.layers.HyperConv1D, (5, 6, 3), {"filters": 4, "kernel_size": 2}),
    (stn.layers.HyperConv2D, (5, 6, 6, 3), {"filters": 4, "kernel_size": 2}),
]


PENALTIES = [
    (L2, np.square),
    (stn.regularizers.L1(STRENGTH), np.abs),
    (stn.regularizers.L1L2(STRENGTH, STRENGTH), lambda x: np.abs(x) + x**2),
]


@pytest.mark.parametrize(("penalty", "norm"), PENALTIES)
@pytest.mark.parametrize(("cls", "shape", "arguments"), CASES)
def test_each_group_is_penalized_for_its_own_weights(
    cls, shape, arguments, penalty, norm
):
    layer = make_layer(cls, shape, penalty, **arguments)
    sample = make_sample()
    with sampled(sample):
        losses = layer.losses
    np.testing.assert_allclose(
        losses, by_hand(layer, sample, range(3), norm), rtol=1e-5
    )


def test_a_strength_that_is_a_number_stands_beside_a_tuned_one():
    layer = make_layer(penalty=stn.regularizers.L1L2(0.3, STRENGTH))
    sample = make_sample()
    with sampled(sample):
        losses = layer.losses
    fixed = Sample(
        sample.response_inputs, ops.full((3, 2), 0.3), [STRENGTH, OTHER]
    )
    expected = np.array(by_hand(layer, sample, range(3)))
    expected += by_hand(layer, fixed, range(3), np.abs)
    np.testing.assert_allclose(losses, expected, rtol=1e-5)


def test_the_orthogonal_penalty_is_taken_of_each_kernel():
    penalty = stn.regularizers.OrthogonalRegularizer(STRENGTH)
    layer = stn.layers.HyperDense(2, kernel_regularizer=penalty)
    layer.build_gates(2)
    layer.build((5, 3))
    fill(layer)
    sample = make_sample()
    with sampled(sample):
        (loss,) = layer.losses
    penalties = []
    for g in range(3):
        gate = sample.response_inputs[g].numpy() @ layer.kernel_gate.numpy()
        kernel = layer.kernel + gate * layer.response_kernel
        strength = float(sample["l2"][g])
        regularizer = keras.regularizers.OrthogonalRegularizer(strength)
        penalties.append(float(regularizer(kernel)))
    np.testing.assert_allclose(loss, np.mean(penalties), rtol=1e-5)


def test_without_a_sample_the_layer_is_penalized_as_keras_does():
    layer = make_layer()
    expected = [
        0.1 * np.sum(np.square(weight)) for weight in (layer.kernel, layer.bias)
    ]
    np.testing.assert_allclose(layer.losses, expected, rtol=1e-5)
    np.testing.assert_allclose(
        stn.layers.HyperDense.from_config(
            layer.get_config()
        ).kernel_regularizer(layer.kernel),
        expected[0],
        rtol=1e-5,
    )


def test_a_number_penalizes_the_kernel_alone():
    layer = stn.layers.HyperDense(
        2, kernel_regularizer=stn.regularizers.L2(0.3)
    )
    layer.build_gates(2)
    layer.build((5, 3))
    fill(layer)
    with sampled(make_sample()):
        (loss,) = layer.losses
    np.testing.assert_allclose(loss, 0.3 * np.sum(np.square(layer.kernel)))


def test_a_layer_that_is_called_twice_is_penalized_once():
    layer = make_layer()
    layer(layer(np.ones((5, 3)))[:, :1] * np.ones((5, 3)))
    assert len(layer.losses) == 2


def test_the_response_and_the_gates_are_penalized():
    layer = make_layer()
    variables = [layer.response_kernel, layer.kernel_gate, layer.bias_gate]

    def penalty():
        with sampled(make_sample()):
            return sum(layer.losses)

    _, gradients = value_and_gradients(penalty, variables)
    for variable, gradient in zip(variables, gradients):
        start = variable.numpy()
        step = np.zeros_like(start)
        step[0, 0] = 1e-2
        variable.assign(start + step)
        upper = penalty()
        variable.assign(start - step)
        lower = penalty()
        variable.assign(start)
        assert abs(gradient[0, 0]) > 1e-3
        np.testing.assert_allclose(
            gradient[0, 0], (upper - lower) / 2e-2, rtol=1e-2, atol=1e-4
        )


@pytest.mark.parametrize(
    ("penalty", "norm", "rows"),
    [
        (stn.regularizers.L1(STRENGTH), np.abs, range(0, 32, 4)),
        (L2, np.square, range(32)),
    ],
)
def test_l1_takes_eight_rows_evenly_spaced_and_l2_takes_all(
    penalty, norm, rows
):
    layer = make_layer(penalty=penalty)
    sample = make_sample(32)
    expected = by_hand(layer, sample, rows, norm)
    with sampled(sample):
        np.testing.assert_allclose(layer.losses, expected, rtol=1e-5)

    @tf.function(
        input_signature=[tf.TensorSpec((None, 2)), tf.TensorSpec((None, 2))]
    )
    def penalties(inputs, values):
        with sampled(Sample(inputs, values, [STRENGTH, OTHER])):
            return layer.losses

    unknown = penalties(sample.response_inputs, sample.values)
    np.testing.assert_allclose(unknown, expected, rtol=1e-5)


def test_chosen_rows_are_distinct():
    for groups in (1, 3, 8, 9, 20):
        rows = choose_rows(np.zeros((groups, 1)))
        assert len(np.unique(rows)) == min(groups, MAX_ROWS)
        assert np.max(rows) < groups


def test_a_frozen_layer_is_not_penalized():
    layer = make_layer()
    layer.trainable = False
    assert layer.losses == []


def test_penalties_are_computed_in_full_precision():
    layer = make_layer(dtype="mixed_float16")
    with sampled(make_sample()):
        layer(np.ones((6, 3), "float16"))
        assert {loss.dtype for loss in layer.losses} == {tf.float32}


def test_the_regularizer_stays_in_the_configuration():
    layer = make_layer()
    again = keras.layers.deserialize(keras.layers.serialize(layer))
    assert again.kernel_regularizer.declarations == [STRENGTH]
