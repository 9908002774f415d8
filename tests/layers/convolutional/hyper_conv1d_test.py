import numpy as np
import pytest
import tensorflow as tf

from keras_stn.layers import HyperConv1D
from keras_stn.layers import response_layer
from tests.layers.samples import fill
from tests.layers.samples import make_sample
from tests.numerics import to_numpy


def make_layer(**arguments):
    layer = HyperConv1D(2, 3, **arguments)
    layer.build_gates(2)
    return layer


# BUG: the padding is missing with hyperparameters.
@pytest.mark.parametrize("groups", [1, 2, 4])
def test_causal_output_does_not_see_later_steps(groups):
    layer = make_layer(padding="causal")
    layer.build((None, 8, 3))
    fill(layer)
    x = np.random.default_rng(0).normal(size=(4, 8, 3)).astype("float32")
    changed = x.copy()
    changed[:, 5:] += 1.0
    sample = make_sample(np.random.default_rng(1).normal(size=(groups, 2)))
    before = to_numpy(layer(x, hyperparameters=sample))
    after = to_numpy(layer(changed, hyperparameters=sample))
    assert before.shape == (4, 8, 2)
    np.testing.assert_array_equal(after[:, :5], before[:, :5])
    assert np.all(after[:, 5:] != before[:, 5:])


@pytest.mark.parametrize("computation", [0, 10**9], ids=["kernels", "gates"])
@pytest.mark.parametrize("groups", [1, 2])
def test_channels_first_equals_channels_last(groups, computation, monkeypatch):
    monkeypatch.setattr(response_layer, "POSITIONS_PER_KERNEL", computation)
    outputs = []
    x = np.random.default_rng(0).normal(size=(4, 3, 6)).astype("float32")
    rows = np.random.default_rng(1).normal(size=(groups, 2))
    for data_format in ("channels_first", "channels_last"):
        layer = make_layer(data_format=data_format)
        first = data_format == "channels_first"
        inputs = x if first else x.transpose(0, 2, 1)
        layer.build(inputs.shape)
        fill(layer)

        # TensorFlow convolves channels first on a CPU by XLA alone.
        @tf.function(jit_compile=True)
        def call(inputs, layer=layer):
            return layer(inputs, hyperparameters=make_sample(rows))

        y = to_numpy(call(inputs))
        outputs.append(y if first else y.transpose(0, 2, 1))
    np.testing.assert_allclose(*outputs, rtol=1e-4, atol=1e-5)
