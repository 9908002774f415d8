import numpy as np
import pytest

import keras_stn as stn
from keras_stn.layers import SpatialDropout1D
from keras_stn.layers import SpatialDropout2D
from keras_stn.layers import SpatialDropout3D
from tests.layers.samples import sample_at
from tests.numerics import to_numpy

RATES = np.float32([0.1, 0.5, 0.8])

CASES = {
    "1d": (SpatialDropout1D, {}, (3, 5, 2000), (1,)),
    "2d": (SpatialDropout2D, {}, (3, 2, 2, 2000), (1, 2)),
    "2d_channels_first": (
        SpatialDropout2D,
        {"data_format": "channels_first"},
        (3, 2000, 2, 2),
        (2, 3),
    ),
    "3d": (SpatialDropout3D, {}, (3, 2, 2, 2, 2000), (1, 2, 3)),
    "3d_channels_first": (
        SpatialDropout3D,
        {"data_format": "channels_first"},
        (3, 2000, 2, 2, 2),
        (2, 3, 4),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_whole_feature_maps_are_dropped_at_each_examples_rate(case):
    layer_class, arguments, shape, axes = CASES[case]
    rate = stn.Float("rate", 0.0, 1.0)
    layer = layer_class(rate, seed=1, **arguments)
    y = to_numpy(
        layer(
            np.ones(shape, "float32"),
            training=True,
            hyperparameters=sample_at(rate, RATES),
        )
    )
    assert np.all(y.min(axes) == y.max(axes))
    dropped = (y.max(axes) == 0).mean(1)
    deviation = (RATES * (1 - RATES) / 2000) ** 0.5
    assert np.all(np.abs(dropped - RATES) < 5 * deviation)
