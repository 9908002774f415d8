import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_stn.layers import WeightDropConnect
from tests.layers.official_layers import assert_close
from tests.numerics import to_numpy
from tests.numerics import value_and_gradients
from tests.reference_arrays import load_reference

FILES = [f"lstm_hyperlinear_s{i}" for i in (61, 62, 63)]


@pytest.mark.parametrize("file", FILES)
def test_kernels_output_and_gradients_equal_official(file, monkeypatch):
    arrays = {
        name: tf.constant(array, tf.float32)
        for name, array in load_reference(file).items()
    }
    keep = arrays["keep_mask"].numpy()

    def uniform(shape, **kwargs):
        assert tuple(shape) == (1, *keep.shape)
        return tf.constant(
            np.where(keep == 1, 1 - 1e-6, -1e-6)[None], "float32"
        )

    monkeypatch.setattr(keras.random, "uniform", uniform)
    layer = WeightDropConnect(float(arrays["wdrop"]))
    x, h, r = (arrays[name] for name in ("x", "h", "r"))
    kernel, response = arrays["p/elem_weight_raw"], arrays["p/hnet_weight_raw"]
    gate = arrays["p/hnet_tensor_to_scalars.weight"]
    units = keep.shape[0]
    outputs = []

    def loss():
        # The official linear layer, with our dropout of its kernels.
        kernels = layer([kernel, response], training=True)
        gates = tf.matmul(h, gate, transpose_b=True)
        products = [tf.matmul(x, k, transpose_b=True) for k in kernels]
        y = products[0] + gates[:, :units] * products[1]
        if "p/elem_bias" in arrays:
            y += arrays["p/elem_bias"]
            y += gates[:, units:] * arrays["p/hnet_bias"]
        outputs.append((kernels, y))
        return tf.reduce_sum(y * r)

    _, gradients = value_and_gradients(loss, [kernel, response, x, h])
    (kernels, y) = to_numpy(outputs[0])
    if "elem_weight_effective" in arrays:
        assert_close(kernels[0], arrays["elem_weight_effective"].numpy())
        assert_close(kernels[1], arrays["hnet_weight_effective"].numpy())
    assert_close(y, arrays["out"].numpy())
    names = ["p/elem_weight_raw", "p/hnet_weight_raw", "x", "h"]
    for name, gradient in zip(names, gradients, strict=True):
        assert_close(gradient, arrays[f"grad/{name}"].numpy())


def test_transposed_kernels_are_refused():
    kernels = [np.ones((3, 4)), np.ones((4, 3))]
    with pytest.raises(ValueError, match=r"shapes=\[\(3, 4\), \(4, 3\)\]"):
        WeightDropConnect(0.5)(kernels, training=True)
