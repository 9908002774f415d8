import keras
import numpy as np
import pytest

import keras_stn as stn
from keras_stn.hyperparameters.step import sampled
from keras_stn.layers import HyperDense
from keras_stn.layers import HyperEinsumDense
from keras_stn.layers.core.hyper_einsum_dense import spell_out
from tests.layers.samples import Providing
from tests.layers.samples import fill
from tests.layers.samples import make_sample
from tests.numerics import to_numpy

ROWS = np.float32([[1.0, -1.0], [0.5, 2.0]])


def make(equation, output_shape, input_shape, **kwargs):
    layer = HyperEinsumDense(equation, output_shape, **kwargs)
    layer.build_gates(2)
    layer.build(input_shape)
    fill(layer)
    return layer


def draw(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


@pytest.mark.parametrize(
    "equation, rank, axes",
    [
        ("ab,bc->ac", 2, ("ab", "bc", "ac")),
        ("abc,cde->abde", 3, ("abc", "cde", "abde")),
        ("...x,xy->...y", 2, ("ax", "xy", "ay")),
        ("...x,xy->...y", 4, ("abcx", "xy", "abcy")),
        ("...ab,bc->...ac", 2, ("ab", "bc", "ac")),
        ("ab...,bc->ac...", 4, ("abde", "bc", "acde")),
    ],
)
def test_letters_take_the_place_of_an_ellipsis(equation, rank, axes):
    assert spell_out(equation, rank) == axes


@pytest.mark.parametrize("rows", [ROWS[:1], ROWS, draw(6, 2)])
def test_equation_of_a_dense_layer_equals_hyper_dense(rows):
    dense = HyperDense(4, activation="tanh")
    dense.build_gates(2)
    dense.build((None, 3, 5))
    fill(dense)
    layer = make(
        "...x,xy->...y",
        4,
        (None, 3, 5),
        bias_axes="y",
        activation="tanh",
    )
    layer.set_weights(dense.get_weights())
    x, sample = draw(6, 3, 5), make_sample(rows)
    np.testing.assert_allclose(
        to_numpy(layer(x, hyperparameters=sample)),
        to_numpy(dense(x, hyperparameters=sample)),
        rtol=1e-5,
        atol=1e-6,
    )


@pytest.mark.parametrize(
    "equation, output_shape, input_shape, gates",
    [
        ("abc,cde->abde", (None, 2, 4), (None, 3, 5), (2, 4)),
        ("abc,ced->abde", (None, 2, 4), (None, 3, 5), (4, 2)),
        ("abcd,cde->abe", (None, 4), (None, 3, 2, 5), (4,)),
        ("abc,bcd->abd", (3, 4), (None, 3, 5), (3, 4)),
        ("abc,bc->a", (), (None, 3, 5), ()),
        ("ab,b->ab", 5, (None, 5), (5,)),
    ],
)
def test_gates_lie_along_the_axes_that_the_output_has(
    equation, output_shape, input_shape, gates
):
    layer = make(equation, output_shape, input_shape)
    assert layer.kernel_gate.shape == (2, *gates)
    x = draw(2, *input_shape[1:])
    together = to_numpy(layer(x, hyperparameters=make_sample(ROWS)))
    for i in range(2):
        row = make_sample(ROWS[i : i + 1])
        alone = to_numpy(layer(x[i : i + 1], hyperparameters=row))
        np.testing.assert_allclose(together[i], alone[0], rtol=1e-4, atol=1e-5)


def test_bias_may_be_shared_along_an_axis():
    layer = make("abc,cde->abde", (3, 2, 4), (None, 3, 5), bias_axes="be")
    assert layer.bias_gate.shape == (2, 3, 1, 4)
    for name in ("kernel", "response_kernel"):
        variable = getattr(layer, name)
        variable.assign(np.zeros(variable.shape))
    sample = make_sample(ROWS)
    y = to_numpy(layer(draw(2, 3, 5), hyperparameters=sample))
    expected = to_numpy(layer.weight_of_rows("bias", sample))
    np.testing.assert_allclose(y, np.broadcast_to(expected, y.shape), rtol=1e-6)


@pytest.mark.parametrize(
    "equation, output_shape, input_shape, bias_axes",
    [
        ("abc,ad->bcd", (5, 4), (3, 3, 5), None),
        ("abc,cd->bad", (3, 4), (3, 3, 5), None),
        ("abc,acd->abd", (3, 4), (6, 3, 5), None),
        ("ab,bc->ac", 4, (6, 5), "ac"),
        ("x,xy->y", 4, (5,), None),
    ],
)
def test_batch_elsewhere_than_in_front_is_refused(
    equation, output_shape, input_shape, bias_axes
):
    layer = HyperEinsumDense(equation, output_shape, bias_axes=bias_axes)
    message = f"must be the batch.* Received: equation='{equation}'"
    with pytest.raises(ValueError, match=message):
        layer.build(input_shape)


def test_invalid_equation_is_refused_as_by_keras():
    layer = HyperEinsumDense("ab,bc", 4)
    with pytest.raises(ValueError, match="Invalid einsum equation 'ab,bc'"):
        layer.build((None, 5))


def test_lora_is_refused():
    layer = HyperEinsumDense("ab,bc->ac", 4, lora_rank=2)
    with pytest.raises(ValueError, match="cannot use LoRA.*lora_rank=2"):
        layer.build((None, 5))


def test_quantization_is_refused():
    layer = make("ab,bc->ac", 4, (None, 5))
    with pytest.raises(NotImplementedError, match="quantize"):
        layer.quantize("int8")


@pytest.mark.parametrize("seed", [3, None])
def test_response_starts_as_wide_as_the_kernel(seed):
    # Keras tells the initializer which axes are inputs: 4 of 400 here.
    layer = HyperEinsumDense(
        "ab,bcd->acd",
        (20, 50),
        kernel_initializer=keras.initializers.HeNormal(seed=seed),
    )
    layer.build((None, 4))
    kernel, response = layer.kernel.numpy(), layer.response_kernel.numpy()
    assert kernel.std() == pytest.approx(0.5**0.5, rel=0.05)
    assert response.std() == pytest.approx(0.5**0.5, rel=0.05)
    assert np.all(kernel != response)


@pytest.mark.parametrize(
    "shape, groups, products",
    [
        ((6, 3, 5), 1, 1),
        ((8, 64, 5), 4, 4),
        ((8, 63, 5), 4, 2),
        ((8, 200, 5), 8, 8),
        ((8, 100, 5), 8, 2),
    ],
)
def test_cheaper_computation_is_chosen_by_shape(shape, groups, products):
    layer = make("abc,cde->abde", (None, 2, 3), shape)
    calls = []
    linear = layer.linear
    layer.linear = lambda x, kernel: calls.append(0) or linear(x, kernel)
    rows = np.zeros((groups, 2))
    layer(np.zeros(shape, "float32"), hyperparameters=make_sample(rows))
    assert len(calls) == products


@pytest.mark.parametrize("steps", [2, None])
@pytest.mark.parametrize(
    "layer",
    [
        HyperEinsumDense("ab,bcd->acd", (2, 4), bias_axes="cd"),
        HyperDense(4),
    ],
    ids=["einsum", "dense"],
)
def test_every_step_of_time_distributed_gets_the_row(layer, steps):
    layer = type(layer).from_config(layer.get_config())
    inputs = keras.Input((steps, 5))
    network = keras.Model(inputs, keras.layers.TimeDistributed(layer)(inputs))
    layer.build_gates(2)
    fill(layer)
    x, sample = draw(4, 2, 5), make_sample(ROWS)
    y = to_numpy(Providing(network, sample)(x))
    for step in range(2):
        alone = layer(x[:, step], hyperparameters=sample)
        np.testing.assert_allclose(
            y[:, step], to_numpy(alone), rtol=1e-5, atol=1e-6
        )


def test_tuned_penalty_is_on_the_responding_kernel():
    strength = stn.Float("l1", 0.0, 100.0, default=0.1, per_example=False)
    layer = make(
        "abc,cde->abde",
        (None, 2, 4),
        (None, 3, 5),
        kernel_regularizer=stn.regularizers.L1(strength),
    )
    sample = stn.hyperparameters.Sample(
        keras.ops.convert_to_tensor(ROWS),
        keras.ops.convert_to_tensor([[0.5, 0.0], [2.0, 0.0]]),
        [strength, stn.Float("other")],
    )
    with sampled(sample):
        (loss,) = to_numpy(layer.losses)
    kernels = to_numpy(layer.weight_of_rows("kernel", sample))
    sums = np.abs(kernels).sum((1, 2, 3))
    np.testing.assert_allclose(loss, np.mean([0.5, 2.0] * sums), rtol=1e-5)
