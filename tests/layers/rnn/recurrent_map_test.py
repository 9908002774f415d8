import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from keras_stn.layers.rnn.recurrent_map import RecurrentMap
from keras_stn.layers.rnn.recurrent_map import apply_rows
from tests.numerics import to_numpy
from tests.numerics import value_and_gradients
from tests.reference_arrays import load_reference


@pytest.mark.parametrize("computation", ["kernels", "gates"])
@pytest.mark.parametrize("seed", [61, 62, 63])
def test_map_of_dropped_kernels_equals_official(seed, computation):
    arrays = load_reference(f"lstm_hyperlinear_s{seed}")
    has_bias = "p/elem_bias" in arrays
    factors = arrays["keep_mask"].T / (1 - arrays["wdrop"])
    kernel, response, gates = (
        tf.constant(arrays[f"p/{name}"].T)
        for name in (
            "elem_weight_raw",
            "hnet_weight_raw",
            "hnet_tensor_to_scalars.weight",
        )
    )
    x, h = tf.constant(arrays["x"]), tf.constant(arrays["h"])

    def output():
        a, c = ops.split(ops.matmul(h, gates), 2, axis=-1)
        bias = None
        if has_bias:
            bias = arrays["p/elem_bias"] + c * arrays["p/hnet_bias"]
        kernels = (kernel * factors)[None], (response * factors)[None]
        if computation == "gates":
            return RecurrentMap(*kernels, a, bias)(x)
        kernels = kernels[0] + a[:, None] * kernels[1]
        return RecurrentMap(kernels, bias=bias)(x)

    np.testing.assert_allclose(to_numpy(output()), arrays["out"], rtol=1e-9)
    _, gradients = value_and_gradients(
        lambda: tf.reduce_sum(output() * arrays["r"]),
        [x, h, kernel, response, gates],
    )
    for gradient, name in zip(
        gradients,
        (
            "x",
            "h",
            "p/elem_weight_raw",
            "p/hnet_weight_raw",
            "p/hnet_tensor_to_scalars.weight",
        ),
        strict=True,
    ):
        gradient = gradient if name in ("x", "h") else gradient.T
        np.testing.assert_allclose(
            gradient, arrays[f"grad/{name}"], rtol=1e-9, atol=1e-12
        )


def make_map(groups, with_gates):
    random = np.random.default_rng(0)
    return RecurrentMap(
        random.normal(size=(groups, 2, 6)),
        random.normal(size=(1, 2, 6)) if with_gates else None,
        random.normal(size=(4, 6)) if with_gates else None,
        random.normal(size=(4, 6)),
        random.normal(size=(4, 2)),
    )


@pytest.mark.parametrize("groups, with_gates", [(1, True), (2, False)])
def test_columns_are_the_map_to_some_outputs(groups, with_gates):
    state = np.random.default_rng(1).normal(size=(4, 2))
    whole = make_map(groups, with_gates)
    np.testing.assert_allclose(
        to_numpy(whole.columns(1, 4)(state)), to_numpy(whole(state))[:, 1:4]
    )


def test_each_group_is_multiplied_by_its_kernel():
    random = np.random.default_rng(0)
    state, kernels = random.normal(size=(6, 2)), random.normal(size=(3, 2, 5))
    expected = [row @ kernels[i // 2] for i, row in enumerate(state)]
    np.testing.assert_allclose(to_numpy(apply_rows(state, kernels)), expected)
