import numpy as np
import pytest

from keras_stn.layers import HyperConv3D
from keras_stn.layers import response_layer
from tests.layers.samples import fill
from tests.layers.samples import make_sample
from tests.numerics import to_numpy


@pytest.mark.parametrize("computation", [0, 10**9], ids=["kernels", "gates"])
@pytest.mark.parametrize("groups", [1, 2])
def test_channels_first_equals_channels_last(groups, computation, monkeypatch):
    monkeypatch.setattr(response_layer, "POSITIONS_PER_KERNEL", computation)
    outputs = []
    x = np.random.default_rng(0).normal(size=(4, 3, 3, 4, 2)).astype("float32")
    sample = make_sample(np.random.default_rng(1).normal(size=(groups, 2)))
    for data_format in ("channels_first", "channels_last"):
        layer = HyperConv3D(2, 2, data_format=data_format)
        layer.build_gates(2)
        first = data_format == "channels_first"
        inputs = x if first else x.transpose(0, 2, 3, 4, 1)
        layer.build(inputs.shape)
        fill(layer)
        y = to_numpy(layer(inputs, hyperparameters=sample))
        outputs.append(y if first else y.transpose(0, 4, 1, 2, 3))
    np.testing.assert_allclose(*outputs, rtol=1e-4, atol=1e-5)
