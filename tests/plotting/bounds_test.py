import numpy as np
import pytest

import keras_stn as stn
from keras_stn.hyperparameters import HyperparameterSpace
from keras_stn.plotting.bounds import find_bounds
from keras_stn.plotting.bounds import with_bounds


@pytest.mark.parametrize(
    "hyperparameter",
    [
        stn.Float("x", 0.0, 0.9, default=0.1),
        stn.Float("x", 0.5, None, default=0.7),
        stn.Float("x", None, 3.0, default=-1.0),
        stn.Float("x", None, None, default=-1.0),
        stn.Float("x", 1e-4, 1.0, default=1e-2, sampling="log"),
        stn.Float("x", None, 1.0, default=1e-2, sampling="log"),
        stn.Int("x", 0, 8, default=3),
        stn.Int("x", 1, None, default=3, scale=2.0),
    ],
    ids=str,
)
def test_bounds_are_the_values_one_scale_away(hyperparameter):
    space = HyperparameterSpace([hyperparameter])
    ends = space.sample(noise=np.array([[-1.0], [1.0]], "float32"))["x"]
    lower, upper = find_bounds(
        hyperparameter,
        np.array([float(space.values()["x"])]),
        np.array([float(space.scale[0])]),
    )
    expected = sorted(np.asarray(ends))
    np.testing.assert_allclose([lower[0], upper[0]], expected, rtol=1e-5)
    assert lower[0] < upper[0]


def test_values_on_the_ends_and_missing_ones_have_bounds_as_well():
    rate = stn.Float("x", 0.0, 0.5)
    lower, upper = find_bounds(
        rate, np.array([0.0, 0.5, np.nan]), np.array([1.0, 1.0, np.nan])
    )
    assert 0 <= lower[0] <= upper[0] < 1e-4
    assert 0.5 - 1e-4 < lower[1] <= upper[1] <= 0.5
    assert np.isnan([lower[2], upper[2]]).all()


def test_columns_that_are_there_stay():
    columns = {
        name: np.array([0.1])
        for name in ("x", "x_scale", "x_lower", "x_upper", "y", "y_scale")
    }
    found = with_bounds(columns, [stn.Float("x", 0, 1), stn.Float("y", 0, 1)])
    assert found["x_lower"] == 0.1
    assert found["y_lower"] < 0.1 < found["y_upper"]
    assert with_bounds({"y": [1.0]}, [stn.Float("y", 0, 1)]) == {"y": [1.0]}
